"""
A model's input as a JSON Schema (draft 2020-12), for forms, agents and other languages.

A documented limit is a keyword of the schema.  An inferred one stands beside it under
`x-liangxin-inferred`, where validators do not look, or is a keyword too if `strict`: a schema
accepts what the class accepts, in silence or with a warning, and the strict schema what it accepts
under `strict=True`.  What JSON Schema cannot say is in words under `x-liangxin-rules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from liangxin._errors import InputError
from liangxin._tasks import ModelInput
from liangxin._text import quoted
from liangxin.models._catalogue import ModelFacts, model_facts
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import (
    AllOrNone,
    AtMostTogether,
    FieldFacts,
    FieldType,
    Limits,
    NeedsOne,
    PictureReferences,
    Rule,
)

Schema: TypeAlias = dict[str, object]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES: dict[FieldType, Schema] = {
    "string[]": {"type": "array", "items": {"type": "string"}},
    "object[]": {"type": "array", "items": {"type": "object"}},
}


def json_schema(model: type[ModelInput], *, strict: bool = False) -> dict[str, object]:
    """
    Return the JSON Schema (draft 2020-12) of a model's `input`.

    Documented limits are keywords; inferred ones are notes under `x-liangxin-inferred`, or
    keywords too if `strict`.  Which fields there are, their types and which are required is
    always said by keywords, as the class has it; `x-liangxin-provenance` tells who says so.
    Fields for `extra` are not among them.
    """
    if not (isinstance(model, type) and issubclass(model, CheckedInput)):
        raise InputError(
            f"model must be a class of liangxin.models, not {quoted(model)}",
            field="model",
            value=model,
            allowed="a class of liangxin.models",
        )
    known = model_facts(model)
    schema: Schema = {
        "$schema": DIALECT,
        "title": known.title,
        "description": known.summary,
        "type": "object",
        "properties": {field.name: _field(field, strict) for field in known.fields},
        "required": [field.name for field in known.fields if field.required],
        "additionalProperties": False,
        **_about(known),
    }
    for rule in model.rules:
        if strict or rule.provenance == "documented":
            _add_rule(schema, rule, strict)
    return schema


def _about(known: ModelFacts) -> Schema:
    """What the schema's readers should know, and no keyword says."""
    about: Schema = {
        "x-liangxin-model": known.name,
        "x-liangxin-slug": known.slug,
        "x-liangxin-slug-provenance": known.slug_provenance,
    }
    if known.slug is None:
        about["x-liangxin-slug-guess"] = known.slug_guess
    if known.rules:
        about["x-liangxin-rules"] = [
            {"words": rule.words, "provenance": rule.provenance} for rule in known.rules
        ]
    return about


def _field(fact: FieldFacts, strict: bool) -> Schema:
    schema: Schema = {**_TYPES.get(fact.type, {"type": fact.type})}
    notes = [limits.notes for limits in (fact, fact.inferred) if limits and limits.notes]
    if notes:
        schema["description"] = " ".join(notes)
    own, guessed = _limits(fact, fact.type), _limits(fact.inferred or Limits(), fact.type)
    if fact.choices:
        # The class accepts in silence what is only guessed to be taken beside documented words.
        own["enum"] = [*dict.fromkeys([*_words(fact), *_words(fact.inferred or Limits())])]
    if fact.provenance == "inferred":
        own, guessed = {}, {**own, **guessed}
    schema |= own
    if strict:
        schema |= {**guessed, **own}
    schema["x-liangxin-provenance"] = fact.provenance
    schema["x-liangxin-source"] = fact.source
    if guessed:
        schema["x-liangxin-inferred"] = guessed
    if fact.media:
        schema["x-liangxin-media"] = fact.media
    return schema


def _words(limits: Limits) -> list[str | int]:
    return [*limits.choices, *limits.aliases]


def _limits(limits: Limits, kind: FieldType) -> Schema:
    keywords: Schema = {
        "default": limits.default,
        "enum": _words(limits) or None,
        "minimum": limits.minimum,
        "maximum": limits.maximum,
        "minLength": limits.min_length,
        "maxLength": limits.max_length,
        "minItems": limits.min_items,
        "maxItems": limits.max_items,
    }
    return {name: value for name, value in keywords.items() if value is not None}


# --- rules over several fields -----------------------------------------------------------------


def _add_rule(schema: Schema, rule: Rule, strict: bool) -> None:
    """Write a rule in keywords, as far as there are any."""
    properties = schema["properties"]
    assert isinstance(properties, dict)
    match rule:
        case AllOrNone(fields):
            others = {name: [each for each in fields if each != name] for name in fields}
            schema["dependentRequired"] = others
        case NeedsOne(fields):
            schema["anyOf"] = [_present(name, properties[name]["type"]) for name in fields]
        case AtMostTogether([name], maximum):
            properties[name]["maxItems"] = maximum
        case PictureReferences(fields):
            pattern = _reference_pattern(rule, strict)
            for name in fields:
                properties[name]["items"] = {"type": "string", "pattern": pattern}


def _present(name: str, kind: object) -> Schema:
    """That a field is there, and not empty."""
    least = {"string": "minLength", "array": "minItems"}[str(kind)]
    return {"required": [name], "properties": {name: {least: 1}}}


def _reference_pattern(rule: PictureReferences, strict: bool) -> str:
    spelled = () if strict else (suffix.replace(".", "image/") for suffix in rule.suffixes)
    types = _any_of(dict.fromkeys((*rule.media_types, *spelled)))
    suffixes = _any_of(rule.suffixes)
    web = f"{_any_case('http')}[sS]?://"
    by_path = rf"{web}[^?#]*{suffixes}([?#][\s\S]*)?"
    by_end = rf"{web}[\s\S]*{suffixes}"
    inline = rf"{_any_case('data:')}{types}(;[^,]*)?,[\s\S]+"
    return f"^({by_path}|{by_end}|{inline})$"


def _any_of(words: Iterable[str]) -> str:
    return "(" + "|".join(_any_case(word) for word in words) + ")"


def _any_case(word: str) -> str:
    """A pattern for a word in capitals or not; patterns in JSON Schema have no flags."""
    return "".join(
        f"[{char}{char.upper()}]" if char.isalpha() else char.replace(".", "\\.") for char in word
    )
