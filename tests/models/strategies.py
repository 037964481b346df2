"""What the tests of the models share: all classes, and inputs built from their own metadata."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st

from liangxin import models
from liangxin.models import facts
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import (
    AllOrNone,
    AtMostTogether,
    FieldFacts,
    Limits,
    NeedsOne,
    SecondsTogether,
)

MODELS: list[type[CheckedInput]] = [getattr(models, name) for name in models.__all__]
each_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)

few_examples = settings(max_examples=30, deadline=None)
"""Of each model: there are 35.  The first one of each prepares its checks, so none is timed."""

text = st.text(st.characters(exclude_categories=["Cs"]))
ADDRESSES = {
    "image": st.sampled_from(
        ["https://example.com/a.png", "http://example.com/B.WEBP", "data:image/jpeg;base64,/9j/"]
    ),
    "video": st.just("https://example.com/a.mp4"),
    "audio": st.just("https://example.com/a.wav"),
}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**999), 2**999)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
objects = st.dictionaries(text, json_values, max_size=3)
shots = st.fixed_dictionaries({"prompt": text}, optional={"duration": st.sampled_from("12")})


def named(model: type[CheckedInput]) -> str:
    """A slug for a model, whether one is documented or not."""
    return model.documented_slug or f"{model.__name__} of this test"


def tighter(fact: FieldFacts, limit: str) -> Any:
    """The tighter one of a documented and an inferred limit."""
    known = [getattr(limits, limit) for limits in (fact, fact.inferred or Limits())]
    known = [value for value in known if value is not None]
    pick = max if limit.startswith("min") else min
    return pick(known) if known else None


def values(model: type[CheckedInput], fact: FieldFacts) -> st.SearchStrategy[Any]:
    """Values of one field that keep all its limits."""
    guessed = fact.inferred or Limits()
    words = [*fact.choices, *fact.aliases] or [*guessed.choices, *guessed.aliases]
    if words:
        return st.sampled_from(words)
    items = {"min_size": tighter(fact, "min_items") or 0, "max_size": tighter(fact, "max_items")}
    strings = ADDRESSES[fact.media] if fact.media else text
    match fact.type:
        case "string":
            if fact.media:
                return strings
            low, high = tighter(fact, "min_length") or 0, tighter(fact, "max_length")
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=low, max_size=high)
        case "integer":
            low, high = tighter(fact, "minimum"), tighter(fact, "maximum")
            return st.integers(-(2**999) if low is None else low, 2**999 if high is None else high)
        case "number":
            low, high = tighter(fact, "minimum"), tighter(fact, "maximum")
            return st.floats(low, high) | st.integers(math.ceil(low), math.floor(high))
        case "boolean":
            return st.booleans()
        case "string[]":
            return st.lists(strings, **items)
        case "object":
            return objects
        case "object[]":
            timed = [rule.field for rule in model.rules if isinstance(rule, SecondsTogether)]
            return st.lists(shots if fact.name in timed else objects, **items)


@st.composite
def inputs(draw: st.DrawFn, model: type[CheckedInput]) -> dict[str, Any]:
    """Fields that satisfy every limit of the model and every rule over several fields."""
    fields = {
        name: draw(values(model, fact))
        for name, fact in facts(model).items()
        if fact.required or draw(st.booleans())
    }
    for rule in model.rules:
        match rule:
            case AllOrNone(names) if any(name not in fields for name in names):
                fields = {name: value for name, value in fields.items() if name not in names}
            case AtMostTogether(names, maximum):
                fields = _fewer(fields, names, maximum)
            case NeedsOne([first, *_] as names) if not any(fields.get(name) for name in names):
                fields[first] = draw(values(model, facts(model)[first]).filter(bool))
    return {name: fields[name] for name in facts(model) if name in fields}


def _fewer(fields: dict[str, Any], names: tuple[str, ...], maximum: int) -> dict[str, Any]:
    """The same fields without the references that are too many."""
    fields, left = dict(fields), maximum
    for name in names:
        if isinstance(fields.get(name), list):
            fields[name] = fields[name][:left]
            left -= len(fields[name])
        elif name in fields and not left:
            del fields[name]
        elif name in fields:
            left -= 1
    return fields
