"""
What `liangxin ledger` does: results go to standard output, everything else to standard error.

Whatever a service wrote is made printable before a terminal or a spreadsheet sees it.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from liangxin._errors import LedgerError
from liangxin._text import printable
from liangxin.ledger import Ledger, LedgerRow, LedgerState, LedgerStatus, is_address

_WIDEST_CELL = 32_000
"""Characters; spreadsheets take 32,767."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would run."""


# --- status --------------------------------------------------------------------------------------


def show_status(place: Path | str, form: str) -> None:
    """Print how many creates are in which state, and what they cost."""
    with Ledger(place) as ledger:
        status = ledger.status()
    if form == "json":
        states = {state.value: status.states.get(state, 0) for state in LedgerState}
        click.echo(json.dumps({"states": states, "money": status.money}, indent=2))
        return
    _print_status(status)
    if status.states.get(LedgerState.AMBIGUOUS):
        click.echo(
            "\nAmbiguous creates may have been accepted and paid. List them with `liangxin ledger "
            "export --state ambiguous`; then attach, resend or abandon each.",
            err=True,
        )


def _print_status(status: LedgerStatus) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("State", "Money", "Creates", title="Creates", title_justify="left")
    table.columns[-1].justify = "right"
    for state in LedgerState:
        if status.states.get(state):
            table.add_row(state.value, state.money, f"{status.states[state]:,}")
    table.add_section()
    for money, count in status.money.items():
        table.add_row("all", money, f"{count:,}")
    Console().print(table)


# --- rows ----------------------------------------------------------------------------------------


def show_key(place: Path | str, key: str, form: str) -> None:
    """Print all rows of one key."""
    with Ledger(place) as ledger:
        rows = ledger.history(key)
    if not rows:
        raise LedgerError(f"there is no key {key!r} in {ledger.path}")
    if form == "json":
        click.echo(json.dumps([_record(row) for row in rows], indent=2))
        return
    for n, row in enumerate(rows):
        click.echo("\n" * bool(n), nl=False)
        for name, value in _told(row).items():
            click.echo(f"{name:<12} {printable(value, 2000)}")


def _told(row: LedgerRow) -> dict[str, object]:
    """What there is to say about a row, for people: nothing about what is not known."""
    record = {**_record(row), **_times(row)}
    if row.current:
        del record["current"]
    return {name: _as_text(value) for name, value in record.items() if value not in (None, [])}


def _record(row: LedgerRow) -> dict[str, object]:
    """A row for machines; times are Unix seconds."""
    return {
        "key": row.key,
        "state": row.state.value,
        "money": row.state.money,
        "current": row.current,
        "task_id": row.task_id,
        "model": row.model,
        "input": None if row.input is None else dict(row.input),
        "planned_at": row.planned_at,
        "sent_at": row.sent_at,
        "answered_at": row.answered_at,
        "ended_at": row.ended_at,
        "http_status": row.http_status,
        "reason": row.reason,
        "raw": None if row.raw is None else row.raw.decode("utf-8", "backslashreplace"),
        "urls": list(row.urls),
        "files": list(row.files),
        "ref": row.ref,
        "sha256": row.sha256,
    }


def _times(row: LedgerRow) -> dict[str, str | None]:
    return {
        "planned_at": _time(row.planned_at),
        "sent_at": _time(row.sent_at),
        "answered_at": _time(row.answered_at),
        "ended_at": _time(row.ended_at),
    }


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # a clock that was far off
        return str(seconds)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


# --- export --------------------------------------------------------------------------------------


def export_rows(place: Path | str, states: Iterable[str], history: bool, form: str) -> None:
    """Write rows to standard output as they are read."""
    write = _csv_lines if form == "csv" else _json_lines
    out = sys.stdout.buffer  # UTF-8 also where the terminal speaks something else
    with Ledger(place) as ledger:
        wanted = [LedgerState(state) for state in states]
        for line in write(ledger.rows(*wanted, history=history)):
            out.write(line)
    out.flush()


def _json_lines(rows: Iterator[LedgerRow]) -> Iterator[bytes]:
    for row in rows:
        yield f"{json.dumps(_record(row))}\n".encode()


def _csv_lines(rows: Iterator[LedgerRow]) -> Iterator[bytes]:
    header = None
    for row in rows:
        record = {**_record(row), **_times(row)}
        if header is None:
            header = list(record)
            yield _csv_line(header)
        yield _csv_line([_cell(value) for value in record.values()])


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()


def _cell(value: object) -> str:
    text = "" if value is None or value == [] else printable(_as_text(value), _WIDEST_CELL)
    return f"'{text}" if text.startswith(_FORMULA) else text


# --- a shared one --------------------------------------------------------------------------------


def migrate_ledger(url: str) -> None:
    """Make the tables, and say where."""
    if not is_address(url):
        raise click.UsageError("URL is no address of a database, postgresql://…")
    from liangxin.ledger import SharedLedger

    ledger = SharedLedger(url)
    ledger.migrate()
    click.echo(f"{ledger.path} has a ledger of this version.")


# --- the user's word -----------------------------------------------------------------------------


def settle(
    place: Path | str, keys: Iterable[str], verb: Callable[[Ledger, str], LedgerRow]
) -> None:
    """Do the same with each key; one that is refused does not stop the others."""
    refused = 0
    with Ledger(place) as ledger:
        for key in keys:
            try:
                row = verb(ledger, key)
            except LedgerError as error:
                refused += 1
                click.echo(f"Error: {error}", err=True)
            else:
                task = f", task {row.task_id}" if row.task_id else ""
                click.echo(printable(f"{key}: {row.state.value}{task}", 2000))
    if refused:
        raise click.exceptions.Exit(1)


def recover_rows(file: Path, new: Path) -> None:
    """Copy what can be read, and say aloud what cannot."""
    found = Ledger.recover(file, new)
    click.echo(f"{new}: {found.kept:,} rows were kept.")
    if found.bare:
        click.echo(f"{found.bare:,} of them without their input.", err=True)
    if not found.lost:
        return
    click.echo(
        f"{found.lost:,} rows were lost. What they asked for may be paid: asking again may pay "
        "twice. Their keys, as far as they are known:",
        err=True,
    )
    for key in found.lost_keys:
        click.echo(printable(key, 2000), err=True)
