"""Cells of a table to what a row says: text is read as the type of its field says."""

from __future__ import annotations

import re
from collections.abc import Mapping

from liangxin._errors import InputError
from liangxin._text import quoted
from liangxin.batch._reading.errors import refused
from liangxin.batch._reading.rows import NAMES, NOTHING, Row, id_of
from liangxin.batch._reading.strict_json import LONGEST_INTEGER, decode, object_of
from liangxin.batch._reading.tables import without_nulls
from liangxin.models._rules import FieldFacts

_WHOLE = re.compile(rf"[+-]?[0-9]{{1,{LONGEST_INTEGER}}}(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]{1,300}\.?[0-9]{0,300}|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def typed(cell: object, fact: FieldFacts) -> object:
    """A cell in the type of its field; what cannot be read so stays, for the model to refuse."""
    match fact.type:
        case "integer":
            return _integer(cell)
        case "number":
            return _number(cell)
        case "boolean":
            return boolean(cell)
        case "string[]" | "object[]":
            return _list(cell, fact)
        case "object":
            return _object(cell, fact)
    return cell


def _integer(cell: object) -> object:
    if isinstance(cell, str) and _WHOLE.fullmatch(cell.strip()):
        return int(cell.partition(".")[0])
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)  # as for ids: pandas
    return cell


def _number(cell: object) -> object:
    if not isinstance(cell, str) or not _NUMBER.fullmatch(cell.strip()):
        return cell
    return float(cell) if set(cell) & set(".eE") else int(cell)


def boolean(cell: object) -> object:
    """True or false where the cell says so; any other cell as it is."""
    return _BOOLEANS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell


def _object(cell: object, fact: FieldFacts) -> object:
    if isinstance(cell, str) and cell.lstrip().startswith("{"):
        return decode(cell, fact.name)
    return cell


def _list(cell: object, fact: FieldFacts) -> object:
    if not isinstance(cell, str):
        return cell
    if cell.lstrip().startswith("["):
        return decode(cell, fact.name)
    if fact.type == "object[]":
        return cell
    items = [item.strip() for item in cell.split("|")]
    if not all(items):
        raise refused(fact.name, cell, "a JSON list, or items with one | between two")
    return items


def table_row(cells: dict[str, object]) -> Row:
    """What a row says: `input` and `raw` are read, the cells of fields stay as they are."""
    cells, key = dict(cells), id_of(cells)
    named = {name: cells.pop(name, None) for name in NAMES}
    fields, more = _input_cell(named["input"])
    for name in cells:
        if name in fields or name in more:
            raise InputError(
                f"{quoted(name)} stands both in input and in a column of its own",
                field=name,
                allowed="one of the two",
            )
    return Row(
        fields=fields,
        cells={**more, **cells},
        has_template="prompt" in cells,
        id=key,
        model=named["model"],
        raw=boolean(named["raw"]),
    )


def _input_cell(cell: object) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """The fields of an `input` column: those with types, and those of a map, which has none."""
    if isinstance(cell, str):
        cell = decode(cell, "input")
    elif isinstance(cell, list) and all(type(pair) is tuple and pair[0] for pair in cell):
        return NOTHING, without_nulls(object_of(cell))
    if cell is None or isinstance(cell, dict):
        return cell or NOTHING, NOTHING
    raise refused("input", cell, "a JSON object, a struct or a map")
