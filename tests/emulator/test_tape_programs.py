"""`--record` and `--replay` as programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from liangxin.cli._app import cli
from liangxin.emulator import Emulator
from tests.emulator.service import KEY, order

MODULE = [sys.executable, "-m", "liangxin.emulator"]
COMMAND = [sys.executable, "-c", "from liangxin.cli import main; main()", "emulator"]

CREATE = "/api/v1/jobs/createTask"


@contextmanager
def running(command: list[str]) -> Iterator[tuple[str, str]]:
    """Run a program that serves until Ctrl-C; yields its address and its greeting."""
    with subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        first, second = program.stderr.readline(), program.stderr.readline()
        try:
            yield first.split()[3], first + second
        finally:
            os.kill(program.pid, signal.SIGINT)
            rest = program.stderr.read()
        assert program.wait(10) == 0
        assert rest == ""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("program", [MODULE, COMMAND], ids=["module", "command"])
def test_a_session_is_recorded_and_replayed(
    served: Emulator, tmp_path: Path, program: list[str]
) -> None:
    tape = str(tmp_path / "tape.jsonl")
    headers = {"Authorization": f"Bearer {KEY}"}
    with running([*program, "--record", served.base_url, "--record-to", tape]) as (url, greeting):
        recorded = httpx.post(url + CREATE, json=order(), headers=headers)
    assert f"goes on to {served.base_url}, where a createTask costs money" in greeting
    with running([*program, "--replay", tape, "--speed", "60"]) as (url, greeting):
        replayed = httpx.post(url + CREATE, json=order())
    assert f"LIANGXIN_BASE_URL={url}" in greeting
    assert replayed.json() == recorded.json()
    assert len(served.charges) == 1


def command(options: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run `liangxin emulator` here; returns its code and what it said."""
    done = CliRunner().invoke(cli, ["emulator", *options])
    return done.exit_code, done.output + capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--record", "https://h.example", "--replay", "f"], "--replay does not go with --record"),
        (["--record", "https://h.example", "--speed", "2"], "--speed does not go with --record"),
        (["--replay", "f", "--key", "k"], "--key does not go with --replay"),
        (["--record-to", "f"], "--record-to goes with --record"),
    ],
)
def test_options_that_do_not_go_together_are_a_usage_error(
    options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = command(options, capsys)
    assert code == 2
    assert complaint in said


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--replay", "nowhere.jsonl"], "nowhere.jsonl: No such file or directory"),
        (["--replay", "broken.jsonl"], "broken.jsonl is no recording"),
        (["--record", "http://h.example"], "http://h.example would see the API key"),
        (["--record", "https://h.example", "--record-to", "."], ". is no regular file"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(
    options: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.jsonl").write_text("{}\n")
    code, said = command(options, capsys)
    assert code == 1
    assert said.startswith(complaint)
    assert len(said.splitlines()) == 1
