"""The service that a command speaks to: the one that the environment names, or one of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

_TASK_SECONDS = 1.0
"""How long a task takes in an emulator that lives as long as one command."""


@contextmanager
def connection(base_url: str | None, emulator: bool) -> Iterator[dict[str, Any]]:
    """What a client has to be told; the emulator, if one is asked for, ends with the block."""
    if not emulator:
        yield {"base_url": base_url}
        return
    if base_url is not None:
        raise click.UsageError("--base-url and --emulator are two services: say one of them")
    try:
        from liangxin.emulator import Emulator
    except ImportError as error:  # which says what is missing
        raise click.ClickException(str(error)) from error
    with Emulator(durations=_TASK_SECONDS).serve() as url:
        say("The embedded service answers, for this command: nothing is paid.")
        yield {"base_url": url, "api_key": "emulator", "poll_interval": 0.2}


def say(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)
