"""
Every model class against the collected facts about the service, field by field.

The facts lie beside the repository, in `../shared/api/models.json`; without them these tests are
skipped.  The docstrings are held against the classes themselves, always.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from liangxin import models
from liangxin._errors import InputError
from liangxin._tasks import ModelInput
from liangxin.models import facts
from liangxin.models._catalogue import model_facts
from liangxin.models._checks import CheckedInput
from liangxin.models._known import FAMILY_OF
from liangxin.models._rules import (
    AllOrNone,
    AtMostTogether,
    FieldFacts,
    Limits,
    NeedsOne,
    PictureReferences,
    Rule,
    SecondsTogether,
    TakesPrecedence,
)

FACTS = Path(__file__).parents[2].parent / "shared" / "api" / "models.json"
needs_facts = pytest.mark.skipif(not FACTS.exists(), reason=f"no collected facts at {FACTS}")

MODELS: list[type[CheckedInput]] = [getattr(models, name) for name in models.__all__]
FIELDS = [(model, name) for model in MODELS for name in facts(model)]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
each_field = pytest.mark.parametrize(
    ("model", "name"), FIELDS, ids=[f"{model.__name__}.{name}" for model, name in FIELDS]
)

LIMITS = {
    "default": "default",
    "enum": "choices",
    "aliases": "aliases",
    "min": "minimum",
    "max": "maximum",
    "min_length": "min_length",
    "max_length": "max_length",
    "min_items": "min_items",
    "max_items": "max_items",
    "required": "required",
}
"""The name of each limit in the collected facts, and in `Limits`."""

NOT_LIMITS = {"source", "note", "output_size"}
"""What inferred facts say beside limits."""

_EITHER_PROMPT = (
    NeedsOne(("prompt", "multi_prompt"), provenance="inferred"),
    "stands in words under prompt, not among the constraints",
)
_SHOTS = (
    SecondsTogether("multi_prompt", 15, provenance="inferred"),
    "stands in words under multi_prompt: all shots together at most 15 s",
)
_REFERENCES = (
    AtMostTogether(("image_urls", "elements"), 4, provenance="inferred", of="references"),
    "stands in words under image_urls: counted together with elements, 4 in all",
)
RULES_FROM_NOTES: dict[type[CheckedInput], list[tuple[Rule, str]]] = {
    models.SeedreamV45Edit: [
        (
            AtMostTogether(("reference_images",), 5),
            "the field is inferred, but its note says that LiangXin's page documents the maximum",
        )
    ],
    models.KlingV3Pro: [_EITHER_PROMPT, _SHOTS],
    models.KlingV3Std: [_EITHER_PROMPT, _SHOTS],
    models.KlingV3OmniPro: [_EITHER_PROMPT, _REFERENCES],
    models.KlingV3OmniStd: [_EITHER_PROMPT, _REFERENCES],
}
"""Rules that the collected facts state elsewhere than in `constraints`, and where."""

KEYS_UNLIKE_NAMES = {
    "runway-4-5-text-to-video": "RunwayGen45TextToVideo",
    "runway-4-5-image-to-video": "RunwayGen45ImageToVideo",
}
"""Two keys leave out the Gen of the titles, "Runway Gen 4.5 - …"."""


@cache
def collected() -> dict[str, dict[str, Any]]:
    """The collected facts, by the name of the class: that of the key, without its dashes."""
    names = {name.lower(): name for name in models.__all__}
    every = json.loads(FACTS.read_text(encoding="utf-8"))
    return {
        KEYS_UNLIKE_NAMES.get(entry["key"]) or names[re.sub(r"\W", "", entry["key"])]: entry
        for entry in every
    }


def entries(model: type[CheckedInput]) -> list[dict[str, Any]]:
    """The fields of a model's `input`."""
    fields = collected()[model.__name__]["fields"]
    return [field for field in fields if field["path"].startswith("input.")]


def entry(model: type[CheckedInput], name: str) -> dict[str, Any]:
    [found] = [f for f in entries(model) if f["name"] == name]
    return found


def normal(limit: str, value: Any) -> object:
    """A limit in one form: None, empty and false mean that nothing is stated."""
    if limit in ("enum", "choices"):
        return tuple(value or ())
    if limit == "aliases":
        return dict(value or {})
    if limit == "required":
        return bool(value)
    return (type(value).__name__, value) if limit == "default" else value


