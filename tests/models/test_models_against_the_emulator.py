"""
The classes beside the emulator's own checker, which was written separately, as a table.

What a class allows, the emulator accepts, as the bytes that go over the wire.  What breaks one
limit, the class refuses before anything is sent, and the emulator with 400 or 422; an inferred
limit is one under `strict=True`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import liangxin
from liangxin import RawInput, models
from liangxin._errors import InputError
from liangxin._wire import create_request
from liangxin.emulator import GUESSED_SLUGS, Emulator
from liangxin.emulator._answers import Refused
from liangxin.emulator._catalogue import CATALOGUE
from liangxin.emulator._orders import read_order
from liangxin.models import facts
from liangxin.models._checks import CheckedInput
from liangxin.models._known import classes
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
from tests.models.strategies import MODELS, each_model, few_examples, inputs

WORDS = "a lighthouse in fog"
MEDIA = {"image": "https://example.com/a.png", "video": "https://example.com/a.mp4"}


@pytest.fixture(autouse=True)
def _slugs_of_the_emulator() -> None:
    models.configure(GUESSED_SLUGS)


def accepts(slug: str, fields: dict[str, Any]) -> bool:
    """Whether the emulator accepts the bytes of a create; it refuses with 400 or 422."""
    request = create_request(RawInput(slug, fields), client_ref="r")
    try:
        read_order(request.body)
    except Refused as refusal:
        if refusal.answer.status not in (400, 422):
            raise
        return False
    return True


def test_the_emulator_serves_the_models_that_there_are_classes_for() -> None:
    known = {model.name: model for model in CATALOGUE.values()}
    assert sorted(known) == sorted(models.__all__)
    for name, model in classes().items():
        assert known[name].kind == model.kind
        assert known[name].source == model.slug_provenance.replace("unknown", "guessed")
        expected = model.documented_slug or model.slug_guess
        assert expected in (None, known[name].slug)
        assert (name in GUESSED_SLUGS) == (model.documented_slug is None)


@each_model
@few_examples
@given(data=st.data())
def test_the_emulator_accepts_what_a_class_allows(
    model: type[CheckedInput], data: st.DataObject
) -> None:
    fields = data.draw(inputs(model))
    if not str(fields.get("prompt", WORDS)).strip():
        # "Must not be empty" is documented; that blanks are not enough is the emulator's reading.
        fields["prompt"] = WORDS
    made = model(**fields, strict=True)
    body = create_request(made, client_ref="r").body
    order = read_order(body)
    assert order.model.name == model.__name__
    assert order.input == json.loads(body)["input"] == made.payload()


# --- what breaks one limit ---------------------------------------------------------------------


def plain(model: type[CheckedInput]) -> dict[str, Any]:
    """The least that a model takes."""
    fields = {name: some(fact) for name, fact in facts(model).items() if fact.required}
    for rule in model.rules:
        if isinstance(rule, NeedsOne):
            [name, *_] = rule.fields
            fields[name] = some(facts(model)[name])
    return fields


def some(fact: FieldFacts) -> Any:
    reference = MEDIA.get(fact.media or "", WORDS)
    match fact.type:
        case "string[]":
            return [reference]
        case "object":
            return {"uri": MEDIA["video"]}
    return reference


def broken(model: type[CheckedInput]) -> Iterator[tuple[str, dict[str, Any]]]:
    """For every limit and rule of a model, its name, and fields that break just that."""
    for name, fact in facts(model).items():
        yield f"{name}: type", {name: wrong_type(fact)}
        for limits in (fact, fact.inferred or Limits()):
            for limit, value in beyond(fact, limits):
                yield f"{name}: {limit}", {name: value}
        if fact.required:
            yield f"{name}: required", {name: None}
    for rule in model.rules:
        for fields in against(model, rule):
            yield type(rule).__name__, fields


def wrong_type(fact: FieldFacts) -> Any:
    return 7 if fact.type in ("string", "string[]", "object", "object[]", "boolean") else "7"


def beyond(fact: FieldFacts, limits: Limits) -> Iterator[tuple[str, Any]]:
    """Values that are just beyond each limit."""
    if limits.choices or limits.aliases:
        yield "choices", -99 if fact.type == "integer" else "no such word"
    if limits.minimum is not None:
        yield "minimum", limits.minimum - 1
    if limits.maximum is not None:
        yield "maximum", limits.maximum + 1
    if limits.min_length:
        yield "min_length", "x" * (limits.min_length - 1)
    if limits.max_length:
        yield "max_length", "x" * (limits.max_length + 1)
    item = {"prompt": WORDS} if fact.type == "object[]" else MEDIA.get(fact.media or "", WORDS)
    if limits.min_items:
        yield "min_items", [item] * (limits.min_items - 1)
    if limits.max_items:
        yield "max_items", [item] * (limits.max_items + 1)


def against(model: type[CheckedInput], rule: Rule) -> Iterator[dict[str, Any]]:
    match rule:
        case AllOrNone([first, second]):
            yield {first: 512}
            yield {second: 512}
        case AtMostTogether(names, maximum):
            yield too_many(model, names, maximum)
        case NeedsOne(names):
            yield dict.fromkeys(names)
        case SecondsTogether(name, maximum):
            yield {name: [{"duration": "1"}, {"duration": str(maximum)}]}
        case PictureReferences(names):
            yield from ({name: [MEDIA["video"]]} for name in names)
            yield from ({name: ["data:image/gif;base64,R0lGODlh"]} for name in names)
        case TakesPrecedence():
            pass


def too_many(model: type[CheckedInput], names: tuple[str, ...], maximum: int) -> dict[str, Any]:
    """One reference more than allowed, spread over the fields so that no other limit is broken."""
    fields: dict[str, Any] = {}
    for turn in range(maximum + 1):
        lists = [name for name in names if facts(model)[name].type != "string"]
        singles = [name for name in names if name not in lists and name not in fields]
        if singles:
            fields[singles[0]] = MEDIA["image"]
            continue
        name = lists[turn % len(lists)]
        item = {} if facts(model)[name].type == "object[]" else MEDIA["image"]
        fields[name] = [*fields.get(name, []), item]
    return fields


BROKEN = [(model, limit, fields) for model in MODELS for limit, fields in broken(model)]


@pytest.mark.parametrize(
    ("model", "limit", "fields"),
    BROKEN,
    ids=[f"{model.__name__}-{limit}" for model, limit, _ in BROKEN],
)
def test_what_breaks_one_limit_is_refused_by_the_class_and_by_the_emulator(
    model: type[CheckedInput], limit: str, fields: dict[str, Any]
) -> None:
    good = plain(model)
    slug = model(**good, strict=True).slug
    assert accepts(slug, good)
    with pytest.raises(InputError) as refused:
        model(**{**good, **fields}, strict=True)
    assert refused.value.field in facts(model)
    assert not accepts(slug, {**good, **fields})
    # Whoever wants to may still send it, and the emulator is what says no.
    sent = model(**{**good, **fields}, strict=False).payload()
    assert not accepts(slug, sent)


def test_every_kind_of_limit_is_broken_by_some_input() -> None:
    kinds = {limit.partition(": ")[2] or limit for _, limit, _ in BROKEN}
    assert kinds == {
        "type",
        "required",
        "choices",
        "minimum",
        "maximum",
        "min_length",
        "max_length",
        "min_items",
        "max_items",
        "AllOrNone",
        "AtMostTogether",
        "NeedsOne",
        "PictureReferences",
        "SecondsTogether",
    }


# --- from end to end ---------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_every_model_runs_to_its_end_and_gives_its_input_back(
    emulator: Emulator, client_of: Any
) -> None:
    asked = [model(**plain(model), strict=True) for model in MODELS]
    async with client_of() as client:
        async with client.run_many(asked) as outcomes:
            came = [outcome async for outcome in outcomes]
    assert all(outcome.ok for outcome in came)
    assert len(emulator.charges) == len(MODELS) == 35
    for outcome in came:
        assert outcome.task.input() == outcome.input


@pytest.mark.virtual_time
async def test_what_a_class_refuses_never_reaches_the_service(
    emulator: Emulator, client_of: Any
) -> None:
    wrong: list[tuple[type[CheckedInput], dict[str, Any]]] = [
        (models.ZImage, {"prompt": ""}),
        (models.KlingV3Pro, {"prompt": WORDS, "duration": 5}),
        (models.KlingV3Pro, {"prompt": WORDS, "duration": "16", "strict": True}),
    ]
    async with client_of() as client:
        for model, fields in wrong:
            with pytest.raises(liangxin.InputError):
                await client.create_task(model(**fields))
    assert not emulator.requests
    assert not emulator.charges


@pytest.mark.virtual_time
async def test_a_slug_that_nobody_has_said_is_never_guessed(
    emulator: Emulator, client_of: Any
) -> None:
    models.configure(dict.fromkeys(GUESSED_SLUGS))
    async with client_of() as client:
        for name in GUESSED_SLUGS:
            model = classes()[name]
            with pytest.raises(liangxin.InputError, match=f"the slug of {name}") as refused:
                await client.create_task(model(**plain(model)))
            assert refused.value.field == "slug"
    assert not emulator.requests
    assert len(GUESSED_SLUGS) == 24
