"""Inputs built from the classes' own metadata: what it allows can be made, and survives JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from liangxin import models
from liangxin._errors import InferredLimitWarning, InputError
from liangxin.models import facts
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import FieldFacts, Limits, PictureReferences

MODELS: list[type[CheckedInput]] = [getattr(models, name) for name in models.__all__]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)

text = st.text(st.characters(exclude_categories=["Cs"]))
pictures = st.sampled_from(
    ["https://example.com/a.png", "http://example.com/b.webp?c=d", "data:image/jpeg;base64,/9j/"]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
anything = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.lists(st.text(st.characters()) | st.integers() | json_values, max_size=6)
    | st.dictionaries(st.text(st.characters()) | st.integers(), json_values, max_size=3)
)


def tighter(fact: FieldFacts, limit: str) -> Any:
    """The tighter one of a documented and an inferred limit."""
    known = [getattr(limits, limit) for limits in (fact, fact.inferred or Limits())]
    known = [value for value in known if value is not None]
    pick = max if limit.startswith("min") else min
    return pick(known) if known else None


def values(fact: FieldFacts, references: bool) -> st.SearchStrategy[Any]:
    guessed = fact.inferred or Limits()
    words = [*fact.choices, *fact.aliases] or [*guessed.choices, *guessed.aliases]
    if words:
        return st.sampled_from(words)
    items = {"min_size": tighter(fact, "min_items") or 0, "max_size": tighter(fact, "max_items")}
    match fact.type:
        case "string":
            low, high = tighter(fact, "min_length") or 0, tighter(fact, "max_length")
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=low, max_size=high)
        case "integer":
            return st.integers(tighter(fact, "minimum"), tighter(fact, "maximum"))
        case "number":
            low, high = tighter(fact, "minimum"), tighter(fact, "maximum")
            return st.floats(low, high) | st.integers(math.ceil(low), math.floor(high))
        case "boolean":
            return st.booleans()
        case "string[]":
            return st.lists(pictures if references else text, **items)
        case "object[]":
            return st.lists(st.dictionaries(text, json_values, max_size=3), **items)


@st.composite
def inputs(draw: st.DrawFn, model: type[CheckedInput]) -> dict[str, Any]:
    """Fields that satisfy every limit of the model and every rule over several fields."""
    bound = {
        name for rule in model.rules if isinstance(rule, PictureReferences) for name in rule.fields
    }
    fields = {
        name: draw(values(fact, name in bound))
        for name, fact in facts(model).items()
        if fact.required or draw(st.booleans())
    }
    assume(("width" in fields) == ("height" in fields))
    if model is models.Flux2Pro:
        singles = [name for name in fields if name.startswith("input_image")]
        assume(len(singles) + len(fields.get("reference_images", ())) <= 4)
    elif "image_input" in facts(model):
        assume(sum(len(fields.get(name, ())) for name in bound) <= 3)
    if model is models.KlingV3Pro:
        assume(fields.get("prompt") or fields.get("multi_prompt"))
    return fields


@each_model
@given(data=st.data())
def test_what_the_metadata_allows_is_made_and_survives_json(
    model: type[CheckedInput], data: st.DataObject
) -> None:
    fields = data.draw(inputs(model))
    made = model(**fields)
    sent = made.payload()
    back = json.loads(json.dumps(sent).encode())
    assert list(sent) == [name for name in facts(model) if name in fields]
    assert back == sent == {name: fields[name] for name in sent}
    assert model(**back) == made


@each_model
@given(data=st.data())
def test_whatever_is_given_only_our_own_errors_come_out(
    model: type[CheckedInput], data: st.DataObject
) -> None:
    fields = {
        name: data.draw(anything)
        for name, fact in facts(model).items()
        if fact.required or data.draw(st.booleans())
    }
    came = make(model, fields)
    if isinstance(came, InputError):
        assert came.field in facts(model)
        assert came.allowed
        assert str(came).isprintable()
    elif isinstance(came, CheckedInput):
        json.dumps(came.payload(), allow_nan=False, ensure_ascii=False).encode()


def make(
    model: type[CheckedInput], fields: dict[str, Any]
) -> CheckedInput | InputError | InferredLimitWarning:
    try:
        return model(**fields)
    except (InputError, InferredLimitWarning) as refusal:
        return refusal
