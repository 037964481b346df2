"""Inputs built from the classes' own metadata: what it allows can be made, and survives JSON."""

from __future__ import annotations

import json
import warnings
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liangxin import models
from liangxin._errors import InferredLimitWarning, InputError
from liangxin._media import replaced
from liangxin._tasks import Task
from liangxin.models import configure, facts, json_schema
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import AtMostTogether, SecondsTogether
from tests.models.strategies import each_model, few_examples, inputs, json_values, named

pytestmark = pytest.mark.campaign

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


@cache
def _validator(name: str, strict: bool) -> jsonschema.Draft202012Validator:
    schema = json_schema(getattr(models, name), strict=strict)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def validator(model: type[CheckedInput], strict: bool) -> jsonschema.Draft202012Validator:
    return _validator(model.__name__, strict)


@each_model
@few_examples
@given(data=st.data())
def test_what_the_metadata_allows_is_made_and_survives_json(
    model: type[CheckedInput], data: st.DataObject
) -> None:
    fields = data.draw(inputs(model))
    made = model(**fields, slug=named(model), strict=True)
    sent = made.payload()
    back = json.loads(json.dumps(sent).encode())
    assert list(sent) == [name for name in facts(model) if name in fields]
    assert back == sent == {name: fields[name] for name in sent}
    assert model(**back, slug=named(model)) == made
    for strict in (False, True):
        validator(model, strict).validate(back)


@each_model
@few_examples
@given(data=st.data())
def test_whatever_is_given_only_our_own_errors_come_out(
    model: type[CheckedInput], data: st.DataObject
) -> None:
    fields = {
        name: data.draw(anything)
        for name, fact in facts(model).items()
        if fact.required or data.draw(st.booleans())
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferredLimitWarning)
        came = make(model, fields)
    if isinstance(came, InputError):
        assert came.field in facts(model)
        assert came.allowed
        assert str(came).isprintable()
    elif isinstance(came, CheckedInput):
        texts = replaced(came.payload(), lambda media: repr(media))
        json.dumps(texts, allow_nan=False, ensure_ascii=False).encode()


BEYOND_SCHEMAS = (AtMostTogether, SecondsTogether)
"""Rules that add up what several values hold; JSON Schema cannot, and has them in words."""


@each_model
@few_examples
@given(data=st.data(), strict=st.booleans())
def test_a_class_and_its_schema_judge_alike(
    model: type[CheckedInput], data: st.DataObject, strict: bool
) -> None:
    fields = data.draw(inputs(model))
    for name in data.draw(st.sets(st.sampled_from(list(facts(model))), max_size=2)):
        fields[name] = data.draw(json_values.filter(is_no_number_that_json_takes_for_another))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InferredLimitWarning)
        came = make(model, fields, strict or None)
    if isinstance(came, CheckedInput):
        validator(model, strict).validate(came.payload())
    elif came.allowed not in {r.words for r in model.rules if isinstance(r, BEYOND_SCHEMAS)}:
        assert not validator(model, strict).is_valid(fields)


def is_no_number_that_json_takes_for_another(value: object) -> bool:
    """To JSON Schema, 5.0 is an integer."""
    return not (isinstance(value, float) and value.is_integer())


@each_model
@few_examples
@given(data=st.data())
def test_every_input_comes_back_from_what_the_service_keeps_of_it(
    model: type[CheckedInput], data: st.DataObject
) -> None:
    fields: dict[str, Any] = data.draw(inputs(model))
    for name in data.draw(st.sets(st.sampled_from(list(facts(model))), max_size=2)):
        fields[name] = data.draw(json_values)
    kept = {name: value for name, value in fields.items() if value is not None}
    configure({model: named(model)})
    back = Task(id="t", param={"model": named(model), "input": {**fields, "news": [1]}}).input()
    assert isinstance(back, model)
    assert (back.slug, back.payload()) == (named(model), {**kept, "news": [1]})


def make(
    model: type[CheckedInput], fields: dict[str, Any], strict: bool | None = None
) -> CheckedInput | InputError:
    try:
        return model(**fields, slug=named(model), strict=strict)
    except InputError as refusal:
        return refusal
