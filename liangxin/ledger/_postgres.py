"""
The ledger in PostgreSQL: the same rows and rules, shared by any number of processes.

Each open store is a holder with a lease (`_holder.py`).  A create that has not ended belongs to the
holder that planned it, and only that one may send it.  When a lease lapses, another may take over:
what was planned is free again, what was accepted is waited for, and what was being sent is in
doubt, for nobody can know.  A holder that was only slow cannot send what it has lost, since the
step to `sending` asks whose the row is, in the transaction that records it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
import psycopg_pool

from liangxin._errors import InputError, LedgerError
from liangxin._text import in_words
from liangxin.ledger import _postgres_quota as quota
from liangxin.ledger import _postgres_schema as schema
from liangxin.ledger._channel import PostgresChannel
from liangxin.ledger._fold import is_storable
from liangxin.ledger._holder import Holder
from liangxin.ledger._postgres_table import SELECT, SELECT_BARE, Connection, as_line
from liangxin.ledger._rows import Change, LedgerRow, LedgerState
from liangxin.ledger._table import as_json

PAGE = 256
"""How many rows are read at a time, and how many keys are looked up at a time."""


class PostgresStore:
    """
    A `Store` in a PostgreSQL database, whose tables `migrate` has made.

    `lease` is after how many seconds without a sign of life what this process has not ended may be
    taken over.  A connection that is lost is made anew, for `patience` seconds at most.
    """

    is_quick = False
    is_shared = True

    def __init__(
        self,
        url: str,
        *,
        store_inputs: bool = True,
        lease: float = 60.0,
        patience: float = 60.0,
    ) -> None:
        if not lease > 0:
            said = f"lease must be seconds, more than 0, not {lease!r}"
            raise InputError(said, field="lease", value=lease, allowed="seconds, more than 0")
        self._conninfo = schema.conninfo(url)
        self.path = schema.place(self._conninfo)
        """Which database it is, without the password."""
        self.store_inputs = store_inputs
        self._lease = lease
        self._patience = patience
        self._guard = threading.RLock()
        self._holder: Holder | None = None
        self._closed = False

    # --- opening and closing ---

    @property
    def is_open(self) -> bool:
        """Whether there are connections to the database now."""
        return self._holder is not None

    def migrate(self) -> None:
        """Make the tables, or bring them up to this version; nothing, if they are."""
        with self._our_errors(), self._connect() as db:
            schema.migrate(db, self.path)

    def open(self) -> Self:
        """
        Connect now; nothing, if that is done.

        Creates that a dead holder left in `SENDING` become `AMBIGUOUS`.  Raises `LedgerTooNew`, and
        `LedgerError` if the database cannot be reached or has no ledger in it.
        """
        self._refuse_forked()
        with self._guard:
            if self._holder is None:
                with self._our_errors():
                    with self._connect() as db:  # it says why it fails; a pool only waits
                        schema.check(db, self.path)
                    holder = Holder(self._conninfo, lease=self._lease, patience=self._patience)
                    holder.open()
                    self._holder = holder
            self._closed = False
        return self

    def _connect(self) -> Connection:
        return psycopg.connect(self._conninfo, autocommit=True)

    def close(self) -> None:
        """
        Let go of everything that is not ended, and close the connections; again does nothing.

        In a forked child it forgets the parent's connections without touching them.
        """
        holder = self._holder
        if holder is not None and holder.pid != os.getpid():
            self._holder = None
            return
        with self._guard:
            holder, self._holder, self._closed = self._holder, None, True
            if holder is not None:
                holder.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _refuse_forked(self) -> None:
        holder = self._holder
        if holder is not None and holder.pid != os.getpid():
            raise LedgerError(
                f"the ledger {self.path} was opened by process {holder.pid}, of which this one is "
                "a fork: only that process can use it"
            )

    def _using(self) -> Holder:
        self._refuse_forked()  # before the guard: at the fork, a thread of the parent may hold it
        with self._guard:
            if self._closed:
                raise LedgerError(f"the ledger {self.path} is closed")
            holder = self.open()._holder
            assert holder is not None
            return holder

    def channel(self) -> PostgresChannel:
        """The way to the other processes that have it open; for callbacks."""
        with self._guard:
            return self._using().channel()

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            raise LedgerError(
                f"the ledger {self.path} cannot be read or written ({in_words(error)}); what it "
                "acknowledged before stands, and nothing of this change was acknowledged"
            ) from error

    # --- writing ---

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | LedgerError]:
        """
        Make changes in order, in one transaction that is durable when this returns.

        Each result is the row after its change, or the error of that change alone: the others are
        made all the same.  If the transaction fails, none is made, and one error is raised.
        """
        holder = self._using()
        with self._guard, self._our_errors():
            return holder.apply(changes, stores_input=self.store_inputs) if changes else []

    def keep_durations(self, durations: Mapping[str, object]) -> None:
        """Keep one JSON document: what was learned of how long the models take."""
        self._run(
            "INSERT INTO liangxin_documents (name, body) VALUES ('durations', %s) "
            "ON CONFLICT (name) DO UPDATE SET body = excluded.body",
            as_json(durations),
        )

    # --- the quota that processes share ---

    def reserve(
        self, name: str, count: int, *, gap: float, ahead: float, accepted: int
    ) -> quota.Reserved:
        """
        Take the next moments in which a create may leave under the quota `name`, `gap` apart.

        None comes sooner than in `ahead` seconds.  `accepted` is how many creates the service has
        accepted since the last time, by which a quota recovers that was slowed down.
        """
        with self._our_errors():
            return self._using().patiently(
                lambda db: quota.reserve(db, name, count, gap=gap, ahead=ahead, accepted=accepted)
            )

    def hold(self, name: str, *, gap: float, pause: float) -> float:
        """
        Slow the quota `name` down for all: the service has refused a create.

        No moment that is reserved from now on comes within `pause` seconds; the answer says how
        many it really is.
        """
        with self._our_errors():
            return self._using().patiently(lambda db: quota.hold(db, name, gap=gap, pause=pause))

    # --- reading ---

    def find(self, keys: Sequence[str], *, bare: bool = False) -> dict[str, LedgerRow]:
        """Return the current rows of those keys that are known; `bare` ones without `input`."""
        found: dict[str, LedgerRow] = {}
        for start in range(0, len(keys), PAGE):
            some = [key for key in keys[start : start + PAGE] if is_storable(key)]
            rows = self._read("r.current AND r.key = ANY(%s)", some, bare=bare)
            found.update((row.key, row) for _, row in rows)
        return found

    def history(self, key: str) -> list[LedgerRow]:
        """Return all rows of a key, in the order of planning; the last one is current."""
        if not is_storable(key):
            return []
        return [row for _, row in self._read("r.key = %s ORDER BY r.n", key)]

    def find_task(self, task_id: str) -> LedgerRow | None:
        """Return the row of a task, the newest if there are several, history included."""
        return self._newest("r.task_id = %s", task_id) if is_storable(task_id) else None

    def find_token(self, token_sha256: bytes) -> LedgerRow | None:
        """Return the row of a callback token's hash, history included."""
        return self._newest("r.token_sha256 = %s", token_sha256)

    def _newest(self, where: str, value: object) -> LedgerRow | None:
        found = self._read(f"{where} ORDER BY r.n DESC LIMIT 1", value)
        return found[0][1] if found else None

    def rows(self, *states: LedgerState, history: bool = False) -> Iterator[LedgerRow]:
        """
        Yield the rows in these states (in all, if none is named), in the order of planning.

        A page at a time is read, so a row is as it was when its page was read.  `history` adds the
        rows that are no longer the current ones of their keys.
        """
        conditions = ["r.n > %s", "r.state = ANY(%s)", *([] if history else ["r.current"])]
        where = f"{' AND '.join(conditions)} ORDER BY r.n LIMIT {PAGE}"
        wanted = [state.value for state in states or LedgerState]
        last = 0
        while page := self._read(where, last, wanted):
            yield from (row for _, row in page)
            last = page[-1][0]

    def counts(self) -> dict[LedgerState, int]:
        """Count the creates in each state, history included: a row that cost is never dropped."""
        counted = self._run("SELECT state, count(*) FROM liangxin_rows GROUP BY state")
        return {LedgerState(state): count for state, count in counted}

    def durations(self) -> Mapping[str, object] | None:
        """Return what `keep_durations` kept."""
        kept = self._run("SELECT body FROM liangxin_documents WHERE name = 'durations'")
        return json.loads(kept[0][0]) if kept else None

    def _read(self, where: str, *values: object, bare: bool = False) -> list[tuple[int, LedgerRow]]:
        me = self._using().n
        found = self._run(f"{SELECT_BARE if bare else SELECT} {where}", me, *values)
        lines = [as_line(columns) for columns in found]
        return [(line.n or 0, line.row) for line in lines]

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        def run(db: Connection) -> list[tuple[Any, ...]]:
            cursor = db.execute(sql.encode(), values)
            return cursor.fetchall() if cursor.description else []

        with self._our_errors():
            return self._using().patiently(run)
