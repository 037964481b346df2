"""The service that a command speaks to: the one that the environment names, or one of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from liangxin._origin import API_KEY, BASE_URL

_TASK_SECONDS = 1.0
"""How long a task takes in an emulator that lives as long as one command."""


@contextmanager
def connection(base_url: str | None, emulator: bool) -> Iterator[dict[str, Any]]:
    """What a client has to be told; a usage error if that is not known."""
    if not emulator:
        _require_names(base_url)
    with service(base_url, emulator) as told:
        yield told


@contextmanager
def service(base_url: str | None, emulator: bool) -> Iterator[dict[str, Any]]:
    """What is said of the service; the emulator, if one is asked for, ends with the block."""
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


def _require_names(base_url: str | None) -> None:
    """Refuse to go on without an address and a key, in the words of a command line."""
    missing = []
    if not os.environ.get(API_KEY, "").strip():
        missing.append(f"set {API_KEY} to the key from the LiangXin console")
    if not (base_url or os.environ.get(BASE_URL, "")).strip():
        missing.append(
            f"say --base-url URL or set {BASE_URL} to the address of the service, of which its "
            "documents say nothing"
        )
    if missing:
        raise click.UsageError(
            f"{'; '.join(missing)}. To try without a key or a cost: liangxin demo, or "
            'liangxin run z-image -p "a lighthouse" --emulator'
        )


def say(text: str) -> None:
    """A line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)
