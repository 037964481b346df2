"""The command line, run as people run it; the demo against the books of its own emulator."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner
from PIL import Image
from rich.console import Console

import liangxin
from liangxin._tasks import RawInput, Task, TaskState
from liangxin.cli._app import _Cli, cli
from liangxin.cli._demo import perform
from liangxin.cli._demo.board import Board
from liangxin.cli._demo.books import disagreements
from liangxin.cli._demo.folder import DemoFolder
from liangxin.cli._demo.scenes import durations, scenes
from liangxin.cli._demo.shot import Shot
from liangxin.emulator import Emulator
from liangxin.models import catalogue
from tests.test_sheet import entries_in

DOCUMENTED_EXAMPLE = """{
  "model": "nano-banana-pro-flash",
  "input": {
    "prompt": "A clean app icon for an AI video editor, vivid but minimal",
    "aspect_ratio": "1:1",
    "resolution": "1K",
    "use_google_search_tool": false,
    "output_format": "png"
  }
}"""
"""The request example of the model's page, without its callBackUrl."""

MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from liangxin.cli import main; main()"
)
RESULTS = 12


def liangxin_program(*args: str, setup: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{setup}\n{MAIN}", *args],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "PYTHONUTF8": "1", **env},
        check=False,
    )


def without(*packages: str) -> str:
    """Python that makes these packages impossible to import."""
    return f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


def results_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name[:2].isdigit())


def files_shown_by(page: Path) -> list[str]:
    return [entry["file"] for entry in entries_in(page.read_text(encoding="utf-8"))]


def quick(seed: int = 0) -> Emulator:
    return Emulator(seed=seed, durations=0.1)


# --- the program -------------------------------------------------------------------------------


def test_the_version_is_told_without_importing_what_only_commands_need() -> None:
    done = liangxin_program(
        "--version",
        setup="import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))",
    )
    assert done.stdout == f"liangxin {liangxin.__version__}\n"
    imported = set(done.stderr.split())
    assert "click" in imported
    slow = {"rich", "httpx", "anyio", "cattrs", "starlette", "uvicorn", "PIL", "liangxin._client"}
    assert not slow & imported


def test_help_names_every_command_and_imports_nothing_slow() -> None:
    done = liangxin_program("--help", setup=without("rich", "httpx", "starlette", "PIL"))
    assert done.returncode == 0
    assert "demo " in done.stdout
    assert "emulator " in done.stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    done = CliRunner().invoke(cli, ["dmeo"])
    assert done.exit_code == 2
    assert "No such command 'dmeo'" in done.output


@pytest.mark.parametrize(
    ("missing", "args", "extra"),
    [
        ("click", ["--version"], "cli"),
        ("rich", ["demo"], "cli"),
        ("starlette", ["demo"], "demo"),
        ("PIL", ["emulator"], "demo"),
        ("uvicorn", ["emulator"], "demo"),
    ],
)
def test_a_missing_extra_is_one_sentence(missing: str, args: list[str], extra: str) -> None:
    done = liangxin_program(*args, setup=without(missing))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f'pip install "liangxin[{extra}]"' in done.stderr


class FailingCli(_Cli):
    """The command line with a command that fails in a way of one's choice."""

    error: BaseException

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        def fail() -> None:
            raise self.error

        return click.Command(cmd_name, callback=fail)


def failing(error: BaseException) -> FailingCli:
    group = FailingCli("liangxin", params=list(cli.params), callback=lambda debug: None)
    group.error = error
    return group


def test_a_known_error_is_a_sentence_without_a_traceback() -> None:
    error = liangxin.NotSent("nothing left: the service cannot be reached")
    done = CliRunner().invoke(failing(error), ["anything"])
    assert done.exit_code == 1
    assert done.output == "Error: nothing left: the service cannot be reached\n"


def test_debug_lets_a_known_error_through() -> None:
    error = liangxin.NotSent("nothing left")
    done = CliRunner().invoke(failing(error), ["--debug", "anything"])
    assert done.exception is error


def test_an_unknown_error_is_not_hidden() -> None:
    error = ImportError("a mistake of ours", name="liangxin._nowhere")
    assert CliRunner().invoke(failing(error), ["anything"]).exception is error


def test_an_interrupted_command_ends_with_130() -> None:
    done = CliRunner().invoke(failing(KeyboardInterrupt()), ["anything"])
    assert done.exit_code == 130
    assert done.output.strip() == "Stopped: nothing more was done."


