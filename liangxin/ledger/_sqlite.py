"""
The ledger in one SQLite file: one connection for life, one thread at a time, blocking.

Nothing is acknowledged before it is on the disk.  Between opening and closing no other process
gets at the file, and this one never opens it a second time: closing any descriptor of it would
drop SQLite's own locks.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from liangxin._errors import InputError, LedgerError
from liangxin._text import in_words, quoted
from liangxin.ledger import _schema
from liangxin.ledger._lock import LockFile
from liangxin.ledger._moves import CRASHED, moved, planned, refuse_conflict, renewed
from liangxin.ledger._rows import Change, LedgerRow, LedgerState, Move, Plan, Renew
from liangxin.ledger._table import (
    Line,
    as_json,
    insert,
    keep_input,
    one,
    select,
    select_bare,
    update,
)

PAGE = 256
"""How many rows are read at a time, and how many keys are looked up at a time."""


class _Open:
    """What there is between opening and closing."""

    def __init__(self, db: sqlite3.Connection, lock: LockFile, path: Path) -> None:
        self.db = db
        self.lock = lock
        self.file = path.stat()
        self.pid = os.getpid()
        # ctypes is imported now, and not in a forked child, which should do as little as it can.
        self.keep_forever = _immortality()


class SqliteStore:
    """A `Store` in a file, which is created or opened when it is first needed."""

    is_quick = False
    is_shared = False
    _synchronous = "FULL"
    _steps = _schema.STEPS

    def __init__(self, path: str | os.PathLike[str], *, store_inputs: bool = True) -> None:
        self.path = _resolved(path)
        self.store_inputs = store_inputs
        self._guard = threading.RLock()
        self._opened: _Open | None = None
        self._closed = False
        _ALL.add(self)

    # --- opening and closing ---

    @property
    def is_open(self) -> bool:
        """Whether the file is open now."""
        return self._opened is not None

    def open(self) -> Self:
        """
        Open the file now; nothing, if it is open.

        Creates that a crash left in `SENDING` become `AMBIGUOUS`.  Raises `LedgerLocked`,
        `LedgerCorrupt` or `LedgerTooNew`, and leaves the file as it was.
        """
        self._refuse_forked()
        with self._guard:
            if self._opened is None:
                self._opened = self._open()
            self._closed = False
        return self

    def _open(self) -> _Open:
        if not self.path.parent.is_dir():
            raise InputError(
                f"the folder {self.path.parent} does not exist: create it first",
                field="path",
                value=str(self.path),
            )
        with self._our_errors():
            lock = LockFile.take(self.path.with_name(f"{self.path.name}.lock"))
            try:
                _schema.prepare(self.path, len(self._steps))
                db = _schema.connect(self.path, synchronous=self._synchronous, steps=self._steps)
                try:
                    _doubt_what_was_being_sent(db)
                    return _Open(db, lock, self.path)
                except BaseException:
                    db.close()
                    raise
            except BaseException:
                lock.release()
                raise

    def close(self) -> None:
        """
        Close the file, which leaves it alone in its folder; a second time does nothing.

        In a forked child it forgets the parent's ledger without touching it.
        """
        opened = self._opened
        if opened is not None and opened.pid != os.getpid():
            self._opened = None
            return
        with self._guard:
            opened, self._opened, self._closed = self._opened, None, True
            if opened is None:
                return
            try:
                with self._our_errors():
                    opened.db.close()
            finally:
                opened.lock.release()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # A connection that is merely dropped waits for the garbage collector, its lock does not.
        opened = getattr(self, "_opened", None)  # absent if the path was refused
        if opened is not None and opened.pid == os.getpid():
            warnings.warn(f"the ledger {self.path} was not closed", ResourceWarning, stacklevel=2)
            self.close()

    def _refuse_forked(self) -> None:
        opened = self._opened
        if opened is not None and opened.pid != os.getpid():
            raise LedgerError(
                f"the ledger {self.path} was opened by process {opened.pid}, of which this one is "
                "a fork: only that process can use it"
            )

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one thread at a time."""
        self._refuse_forked()  # before the guard: at the fork, a thread of the parent may hold it
        with self._guard:
            if self._closed:
                raise LedgerError(f"the ledger {self.path} is closed")
            opened = self.open()._opened
            assert opened is not None
            with self._our_errors():
                yield opened.db

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _schema.translated(self.path, error) from error
        except (OSError, UnicodeError) as error:
            raise LedgerError(
                f"the ledger {self.path} cannot be used: {in_words(error)}"
            ) from error

    def channel(self) -> None:
        """There is none: a file belongs to one process."""

    # --- writing ---

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | LedgerError]:
        """
        Make changes in order, in one transaction that is on the disk when this returns.

        Each result is the row after its change, or the error of that change alone: the others are
        made all the same.  If the transaction fails (a full disk), none is made, and one error is
        raised.
        """
        with self._using() as db:
            self._refuse_displaced()
            with _schema.transaction(db):
                return [self._outcome(db, change) for change in changes]

    def _refuse_displaced(self) -> None:
        """A file that was moved away or deleted would take what is written to it along."""
        assert self._opened is not None
        if not os.path.samestat(self.path.stat(), self._opened.file):
            raise LedgerError(f"the ledger {self.path} was replaced by another file while in use")

    def _outcome(self, db: sqlite3.Connection, change: Change) -> LedgerRow | LedgerError:
        try:
            match change:
                case Plan():
                    return self._plan(db, change)
                case Move():
                    return _move(db, change)
                case Renew():
                    return _renew(db, change)
        except LedgerError as error:
            return error
        except _UNFIT as error:
            refusal = LedgerError(f"{quoted(change)} cannot be recorded: {in_words(error)}")
            refusal.__cause__ = error
            return refusal

    def _plan(self, db: sqlite3.Connection, plan: Plan) -> LedgerRow:
        known = one(db, "key = ? AND current = 1", plan.key)
        if known is not None:
            refuse_conflict(known.row, plan)
            return known.row
        _refuse_second(db, plan.ref)
        row = planned(plan, stores_input=self.store_inputs)
        insert(db, row, keep_input(db, row.input))
        return row

    def keep_durations(self, durations: Mapping[str, object]) -> None:
        """Keep one JSON document: what was learned of how long the models take."""
        body = as_json(durations)
        with self._using() as db:
            self._refuse_displaced()
            db.execute("REPLACE INTO documents VALUES ('durations', ?)", (body,))

    # --- reading ---

    def find(self, keys: Sequence[str], *, bare: bool = False) -> dict[str, LedgerRow]:
        """Return the current rows of those keys that are known; `bare` ones without `input`."""
        found: dict[str, LedgerRow] = {}
        for start in range(0, len(keys), PAGE):
            some = keys[start : start + PAGE]
            where = f"current = 1 AND key IN ({', '.join('?' * len(some))})"
            with self._using() as db:
                lines = (select_bare if bare else select)(db, where, *some)
            found.update((line.row.key, line.row) for line in lines)
        return found

    def history(self, key: str) -> list[LedgerRow]:
        """Return all rows of a key, in the order of planning; the last one is current."""
        return [line.row for line in self._read("key = ? ORDER BY rows.n", key)]

    def find_task(self, task_id: str) -> LedgerRow | None:
        """Return the row of a task, the newest if there are several, history included."""
        return self._newest("task_id = ?", task_id)

    def find_token(self, token_sha256: bytes) -> LedgerRow | None:
        """Return the row of a callback token's hash, history included."""
        return self._newest("token_sha256 = ?", token_sha256)

    def _newest(self, where: str, *values: object) -> LedgerRow | None:
        lines = self._read(f"{where} ORDER BY rows.n DESC LIMIT 1", *values)
        return lines[0].row if lines else None

    def rows(self, *states: LedgerState, history: bool = False) -> Iterator[LedgerRow]:
        """
        Yield the rows in these states (in all, if none is named), in the order of planning.

        A page at a time is read, so a row is as it was when its page was read.  `history` adds the
        rows that are no longer the current ones of their keys.
        """
        conditions = ["rows.n > ?"]
        if not history:
            conditions.append("+current = 1")
        if states:
            # The index keeps one state in the order of planning; several would have to be sorted.
            column = "state" if len(states) == 1 else "+state"
            conditions.append(f"{column} IN ({', '.join('?' * len(states))})")
        where = f"{' AND '.join(conditions)} ORDER BY rows.n LIMIT {PAGE}"
        last = 0
        while page := self._read(where, last, *(state.value for state in states)):
            yield from (line.row for line in page)
            last = page[-1].n

    def _read(self, where: str, *values: object) -> list[Line]:
        with self._using() as db:
            return select(db, where, *values)

    def counts(self) -> dict[LedgerState, int]:
        """Count the creates in each state, history included: a row that cost is never dropped."""
        with self._using() as db:
            counted = db.execute("SELECT state, count(*) FROM rows GROUP BY state").fetchall()
        return {LedgerState(state): count for state, count in counted}

    def durations(self) -> Mapping[str, object] | None:
        """Return what `keep_durations` kept."""
        with self._using() as db:
            kept = db.execute("SELECT body FROM documents WHERE name = 'durations'").fetchone()
        return None if kept is None else json.loads(kept[0])


