"""
A line of the table and the `LedgerRow` that it stands for: read and written, nothing decided.

The columns are the same in every database; the statements here are SQLite's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from liangxin._errors import LedgerCorrupt, LedgerError
from liangxin._text import in_words, quoted
from liangxin.ledger._rows import LedgerRow, LedgerState

if TYPE_CHECKING:
    import sqlite3

FIXED = ("key", "ref", "model", "sha256", "input", "planned_at")
CHANGING = (
    "current",
    "state",
    "task_id",
    "token_sha256",
    "sent_at",
    "answered_at",
    "ended_at",
    "http_status",
    "reason",
    "raw",
    "urls",
    "files",
)
COLUMNS = (*FIXED, *CHANGING)

_SELECT = f"SELECT rows.n, {', '.join(COLUMNS)}"
_INSERT = f"INSERT INTO rows ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_UPDATE = f"UPDATE rows SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE n = ?"

_raw_decode = json.JSONDecoder().raw_decode

_STATES = {state.value: state for state in LedgerState}


class Line(NamedTuple):
    """A row, its number in the table, and that of its input, if that is stored."""

    n: int
    input_n: Any
    row: LedgerRow


def select(db: sqlite3.Connection, where: str, *values: object) -> list[Line]:
    """The lines that a condition names."""
    sql = f"{_SELECT}, body FROM rows LEFT JOIN inputs ON inputs.n = input WHERE {where}"
    return [line_of(*columns) for columns in db.execute(sql, values).fetchall()]


def select_bare(db: sqlite3.Connection, where: str, *values: object) -> list[Line]:
    """The lines that a condition names, without their inputs."""
    sql = f"{_SELECT}, NULL FROM rows WHERE {where}"
    return [line_of(*columns) for columns in db.execute(sql, values).fetchall()]


def one(db: sqlite3.Connection, where: str, value: object) -> Line | None:
    """The one line that a condition names."""
    return next(iter(select(db, where, value)), None)


def line_of(*columns: Any) -> Line:
    """The line that a database's answer stands for: its number, `COLUMNS`, the input's text."""
    try:
        return Line(columns[0], columns[5], _row(*columns))
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise LedgerCorrupt(
            f"the ledger's row of {quoted(columns[1])} cannot be read: {in_words(error)}"
        ) from error


def _row(
    _n: int,
    key: str,
    ref: str,
    model: str,
    sha256: bytes,
    _input_n: int | None,
    planned_at: float,
    current: int,
    state: str,
    task_id: str | None,
    token_sha256: bytes | None,
    sent_at: float | None,
    answered_at: float | None,
    ended_at: float | None,
    http_status: int | None,
    reason: str | None,
    raw: bytes | None,
    urls: str | None,
    files: str | None,
    body: str | None,
) -> LedgerRow:
    return LedgerRow(
        key=key,
        ref=ref,
        model=model,
        input=None if body is None else json.loads(body),
        sha256=sha256.hex(),
        state=_STATES[state],
        current=current == 1,
        task_id=task_id,
        token_sha256=token_sha256,
        planned_at=planned_at,
        sent_at=sent_at,
        answered_at=answered_at,
        ended_at=ended_at,
        http_status=http_status,
        reason=reason,
        raw=raw,
        urls=() if urls is None else _strings(urls),
        files=() if files is None else _strings(files),
    )


def _strings(body: str) -> tuple[str, ...]:
    # json.loads looks for white space around what it reads, which takes three times as long.
    strings, end = _raw_decode(body)
    if end != len(body):
        raise ValueError(f"there is more after the list at character {end}")
    return tuple(strings)


def fixed(row: LedgerRow, input_n: object) -> tuple[object, ...]:
    """What stands in the columns `FIXED`."""
    sha256 = bytes.fromhex(row.sha256)
    return (row.key, row.ref, row.model, sha256, input_n, row.planned_at)


def changing(row: LedgerRow) -> tuple[object, ...]:
    """What stands in the columns `CHANGING`."""
    return (
        row.current,
        row.state.value,
        row.task_id,
        row.token_sha256,
        row.sent_at,
        row.answered_at,
        row.ended_at,
        row.http_status,
        row.reason,
        row.raw,
        as_json(row.urls) if row.urls else None,
        as_json(row.files) if row.files else None,
    )


def update(db: sqlite3.Connection, n: int, row: LedgerRow) -> None:
    """Write what a change may have changed."""
    db.execute(_UPDATE, (*changing(row), n))


def insert(db: sqlite3.Connection, row: LedgerRow, input_n: int | None) -> None:
    """Add a row, whose input is stored under a number already."""
    db.execute(_INSERT, (*fixed(row, input_n), *changing(row)))


def keep_input(db: sqlite3.Connection, input: Mapping[str, object] | None) -> int | None:
    """Store an input; return its number."""
    if input is None:
        return None
    return db.execute("INSERT INTO inputs (body) VALUES (?)", (as_json(input),)).lastrowid


def as_json(value: object) -> str:
    """Compact JSON, readable where it can be: a lone surrogate survives only as an escape."""
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(f"{quoted(value)} cannot be written as JSON: {error}") from error
    return text
