"""
The service as an OpenAPI 3.1 document: both endpoints, the callback, the results.

Written from the emulator's own catalogue and rules.  Every statement that the Market's pages do
not make carries `x-provenance: inferred`; the emulator's own addresses are in `_openapi_own.py`.
Says nothing of faults: under a rule, any answer may come from anywhere.
"""

from __future__ import annotations

from liangxin.emulator._catalogue import CATALOGUE, MarketModel
from liangxin.emulator._openapi_own import fault_rule, own_paths
from liangxin.emulator._openapi_words import (
    INFERRED,
    Json,
    as_html,
    as_json,
    object_of,
    ref,
)
from liangxin.emulator._schema import example_input, input_schema

_ABOUT = """\
A local stand-in for the LiangXin Market, described by the stand-in itself.  What is marked
`x-provenance: inferred` is not in the Market's pages, nor is what an object so marked contains;
`x-slug-provenance` says the same of a model's name, and in a documented member `x-inferred` names
the keywords that are inferred.  A member of `input` that is null counts as absent, a whole number
is written without a fraction, and members that are not named are let through."""


def document() -> Json:
    """Return the document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "LiangXin Market (emulator)", "version": "1", "description": _ABOUT},
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "Market", "description": "What the Market offers too."},
            {"name": "Emulator", "description": "Not part of the Market: the emulator's own."},
        ],
        "paths": {
            "/api/v1/jobs/createTask": {"post": _create()},
            "/api/v1/jobs/recordInfo": {"get": _look()},
            "/results/{task_id}/{name}": {"get": _result()},
            **own_paths(),
        },
        "components": {
            "schemas": _envelopes() | _orders() | _records() | {"Fault": fault_rule()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"} | INFERRED},
        },
    }


# --- the endpoints -------------------------------------------------------------------------------


def _create() -> Json:
    return {
        "tags": ["Market"],
        "operationId": "createTask",
        "summary": "Create a task, which is charged",
        "security": [{"key": []}],
        "requestBody": {"required": True, "content": as_json(ref("CreateTask"), _examples())},
        "responses": _errors("400", "413", "422")
        | {
            "200": {
                "description": "Accepted.",
                "content": as_json(ref("CreatedTask")),
                "links": {
                    "record": {
                        "operationId": "recordInfo",
                        "parameters": {"taskId": "$response.body#/data/taskId"},
                    }
                },
            }
        },
        "callbacks": {"final": {"{$request.body#/callBackUrl}": {"post": _callback()}}},
    }


def _look() -> Json:
    return {
        "tags": ["Market"],
        "operationId": "recordInfo",
        "summary": "Read a task",
        "security": [{"key": []}],
        "parameters": [
            {
                "name": "taskId",
                "in": "query",
                "required": True,
                "schema": {"type": "string", "pattern": r"\S"},
            }
        ],
        "responses": _errors("400")
        | {
            "200": {"description": "The task as it is.", "content": as_json(ref("RecordInfo"))},
            "404": _error("No such task.", "MarketError", "RouteError") | INFERRED,
        },
    }


def _callback() -> Json:
    return {
        "summary": "Posted once the task is final, and again if it is not taken",
        "requestBody": {"content": as_json(ref("RecordInfo"))},
        "responses": {"2XX": {"description": "Taken."}},
        "x-inferred": ["method", "number and spacing of tries"],
    }


def _result() -> Json:
    file: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
    kinds = {kind: {"schema": file} for kind in ("image/png", "image/jpeg", "video/mp4")}
    nothing: Json = {kind: {} for kind in kinds}
    return {
        "tags": ["Market"],
        "operationId": "result",
        "summary": "Fetch a result, by a URL of the record's",
        "description": "Only that the record holds URLs is documented.",
        "security": [],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in ("task_id", "name")
        ],
        "responses": {
            "200": {"description": "The file.", "content": kinds},
            "206": {"description": "The part that `Range` asks for.", "content": kinds},
            "304": {"description": "Still what `If-None-Match` names.", "content": nothing},
            "404": {"description": "Not there, not yet, or no longer.", "content": as_html()},
            "416": {"description": "The file has no such part.", "content": nothing},
        },
    } | INFERRED


# --- errors --------------------------------------------------------------------------------------


def _errors(*statuses: str) -> Json:
    """Return the refusals every endpoint has, and of those that not every one has, `statuses`."""
    retry_after: Json = {"Retry-After": {"schema": {"type": "string"}} | INFERRED}
    some: Json = {
        "400": _error("An invalid request.", "MarketError", "GatewayError"),
        "413": _error("The body is too large.", "GatewayError", is_proxied=True),
        "422": _error("The upstream refused it.", "MarketError", "RelayError"),
    }
    return {status: some[status] for status in statuses} | {
        "401": _error("No key, or an invalid one.", "GatewayError"),
        "403": _error("The key's quota is used up, or access is denied.", "GatewayError"),
        "404": _error("No such address.", "RouteError") | INFERRED,
        "429": _error("Too much at once.", "MarketError", "GatewayError", "RelayError")
        | {"headers": retry_after},
        "500": _error("It failed.", "MarketError", "GatewayError", "RelayError"),
        "502": _error("A proxy had no answer.", "RelayError", is_proxied=True) | INFERRED,
        "503": _error("No channel serves the model.", "GatewayError", is_proxied=True) | INFERRED,
        "504": _error("A proxy waited in vain.", "RelayError", is_proxied=True) | INFERRED,
    }


def _error(description: str, *envelopes: str, is_proxied: bool = False) -> Json:
    bodies = [ref(name) for name in envelopes]
    content = as_json({"anyOf": bodies} if len(bodies) > 1 else bodies[0])
    return {"description": description, "content": content | (as_html() if is_proxied else {})}


def _envelopes() -> Json:
    text: Json = {"type": "string"}
    gateway = object_of(message=text, type=text, code=text)
    route = object_of(message=text, type=text, param=text, code=text)
    return {
        "MarketError": object_of(code={"type": "integer"}, msg=text, data={"type": "null"}),
        "GatewayError": object_of(error=gateway),
        "RelayError": object_of(code=text, message=text, data={"type": "null"}) | INFERRED,
        "RouteError": object_of(error=route) | INFERRED,
    }


# --- what is sent --------------------------------------------------------------------------------


def _orders() -> Json:
    schemas: Json = {
        "CreateTask": {
            "oneOf": [ref(f"{model.name}Order") for model in CATALOGUE.values()],
            "discriminator": {
                "propertyName": "model",
                "mapping": {
                    model.slug: f"#/components/schemas/{model.name}Order"
                    for model in CATALOGUE.values()
                },
            },
        }
    }
    for model in CATALOGUE.values():
        schemas[f"{model.name}Order"] = _order(model)
        schemas[f"{model.name}Input"] = _nullable(input_schema(model.slug))
    return schemas


def _order(model: MarketModel) -> Json:
    slug: Json = {"type": "string", "const": model.slug, "x-slug-provenance": model.source}
    url: Json = {
        "type": ["string", "null"],
        "description": "Public HTTPS URL to tell the end of the task to; the emulator takes HTTP.",
        "pattern": r"^([hH][tT][tT][pP][sS]?://[A-Za-z0-9]\S*)?$",
    }
    return {
        "title": model.title,
        "type": "object",
        "properties": {"model": slug, "callBackUrl": url, "input": ref(f"{model.name}Input")},
        "required": ["model", "input"],
    }


def _nullable(schema: Json) -> Json:
    """Let the members be null that may be absent: the service makes no difference."""
    members: Json = {
        name: member if name in schema["required"] else {"anyOf": [member, {"type": "null"}]}
        for name, member in schema["properties"].items()
    }
    return schema | {"properties": members}


def _examples() -> Json:
    return {
        model.slug: {"value": {"model": model.slug, "input": example_input(model.slug)}}
        for model in CATALOGUE.values()
    }


# --- what is told --------------------------------------------------------------------------------


def _records() -> Json:
    return {
        "CreatedTask": _success(object_of(taskId={"type": "string"})),
        "RecordInfo": _success(ref("Record")),
        "Record": _record(),
    }


def _success(data: Json) -> Json:
    return object_of(code={"type": "integer", "const": 200}, msg={"type": "string"}, data=data)


def _record() -> Json:
    text: Json = {"type": "string"}
    urls = object_of(resultUrls={"type": "array", "items": {"type": "string", "format": "uri"}})
    moment: Json = {"type": "integer", "description": "Unix milliseconds."} | INFERRED
    at_the_end: Json = {"type": ["integer", "null"]} | INFERRED
    return object_of(
        taskId=text,
        model=text,
        state={"enum": ["waiting", "queuing", "generating", "success", "fail"]},
        param=text | {"description": "The createTask body as it came."},
        resultJson=text
        | {
            "description": "Empty until `success`.",
            "contentMediaType": "application/json",
            "contentSchema": urls,
        },
        failCode=text | {"description": "Empty unless `fail`."},
        failMsg=text,
        costTime=at_the_end | {"description": "Milliseconds."},
        completeTime=at_the_end | {"description": "Unix milliseconds."},
        createTime=moment,
        updateTime=moment,
    )