def _resolved(path: str | os.PathLike[str]) -> Path:
    name = os.fspath(path)
    if not isinstance(name, str) or name in ("", ":memory:") or "\0" in name:
        raise InputError(
            f"a ledger is a file that outlives the process, not {quoted(path)}",
            field="path",
            value=path,
            allowed="the path of a file",
        )
    return Path(os.path.realpath(name))


# --- one change ---------------------------------------------------------------------------------

_UNFIT = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    OverflowError,
    UnicodeError,
)
"""What a value that does not fit its column makes of one statement; the transaction goes on."""


def _move(db: sqlite3.Connection, move: Move) -> LedgerRow:
    found = one(db, "ref = ?", move.ref)
    if found is None:
        raise LedgerError(f"there is no create {quoted(move.ref)} in this ledger")
    row = moved(found.row, move)
    update(db, found.n, row)
    return row


def _renew(db: sqlite3.Connection, renew: Renew) -> LedgerRow:
    found = one(db, "key = ? AND current = 1", renew.key)
    if found is None:
        raise LedgerError(f"there is no key {quoted(renew.key)} in this ledger")
    history, successor = renewed(found.row, renew)
    # Whatever can be refused is refused before the first of the two statements.
    _refuse_second(db, renew.ref)
    update(db, found.n, history)
    insert(db, successor, found.input_n)
    return successor


