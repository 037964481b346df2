"""The statements by which a page of a shared ledger is loaded and written; nothing is decided."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import psycopg
from attrs import evolve

from liangxin.ledger._fold import Line, Page, is_storable
from liangxin.ledger._rows import Change, Move
from liangxin.ledger._table import CHANGING, COLUMNS, FIXED, changing, fixed, line_of

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_HELD = (
    "CASE WHEN r.state IN ('planned', 'sending', 'accepted') AND r.holder <> %s "
    "AND h.expires > clock_timestamp() THEN h.name END"
)
_NAMES = ", ".join(f"r.{name}" for name in COLUMNS)
_FROM = "FROM liangxin_rows r LEFT JOIN liangxin_holders h ON h.n = r.holder"
# Not joined: for a few hundred rows of some ten thousand, the planner would read all inputs.
_BODY = "(SELECT i.body FROM liangxin_inputs i WHERE i.ref = r.input)"
SELECT = f"SELECT {_HELD}, r.holder, r.n, {_NAMES}, {_BODY} {_FROM} WHERE "
SELECT_BARE = f"SELECT {_HELD}, r.holder, r.n, {_NAMES}, NULL {_FROM} WHERE "
"""Both take the number of our own holder first."""

_LOCK = f"{SELECT} r.ref = ANY(%s) OR (r.current AND r.key = ANY(%s)) ORDER BY r.n FOR UPDATE OF r"

_TYPES = {
    "sha256": "bytea",
    "planned_at": "float8",
    "current": "bool",
    "token_sha256": "bytea",
    "sent_at": "float8",
    "answered_at": "float8",
    "ended_at": "float8",
    "http_status": "int8",
    "raw": "bytea",
    "holder": "int8",
    "n": "int8",
}
"""What is not text."""


def _records(columns: Sequence[str]) -> str:
    """A table `u` of one parameter, the JSON that `_json` makes."""
    typed = ", ".join(f"{name} {_TYPES.get(name, 'text')}" for name in columns)
    numbered = ", ".join((*columns, "ord"))
    return f"ROWS FROM (json_to_recordset(%s) AS ({typed})) WITH ORDINALITY AS u ({numbered})"


_WRITTEN = (*CHANGING, "holder")
_CHANGED = ("n", *_WRITTEN)
_NEW = (*FIXED, *_WRITTEN)
_INPUT = ("ref", "body")
_UPDATE = (
    f"UPDATE liangxin_rows r SET {', '.join(f'{name} = u.{name}' for name in _WRITTEN)} "
    f"FROM {_records(_CHANGED)} WHERE r.n = u.n"
)
_INSERT = (
    f"INSERT INTO liangxin_rows ({', '.join(_NEW)}) SELECT {', '.join(_NEW)} "
    f"FROM {_records(_NEW)} ORDER BY ord ON CONFLICT (key) WHERE current DO NOTHING RETURNING n"
)
_KEEP_INPUTS = f"INSERT INTO liangxin_inputs (ref, body) SELECT ref, body FROM {_records(_INPUT)}"


class RacedError(Exception):
    """Another process has planned one of our new keys since we looked."""


def as_line(columns: tuple[Any, ...]) -> Line:
    """The line that an answer to `SELECT` stands for."""
    held_by, holder, *rest = columns
    n, input_ref, row = line_of(*rest)
    return Line(evolve(row, held_by=held_by) if held_by else row, n, holder, input_ref)


def load(db: Connection, page: Page, changes: Sequence[Change]) -> None:
    """Add the lines that the changes are about, which are ours until the transaction ends."""
    refs = filter(is_storable, (each.ref for each in changes))
    keys = filter(is_storable, (each.key for each in changes if not isinstance(each, Move)))
    found = db.execute(_LOCK, (page.me, list(refs), list(keys))).fetchall()
    page.add(as_line(columns) for columns in found)


def write(db: Connection, page: Page) -> None:
    """Write the lines that have changed; `RacedError` if a new key is no longer new."""
    known = [line for line in page.lines if line.is_changed and line.n is not None]
    new = [line for line in page.lines if line.n is None]
    if known:
        lines = [(line.n, *_written(line)) for line in known]
        db.execute(_UPDATE, (_json(_CHANGED, lines),))
    inputs = [(line.input, line.new_input) for line in new if line.new_input is not None]
    if inputs:
        db.execute(_KEEP_INPUTS, (_json(_INPUT, inputs),))
    if new:
        lines = [(*fixed(line.row, line.input), *_written(line)) for line in new]
        if len(db.execute(_INSERT, (_json(_NEW, lines),)).fetchall()) < len(new):
            raise RacedError


def _written(line: Line) -> tuple[object, ...]:
    return (*changing(line.row), line.holder)


def _json(columns: Sequence[str], lines: Iterable[tuple[object, ...]]) -> str:
    """Lines as one parameter: an array of each column takes psycopg several times as long."""
    return json.dumps([dict(zip(columns, line, strict=True)) for line in lines], default=_hex)


def _hex(value: bytes) -> str:
    return f"\\x{value.hex()}"
