"""`--record` and `--replay`: what both command lines do with these options."""

from __future__ import annotations

import sys
from collections.abc import Collection

from liangxin.emulator._record import Recorder
from liangxin.emulator._replay import Replay
from liangxin.emulator._server import serve_here

_GO_WITH = {
    "--record": {"--record-to", "--host", "--port"},
    "--replay": {"--speed", "--seed", "--host", "--port"},
}


def complaint(options: Collection[str]) -> str | None:
    """Return why these options, as given, do not go together; None if they do."""
    if "--record-to" in options and "--record" not in options:
        return "--record-to goes with --record"
    for mode, companions in _GO_WITH.items():
        strangers = sorted(set(options) - companions - {mode})
        if mode in options and strangers:
            return f"{strangers[0]} does not go with {mode}"
    return None


def run_recorder(host: str, port: int, upstream: str, file: str) -> int:
    """Record until interrupted; returns the exit code."""
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


def run_replay(host: str, port: int, file: str, *, speed: float, seed: int) -> int:
    """Serve a recording until interrupted; returns the exit code."""
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
