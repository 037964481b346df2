"""`--show`: a picture on a terminal that is written to, and never asked anything."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from liangxin.emulator import Emulator
from tests.commands import KEY, QUICK, command
from tests.test_cli import liangxin_program, without

pytest.importorskip("textual_image", reason="textual-image is not installed")

PROGRAM = "from liangxin.cli import main; main()"


def on_a_terminal(server: Emulator, *args: object, typed: bytes = b"") -> tuple[str, bytes]:
    """What a command draws on a terminal, and what is left there of what was typed meanwhile."""
    import pty
    import tty

    told = {"LIANGXIN_API_KEY": KEY, "LIANGXIN_BASE_URL": server.base_url, "PYTHONUTF8": "1"}
    looks = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": "20", "LINES": "20"}
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    drawn = b""
    try:
        os.write(ours, typed)
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *map(str, args)],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, **told, **looks},
        ) as process:
            assert process.stderr is not None
            while process.poll() is None or select.select([ours], [], [], 0)[0]:
                if select.select([ours], [], [], 0.1)[0]:
                    drawn += os.read(ours, 1 << 16)
            said = process.stderr.read()
        left = os.read(theirs, 1 << 16) if typed else b""
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 0, said
    return (drawn + said).decode(), left


@pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")
def test_a_picture_is_drawn_in_colour_and_what_is_typed_meanwhile_stays(
    server: Emulator, tmp_path: Path
) -> None:
    told = ("run", "z-image", "-p", "fog", *QUICK, "--out", tmp_path, "--show")
    drawn, left = on_a_terminal(server, *told, typed=b"ls\n")
    assert drawn.count("▀") >= 200
    assert "\x1b[38;2;" in drawn
    assert left == b"ls\n"
    assert "\x1b[c" not in drawn  # what kind of terminal it is
    assert "\x1b[16t" not in drawn  # how large its cells are


@pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")
def test_a_clip_is_named_as_what_cannot_be_drawn(server: Emulator, tmp_path: Path) -> None:
    task = command(
        "create", "veo-3-1-text-to-video", "--raw", "-p", "waves", server=server
    ).stdout.strip()
    drawn, _ = on_a_terminal(server, "download", task, *QUICK, "--out", tmp_path, "--show")
    assert "is no picture" in drawn
    assert "▀" not in drawn


def test_where_there_is_no_terminal_the_paths_alone_are_printed(
    server: Emulator, tmp_path: Path
) -> None:
    out = tmp_path / "fog.png"
    done = command("run", "z-image", "-p", "fog", *QUICK, "--out", out, "--show", server=server)
    assert (done.exit_code, done.stdout) == (0, f"{out}\n")
    assert "Not shown: standard output is no terminal" in done.stderr


def test_a_format_for_programs_is_refused_before_anything_is_paid(server: Emulator) -> None:
    done = command("run", "z-image", "-p", "fog", "--show", "--format", "json", server=server)
    assert (done.exit_code, server.requests) == (2, ())
    assert "--format json" in done.stderr


def test_without_its_extra_nothing_is_sent(server: Emulator, tmp_path: Path) -> None:
    told = ("run", "z-image", "-p", "fog", "--out", str(tmp_path), "--show")
    done = liangxin_program(*told, setup=without("textual_image"))
    assert done.returncode == 1
    assert 'pip install "liangxin[show]"' in done.stderr
