"""The OpenAPI document: whole, true to what is served, and honest about what it rests on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from liangxin.emulator import Emulator
from liangxin.emulator._catalogue import CATALOGUE
from liangxin.emulator._openapi import document
from liangxin.emulator._page import page_routes
from tests.emulator.service import client_of, create, look, order, post

DOCUMENT: dict[str, Any] = document()
OF_THE_PAGE = {route.path for route in page_routes()} | {"/_emulator/results/{task_id}/{name}"}
"""Files and pictures for one reader alone, which no other client should count on."""


def parts(value: object) -> Iterator[dict[str, Any]]:
    """Every object in the document."""
    if isinstance(value, dict):
        yield value
        value = [*value.values()]
    if isinstance(value, list):
        for each in value:
            yield from parts(each)


def is_valid(schema: str, instance: object) -> bool:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return Draft202012Validator(whole).is_valid(instance)


def test_every_reference_leads_somewhere() -> None:
    names = {part["$ref"].rpartition("/")[2] for part in parts(DOCUMENT) if "$ref" in part}
    assert names == set(DOCUMENT["components"]["schemas"])


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_addresses_are_those_that_are_served(emulator: Emulator) -> None:
    routes: list[Route] = emulator.app.routes  # type: ignore[attr-defined]  # a starlette router
    served = {route.path for route in routes} - OF_THE_PAGE
    assert served == set(DOCUMENT["paths"])


@pytest.mark.parametrize("slug", CATALOGUE)
def test_an_example_of_each_model_is_a_valid_order(slug: str) -> None:
    body = DOCUMENT["paths"]["/api/v1/jobs/createTask"]["post"]["requestBody"]
    assert is_valid("CreateTask", body["content"]["application/json"]["examples"][slug]["value"])


def test_a_member_that_may_be_absent_may_be_null() -> None:
    assert is_valid("CreateTask", order("z-image", seed=None))
    assert not is_valid("CreateTask", {"model": "z-image", "input": {"prompt": None}})


def test_what_no_page_of_the_market_states_is_marked() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    create = DOCUMENT["paths"]["/api/v1/jobs/createTask"]["post"]["responses"]
    inferred = [
        DOCUMENT["components"]["securitySchemes"]["key"],
        schemas["RelayError"],
        schemas["RouteError"],
        schemas["Record"]["properties"]["costTime"],
        create["503"],
        create["429"]["headers"]["Retry-After"],
    ]
    assert all(each["x-provenance"] == "inferred" for each in inferred)
    assert "x-provenance" not in schemas["MarketError"]


@pytest.mark.anyio
async def test_the_document_is_served_compactly_and_without_a_key(emulator: Emulator) -> None:
    async with client_of(emulator, key=None) as client:
        reply = await client.get("/_emulator/openapi.json")
    assert reply.json() == json.loads(json.dumps(DOCUMENT))
    assert b'": ' not in reply.content.partition(b'"paths"')[0]


@pytest.mark.anyio
async def test_the_record_of_a_task_is_as_described(emulator: Emulator) -> None:
    record = await look(emulator, await create(emulator, order()))
    assert is_valid("Record", record)
    assert not is_valid("Record", record | {"state": "sleeping"})


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "key", "schema"),
    [
        ({"model": "unheard-of", "input": {}}, "sk-any", "MarketError"),
        (b"{", "sk-any", "GatewayError"),
        ({}, None, "GatewayError"),
    ],
)
async def test_an_error_is_in_the_envelope_described(
    emulator: Emulator, body: Any, key: str | None, schema: str
) -> None:
    assert is_valid(schema, (await post(emulator, body, key)).json())


@pytest.mark.anyio
@pytest.mark.parametrize(
    "headers", [{"x": "中"}, {"a b": "c"}, {"": "x"}, {"x": "a\r\nb: c"}, {"x": 1}]
)
async def test_a_fault_with_headers_that_cannot_be_sent_is_refused(
    emulator: Emulator, headers: dict[str, Any]
) -> None:
    rule = {"endpoint": "look", "headers": headers}
    async with client_of(emulator) as client:
        reply = await client.post("/_emulator/faults", json=rule)
    assert reply.status_code == 400
    assert not is_valid("Fault", rule)


@pytest.mark.anyio
async def test_a_fault_of_an_endless_number_is_not_there(emulator: Emulator) -> None:
    async with client_of(emulator) as client:
        reply = await client.delete(f"/_emulator/faults/{'9' * 5000}")
    assert reply.status_code == 404
