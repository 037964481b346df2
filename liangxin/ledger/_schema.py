"""
The ledger's file: whose it is, how it is opened, and what is in it.

A file that is not ours, is damaged, or comes from a newer version is refused before anything is
written to it.  The switches of SQLite that a power cut depends on are all here.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from liangxin._errors import LedgerCorrupt, LedgerError, LedgerLocked, LedgerTooNew
from liangxin._text import printable

APPLICATION_ID = 0x6C786C67
"""`lxlg`, at byte 68 of the file."""

STEPS: Sequence[Sequence[str]] = (
    (
        # One line for each create that was ever planned; n is the order of planning.
        """
        CREATE TABLE rows (
            n INTEGER PRIMARY KEY,
            key TEXT NOT NULL,
            ref TEXT NOT NULL UNIQUE,
            current INTEGER NOT NULL,
            state TEXT NOT NULL,
            model TEXT NOT NULL,
            sha256 BLOB NOT NULL,
            input INTEGER REFERENCES inputs (n),
            task_id TEXT,
            token_sha256 BLOB,
            planned_at REAL NOT NULL,
            sent_at REAL,
            answered_at REAL,
            ended_at REAL,
            http_status INTEGER,
            reason TEXT,
            raw BLOB,
            urls TEXT,
            files TEXT
        )
        """,
        # Apart, so that a change of state does not write a picture in a data URI once more.
        "CREATE TABLE inputs (n INTEGER PRIMARY KEY, body TEXT NOT NULL)",
        "CREATE TABLE documents (name TEXT PRIMARY KEY, body TEXT NOT NULL)",
        "CREATE UNIQUE INDEX by_key ON rows (key) WHERE current = 1",
        "CREATE INDEX by_state ON rows (state)",
        "CREATE INDEX by_task ON rows (task_id) WHERE task_id IS NOT NULL",
        "CREATE INDEX by_token ON rows (token_sha256) WHERE token_sha256 IS NOT NULL",
    ),
)
"""Step i leads from version i of the file to i + 1; version 0 is an empty file."""

_TABLES = ("rows", "inputs", "documents")

HEADER = 100
MAGIC = b"SQLite format 3\x00"


def prepare(path: Path, version: int = len(STEPS)) -> None:
    """Create the file, or refuse what is no ledger of ours, by its first 100 bytes."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    fd = os.open(path, flags, 0o600)
    try:
        size = _size_of_file(fd, path)
        header = os.read(fd, HEADER)
    finally:
        os.close(fd)
    rolls_back = _has_content(path, "-journal")  # the creation of the file was cut off
    if not header:
        _refuse_orphaned_log(path)
    elif not (rolls_back and header == bytes(HEADER)):
        refuse_foreign(path, header, version)
        if not rolls_back:
            _refuse_short(path, header, size)


def _size_of_file(fd: int, path: Path) -> int:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise LedgerError(f"{path} is no file: a ledger needs one")
    return status.st_size


def _has_content(path: Path, suffix: str) -> bool:
    try:
        return os.stat(f"{path}{suffix}").st_size > 0
    except FileNotFoundError:
        return False


def _refuse_orphaned_log(path: Path) -> None:
    # SQLite would delete the log of an empty file.
    if _has_content(path, "-wal"):
        raise damaged(path, "it is empty, but its -wal file is not")


def refuse_foreign(path: Path, header: bytes, version: int) -> None:
    """Refuse, by its header, a file that is not ours or that a newer version wrote."""
    if len(header) < HEADER or not header.startswith(MAGIC):
        raise LedgerCorrupt(f"{path} is not a ledger, or its beginning is damaged; {_LEFT}")
    identify(path, _number(header, 68), _number(header, 60), version)


def identify(path: Path, application_id: int, found: int, version: int) -> None:
    """Refuse a database that is not ours, or that a newer version wrote."""
    if application_id != APPLICATION_ID:
        raise LedgerCorrupt(
            f"{path} is an SQLite database, but not a ledger of liangxin: take another file"
        )
    if found > version:
        raise LedgerTooNew(
            f"{path} was written by a newer liangxin (its version is {found}, this one reads up "
            f"to {version}): upgrade liangxin, or take another file"
        )


def _refuse_short(path: Path, header: bytes, size: int) -> None:
    # While there is a log, the file may lawfully be shorter than its header says; and the header
    # counts pages only if both of its counters agree.
    if _has_content(path, "-wal") or header[24:28] != header[92:96]:
        return
    page = int.from_bytes(header[16:18], "big")
    promised = (65536 if page == 1 else page) * _number(header, 28)
    if size < promised:
        raise damaged(path, f"it should have {promised} bytes and has {size}")


def _number(header: bytes, at: int) -> int:
    return int.from_bytes(header[at : at + 4], "big")


_LEFT = "it was left as it is (`liangxin ledger recover` copies what can be read)"


def damaged(path: Path, how: str) -> LedgerCorrupt:
    """The error for a ledger that is damaged."""
    return LedgerCorrupt(f"the ledger {path} is damaged: {how}; {_LEFT}")


def connect(
    path: Path, *, synchronous: str = "FULL", steps: Sequence[Sequence[str]] = STEPS
) -> sqlite3.Connection:
    """Open the one connection to a prepared file, and bring the file up to this version."""
    # timeout=0: whoever has the file open will not let it go while we wait.
    db = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=0,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # Exclusive before anything is read: then the log needs no shared memory beside it.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute(f"PRAGMA synchronous = {synchronous}")
        db.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the disk
        db.execute("PRAGMA mmap_size = 0")
        db.execute("PRAGMA trusted_schema = OFF")
        db.execute("PRAGMA temp_store = MEMORY")
        _bring_up(db, path, steps)
        _use_log(db, path)
        _check(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _bring_up(db: sqlite3.Connection, path: Path, steps: Sequence[Sequence[str]]) -> None:
    """
    Run the steps that the file lacks, in one transaction.

    In a new file this happens before the log exists, so the file itself, and not only its log,
    says from its first byte on whose it is.
    """
    found = 0
    if value(db, "PRAGMA page_count"):
        found = value(db, "PRAGMA user_version")
        identify(path, value(db, "PRAGMA application_id"), found, len(steps))
    if found == len(steps):
        return
    with transaction(db):
        for step in steps[found:]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(steps)}")


def _use_log(db: sqlite3.Connection, path: Path) -> None:
    (mode,) = db.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise LedgerError(f"{path}: SQLite cannot keep a write-ahead log here, only {mode}")
    db.execute("PRAGMA journal_size_limit = 8388608")


def _check(db: sqlite3.Connection, path: Path) -> None:
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise damaged(path, printable(verdict))
    if value(db, f"SELECT count(*) FROM sqlite_master WHERE name IN {_TABLES}") < len(_TABLES):
        raise damaged(path, "a table is missing")


def value(db: sqlite3.Connection, sql: str) -> int:
    """The one number that a statement returns."""
    (number,) = db.execute(sql).fetchone()
    return int(number)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block, durably, or nothing of it."""
    if db.in_transaction:  # a Ctrl-C fell between a BEGIN and its block
        db.execute("ROLLBACK")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:  # whatever it is, Ctrl-C included, it may not leave half of the block
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def translated(path: Path, error: sqlite3.Error) -> LedgerError:
    """The error of this package for one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _CORRUPT:
        return damaged(path, printable(error))
    if code in _HELD:
        return LedgerLocked(f"{path} is in use by another program: close it there")
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return LedgerError(
        f"the ledger {path} cannot be read or written ({name}: {printable(error)}); "
        "what it acknowledged before stands, and nothing of this change was kept"
    )
