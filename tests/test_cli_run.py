"""`liangxin run` and `create`: a picture for a line, and never a charge for a slip."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import Result
from PIL import Image

from liangxin.cli._app import cli
from liangxin.emulator import Emulator, Fault
from liangxin.models import catalogue
from tests.commands import KEY, QUICK, command, records

PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "sys.argv[0] = 'liangxin'; from liangxin.cli import main; main()"
)


def asked(server: Emulator) -> list[dict[str, Any]]:
    """The inputs of what was charged."""
    return [dict(server.tasks[charge.task_id].input) for charge in server.charges]


def run(*args: object, server: Emulator) -> Result:
    """Run a model that always takes the same words."""
    return command("run", "z-image", "-p", "a lighthouse", *QUICK, *args, server=server)


# --- results -------------------------------------------------------------------------------------


def test_a_run_ends_with_a_file_of_the_name_that_was_asked_for(
    server: Emulator, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "a light in fog.png"
    done = run("--out", out, server=server)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    assert len(server.charges) == 1
    assert "creating" in done.stderr
    assert "saving" in done.stderr


def test_a_file_keeps_the_ending_of_what_it_is(server: Emulator, tmp_path: Path) -> None:
    out = tmp_path / "fog.webp"
    done = run("--out", out, server=server)
    assert done.stdout == f"{tmp_path / 'fog.png'}\n"
    assert "is no .webp" in done.stderr


def test_into_a_folder_a_result_goes_under_the_id_of_its_task(
    server: Emulator, tmp_path: Path
) -> None:
    told = ("--out", tmp_path / "x", "--format", "json")
    done = command("run", "ZImage", "--prompt", "a lighthouse", *QUICK, *told, server=server)
    record = json.loads(done.stdout)
    [charge] = server.charges
    assert record["task_id"] == charge.task_id
    assert (record["state"], record["money"], record["error"]) == ("success", "paid", None)
    assert record["files"] == [str(tmp_path / "x" / f"{charge.task_id}.png")]
    assert Path(record["files"][0]).is_file()


def test_quiet_says_nothing(server: Emulator, tmp_path: Path) -> None:
    done = run("--out", tmp_path, "--format", "quiet", server=server)
    assert (done.exit_code, done.output) == (0, "")
    assert len(list(tmp_path.iterdir())) == 1


def test_create_prints_the_id_and_waits_for_nothing(server: Emulator) -> None:
    done = command("create", "z-image", "-p", "a lighthouse", server=server)
    assert done.exit_code == 0
    assert [charge.task_id for charge in server.charges] == [done.stdout.strip()]
    assert server.looks == 0


def test_with_the_emulator_nobody_needs_a_key(tmp_path: Path) -> None:
    done = command(
        "run", "Veo31TextToVideo", "-p", "waves", "--emulator", "--out", tmp_path / "waves.mp4"
    )
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'waves.mp4'}\n")
    assert "nothing is paid" in done.stderr


# --- fields --------------------------------------------------------------------------------------


def test_options_become_fields_of_the_types_that_the_model_has(
    server: Emulator, tmp_path: Path
) -> None:
    picture = tmp_path / "cat.png"
    Image.new("RGB", (8, 8)).save(picture)
    told = (
        *("--resolution", "1K", "--aspect_ratio", "16:9", "--no-use-google-search-tool"),
        *("--image-input", picture, "--image-input", "https://example.com/dog.png"),
    )
    done = command("create", "nano-banana-pro-flash", "-p", "77", *told, server=server)
    assert done.exit_code == 0, done.output
    [fields] = asked(server)
    pictures = fields.pop("image_input")
    assert fields == {
        "prompt": "77",
        "resolution": "1K",
        "aspect_ratio": "16:9",
        "use_google_search_tool": False,
    }
    assert pictures[0].startswith("data:image/png;base64,")
    assert pictures[1] == "https://example.com/dog.png"


def test_fields_come_from_json_and_pairs_too_and_options_win(
    server: Emulator, tmp_path: Path
) -> None:
    kept = tmp_path / "fields.json"
    kept.write_text('{"prompt": "from the file", "seed": 1, "unheard_of": [1]}', "utf-8")
    told = ("--input", f"@{kept}", "--field", "seed=2", "-p", "from the option")
    done = command("create", "z-image", *told, "--num-inference-steps", "4", server=server)
    assert done.exit_code == 0, done.output
    assert asked(server) == [
        {"prompt": "from the option", "seed": 2, "num_inference_steps": 4, "unheard_of": [1]}
    ]


def test_an_unknown_model_is_asked_where_raw_says_so(server: Emulator) -> None:
    done = command(
        "create", "z-imagine", "--raw", "-p", "fog", "--field", "size=[1, 2]", server=server
    )
    assert done.exit_code == 1
    assert "unsupported model: z-imagine" in done.stderr  # the emulator was asked
    done = command("create", "z-image", "--raw", "--input", '{"prompt": "fog"}', server=server)
    assert done.exit_code == 0
    assert asked(server) == [{"prompt": "fog"}]


def test_what_breaks_an_inferred_limit_is_noted_and_sent(server: Emulator) -> None:
    odd = ("create", "z-image", "-p", "x", "--image-size", "odd")
    assert "Note: ZImage.image_size is 'odd'" in command(*odd, server=server).stderr
    assert len(server.requests) == 1
    assert command(*odd, "--strict", server=server).exit_code == 2
    assert "Note" not in command(*odd, "--no-strict", server=server).stderr
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("nano-bananna-pro -p x", "did you mean nano-banana-pro"),
        ("unheard-of -p x", "--raw"),
        ("z-image", "ZImage.prompt is missing"),
        ("z-image -p x --seed many", "it takes an integer"),
        ("z-image -p x --field promt=y", "did you mean prompt?"),
        ("z-image -p x --field promt", "FIELD=VALUE"),
        ("z-image -p x --input [1]", "an object of fields"),
        ("z-image -p x --input {", "neither JSON nor"),
        ("z-image -p x --promt y", "No such option"),
        ("nano-banana-pro-flash -p fog --resolution 9K", "it takes one of '1K', '2K', '4K'"),
        ("kling-v3-pro -p x --start-image-url nowhere.png", "neither a file nor a web address"),
        ("Veo31TextToVideo -p x", "--slug"),
        ("z-image -p x --out /dev/null/x", "--out"),
        ("z-image -p x --timeout soon", "no time"),
        ("z-image -p x --emulator --base-url http://127.0.0.1:9", "two services"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error_and_nothing_is_sent(
    server: Emulator, args: str, said: str
) -> None:
    done = command("run", *args.split(), server=server)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert server.requests == ()


def test_without_a_key_or_an_address_it_is_said_what_to_set(server: Emulator) -> None:
    done = command("create", "z-image", "-p", "x", server=server, LIANGXIN_API_KEY=None)
    assert (done.exit_code, "LIANGXIN_API_KEY" in done.stderr) == (2, True)
    done = command("create", "z-image", "-p", "x")
    assert (done.exit_code, "LIANGXIN_BASE_URL" in done.stderr) == (2, True)
    assert "--base-url" in done.stderr
    assert "=…" not in done.stderr  # which is Python


# --- ends that are not good ----------------------------------------------------------------------


def test_a_failed_task_has_an_exit_code_and_a_reason(server: Emulator, tmp_path: Path) -> None:
    server.add_fault(Fault("create", "fail"))
    done = run("--out", tmp_path, server=server)
    assert (done.exit_code, done.stdout) == (3, "")
    assert f"Error: {server.charges[0].task_id} failed" in done.stderr
    assert "To go on" not in done.stderr


def test_a_lost_answer_says_that_money_may_be_spent_and_is_not_sent_again(
    server: Emulator, tmp_path: Path
) -> None:
    server.add_fault(Fault("create", "withhold"))
    told = ("--out", tmp_path, "--format", "jsonl")
    done = run(*told, server=server)
    assert done.exit_code == 3
    assert "money may have been spent" in done.stderr
    [record] = records(done)
    assert (record["error"], record["money"]) == ("AmbiguousCreate", "maybe paid")
    assert len(server.charges) == 1


def test_a_refused_key_has_an_exit_code_of_its_own(server: Emulator, tmp_path: Path) -> None:
    server.add_fault(Fault("create", status=401))
    done = run("--out", tmp_path, server=server)
    assert done.exit_code == 4
    assert "401" in done.stderr
    assert server.charges == ()


def test_a_time_out_says_how_to_go_on_and_that_works(tmp_path: Path) -> None:
    with (emulator := Emulator(seed=1, speed=0)).serve():
        out = tmp_path / "fog.png"
        told = ("--out", out, "--timeout", "0.1s", "--base-url", emulator.base_url)
        done = run(*told, server=emulator)
        assert done.exit_code == 5
        _, _, again = done.stderr.partition("without paying again: liangxin ")
        emulator.advance(600)
        done = command(*again.split(), *QUICK, server=emulator)
        assert (done.exit_code, done.stdout) == (0, f"{out}\n")
        assert len(emulator.charges) == 1


def test_what_a_service_writes_is_printable(server: Emulator, tmp_path: Path) -> None:
    server.add_fault(Fault("create", "fail", message="\x1b[2J\u202eevil"))
    done = run("--out", tmp_path, "--format", "jsonl", server=server)
    assert "evil" in done.stdout
    assert "evil" in done.stderr
    assert not {"\x1b", "\u202e"} & set(done.output)


def test_debug_shows_where_an_error_came_from(server: Emulator) -> None:
    server.add_fault(Fault("create", status=401))
    done = command("--debug", "create", "z-image", "-p", "x", server=server)
    assert done.exit_code == 4
    assert "Traceback" in done.stderr


# --- help and completion -------------------------------------------------------------------------


def test_the_help_of_a_model_has_all_its_fields_with_who_says_what() -> None:
    for known in catalogue():
        done = command("run", known.name, "--help")
        assert done.exit_code == 0, done.output
        for fact in known.fields:
            assert f"--{fact.name.replace('_', '-')}" in done.stdout
    text = " ".join(command("run", "z-image", "--help").stdout.split())
    assert "Documented: required, at least 1 character. Inferred: at most 4096 characters." in text
    assert "image_size wins over aspect_ratio (documented)" in text


def test_the_help_of_run_lists_every_model_by_a_name_that_it_takes() -> None:
    listed = command("run", "--help").stdout
    for known in catalogue():
        assert f"  {known.slug or known.name} " in listed


def completed(*args: str) -> list[str]:
    complete = ShellComplete(cli, {}, "liangxin", "_LIANGXIN_COMPLETE")
    return [item.value for item in complete.get_completions(list(args[:-1]), args[-1])]


def test_models_options_and_values_complete() -> None:
    assert completed("run", "z-") == ["z-image"]
    assert completed("run", "z-image", "--as") == ["--aspect-ratio"]
    assert completed("create", "z-image", "--aspect-ratio", "") == [
        "1:1",
        "3:4",
        "9:16",
        "4:3",
        "16:9",
    ]
    assert completed("run", "unheard-of", "--as") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_program_what_completes(shell: str) -> None:
    done = command("completion", shell)
    assert done.exit_code == 0
    assert f"_LIANGXIN_COMPLETE={shell}_complete" in done.stdout


# --- as processes --------------------------------------------------------------------------------


def started(server: Emulator, *args: object, **streams: Any) -> subprocess.Popen[str]:
    told = {"LIANGXIN_API_KEY": KEY, "LIANGXIN_BASE_URL": server.base_url, "PYTHONUTF8": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *map(str, args)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        text=True,
        env={**os.environ, **told},
    )


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    with (emulator := Emulator(seed=1, speed=0)).serve():
        process = started(emulator, "run", "z-image", "-p", "x", *QUICK, "--out", tmp_path)
        while not emulator.looks:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    [charge] = emulator.charges
    assert (process.returncode, out) == (130, "")
    assert f"liangxin download {charge.task_id} --out {tmp_path}" in err
    assert "Traceback" not in err


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupt_while_the_answer_is_awaited_still_finds_the_task(tmp_path: Path) -> None:
    emulator = Emulator(seed=1, speed=0)
    emulator.add_fault(Fault("create", "delay", delay=2))
    with emulator.serve():
        process = started(emulator, "create", "z-image", "-p", "x")
        assert process.stderr is not None
        while not emulator.charges:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        while "Stopping" not in process.stderr.readline():
            assert process.poll() is None
        emulator.advance(2)
        out, err = process.communicate(timeout=30)
    [charge] = emulator.charges
    assert (process.returncode, out) == (130, "")
    assert f"liangxin wait {charge.task_id}" in err


@pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")
def test_results_reach_a_pipe_while_a_line_moves_on_the_terminal(
    server: Emulator, tmp_path: Path
) -> None:
    import pty

    ours, theirs = pty.openpty()
    try:
        told = ("--out", tmp_path / "x.png", "--format", "jsonl", *QUICK)
        process = started(server, "run", "z-image", "-p", "x", *told, stderr=theirs)
        out, _ = process.communicate(timeout=30)
        drawn = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert json.loads(out)["files"] == [str(tmp_path / "x.png")]
    assert "\x1b[" in drawn
    assert "saving" in drawn
