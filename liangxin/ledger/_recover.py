"""
What can still be read of a damaged ledger, into a new one.

The damaged file is copied first and never written.  Rows are followed from the root of their table,
not carved out of loose pages, where an older state of a row that has been paid since may lie about.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from attrs import evolve

from liangxin._errors import InputError, LedgerCorrupt, LedgerError
from liangxin.ledger import _schema
from liangxin.ledger._lock import LockFile
from liangxin.ledger._rows import LedgerRow, Recovery, input_sha256
from liangxin.ledger._sqlite import PAGE, SqliteStore
from liangxin.ledger._table import Line, insert, keep_input, select, select_bare

_SMALLEST_ROW = 64
"""Bytes: a file has no more rows than its size divided by this."""


def recover(damaged: SqliteStore, new: SqliteStore) -> Recovery:
    """Copy what can be read of one ledger, which nobody may have open, into a new one."""
    _refuse_paths(damaged.path, new.path)
    with (
        damaged._our_errors(),
        _locked(damaged.path),
        _copied(damaged.path, new.path.parent) as copy,
        _opened(copy, damaged.path) as db,
    ):
        try:
            recovery = _fill(new, db, copy.stat().st_size)
            if recovery is None:
                raise LedgerCorrupt(f"nothing of {damaged.path} can be read as a ledger")
            return recovery
        except BaseException:
            new.path.unlink(missing_ok=True)
            raise


def _refuse_paths(damaged: Path, new: Path) -> None:
    if not damaged.is_file():
        raise InputError(f"there is no file {damaged}", field="path", value=str(damaged))
    if new.exists() or not new.parent.is_dir():
        raise InputError(
            f"{new} exists already, or its folder does not: name a new file",
            field="to",
            value=str(new),
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = LockFile.take(path.with_name(f"{path.name}.lock"))
    try:
        yield
    finally:
        lock.release()


# --- a copy that SQLite can read -----------------------------------------------------------------


@contextmanager
def _copied(path: Path, folder: Path) -> Iterator[Path]:
    """A copy with its log, in a folder that only we can enter."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".recover-") as name:
        copy = Path(name, "copy.db")
        for suffix in ("", "-wal", "-journal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{copy}{suffix}")
        yield copy


@contextmanager
def _opened(copy: Path, path: Path) -> Iterator[sqlite3.Connection]:
    """The copy, with a new first page if its own is no good."""
    _refuse_others(copy, path)
    if not _has_schema(copy):
        _replace_first_page(copy)
    with closing(_connect(copy)) as db:
        yield db


def _refuse_others(copy: Path, path: Path) -> None:
    with copy.open("rb") as file:
        header = file.read(_schema.HEADER)
    if len(header) == _schema.HEADER and header.startswith(_schema.MAGIC):
        _schema.refuse_foreign(path, header, len(_schema.STEPS))


def _has_schema(copy: Path) -> bool:
    with closing(_connect(copy)) as db:
        try:
            select(db, "0")
        except sqlite3.Error:
            return False
    return True


def _connect(copy: Path) -> sqlite3.Connection:
    db = sqlite3.connect(copy, isolation_level=None)
    # With this, a file that is shorter than its first page says is read all the same.
    db.execute("PRAGMA writable_schema = ON")
    return db


def _replace_first_page(copy: Path) -> None:
    """Give the copy the first page of a new ledger: it is the same in all of them."""
    with SqliteStore(copy.with_name("new.db")) as new:
        new.counts()
    first = bytearray(new.path.read_bytes()[:4096])
    first[92:96] = b"\xff" * 4  # so that pages are counted by the size of the file
    with copy.open("r+b") as file:
        file.write(first)


# --- what it holds -------------------------------------------------------------------------------


def _fill(new: SqliteStore, db: sqlite3.Connection, size: int) -> Recovery | None:
    known, complete = _known_keys(db)
    highest = max(known, default=0) if complete else size // _SMALLEST_ROW
    with new:
        kept = _keep(new, _lines(db, highest))
        _keep_durations(new, db)
    if not (kept or known or complete):
        return None
    top = max(max(known, default=0), max(kept, default=0))
    return Recovery(
        kept=len(kept),
        bare=sum(kept.values()),
        lost=top - len(kept),
        lost_keys=tuple(key for n, key in sorted(known.items()) if n not in kept),
    )


def _known_keys(db: sqlite3.Connection) -> tuple[dict[int, str], bool]:
    """The keys by their rows' numbers, from the index alone; whether these are all."""
    known: dict[int, str] = {}
    try:
        known.update(db.execute("SELECT n, key FROM rows INDEXED BY by_key WHERE current = 1"))
    except sqlite3.Error:
        return known, False
    return known, True


def _lines(db: sqlite3.Connection, highest: int) -> Iterator[list[Line]]:
    """Pages of what can be read; where one cannot, its lines are tried one by one."""
    for last in range(0, highest, PAGE):
        numbers = range(last + 1, last + PAGE + 1)
        try:
            yield select(db, "rows.n BETWEEN ? AND ?", numbers[0], numbers[-1])
        except (sqlite3.Error, LedgerError):
            yield [line for n in numbers for line in _line(db, n)]


def _line(db: sqlite3.Connection, n: int) -> list[Line]:
    for read in (select, select_bare):
        with suppress(sqlite3.Error, LedgerError):
            return read(db, "rows.n = ?", n)
    return []


def _keep(new: SqliteStore, pages: Iterator[list[Line]]) -> dict[int, bool]:
    """Write lines as they are; return the numbers of those that fit, and which lack their input."""
    kept: dict[int, bool] = {}
    for page in pages:
        with new._using() as db, _schema.transaction(db):
            for line in page:
                row = _with_its_own_input(line.row)
                with suppress(sqlite3.IntegrityError):
                    insert(db, row, keep_input(db, row.input))
                    kept[line.n] = line.input_n is not None and row.input is None
    return kept


def _with_its_own_input(row: LedgerRow) -> LedgerRow:
    """One wrong byte may lead to the input of another row, which nobody wants to pay for."""
    if row.input is None or input_sha256(row.model, row.input) == row.sha256:
        return row
    return evolve(row, input=None)


def _keep_durations(new: SqliteStore, db: sqlite3.Connection) -> None:
    """They are worth having, and nothing is lost if they are gone."""
    with suppress(sqlite3.Error):
        for name, body in db.execute("SELECT name, body FROM documents").fetchall():
            with new._using() as target:
                target.execute("REPLACE INTO documents VALUES (?, ?)", (name, body))
