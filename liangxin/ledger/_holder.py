"""
One process's part in a shared ledger: its connections, its lease, and its last transaction.

The lease is by the database's clock.  A thread renews it, so that a busy event loop, or a
transaction that waits for its turn, does not look like a death.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, TypeVar

import psycopg
import psycopg_pool
from psycopg import errors

from liangxin._errors import LedgerError
from liangxin.ledger import _postgres_schema as schema
from liangxin.ledger._channel import PostgresChannel
from liangxin.ledger._fold import Page
from liangxin.ledger._moves import CRASHED
from liangxin.ledger._postgres_table import Connection, RacedError, load, write
from liangxin.ledger._rows import Change, LedgerRow

T = TypeVar("T")

Results: TypeAlias = list[LedgerRow | LedgerError]
Made: TypeAlias = dict[int, tuple[Change, LedgerRow | LedgerError]]
"""Changes, by their identity, and what came of them."""

_LEASE = "clock_timestamp() + %s * interval '1 s'"
_RENEW = (
    f"INSERT INTO liangxin_holders (n, name, expires, applied) VALUES (%s, %s, {_LEASE}, 0) "
    "ON CONFLICT (n) DO UPDATE SET expires = excluded.expires"
)
# Only a transaction itself leaves its number: a renewal that did would claim it was committed.
_NUMBER = (
    f"INSERT INTO liangxin_holders (n, name, expires, applied) VALUES (%s, %s, {_LEASE}, %s) "
    "ON CONFLICT (n) DO UPDATE SET expires = excluded.expires, applied = excluded.applied"
)
_DOUBT_THE_DEAD = (
    "UPDATE liangxin_rows r SET state = 'ambiguous', reason = %s, holder = NULL "
    "WHERE r.state = 'sending' AND NOT EXISTS (SELECT 1 FROM liangxin_holders h "
    "WHERE h.n = r.holder AND h.expires > clock_timestamp())"
)
_FORGET_THE_DEAD = (
    "DELETE FROM liangxin_holders WHERE expires < clock_timestamp() - interval '1 hour'"
)

_LOST = (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout)
"""The connection has gone, or there is none to be had now."""
_AGAIN = (RacedError, errors.DeadlockDetected, errors.SerializationFailure)
"""Nothing was done, and it is worth trying again at once."""


class Holder:
    """What there is of a shared ledger between opening and closing."""

    def __init__(self, conninfo: str, *, lease: float, patience: float) -> None:
        self.n = secrets.randbits(62)
        self._conninfo = conninfo
        self._channel: PostgresChannel | None = None
        self.pid = os.getpid()
        self._name = f"process {self.pid} on {socket.gethostname()}"
        self._lease = lease
        self._patience = patience
        self._applied = 0
        """The number of our last transaction, whether or not it was committed."""
        self._unsettled: Made = {}
        """What was made by a transaction of which nobody knows whether it was committed."""
        self._made: Made = {}
        """What turned out to be committed, and has not been told yet."""
        self._ended = threading.Event()
        self._beating = threading.Thread(
            target=self._beat_on, name="liangxin-ledger-lease", daemon=True
        )
        self._pool = psycopg_pool.ConnectionPool(
            conninfo,
            # Not prepared: a plan that was made for an empty table is kept when it has grown.
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=1,
            max_size=4,
            open=False,
            configure=schema.configure,
            name="liangxin",
        )

    def open(self) -> None:
        """Begin to hold."""
        self._pool.open()
        try:
            self.patiently(self._beat)
        except BaseException:
            self._pool.close()
            raise
        self._beating.start()

    def close(self) -> None:
        """Let go at once of what is not ended, if the database can be told."""
        if self._channel is not None:
            self._channel.close()
        self._ended.set()
        self._beating.join()
        # If it cannot be told, it is let go of when the lease lapses.
        with suppress(*_LOST), self._pool.connection(timeout=5.0) as db:
            db.execute("DELETE FROM liangxin_holders WHERE n = %s", (self.n,))
        self._pool.close()

    def channel(self) -> PostgresChannel:
        """The way to the other holders, which takes a connection more."""
        if self._channel is None:
            self._channel = PostgresChannel(self._conninfo, self.n)
        return self._channel

    # --- the lease ---

    def _beat(self, db: Connection) -> None:
        db.execute(_RENEW, self._renewal())
        db.execute(_DOUBT_THE_DEAD, (CRASHED,))
        db.execute(_FORGET_THE_DEAD)

    def _renewal(self) -> tuple[object, ...]:
        return (self.n, self._name, self._lease)

    def _beat_on(self) -> None:
        while not self._ended.wait(self._lease / 4):
            once = self._pool.connection(timeout=self._lease / 4)
            with suppress(psycopg.Error, psycopg_pool.PoolTimeout), once as db:
                self._beat(db)

    # --- work ---

    def patiently(self, work: Callable[[Connection], T]) -> T:
        """Do it, anew whenever the connection gets lost, for as long as `patience` says."""
        left, pause = self._patience, 0.05
        while True:
            try:
                with self._pool.connection(timeout=max(left, 0.05)) as db:
                    return work(db)
            except (*_LOST, *_AGAIN) as error:
                if left <= 0:
                    raise
                if isinstance(error, _AGAIN):
                    pause = 0.01
                self._ended.wait(pause)
                left, pause = left - pause, min(2 * pause, 2.0)

    def apply(self, changes: Sequence[Change], *, stores_input: bool) -> Results:
        """Make changes in one transaction, and once, even if the answer to its commit gets lost."""
        return self.patiently(lambda db: self._apply(db, changes, stores_input))

    def _apply(self, db: Connection, changes: Sequence[Change], stores_input: bool) -> Results:
        if self._unsettled and self._was_committed(db):
            self._made.update(self._unsettled)
        self._unsettled = {}
        new = [each for each in changes if id(each) not in self._made]
        self._made.update(self._transact(db, new, stores_input))
        made, self._made = self._made, {}
        return [made[id(each)][1] for each in changes]

    def _transact(self, db: Connection, changes: Sequence[Change], stores_input: bool) -> Made:
        self._applied += 1
        page = Page(self.n, stores_input)
        # Not `db.transaction()`, which waits for an answer four times more: three are enough.
        with db.pipeline():
            db.execute("BEGIN")
            db.execute(_NUMBER, (*self._renewal(), self._applied))
            load(db, page, changes)
            made = {id(each): (each, page.make(each)) for each in changes}
            write(db, page)
            self._unsettled = made
            db.execute("COMMIT")
        self._unsettled = {}
        return made

    def _was_committed(self, db: Connection) -> bool:
        # Its session may still be at it, and then has our line: it is waited for.
        with db.transaction():
            found = db.execute(
                "SELECT applied FROM liangxin_holders WHERE n = %s FOR UPDATE", (self.n,)
            ).fetchone()
        return found is not None and found[0] == self._applied
