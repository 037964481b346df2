"""`liangxin callbacks serve`, and `liangxin batch` with callbacks, against an emulator's books."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import liangxin
from liangxin import Client, RawInput
from liangxin.callbacks import CallbackReceiver
from liangxin.cli._app import cli
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger, LedgerState
from tests.test_batch_files import file_of
from tests.test_callback_receiver import free_port, token_of
from tests.test_cli import liangxin_program, without
from tests.test_cli_batch import MAIN, batch, environment

PUBLIC = "https://example.com/liangxin"


def addresses() -> tuple[str, tuple[str, str]]:
    """An address for callbacks on this machine, and the option that listens there."""
    port = free_port()
    return f"http://127.0.0.1:{port}/hooks", ("--port", str(port))


def created(emulator: Emulator, ledger: Path, url: str, *keys: str, lost: int = 0) -> None:
    """A program that creates tasks and ends at once; the answers to the last creates are lost."""
    options: dict[str, Any] = {"base_url": emulator.base_url, "ledger": ledger}
    with Client("sk-canary-4711", callbacks=CallbackReceiver(url), **options) as client:
        for number, key in enumerate(keys, 1):
            if number > len(keys) - lost:
                emulator.withhold_answer_to_next_create()
            try:
                client.create_task(RawInput("z-image", {"prompt": key}), key=key)
            except liangxin.AmbiguousCreate:
                assert number > len(keys) - lost


@contextmanager
def serving(emulator: Emulator, *args: object) -> Iterator[subprocess.Popen[str]]:
    """`liangxin callbacks serve`, as people run it."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "callbacks", "serve", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=environment(emulator),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*args: object, **env: str) -> Result:
    """`liangxin callbacks serve` in this process."""
    words = ["callbacks", "serve", *map(str, args)]
    return CliRunner().invoke(cli, words, env={"LIANGXIN_API_KEY": "sk-test", **env})


# --- a batch with callbacks --------------------------------------------------------------------


def test_a_batch_is_called_back_and_looks_once_at_each_task(
    server: Emulator, tmp_path: Path
) -> None:
    url, (_, port) = addresses()
    told = ("--callback-url", url, "--callback-port", port)
    path, out = file_of(tmp_path, 12), tmp_path / "out"
    done = batch(server, path, "--out", out, "--format", "json", *told)
    assert (done.returncode, json.loads(done.stdout)["succeeded"]) == (0, 12)
    assert {each.task_id for each in server.callbacks} == set(server.tasks)
    assert {(each.status, each.attempt) for each in server.callbacks} == {(200, 1)}
    assert server.looks == len(server.charges) == 12
    assert not any(token_of(server, each) in done.stderr for each in server.tasks)


@pytest.mark.parametrize("url", ["http://example.com", "https://example.com/?x=1", "nonsense"])
def test_an_address_that_cannot_be_called_back_is_a_usage_error(
    server: Emulator, tmp_path: Path, url: str
) -> None:
    ledger = tmp_path / "x.db"
    done = batch(server, file_of(tmp_path, 1), "--ledger", ledger, "--callback-url", url)
    assert done.returncode == 2
    assert "public_url must be" in done.stderr
    assert server.requests == ()


# --- when the program has ended ----------------------------------------------------------------


def test_what_is_open_is_brought_to_its_end_and_doubts_are_settled_without_paying_again(
    tmp_path: Path,
) -> None:
    emulator, ledger = Emulator(durations=2.0), tmp_path / "x.db"
    url, port = addresses()
    with emulator.serve():
        created(emulator, ledger, url, "a", "b", "c", "d", lost=2)
        with serving(emulator, "--public-url", url, *port, "--ledger", ledger) as process:
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert "Open: 2 accepted, 2 in doubt." in err
    assert err.count(": succeeded") == 4
    assert err.endswith("Nothing is open any more.\n")
    with Ledger(ledger) as kept:
        assert kept.counts() == {LedgerState.SUCCEEDED: 4}
        assert {row.task_id for row in kept.rows()} == {c.task_id for c in emulator.charges}
    assert len(emulator.charges) == 4
    assert {each.task_id for each in emulator.callbacks if each.status == 200} == set(
        emulator.tasks
    )
    assert not any(token_of(emulator, each) in err for each in emulator.tasks)
    assert "sk-canary" not in err


