"""Commands of `liangxin`, run within the process of the test, against an emulator's books."""

from __future__ import annotations

import inspect
import json
from typing import Any

from click.testing import CliRunner, Result

from liangxin.cli._app import cli
from liangxin.emulator import Emulator

KEY = "sk-canary-4711"
QUICK = ("--poll-interval", "0.02")
"""For the emulator of the tests, which is a thousand times as fast as life."""


def command(*args: object, server: Emulator | None = None, **env: str | None) -> Result:
    """Run a command; the environment names the server, or no service at all."""
    where = None if server is None else server.base_url
    told = {"LIANGXIN_API_KEY": where and KEY, "LIANGXIN_BASE_URL": where, **env}
    done = _runner().invoke(cli, [*map(str, args)], env=told, prog_name="liangxin")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert KEY not in done.stdout + done.stderr
    return done


def _runner() -> CliRunner:
    # Before click 8.2, standard error went into standard output unless it was told not to.
    mixes = "mix_stderr" in inspect.signature(CliRunner).parameters
    return CliRunner(**({"mix_stderr": False} if mixes else {}))  # type: ignore[arg-type,unused-ignore]


def records(done: Result) -> list[dict[str, Any]]:
    """The JSON lines of standard output."""
    return [json.loads(line) for line in done.stdout.splitlines()]
