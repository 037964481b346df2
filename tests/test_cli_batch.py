"""`liangxin batch`, run as people run it, against an emulator's books."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Ledger, LedgerState
from tests.test_batch_files import file_of, lines_of

pytestmark = pytest.mark.campaign

MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import sys; sys.argv[0] = 'liangxin'; from liangxin.cli import main; main()"
)


def environment(server: Emulator) -> dict[str, str]:
    told = {"LIANGXIN_API_KEY": "sk-canary-4711", "LIANGXIN_BASE_URL": server.base_url}
    return {**os.environ, "PYTHONUTF8": "1", **told}


def batch(server: Emulator, *args: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "batch", *map(str, args)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env=environment(server),
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "sk-canary-4711" not in done.stdout + done.stderr
    return done


def test_a_batch_ends_with_files_and_a_summary_and_can_be_run_again(
    server: Emulator, tmp_path: Path
) -> None:
    path, out = file_of(tmp_path, 4), tmp_path / "out"
    done = batch(server, path, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4  succeeded" in done.stdout
    assert str(out) in done.stdout
    assert len(lines_of(out / "results.jsonl")) == len(server.charges) == 4

    again = batch(server, path, "--out", out, "--format", "json")
    report = json.loads(again.stdout)
    assert (report["resumed"], report["created"], report["ok"]) == (4, 0, True)
    assert batch(server, path, "--out", out, "--format", "quiet").stdout == ""
    assert len(server.charges) == 4


def test_a_dry_run_counts_and_sends_nothing(server: Emulator, tmp_path: Path) -> None:
    path = file_of(
        tmp_path, 3, '{"id": "y", "model": "NanoBananaProFlash", "input": {"prompt": "a fox"}}'
    )
    done = batch(server, path, "--dry-run")
    assert done.returncode == 0
    counts = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert counts == [
        ["1", "nano-banana-pro-flash"],
        ["3", "z-image"],
        ["4", "requests in all; nothing was sent"],
    ]
    bad = file_of(tmp_path, 1, "{}", "[]")
    done = batch(server, bad, "--dry-run")
    assert done.returncode == 2
    assert "posters.jsonl line 2" in done.stderr
    assert "posters.jsonl line 3" in done.stderr
    assert server.requests == ()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--out", "x"], "line 2"),
        ([], "--out"),
        (["--out", "x", "--shard", "3/3"], "i/n"),
        (["--out", "x", "--rate", "fast"], "20/10s"),
        (["--out", "x", "--set", "prompt"], "FIELD=VALUE"),
        (["--out", "x", "--model", "z-imgae"], "z-image"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_a_usage_error(
    server: Emulator, tmp_path: Path, args: list[str], said: str
) -> None:
    path = file_of(tmp_path, 1, "{}")
    done = batch(server, path, *[str(tmp_path / "x") if each == "x" else each for each in args])
    assert done.returncode == 2
    assert said in done.stderr
    assert server.requests == ()


def test_failures_have_an_exit_code_and_doubts_a_name(server: Emulator, tmp_path: Path) -> None:
    server.add_fault(Fault("create", "withhold", prompt="fog 1"))
    server.add_fault(Fault("create", status=422, prompt="fog 2"))
    done = batch(server, file_of(tmp_path, 3), "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "MAYBE PAID" in done.stdout
    assert "fog-1x" in done.stdout
    assert "1  refused; not paid" in done.stdout
    assert f"To go on: liangxin batch {tmp_path}" in done.stderr


def test_lines_go_to_standard_output_as_they_come(server: Emulator, tmp_path: Path) -> None:
    done = batch(server, file_of(tmp_path, 3), "--ledger", tmp_path / "x.db", "--format", "jsonl")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert {line["id"] for line in lines} == {"fog-0x", "fog-1x", "fog-2x"}
    assert all(line["urls"] and line["files"] == [] for line in lines)


def test_a_refused_key_has_an_exit_code_of_its_own(server: Emulator, tmp_path: Path) -> None:
    server.add_fault(Fault("create", status=401, count=None))
    done = batch(server, file_of(tmp_path, 3), "--out", tmp_path / "out")
    assert done.returncode == 4
    assert "Stopped: " in done.stdout
    assert "401" in done.stdout


def test_fields_for_all_come_from_the_command_line(server: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "films.csv"
    path.write_text("id,title\na,Alien\nb,Brazil\n", encoding="utf-8")
    told = ("--model", "z-image", "--set", "prompt=a poster of {title}", "--out", tmp_path / "out")
    assert batch(server, path, *told).returncode == 0
    prompts = {record.prompt for record in server.tasks.values()}
    assert prompts == {"a poster of Alien", "a poster of Brazil"}


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_an_interrupt_puts_on_record_what_has_left_and_says_how_to_go_on(tmp_path: Path) -> None:
    emulator = Emulator(seed=1, speed=1)  # as slow as life: nothing ends before the signal
    path, ledger = file_of(tmp_path, 200), tmp_path / "x.db"
    with emulator.serve():
        process = subprocess.Popen(
            [
                *(sys.executable, "-c", MAIN, "batch", str(path)),
                *("--ledger", str(ledger), "--max-in-flight", "20"),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(emulator),
        )
        while len(emulator.charges) < 20:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "20  were under way" in out
    assert f"To go on: liangxin batch {path}" in err
    with Ledger(ledger) as kept:
        assert kept.counts() == {LedgerState.ACCEPTED: 20}
        assert {row.task_id for row in kept.rows()} == {c.task_id for c in emulator.charges}