def test_a_task_that_has_failed_is_told_and_has_an_exit_code(tmp_path: Path) -> None:
    emulator, ledger = Emulator(durations=0.1), tmp_path / "x.db"
    url, port = addresses()
    with emulator.serve() as base_url:
        emulator.fail_next_task(message="no \x1b[31mfoxes\x1b[0m")
        created(emulator, ledger, url, "a fox", "a heron")
        done = run("--public-url", url, *port, "--ledger", ledger, "--base-url", base_url)
    assert done.exit_code == 3
    assert "('a heron'): succeeded" in done.output
    assert "('a fox'): " in done.output
    assert "foxes" in done.output
    assert "\x1b" not in done.output
    with Ledger(ledger) as kept:
        assert kept.counts() == {LedgerState.SUCCEEDED: 1, LedgerState.FAILED: 1}


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_and_leaves_open_what_is_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    emulator, ledger = Emulator(durations=3600), tmp_path / "x.db"
    url, port = addresses()
    with emulator.serve():
        created(emulator, ledger, url, "a", "b", lost=1)
        with serving(emulator, "--public-url", url, *port, "--ledger", ledger) as process:
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            assert any(line == "Open: 1 accepted, 1 in doubt.\n" for line in lines)
            process.send_signal(number)
            rest = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "Stopped: what was found is in the ledger" in rest
    assert "Traceback" not in rest
    with Ledger(ledger) as kept:
        assert kept.counts() == {LedgerState.ACCEPTED: 1, LedgerState.AMBIGUOUS: 1}


def test_a_ledger_in_which_nothing_is_open_needs_nobody_to_wait(
    server: Emulator, tmp_path: Path
) -> None:
    with Ledger(tmp_path / "x.db"):
        pass
    told = ("--ledger", tmp_path / "x.db", "--base-url", server.base_url)
    done = run("--public-url", PUBLIC, "--port", free_port(), *told)
    assert done.exit_code == 0
    assert "Nothing is open any more." in done.output
    assert server.requests == ()


def test_a_doubt_without_an_address_is_left_to_people(server: Emulator, tmp_path: Path) -> None:
    ledger, poster = tmp_path / "x.db", RawInput("z-image", {"prompt": "a fox"})
    with Client("sk-test", base_url=server.base_url, ledger=ledger) as client:
        server.withhold_answer_to_next_create()
        with pytest.raises(liangxin.AmbiguousCreate):
            client.create_task(poster, key="fox")
    told = ("--ledger", ledger, "--base-url", server.base_url)
    done = run("--public-url", PUBLIC, "--port", free_port(), *told)
    assert done.exit_code == 0
    assert "1 more in doubt gave no address" in done.output
    assert "liangxin ledger attach" in done.output


def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path) -> None:
    ledger = tmp_path / "x.db"
    assert run("--public-url", PUBLIC).exit_code == 2
    assert run("--public-url", PUBLIC, "--ledger", ledger).exit_code == 2
    with Ledger(ledger):
        pass
    told = ("--ledger", ledger, "--port", free_port())
    refused = run("--public-url", "http://example.com", *told)
    assert refused.exit_code == 2
    assert "public https URL" in refused.output
    nowhere = run("--public-url", PUBLIC, *told, LIANGXIN_BASE_URL="")
    assert nowhere.exit_code == 2
    assert "LIANGXIN_BASE_URL" in nowhere.output


def test_a_port_or_a_ledger_that_is_taken_is_a_sentence(server: Emulator, tmp_path: Path) -> None:
    ledger = tmp_path / "x.db"
    told = ("--public-url", PUBLIC, "--ledger", ledger, "--base-url", server.base_url)
    with Ledger(ledger):
        locked = run(*told, "--port", free_port())
    assert locked.exit_code == 1
    assert "Error: " in locked.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = run(*told, "--port", port)
    assert busy.exit_code == 1
    assert f"Error: cannot listen on 127.0.0.1:{port}" in busy.output


def test_a_missing_extra_is_one_sentence(tmp_path: Path) -> None:
    with Ledger(tmp_path / "x.db"):
        pass
    told = ("--public-url", PUBLIC, "--ledger", str(tmp_path / "x.db"))
    done = liangxin_program("callbacks", "serve", *told, setup=without("uvicorn"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "liangxin[callbacks]"' in done.stderr