# --- the list of models ------------------------------------------------------------------------


@needs_facts
def test_there_is_one_class_for_each_model_in_the_same_order() -> None:
    assert list(FAMILY_OF) == list(collected())
    assert sorted(models.__all__) == sorted(FAMILY_OF)
    assert len(MODELS) == 35


@needs_facts
@each_model
def test_a_class_says_of_its_model_what_is_known(model: type[CheckedInput]) -> None:
    known = collected()[model.__name__]
    for name in ("slug_provenance", "slug_guess", "title", "kind", "family", "operation", "page"):
        assert getattr(model, name) == known[name], name
    is_documented = known["slug_provenance"] == "documented"
    assert model.documented_slug == (known["slug"] if is_documented else None)


@needs_facts
@each_model
def test_how_much_of_a_model_is_documented_follows_from_its_fields(
    model: type[CheckedInput],
) -> None:
    known, ours = collected()[model.__name__], model_facts(model)
    assert (ours.provenance, ours.coverage) == (known["provenance"], known["coverage"])


@each_model
def test_a_class_is_a_model_input_that_takes_keywords_only(model: type[CheckedInput]) -> None:
    assert issubclass(model, ModelInput)
    with pytest.raises(TypeError, match="positional"):
        model("a lighthouse")  # type: ignore[call-arg]  # the point


# --- the fields --------------------------------------------------------------------------------


@needs_facts
@each_model
def test_the_fields_are_those_documented_in_that_order(model: type[CheckedInput]) -> None:
    assert list(facts(model)) == [field["name"] for field in entries(model)]


@needs_facts
@each_field
def test_a_field_has_its_type_and_provenance(model: type[CheckedInput], name: str) -> None:
    fact, known = facts(model)[name], entry(model, name)
    assert fact.name == name
    assert (fact.type, fact.provenance) == (known["type"], known["provenance"])


@needs_facts
@each_field
def test_a_field_has_its_limits(model: type[CheckedInput], name: str) -> None:
    fact, known = facts(model)[name], entry(model, name)
    for theirs, ours in LIMITS.items():
        assert normal(ours, getattr(fact, ours)) == normal(theirs, known[theirs]), ours


@needs_facts
@each_field
def test_what_is_inferred_of_a_field_stands_apart(model: type[CheckedInput], name: str) -> None:
    fact, known = facts(model)[name], entry(model, name)
    guessed = dict(known.get("inferred", {}))
    assert set(guessed) <= {*LIMITS, *NOT_LIMITS}
    if known["provenance"] == "inferred":
        # Of a field that is inferred itself, nothing has to be said twice.
        guessed = {limit: value for limit, value in guessed.items() if value != known.get(limit)}
    if guessed.get("aliases") == "one-to-one by ratio":
        guessed["aliases"] = known["aliases"]
    if isinstance(guessed.get("required"), str):
        # A condition on other fields: held by a rule, see RULES_FROM_NOTES.
        assert model in RULES_FROM_NOTES
        del guessed["required"]
    ours_guessed = fact.inferred or Limits()
    for theirs, ours in LIMITS.items():
        expected = normal(theirs, guessed.get(theirs))
        assert normal(ours, getattr(ours_guessed, ours)) == expected, ours


@needs_facts
@each_field
def test_a_field_names_its_source(model: type[CheckedInput], name: str) -> None:
    fact, known = facts(model)[name], entry(model, name)
    if fact.provenance == "documented":
        assert fact.source == model.page
        assert f"docs.liangxin.ai{model.page} " in known["source"]
    else:
        assert "Magnific" in fact.source
        assert "Magnific" in known["source"]
        assert ("imagen4-ultra" in fact.source) == ("imagen4-ultra" in known["source"])


# --- rules over several fields -----------------------------------------------------------------


def as_constraint(rule: Rule) -> dict[str, object]:
    """A rule in the form of the collected facts."""

    def paths(names: tuple[str, ...]) -> list[str]:
        return [f"input.{name}" for name in names]

    match rule:
        case AtMostTogether(fields, maximum, provenance):
            said: dict[str, object] = {"type": "combined_max_items", "fields": paths(fields)}
            return {**said, "max": maximum, "provenance": provenance}
        case NeedsOne(fields, provenance):
            said = {"type": "combined_min_items", "fields": paths(fields), "min": 1}
            return {**said, "provenance": provenance}
        case AllOrNone(fields, provenance):
            return {"type": "all_or_none", "fields": paths(fields), "provenance": provenance}
        case TakesPrecedence(winner, over, provenance):
            said = {"type": "precedence", "winner": f"input.{winner}", "over": f"input.{over}"}
            return {**said, "provenance": provenance}
        case PictureReferences(fields, suffixes, media_types, provenance):
            said = {"type": "image_ref_format", "fields": paths(fields), "provenance": provenance}
            return {**said, "url_suffixes": [*suffixes], "data_uri_types": [*media_types]}
    raise AssertionError(f"the collected facts have no constraint like {rule}")


