"""One pass over one file, in which each line becomes a request or a bad line."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain, islice
from typing import IO, Any

from attrs import define

from liangxin._errors import InputError
from liangxin._tasks import ModelInput, RawInput
from liangxin._text import quoted
from liangxin.batch._reading.cells import boolean, table_row, typed
from liangxin.batch._reading.errors import attempt, located, missing, refused
from liangxin.batch._reading.files import with_files
from liangxin.batch._reading.json_lines import json_lines, json_row
from liangxin.batch._reading.keys import Keys
from liangxin.batch._reading.known_models import (
    Model,
    fields_of_all,
    is_known,
    model_named,
    require_known,
    typed_input,
)
from liangxin.batch._reading.names import did_you_mean, listed
from liangxin.batch._reading.places import Format, Place, Source, format_of
from liangxin.batch._reading.requests import BadLine, Request, UnknownModelWarning
from liangxin.batch._reading.rows import NAMES, Row, Rows
from liangxin.batch._reading.tables import Cells, Csv, NumberedCells, Parquet
from liangxin.batch._reading.templates import fill, names_in
from liangxin.models._rules import FieldFacts

already_warned: set[str] = set()
"""The unknown models that have been warned about."""


@define(eq=False)
class Reader:
    """One pass over one file."""

    place: Place
    format: Format
    model: Model | None
    defaults: Mapping[str, object]
    keys: Keys
    template_columns: Set[str] = frozenset()
    """Those of a table that are no fields, but stand in some prompt."""

    @classmethod
    def of(
        cls,
        path: Source,
        model: str | type[ModelInput] | None,
        defaults: Mapping[str, object] | None,
        format: Format | None,
    ) -> Reader:
        """Judge the arguments, before the file is opened."""
        place = Place.of(path)
        kind = format_of(place, format)
        default = None if model is None else model_named(model)
        if default is not None and default.known is not None:
            require_known(default.known, defaults or {})
        return cls(place, kind, default, dict(defaults or {}), Keys(_unit(kind)))

    def requests(self) -> Iterator[Request | BadLine]:
        """Every line in its order, as a request or as what is wrong with it."""
        rows = self._lines() if self.format == "jsonl" else self._table()
        for line, row in rows:
            judged = self.judged(line, row)
            if isinstance(judged, InputError):
                error = located(judged, f"{self.place.name} {self.keys.unit} {line}")
                yield BadLine(line=line, error=error)
            else:
                yield judged

    def judged(self, line: int, row: Row | InputError) -> Request | InputError:
        """What a row asks for, or what is wrong with it."""
        return row if isinstance(row, InputError) else attempt(self._request, line, row)

    def _lines(self) -> Rows:
        with self.place.opened() as stream:
            for line, text in json_lines(stream, self.place.name):
                yield line, text if isinstance(text, InputError) else attempt(json_row, text)

    def _table(self) -> Rows:
        with self.place.opened() as stream:
            table = self._open_table(stream)
            rows = self._judge_columns(table)
            for line, cells in rows:
                yield line, cells if isinstance(cells, InputError) else attempt(table_row, cells)

    def _open_table(self, stream: IO[Any]) -> Csv | Parquet:
        if self.format == "parquet":
            return Parquet(stream, self.place.name)
        return Csv(stream, self.place.name, "\t" if self.format == "tsv" else ",")

    def _request(self, line: int, row: Row) -> Request:
        if row.raw is not None and not isinstance(row.raw, bool):
            raise refused("raw", row.raw, "true or false")
        model = self._model_of(row)
        fields = self._fields(row, model.facts)
        asked: ModelInput
        if row.raw or model.known is None:
            asked = RawInput(model.slug, fields)
        else:
            fields = with_files(fields, model.facts, self.place.folder)
            asked = typed_input(model.slug, model.known, fields)
        digest = self.keys.digest_of(asked)
        key = self.keys.key(row.id, digest, line)
        return Request(key=key, input=asked, line=line, sha256=digest.hex())

    def _model_of(self, row: Row) -> Model:
        model = self.model if row.model is None else model_named(row.model, is_raw=bool(row.raw))
        if model is None:
            raise missing("model", "a slug, in the line or as model= for all of them")
        if model.known is None and not row.raw and model.slug not in already_warned:
            warnings.warn(
                f"{quoted(model.slug)} is no model that this version knows: its input is sent "
                'unchecked ("raw": true says that this is meant)',
                UnknownModelWarning,
                stacklevel=2,
            )
            already_warned.add(model.slug)
        return model

    def _fields(self, row: Row, known: Mapping[str, FieldFacts]) -> dict[str, object]:
        """The fields that a row and the defaults give, without what only a prompt needs."""
        fields = {**self.defaults, **row.fields}
        for name, cell in row.cells.items():
            fields[name] = typed(cell, known[name]) if name in known else cell
        prompt = fields.get("prompt")
        is_default = "prompt" not in row.fields and "prompt" not in row.cells
        spare = self.template_columns
        if isinstance(prompt, str) and (is_default or row.has_template):
            fields["prompt"], used = fill(prompt, row.columns())
            spare = spare | used
        if not spare:
            return fields
        return {name: value for name, value in fields.items() if name in known or name not in spare}

    # --- which columns a table may have ----------------------------------------------------

    def _judge_columns(self, table: Csv | Parquet) -> Cells:
        """The rows of a table all whose columns are fields, or used by some prompt; else raise."""
        model = None if "model" in table.header else self._model_of_all()
        if model is not None and model.known is None:
            return table.rows()
        fields = fields_of_all() if model is None else model.facts.keys()
        self.template_columns = names_in(self.defaults.get("prompt")) - fields
        doubtful = set(table.header) - NAMES - fields - self.template_columns
        if not doubtful:
            return table.rows()
        if self.place.is_rereadable:
            with self.place.opened() as again:
                left = self._unexplained(doubtful, self._open_table(again).rows())
            rows = table.rows()
        else:
            rows = table.rows()
            first = list(islice(rows, 1))
            left = self._unexplained(doubtful, first)
            rows = chain(first, rows)
        if left:
            of = model.known.__name__ if model is not None and model.known else "a model"
            raise _unknown_columns(self.place.name, sorted(left), of, fields)
        return rows

    def _model_of_all(self) -> Model:
        if self.model is None:
            raise InputError(
                f"{self.place.name} has no column for the model, and no model= was given",
                field="model",
                allowed="a column `model`, or model= for all rows",
            )
        return self.model

    def _unexplained(self, doubtful: Set[str], rows: Iterable[NumberedCells]) -> Set[str]:
        """What is left of the doubtful columns when rows have been found that use the others."""
        left = doubtful
        for _, cells in rows:
            if isinstance(cells, InputError):
                continue
            used = names_in(cells.get("prompt")) & left
            self.template_columns |= used
            left -= used
            if _takes_anything(cells):
                left -= cells.keys()
            if not left:
                break
        return left


def _unit(format: Format) -> str:
    return "row" if format == "parquet" else "line"


def _takes_anything(cells: Mapping[str, object]) -> bool:
    """Whether the row of a table names a model whose fields are not checked."""
    model = cells.get("model")
    is_unknown = isinstance(model, str) and not is_known(model)
    return is_unknown or boolean(cells.get("raw")) is True


def _unknown_columns(place: str, names: list[str], of: str, fields: Set[str]) -> InputError:
    are = "is neither a field" if len(names) == 1 else "are neither fields"
    return InputError(
        f"{place}: the column{'s' * (len(names) > 1)} {listed(names)} {are} of {of} "
        f"nor used in a prompt{did_you_mean(names, fields | NAMES)}",
        field=names[0],
        allowed="id, model, raw, input, the fields of the model, and what prompts name in {}",
    )
