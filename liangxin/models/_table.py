"""What is known about a model as rows of text: for terminals, and for pages of documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from liangxin.models._catalogue import ModelFacts
from liangxin.models._checks import spans
from liangxin.models._rules import FieldFacts, FieldType, Limits


class FieldRow(NamedTuple):
    """
    One row about one field: what is documented of it, or what is inferred.

    A documented field of which more is inferred has a row for each, the second without a name.
    """

    field: str
    type: str
    takes: str
    default: str
    known: str
    notes: str


def field_rows(known: ModelFacts) -> Iterator[FieldRow]:
    """The rows of all fields, in the order of the documentation."""
    for fact in known.fields:
        takes = (_needed(fact), *_limits(fact, fact.type), _media(fact))
        yield _row(fact.name, fact.type, takes, fact, fact.provenance)
        guessed = fact.inferred
        if guessed is not None:
            takes = ("required" if guessed.required else "", *_limits(guessed, fact.type))
            row = _row("", "", takes, guessed, "inferred")
            if row.takes or row.default or row.notes:
                yield row


def slug_row(known: ModelFacts) -> tuple[str, str]:
    """The slug of a model, and how it is known; a guess where nothing better is."""
    if known.slug is not None:
        return known.slug, known.slug_provenance
    return (known.slug_guess, "a guess") if known.slug_guess else ("", "unknown")


def documented_share(known: ModelFacts) -> str:
    """How many of a model's fields are documented."""
    documented = sum(field.provenance == "documented" for field in known.fields)
    return f"{documented} of {len(known.fields)}"


def _row(name: str, kind: str, takes: Iterable[str], limits: Limits, known: str) -> FieldRow:
    default = "" if limits.default is None else repr(limits.default)
    words = ", ".join(part for part in takes if part)
    return FieldRow(name, kind, words, default, known, limits.notes)


def _needed(fact: FieldFacts) -> str:
    is_guess = fact.inferred is not None and fact.inferred.required
    return "required" if fact.required and not is_guess else ""


def _limits(limits: Limits, kind: FieldType) -> Iterator[str]:
    """The limits in words."""
    yield from (span.allowed for span in spans(limits, kind, "inferred"))
    yield " ".join(map(repr, limits.choices))
    yield " ".join(
        repr(name) if meant is None else f"{name!r} (for {meant!r})"
        for name, meant in limits.aliases.items()
    )


def _media(fact: FieldFacts) -> str:
    if fact.media is None:
        return ""
    inline = {None: "", "documented": " or data URI", "inferred": " or (inferred) data URI"}
    return f"{fact.media} address{inline[fact.data_uri]}"
