"""
Rows that somebody else has read, a block at a time, such as those of a dataset of Ray.

The same columns and rules as in a batch file, but for two: nobody sees all the rows, so two rows
without an id that ask for the same are one request; and columns that are not the model's are named
beforehand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attrs import evolve, field, frozen

from liangxin._errors import InputError
from liangxin._tasks import ModelInput
from liangxin.batch._reading.cells import table_row
from liangxin.batch._reading.errors import attempt, missing
from liangxin.batch._reading.keys import Keys
from liangxin.batch._reading.known_models import (
    Model,
    fields_of_all,
    model_named,
    require_known,
)
from liangxin.batch._reading.names import did_you_mean, listed
from liangxin.batch._reading.places import Place
from liangxin.batch._reading.reader import Reader
from liangxin.batch._reading.requests import Request
from liangxin.batch._reading.rows import NAMES
from liangxin.batch._reading.tables import filled


@frozen(kw_only=True)
class Records:
    """How the rows of a dataset are read: `key` is the column of the ids, `keep` are not sent."""

    model: str | type[ModelInput] | None
    defaults: Mapping[str, object]
    key: str
    keep: Collection[str]
    _model: Model | None = field(init=False)
    """That of rows which name none, with the slug that is configured here."""

    def __attrs_post_init__(self) -> None:
        model = None if self.model is None else model_named(self.model)
        if model is not None and model.known is not None:
            require_known(model.known, self.defaults)
        object.__setattr__(self, "_model", model)

    def judge_columns(self, columns: Iterable[str]) -> None:
        """Raise for a column that is no field of the model and not kept."""
        names = set(columns)
        if self.key not in names and self.key != "id":
            raise missing("key", f"the name of a column; the dataset has {listed(sorted(names))}")
        if "model" not in names and self.model is None:
            raise missing("model", "a slug, for all rows, or a column of that name")
        model = None if "model" in names else self._model
        if model is not None and model.known is None:
            return
        fields = fields_of_all() if model is None else model.facts.keys()
        sent = sorted(fields & set(self.keep))
        if sent:
            raise InputError(
                f"keep= names {listed(sent)}, which is a field of the model: leave it out to send "
                "it, or give the column another name",
                field="keep",
                value=self.keep,
                allowed="columns that are no fields",
            )
        unknown = sorted(names - fields - NAMES - {self.key, *self.keep})
        if unknown:
            raise InputError(
                f"the dataset's {listed(unknown)} would be sent, and no model has such a field"
                f"{did_you_mean(unknown, fields)}; name what only passes through in keep=",
                field=unknown[0],
                allowed="id, model, raw, input, the fields of the model, and what keep= names",
            )

    def requests(self, records: Iterable[Mapping[str, object]]) -> list[Request | InputError]:
        """What each row of a block asks for, or what is wrong with it."""
        reader = Reader(
            Place("the dataset"),
            "parquet",
            self._model,
            self.defaults,
            Keys("row"),
            template_columns=frozenset(self.keep),
        )
        return [self._request(reader, *each) for each in enumerate(records, 1)]

    def _request(
        self, reader: Reader, number: int, record: Mapping[str, object]
    ) -> Request | InputError:
        cells = filled(record)
        if self.key != "id":
            cells.pop("id", None)
            if self.key in cells:
                cells["id"] = cells.pop(self.key)
        request = reader.judged(number, attempt(table_row, cells))
        has_id = "id" in cells or "custom_id" in cells
        if isinstance(request, InputError) or has_id or request.sha256 is None:
            return request
        return evolve(request, key=f"sha256:{request.sha256[:16]}")
