"""What `liangxin models` does: tables on a terminal, aligned lines elsewhere, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from liangxin._errors import InputError
from liangxin._text import quoted
from liangxin.models import ModelFacts, catalogue, json_schema
from liangxin.models._known import did_you_mean
from liangxin.models._table import FieldRow, documented_share, field_rows, slug_row

if TYPE_CHECKING:
    from rich.table import Table

Row = Sequence[str]


def show_all(form: str) -> None:
    """Print one row for each model."""
    rows = catalogue()
    if form == "json":
        _print_json([row.to_json() for row in rows])
        return
    columns = ("Model", "Slug", "Slug is", "Makes", "Operation", "Fields documented")
    _print_table(
        columns,
        [
            (row.name, *slug_row(row), row.kind, row.operation, documented_share(row))
            for row in rows
        ],
    )


def show_model(name: str, form: str) -> None:
    """Print what is known of one model."""
    known = find_model(name)
    if form == "json":
        _print_json(known.to_json())
        return
    for line in _about(known):
        click.echo(line)
    click.echo()
    _print_table(
        ("Field", "Type", "Default", "Known", "Takes"),
        [(row.field, row.type, row.default, row.known, _takes(row)) for row in field_rows(known)],
    )
    if known.rules:
        click.echo()
        _print_table(("Known", "Together"), [(r.provenance, r.words) for r in known.rules])


def print_schema(name: str, strict: bool) -> None:
    """Print the JSON Schema of one model's input."""
    _print_json(json_schema(find_model(name).model, strict=strict))


def find_model(name: str) -> ModelFacts:
    """The model that is named by its class, or by a slug, be it a guess or spelt like a module."""
    by_name = {}
    for row in catalogue():
        by_name[row.name] = row
        by_name[row.slug or row.slug_guess or row.name] = row
    found = by_name.get(name) or by_name.get(name.replace("_", "-"))
    if found is None:
        raise InputError(
            f"there is no model {quoted(name)}{did_you_mean(name, by_name)}; "
            "`liangxin models` lists them",
            field="name",
            value=name,
            allowed="a slug, or the name of a class of liangxin.models",
        )
    return found


def _about(known: ModelFacts) -> Iterable[str]:
    slug, how = slug_row(known)
    yield f"{known.name}: {known.summary}"
    yield ""
    yield f"Title  {known.title}"
    yield f"Slug   {slug or '-'} ({how})"
    yield f"Page   {known.page or '-'} ({known.coverage})"
    if known.slug is None:
        yield f"       To use it, say slug= or models.configure({{models.{known.name}: …}})"


def _takes(row: FieldRow) -> str:
    return ". ".join(part for part in (row.takes, row.notes) if part)


# --- how it is printed -------------------------------------------------------------------------


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _print_table(columns: Row, rows: Iterable[Row]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console().print(rich_table(columns, rows))
        return
    for line in _aligned([columns, *rows]):
        click.echo(line)


def rich_table(columns: Row, rows: Iterable[Row]) -> Table:
    """The rows as a terminal shows them: dim where all is inferred, names never broken."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns)
    table.columns[0].no_wrap = True
    for row in rows:
        style = "dim" if "inferred" in row else ""
        table.add_row(*(Text(cell, style=style) for cell in row))
    return table


def _aligned(rows: Sequence[Row]) -> Iterable[str]:
    """Rows as lines whose columns begin below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
