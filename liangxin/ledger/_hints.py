"""
What processes that share a ledger tell each other: that a callback has come.  Values only.

A hint decides nothing.  Whoever can write to the database can send one, and it may get lost; all
that follows from it is a look at a task, which would have been taken a little later anyway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard

from attrs import frozen

from liangxin.ledger._fold import is_storable

if TYPE_CHECKING:
    from liangxin.ledger._rows import LedgerRow

Heard: TypeAlias = Callable[["Hint"], None]
"""Told of each hint, in the thread of the channel.  Must not block, and not raise."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@frozen(kw_only=True)
class Hint:
    """
    That a callback has come, by the SHA-256 of its token.

    `sender` is who says so.  `task_id` is the task of that create, as far as is known; `named` is
    the one that the callback names, where that matters.
    """

    token_sha256: bytes
    sender: str
    task_id: str | None = None
    named: str | None = None

    def to_text(self) -> str:
        """It as JSON: under 7 KB, for ids are short, and PostgreSQL takes almost 8,000 bytes."""
        told = {
            "token": self.token_sha256.hex(),
            "sender": self.sender,
            "task": self.task_id,
            "named": self.named,
        }
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def hint_of(text: str) -> Hint | None:
    """The hint that somebody has sent, or None: anybody may send anything."""
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    token, sender, task_id, named = map(told.get, ("token", "sender", "task", "named"))
    if not isinstance(token, str) or not _SHA256.fullmatch(token) or not _is_id(sender):
        return None
    if not all(each is None or _is_id(each) for each in (task_id, named)):
        return None
    return Hint(token_sha256=bytes.fromhex(token), sender=sender, task_id=task_id, named=named)


def _is_id(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != "" and value.isprintable() and is_storable(value)


class Channel(Protocol):
    """The way to the other processes that have a ledger open.  For any thread; nothing blocks."""

    def listen(self, heard: Heard) -> None:
        """Tell `heard` of all hints from now on, those that it sends itself included."""

    def leave(self, heard: Heard) -> None:
        """Tell it of none any more."""

    def ask(self, token_sha256: bytes) -> Future[LedgerRow | None]:
        """Find the create that gave this token, its input left out; or a `LedgerError`."""

    def tell(self, hint: Hint) -> None:
        """Pass a hint on to all who listen; if that fails, it is lost."""
