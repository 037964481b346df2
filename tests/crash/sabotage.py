"""
Ways to break the library in the child, each of which the campaign has to notice.

Each name says what the library then does wrong.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping

from liangxin import LedgerError
from liangxin._files import Part
from liangxin._recording import Entry
from liangxin._tasks import Task
from liangxin.ledger import _sqlite


def _sends_before_it_records() -> None:
    async def sending(self: Entry, token_sha256: bytes | None = None) -> None:
        self._is_sending = True

    Entry.sending = sending  # type: ignore[method-assign]


def _sends_when_it_cannot_record() -> None:
    honest = Entry.sending

    async def sending(self: Entry, token_sha256: bytes | None = None) -> None:
        try:
            await honest(self, token_sha256)
        except LedgerError:
            return

    Entry.sending = sending  # type: ignore[method-assign]


def _records_no_acceptance() -> None:
    async def accepted(self: Entry, task: Task, status: int | None) -> None:
        self._is_sending = False

    Entry.accepted = accepted  # type: ignore[method-assign]


def _sends_again_after_a_crash() -> None:
    def trust(db: sqlite3.Connection) -> None:
        db.execute("UPDATE rows SET state = 'planned' WHERE state = 'sending'")

    _sqlite._doubt_what_was_being_sent = trust


def _pays_each_row_of_a_crash_again() -> None:
    def forget(db: sqlite3.Connection) -> None:
        db.execute("UPDATE rows SET state = 'planned' WHERE state != 'downloaded'")

    _sqlite._doubt_what_was_being_sent = forget


def _shows_half_a_file() -> None:
    honest = Part.is_whole

    async def is_whole(self: Part, ending: str) -> bool | None:
        path = self._folder / f"{self._label}.{ending}"
        os.replace(self._path, path)
        self._path = path
        return await honest(self, ending)

    Part.is_whole = is_whole  # type: ignore[method-assign]


SABOTAGES: Mapping[str, Callable[[], None]] = {
    "sends before it records": _sends_before_it_records,
    "sends when it cannot record": _sends_when_it_cannot_record,
    "records no acceptance": _records_no_acceptance,
    "sends again after a crash": _sends_again_after_a_crash,
    "pays each row of a crash again": _pays_each_row_of_a_crash_again,
    "shows half a file": _shows_half_a_file,
}