# --- the emulator ------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C for another process is POSIX only")
def test_the_emulator_serves_until_ctrl_c_and_takes_only_the_keys_it_was_given() -> None:
    args = ["emulator", "--port", "0", "--speed", "1000", "--key", "good-key"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *args], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[3]
        options: dict[str, Any] = {"base_url": url, "min_interval": 0.01}
        poster = liangxin.models.ZImage(prompt="a poster")
        with liangxin.Client("bad-key", **options) as client, pytest.raises(liangxin.Unauthorized):
            client.create_task(poster)
        with liangxin.Client("good-key", **options) as client:
            assert client.run(poster, timeout=10).state is TaskState.SUCCESS
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert "Traceback" not in process.stderr.read()


@pytest.mark.skipif(sys.platform == "win32", reason="stops it with a POSIX signal")
def test_the_emulator_has_the_faults_the_quota_and_the_rates_it_was_given(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text('[[fault]]\nendpoint = "create"\nstatus = 503\n', "utf-8")
    args = ["--port", "0", "--speed", "0", "--faults", str(rules), "--quota", "1"]
    args += ["--rate-limit", "4/10s", "--look-limit", "1/s", "--no-retry-after"]
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "emulator", *args], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[3]
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer any"}) as client:
            order = {"model": "z-image", "input": {"prompt": "a poster"}}
            creates = [client.post("/api/v1/jobs/createTask", json=order) for _ in range(6)]
            task_id = creates[1].json()["data"]["taskId"]
            look = f"/api/v1/jobs/recordInfo?taskId={task_id}"
            looks = [client.get(look) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert [reply.status_code for reply in creates] == [503, 200, 403, 403, 403, 429]
    assert [reply.status_code for reply in looks] == [200, 429]
    assert "retry-after" not in creates[-1].headers


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--port", "70000"], "70000"),
        (["--speed", "-1"], "-1"),
        (["--rate-limit", "often"], 'a rate is written "20/10s"'),
        (["--quota", "-5"], "-5"),
        (["--faults", "/no/such/rules.toml"], "No such file"),
    ],
)
def test_the_emulator_refuses_settings_that_cannot_be(args: list[str], words: str) -> None:
    done = CliRunner().invoke(cli, ["emulator", *args])
    assert done.exit_code == 2
    assert words in done.output


def test_a_busy_port_is_a_sentence(server: Emulator) -> None:
    port = server.base_url.rpartition(":")[2]
    done = liangxin_program("emulator", "--port", port)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr


