"""Whatever a schema allows is accepted, for each model: `nox -s schemathesis` runs it."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from liangxin.emulator._catalogue import CATALOGUE
from liangxin.emulator._openapi import document
from liangxin.emulator._openapi_words import as_json
from liangxin.emulator._orders import read_order
from liangxin.emulator._schema import input_schema
from tests.emulator.described.hooks import whole


@functools.cache
def inputs(slug: str) -> st.SearchStrategy[Any]:
    """Draw what the schema of this model's input allows."""
    body = {"required": True, "content": as_json(input_schema(slug))}
    post = {"requestBody": body, "responses": {"200": {"description": ""}}}
    info = {"title": slug, "version": "1"}
    described = schemathesis.openapi.from_dict(
        {"openapi": "3.1.0", "info": info, "paths": {"/": {"post": post}}}
    )
    cases: st.SearchStrategy[Any] = described["/"]["POST"].as_strategy()
    return cases.map(lambda case: whole(case.body))


def test_the_document_is_valid_openapi() -> None:
    validate(json.loads(json.dumps(document())))


@pytest.mark.parametrize("slug", CATALOGUE)
@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_an_input_that_the_schema_allows_is_accepted(slug: str, data: st.DataObject) -> None:
    members = data.draw(inputs(slug))
    order = read_order(json.dumps({"model": slug, "input": members}).encode())
    assert order.model.slug == slug
