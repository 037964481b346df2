"""What a check says when it is done, and how long it may take."""

from __future__ import annotations

import time
from typing import Literal, TypeAlias

import anyio
from attrs import frozen

from liangxin._connection import first_cause
from liangxin._text import in_words

PATIENCE = 5.0
"""Seconds that one check may take."""

State: TypeAlias = Literal["ok", "warning", "fails", "skipped"]


@frozen
class Finding:
    """What one check has found: `fails` would stop other commands, a `warning` would not."""

    check: str
    state: State
    found: str
    mend: str = ""


NO_WAY = (OSError, UnicodeError, anyio.BrokenResourceError, anyio.EndOfStream)
"""How a way to another machine ends badly; a time-out is an `OSError` too."""


def why(error: BaseException) -> str:
    """The reason that is behind an error of the network."""
    if type(error) is TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    return in_words(first_cause(error))


def since(began: float) -> str:
    """The milliseconds since then."""
    return f"{1000 * (time.monotonic() - began):.0f} ms"
