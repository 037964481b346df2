"""Rows that another engine has read become requests by the rules of batch files."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from liangxin import InputError
from liangxin.batch import Request
from liangxin.batch._reading.records import Records


def records(**options: Any) -> Records:
    given: dict[str, Any] = {"model": "z-image", "defaults": {}, "key": "id", "keep": ()}
    return Records(**(given | options))


def asked(*rows: dict[str, object], **options: Any) -> list[Request]:
    """The requests of rows, all of which are good."""
    found = records(**options).requests(rows)
    assert all(isinstance(each, Request) for each in found), found
    return found  # type: ignore[return-value]  # just looked at


def test_a_row_is_named_by_its_key_and_asks_for_its_fields() -> None:
    [request] = asked({"sku": 7, "prompt": "fog", "aspect_ratio": None}, key="sku")
    assert (request.key, request.input.payload()) == ("7", {"prompt": "fog"})


def test_rows_without_an_id_that_ask_for_the_same_have_one_key_in_all_blocks() -> None:
    first, second = asked({"prompt": "fog"}, {"prompt": "fog"})
    [third] = asked({"prompt": "fog"})
    assert first.key == second.key == third.key
    assert first.key.startswith("sha256:")


def test_a_kept_column_is_not_sent_and_fills_the_prompt() -> None:
    row = {"prompt": "fog in {city}", "city": "Oslo", "n": 3}
    [request] = asked(row, keep=("city", "n"))
    assert request.input.payload() == {"prompt": "fog in Oslo"}


def test_what_is_wrong_with_a_row_stands_in_its_place() -> None:
    good, bad, none = records().requests([{"prompt": "fog"}, {"prompt": "x", "id": "a\n"}, {}])
    assert isinstance(good, Request)
    assert isinstance(bad, InputError)
    assert isinstance(none, InputError)


def test_an_id_that_stands_for_two_inputs_is_an_error() -> None:
    rows = [{"id": "a", "prompt": "fog"}, {"id": "a", "prompt": "rain"}]
    assert [type(each) for each in records().requests(rows)] == [Request, InputError]


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        (["prompt", "promt"], {}, "'promt'.*did you mean 'prompt'.*keep="),
        (["prompt"], {"key": "sku"}, "key is missing.*'prompt'"),
        (["prompt"], {"model": None}, "model is missing"),
        (["prompt"], {"keep": ("prompt",)}, "keep= names 'prompt', which is a field"),
        (["prompt", "model", "hour"], {"model": None}, "'hour' would be sent"),
    ],
)
def test_columns_are_judged_before_any_row(
    columns: list[str], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        records(**options).judge_columns(columns)


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (["id", "prompt", "aspect_ratio", "hour"], {"keep": ("hour",)}),
        (["sku", "prompt"], {"key": "sku"}),
        (["model", "prompt", "duration"], {"model": None}),
        (["anything"], {"model": "some-model-of-tomorrow"}),
    ],
)
def test_columns_that_are_fields_or_named_are_good(
    columns: list[str], options: dict[str, Any]
) -> None:
    records(**options).judge_columns(columns)


def test_a_default_that_the_model_does_not_have_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="has no field 'promt'"):
        records(defaults={"promt": "fog"})


def test_how_rows_are_read_travels_to_another_process() -> None:
    there = pickle.loads(
        pickle.dumps(records(defaults={"prompt": "fog at {hour}"}, keep=("hour",)))
    )
    [request] = there.requests([{"hour": 7}])
    assert request.input.payload() == {"prompt": "fog at 7"}