def _refuse_second(db: sqlite3.Connection, ref: str) -> None:
    if db.execute("SELECT 1 FROM rows WHERE ref = ?", (ref,)).fetchone():
        raise LedgerError(f"another create is called {quoted(ref)} already: a ref is used once")


def _doubt_what_was_being_sent(db: sqlite3.Connection) -> None:
    """After a crash: whether these creates were accepted, nobody can know."""
    sending = (LedgerState.SENDING.value,)
    if db.execute("SELECT 1 FROM rows WHERE state = ? LIMIT 1", sending).fetchone():
        with _schema.transaction(db):
            db.execute(
                "UPDATE rows SET state = ?, reason = ? WHERE state = ?",
                (LedgerState.AMBIGUOUS.value, CRASHED, *sending),
            )


# --- forks --------------------------------------------------------------------------------------

_ALL: weakref.WeakSet[SqliteStore] = weakref.WeakSet()


def _immortality() -> Callable[[object], object]:
    """A function after which an object is never taken down, not even when the program ends."""
    import ctypes

    return lambda value: ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _disown_all() -> None:
    """
    In a forked child: give back the lock, and see that no ledger of the parent is ever closed.

    SQLite closes a connection by folding its log into the file and deleting the log, under the
    parent's feet; dropping the last reference to a connection closes it.
    """
    for store in list(_ALL):
        store._guard = threading.RLock()  # a thread that is not in the child may have held it
        if store._opened is not None:
            store._opened.keep_forever(store._opened.db)
            store._opened.lock.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