# --- the demo, as a newcomer runs it -----------------------------------------------------------


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """One whole run at its own pace: the folder it was run in, what it said, what it opened."""
    home = tmp_path_factory.mktemp("newcomer")
    browser = home / "browser.py"
    browser.write_text("import sys; open(sys.argv[1], 'w').write(sys.argv[2])")
    opened = home / "opened.txt"
    done = liangxin_program(
        *("demo", "--seed", "3", "--out", str(home / "out"), "--open"),
        BROWSER=f"{sys.executable} {browser} {opened} %s",
        # Proxies are not asked about this machine.
        HTTP_PROXY="http://127.0.0.1:9",
        HTTPS_PROXY="http://127.0.0.1:9",
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return home, done.stdout, done.stderr


def test_the_demo_leaves_real_pictures_and_a_clip(newcomer: tuple[Path, str, str]) -> None:
    results = results_in(newcomer[0] / "out")
    assert len(results) == RESULTS
    kinds = {".png": "PNG", ".jpg": "JPEG"}
    pictures = [path for path in results if path.suffix in kinds]
    for path in pictures:
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == kinds[path.suffix]
            assert min(picture.size) >= 512
    [clip] = set(results) - set(pictures)
    content = clip.read_bytes()
    assert content[4:8] == b"ftyp"
    assert b"moov" in content
    assert b"mdat" in content


def test_the_sheet_of_the_demo_shows_every_result(newcomer: tuple[Path, str, str]) -> None:
    folder = newcomer[0] / "out"
    assert files_shown_by(folder / "index.html") == [f"./{p.name}" for p in results_in(folder)]


def test_the_demo_tells_what_was_created_looked_at_and_charged(
    newcomer: tuple[Path, str, str],
) -> None:
    told = newcomer[1]
    lines = [line.split() for line in told.splitlines() if line.startswith("task_")]
    assert len(lines) == RESULTS
    looks, charged = (sum(int(line[column]) for line in lines) for column in (3, 4))
    assert f"Created {RESULTS} tasks, looked {looks} times" in told
    assert f"{RESULTS} tasks charged, {charged} credits" in told
    assert looks > 2 * RESULTS


def test_without_a_terminal_each_change_of_state_is_a_line(
    newcomer: tuple[Path, str, str],
) -> None:
    lines = [line.split()[2:] for line in newcomer[2].splitlines()[1:]]
    clip = [line[1] for line in lines if line[0] == "kling-v3-pro"]
    assert clip == ["waiting", "queuing", "generating", "success", "saved"]
    assert "\x1b" not in newcomer[2]


@pytest.mark.skipif(sys.platform == "win32", reason="BROWSER is not asked on Windows")
def test_open_shows_the_sheet_in_a_browser(newcomer: tuple[Path, str, str]) -> None:
    home = newcomer[0]
    assert (home / "opened.txt").read_text() == (home / "out" / "index.html").resolve().as_uri()


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C for another process is POSIX only")
def test_ctrl_c_ends_the_demo_with_130_and_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, "demo", "--out", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "generating" in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(10) == 130
    assert "Stopped: the emulator and its tasks are gone" in rest
    assert "Traceback" not in rest
    assert not (tmp_path / "out").exists()


# --- the demo, more quickly --------------------------------------------------------------------


def test_the_first_request_is_the_example_of_the_documentation_and_seeds_repeat(
    newcomer: tuple[Path, str, str], tmp_path: Path
) -> None:
    emulator = quick(seed=3)
    perform(tmp_path, emulator=emulator)
    assert emulator.tasks[emulator.charges[0].task_id].param == DOCUMENTED_EXAMPLE
    for again, before in zip(results_in(tmp_path), results_in(newcomer[0] / "out"), strict=True):
        assert again.name == before.name
        if again.suffix != ".mp4":
            with Image.open(again) as picture, Image.open(before) as earlier:
                assert picture.tobytes() == earlier.tobytes()


def test_the_demo_asks_every_model_whose_slug_is_documented_for_one_result() -> None:
    asked = [type(scene).__name__ for scene in scenes()]
    documented = {row.name for row in catalogue() if row.slug_provenance == "documented"}
    assert sorted(asked) == sorted({*documented, "SeedreamV5LiteEdit"})
    assert asked[0] == "NanoBananaProFlash"


def test_the_pace_is_fixed_by_the_seed_and_leaves_time_to_watch() -> None:
    pace = durations(scenes(), 5)
    assert pace == durations(scenes(), 5) != durations(scenes(), 6)
    assert all(1.5 <= seconds <= 7.5 for seconds in pace.values())


def test_a_second_run_leaves_nothing_of_the_first_and_all_that_is_the_users(
    tmp_path: Path,
) -> None:
    perform(tmp_path, emulator=quick(1))
    first = {path.name: path.read_bytes() for path in results_in(tmp_path)}
    manifest = json.loads((tmp_path / "demo.json").read_text())
    manifest["files"].append("99-a-model-of-an-older-demo.png")
    (tmp_path / "demo.json").write_text(json.dumps(manifest))
    (tmp_path / "99-a-model-of-an-older-demo.png").write_bytes(b"old")
    (tmp_path / "holiday.png").write_bytes(b"mine")
    (tmp_path / "notes").mkdir()

    perform(tmp_path, emulator=quick(2))

    second = {path.name: path.read_bytes() for path in results_in(tmp_path)}
    assert second.keys() == first.keys()
    assert all(second[name] != first[name] for name in second if name.endswith("png"))
    assert (tmp_path / "holiday.png").read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*second, "demo.json", "holiday.png", "index.html", "notes"]
    )


@pytest.mark.parametrize(
    "name", ["index.html", "INDEX.html", "01-nano-banana-pro-flash.webp", "demo.json"]
)
def test_a_file_that_no_demo_wrote_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    done = CliRunner().invoke(cli, ["demo", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert name in done.output
    assert "--out" in done.output
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["../precious", "/etc/precious", "..", ".", "", 7, None])
def test_a_manifest_names_only_files_of_its_own_folder(tmp_path: Path, name: object) -> None:
    (tmp_path / "precious").write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    (out / "demo.json").write_text(json.dumps({"written_by": "liangxin demo", "files": [name]}))
    folder = DemoFolder(out, [])
    with folder.staging() as staged:
        (staged / "new.png").write_bytes(b"new")
        folder.publish(staged)
    assert (tmp_path / "precious").read_text() == "mine"
    assert sorted(path.name for path in out.iterdir()) == ["demo.json", "new.png"]


def test_what_stands_where_a_file_should_go_is_named(tmp_path: Path) -> None:
    manifest = {"written_by": "liangxin demo", "files": ["new.png"]}
    (tmp_path / "demo.json").write_text(json.dumps(manifest))
    (tmp_path / "new.png").mkdir()
    folder = DemoFolder(tmp_path, [])
    with folder.staging() as staged, pytest.raises(click.ClickException, match=r"new\.png"):
        (staged / "new.png").write_bytes(b"new")
        folder.publish(staged)


def test_a_run_that_breaks_leaves_the_earlier_one_whole(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / "a" / "b", [])
    with contextlib.suppress(KeyboardInterrupt), folder.staging() as staged:
        (staged / "half.png").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not (tmp_path / "a" / "b").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="/dev/null is a POSIX file")
