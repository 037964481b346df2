"""What a line says, whatever its format, before it is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TypeAlias

from attrs import frozen

from liangxin._errors import InputError

NOTHING: Mapping[str, object] = MappingProxyType({})
NAMES = frozenset({"id", "custom_id", "model", "raw", "input"})
"""What a line may say beside the model's fields."""


@frozen
class Row:
    """What a line says, whatever its format."""

    fields: Mapping[str, object]
    """Of the model, in the types that they have."""
    cells: Mapping[str, object] = NOTHING
    """Columns of a table: fields in the types that a table has, and what prompts need."""
    has_template: bool = False
    """Whether its own prompt may name columns."""
    id: object = None
    model: object = None
    raw: object = None

    def columns(self) -> dict[str, object]:
        """What a template may use."""
        named = {"id": self.id, "custom_id": self.id, "model": self.model}
        columns = {**named, **self.fields, **self.cells}
        columns.pop("prompt", None)
        return columns


Rows: TypeAlias = Iterator[tuple[int, Row | InputError]]


def id_of(said: Mapping[str, object]) -> object:
    """The id of a line, under either of its two names, as it stands there."""
    if said.get("id") is not None and said.get("custom_id") is not None:
        raise InputError("there is an id and a custom_id", field="id", allowed="one of the two")
    return said.get("id") if said.get("custom_id") is None else said["custom_id"]
