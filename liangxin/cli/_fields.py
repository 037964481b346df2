"""
The fields of a model as options: what each takes is in its help, and completes in a shell.

Text is turned into what JSON has, and judged by nobody here: the model's own class says what is
wrong with a value, before anything is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from liangxin._text import quoted
from liangxin.models import FieldFacts, ModelFacts
from liangxin.models._table import FieldRow, field_rows

_PREFIX = "field_"
_TYPES = {"string": "text", "string[]": "text", "object": "json", "object[]": "json"}
_ADDRESSES = ("http://", "https://", "data:")


def field_options(known: ModelFacts) -> Iterator[click.Option]:
    """An option for each field, in the order of the documentation."""
    told = _told(field_rows(known))
    for fact in known.fields:
        option = f"--{fact.name.replace('_', '-')}"
        names = [_PREFIX + fact.name, option]
        if fact.type == "boolean":
            names[1] = f"{option}/--no-{option[2:]}"
            yield click.Option(names, default=None, help=told[fact.name])
            continue
        if fact.name == "prompt":
            names.append("-p")
        yield click.Option(
            names, type=Value(fact), multiple=fact.type.endswith("[]"), help=told[fact.name]
        )


def fields_of(options: dict[str, Any]) -> dict[str, object]:
    """Take the fields that were given out of the options."""
    names = [name for name in options if name.startswith(_PREFIX)]
    given = {name.removeprefix(_PREFIX): options.pop(name) for name in names}
    return {name: value for name, value in given.items() if value not in (None, ())}


def _told(rows: Iterable[FieldRow]) -> dict[str, str]:
    """The help of each field: who says what about it."""
    told: dict[str, str] = {}
    name = ""
    for row in rows:
        name = row.field or name
        default = f"default {row.default}" if row.default else ""
        said = "; ".join(part for part in (row.takes, default, row.notes.rstrip(".")) if part)
        sentence = f"{row.known.capitalize()}{': ' if said else ''}{said}."
        told[name] = f"{told[name]} {sentence}" if name in told else sentence
    return told


class Value(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """One value of a field."""

    def __init__(self, fact: FieldFacts) -> None:
        self._fact = fact
        self.name = "file|url" if fact.media else _TYPES.get(fact.type, fact.type)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        text = str(value)
        if self._fact.media is not None:
            return self._medium(text, param, ctx)
        if self._fact.type in ("object", "object[]"):
            return read_json(text, param)
        if self._fact.type in ("integer", "number"):
            return as_json(text)
        return text

    def _medium(
        self, text: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        if text.lower().startswith(_ADDRESSES):
            return text
        path = Path(text)
        if not path.is_file():
            self.fail(f"{quoted(text)} is neither a file nor a web address", param, ctx)
        return path

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        if self._fact.media is not None:
            return [CompletionItem(incomplete, type="file")]
        guessed = self._fact.inferred
        words = [*self._fact.choices, *self._fact.aliases]
        if guessed is not None:
            words += [*guessed.choices, *guessed.aliases]
        return [CompletionItem(word) for word in map(str, words) if word.startswith(incomplete)]


# --- text as JSON ----------------------------------------------------------------------------


def as_json(text: str) -> object:
    """What the text is in JSON, or the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_json(text: str, param: click.Parameter | None = None) -> object:
    """The JSON that is given, or that is in the file after an `@`."""
    try:
        return json.loads(Path(text[1:]).read_text("utf-8") if text.startswith("@") else text)
    except (OSError, ValueError) as error:
        reason = f"{quoted(text)} is neither JSON nor @ and a file of it: {error}"
        raise click.BadParameter(reason, param=param) from error


def pairs(given: Iterable[str], option: str) -> dict[str, object]:
    """Fields that are given as FIELD=VALUE, where a value that is no JSON is text."""
    fields: dict[str, object] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise click.UsageError(f"{option} takes FIELD=VALUE, not {quoted(each)}")
        fields[name] = as_json(value)
    return fields


def read_object(text: str | None) -> Mapping[str, object]:
    """The fields of `--input`."""
    fields = {} if text is None else read_json(text)
    if not isinstance(fields, dict):
        raise click.UsageError(f"--input takes an object of fields, not {quoted(fields)}")
    return fields