def test_a_folder_that_cannot_be_made_is_a_sentence() -> None:
    done = CliRunner().invoke(cli, ["demo", "--out", "/dev/null/demo"])
    assert done.exit_code == 1
    assert "/dev/null/demo cannot be used" in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


def test_a_task_that_fails_is_told_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator = quick()
    emulator.fail_next_task("500", "<b>refused</b> by [red]taste[/red]")
    with pytest.raises(click.ClickException) as told:
        perform(tmp_path, emulator=emulator)
    assert told.value.exit_code == 1
    assert "nano-banana-pro-flash: task_" in told.value.message
    assert "<b>refused</b> by [red]taste[/red]" in told.value.message
    assert "books" not in told.value.message
    assert "[red]taste[/red]" in capsys.readouterr().err
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<b>refused</b> by [red]taste[/red]" in entries_in(page)[0]["why"]
    assert "<b>refused" not in page
    assert len(results_in(tmp_path)) == RESULTS - 1


def test_books_that_disagree_are_an_error(tmp_path: Path) -> None:
    emulator = quick()
    emulator.withhold_answer_to_next_create()
    with pytest.raises(click.ClickException) as told:
        perform(tmp_path, emulator=emulator)
    lost = emulator.charges[0].task_id
    assert f"{lost} was charged but its creation was never confirmed" in told.value.message
    assert len(emulator.charges) == RESULTS


@pytest.mark.parametrize(
    ("created", "charged", "found"),
    [
        ([], [], []),
        (["a", "b"], ["b", "a"], []),
        (["a"], [], ["a was created but not charged"]),
        ([], ["a"], ["a was charged but its creation was never confirmed"]),
        (["a"], ["a", "a"], ["a was created 1 and charged 2 times"]),
        (["a", "a"], ["a"], ["a was created 2 and charged 1 times"]),
    ],
)
def test_each_task_is_created_once_and_charged_once(
    created: list[str], charged: list[str], found: list[str]
) -> None:
    assert disagreements(created, charged) == found


# --- the board ---------------------------------------------------------------------------------


def board_of(*shots: Shot, encoding: str = "utf-8") -> Iterator[str]:
    """Draw a board on a terminal of 110 columns, once each time it is asked."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=stream, force_terminal=True, width=110, color_system=None)
    board = Board(console, shots, clock=lambda: 5.0, looks_of=lambda task: 7)
    while True:
        with board.live():
            pass
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        yield stream.buffer.getvalue().decode(encoding)


def test_a_terminal_shows_state_age_and_looks_of_every_task() -> None:
    waiting = Shot(1, RawInput("some-model", {"prompt": "a lighthouse"}), began=2.8)
    waiting.task = Task(id="task_1", state=TaskState.GENERATING)
    planned = Shot(2, RawInput("other-model", {"prompt": "a harbour"}))
    drawn = next(board_of(waiting, planned))
    [first] = [line for line in drawn.splitlines() if "some-model" in line]
    assert first.split()[-5:] == ["generating", "2.2", "s", "7", "looks"]
    assert "a lighthouse" in first
    assert "other-model" in drawn
    assert "0 of 2" in drawn


def test_the_board_obeys_no_markup_and_shows_no_control_characters() -> None:
    hostile = RawInput("m", {"prompt": "[bold]\x1b]0;owned\x07 \u202eevil [/nope]"})
    drawn = next(board_of(Shot(1, hostile)))
    assert "[bold]" in drawn
    assert "[/nope]" in drawn
    assert "\x1b]0" not in drawn
    assert "\u202e" not in drawn


def test_the_board_can_be_drawn_in_ascii() -> None:
    saved = Shot(1, RawInput("m", {"prompt": "p"}), began=1.0, ended=2.0, path=Path("m.png"))
    assert " + " in next(board_of(saved, encoding="ascii"))
