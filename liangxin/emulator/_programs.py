"""The emulator, the recorder and the replay as programs: each greets, and serves until Ctrl-C."""

from __future__ import annotations

import sys

from liangxin.emulator._emulator import Emulator
from liangxin.emulator._replay import Replay
from liangxin.emulator._server import serve_here

HOST = "127.0.0.1"
PORT = 8787


def run(emulator: Emulator, host: str = HOST, port: int = PORT) -> int:
    """Serve `emulator` in this, the main thread until interrupted; returns the exit code."""
    key = "any-key" if emulator.takes_any_key else "<one of your keys>"

    def greet(url: str) -> None:
        _say(
            f"LiangXin emulator on {url} (Ctrl-C stops it); open that address to watch it",
            f"  export LIANGXIN_BASE_URL={url} LIANGXIN_API_KEY={key}",
        )

    return serve_here(emulator.app, host, port, greet)


def run_recorder(upstream: str, file: str, host: str = HOST, port: int = PORT) -> int:
    """Record what `upstream` answers to `file` until interrupted; returns the exit code."""
    from liangxin.emulator._record import Recorder  # late: httpx is slow to import

    try:
        recorder = Recorder(upstream, file)
    except (OSError, ValueError) as error:
        return _failed(error)

    def greet(url: str) -> None:
        _say(
            f"LiangXin recorder on {url} (Ctrl-C stops it); it writes {file}",
            f"  what it is sent goes on to {upstream}, where a createTask costs money",
        )

    return serve_here(recorder.app, host, port, greet)


def run_replay(
    file: str, host: str = HOST, port: int = PORT, *, speed: float = 1.0, seed: int = 0
) -> int:
    """Serve the recording in `file` until interrupted; returns the exit code."""
    try:
        replay = Replay(file, speed=speed, seed=seed)
    except (OSError, ValueError) as error:
        return _failed(error)

    def greet(url: str) -> None:
        _say(
            f"LiangXin replay on {url} (Ctrl-C stops it); it serves {file}",
            f"  export LIANGXIN_BASE_URL={url} LIANGXIN_API_KEY=any-key",
        )

    return serve_here(replay.app, host, port, greet)


def _failed(error: OSError | ValueError) -> int:
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"{error.filename}: {error.strerror}")
    else:
        _say(str(error))
    return 1


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