def stated_constraints(model: type[CheckedInput]) -> Iterator[dict[str, object]]:
    for constraint in collected()[model.__name__]["constraints"]:
        if constraint["type"] != "reject_unknown_enum":  # has a test of its own
            beside = ("http_status", "data_uri_types_note")
            yield {key: value for key, value in constraint.items() if key not in beside}


def by_type(constraint: dict[str, object]) -> str:
    return str(constraint["type"])


@needs_facts
@each_model
def test_the_rules_are_the_stated_constraints(model: type[CheckedInput]) -> None:
    from_notes = [rule for rule, _ in RULES_FROM_NOTES.get(model, [])]
    assert all(rule in model.rules for rule in from_notes)
    ours = [as_constraint(rule) for rule in model.rules if rule not in from_notes]
    assert sorted(ours, key=by_type) == sorted(stated_constraints(model), key=by_type)


@needs_facts
def test_a_field_that_rejects_unknown_words_refuses_one() -> None:
    closed = [
        (model, constraint["field"].removeprefix("input."))
        for model in MODELS
        for constraint in collected()[model.__name__]["constraints"]
        if constraint["type"] == "reject_unknown_enum"
    ]
    assert closed == [(models.SeedreamV45, "aspect_ratio")]
    for model, name in closed:
        fields: dict[str, Any] = {"prompt": "a lighthouse", name: "unknown"}
        with pytest.raises(InputError) as refused:
            model(**fields)
        assert refused.value.field == name


@needs_facts
@each_model
def test_the_example_of_each_model_goes_out_as_it_is(model: type[CheckedInput]) -> None:
    example = collected()[model.__name__]["example"]["input"]
    sent = model(**example, slug="named").payload()
    assert list(sent.items()) == list(example.items())


# --- what the docstrings claim ------------------------------------------------------------------


def claims(model: type[CheckedInput]) -> dict[str, str]:
    """What the docstring says of each field, whole entries by name of field."""
    said: dict[str, str] = {}
    for item in re.findall(r"^- (.+(?:\n  .+)*)", _dedented(model), re.M):
        names, _, claim = item.partition(": ")
        for name in re.findall(r"`(\w+)`", names):
            said[name] = claim
    return said


def _dedented(model: type[CheckedInput]) -> str:
    return re.sub(r"^    ", "", model.__doc__ or "", flags=re.M)


@each_model
def test_the_docstring_lists_every_field_in_order(model: type[CheckedInput]) -> None:
    assert list(claims(model)) == list(facts(model))


@each_field
def test_the_docstring_never_claims_the_inferred_as_documented(
    model: type[CheckedInput], name: str
) -> None:
    fact = facts(model)[name]
    claim = claims(model)[name]
    assert claim.startswith(fact.provenance)
    before, _, after = claim.partition("inferred: ")
    if fact.provenance == "inferred":
        assert all(number in claim for number in _numbers(fact))
    for number in _numbers(fact.inferred):
        if fact.provenance == "documented":
            assert number in after
            assert number not in before
        else:
            assert number in claim


def _numbers(limits: FieldFacts | Limits | None) -> list[str]:
    """The limits above one, as a docstring writes them."""
    if limits is None:
        return []
    every = (limits.maximum, limits.max_length, limits.max_items)
    return [str(limit) for limit in every if limit is not None]


@each_model
def test_the_docstring_names_the_page(model: type[CheckedInput]) -> None:
    assert f"Page: {model.page or 'none is known.'}\n" in _dedented(model)


@each_model
def test_the_docstring_says_how_to_name_a_model_whose_slug_is_not_documented(
    model: type[CheckedInput],
) -> None:
    words = " ".join((model.__doc__ or "").split())
    told = "say it by `slug=` or `models.configure`" in words
    assert told == (model.documented_slug is None) == (model.slug_provenance != "documented")
