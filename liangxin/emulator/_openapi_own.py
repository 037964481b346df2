"""The emulator's own addresses in its OpenAPI document: books, time, faults, snapshots, models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from liangxin.emulator._faults import Fault
from liangxin.emulator._openapi_words import Json, as_json, list_of, object_of

_ANYTHING: Json = {"type": "object"}
_REFUSED: Json = {
    "description": "Not understood; nothing was changed.",
    "content": as_json(object_of(error={"type": "string"})),
}


def own_paths() -> Json:
    """Return what is not part of the Market."""
    return {
        "/_emulator/ledger": {"get": _reading("ledger", "All books", _ledger())},
        "/_emulator/clock": {
            "get": _reading("clock", "The time of the service", _clock()),
            "post": _writing("setClock", "Move or set the clock", _clock_change(), _clock()),
        },
        "/_emulator/faults": {
            "get": _reading("faults", "The rules in force", _faults()),
            "post": _adding_faults(),
            "delete": _dropping("dropFaults", "Drop all rules"),
        },
        "/_emulator/faults/{id}": {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
            ],
            "patch": _switching_a_fault(),
            "delete": _dropping("dropFault", "Drop a rule") | {"responses": _gone_or_absent()},
        },
        "/_emulator/reset": {"post": _reset()},
        "/_emulator/snapshot": {"get": _reading("snapshot", "The whole state", _ANYTHING)},
        "/_emulator/restore": {
            "post": _writing("restore", "Go back to a snapshot", _ANYTHING, _ANYTHING)
        },
        "/_emulator/events": {"get": _events()},
        "/_emulator/models": {"get": _reading("models", "The models and their inputs", _models())},
        "/_emulator/openapi.json": {
            "get": _reading("openapi", "This document", object_of(openapi={"type": "string"}))
        },
    }


# --- operations ----------------------------------------------------------------------------------


def _operation(name: str, summary: str, **more: Any) -> Json:
    return {"tags": ["Emulator"], "operationId": name, "summary": summary, "security": []} | more


def _ok(schema: Json) -> Json:
    return {"description": "Done.", "content": as_json(schema)}


def _reading(name: str, summary: str, schema: Json) -> Json:
    return _operation(name, summary, responses={"200": _ok(schema)})


def _writing(name: str, summary: str, body: Json, answer: Json) -> Json:
    return _operation(
        name,
        summary,
        requestBody={"required": True, "content": as_json(body)},
        responses={"200": _ok(answer), "400": _REFUSED},
    )


def _dropping(name: str, summary: str) -> Json:
    return _operation(name, summary, responses={"204": {"description": "Dropped."}})


def _gone_or_absent() -> Json:
    return {"204": {"description": "Dropped."}, "404": _REFUSED}


def _adding_faults() -> Json:
    rule = _rule()
    return _operation(
        "addFaults",
        "Put one rule in force, or several",
        requestBody={
            "required": True,
            "content": as_json({"anyOf": [rule, list_of(rule)]}),
        },
        responses={
            "201": {"description": "In force.", "content": as_json(_faults())},
            "400": _REFUSED,
        },
    )


def _switching_a_fault() -> Json:
    body = object_of(is_on={"type": "boolean"})
    operation = _writing("switchFault", "Switch a rule on or off", body, _ANYTHING)
    operation["responses"]["404"] = _REFUSED
    return operation


def _reset() -> Json:
    operation = _writing(
        "reset",
        "Forget all tasks, books and faults",
        {"type": "object", "properties": {"seed": {"type": "integer"}}},
        object_of(reset={"const": True}),
    )
    operation["requestBody"]["required"] = False
    return operation


def _events() -> Json:
    stream: Json = {"text/event-stream": {"schema": {"type": "string"}}}
    answer = {"description": "Events, without an end.", "content": stream}
    return _operation("events", "What happens, as it happens", responses={"200": answer})


# --- schemas -------------------------------------------------------------------------------------


def _ledger() -> Json:
    books = ("charges", "tasks", "callbacks", "requests")
    return object_of(totals=_ANYTHING, **{book: list_of(_ANYTHING) for book in books})


def _clock() -> Json:
    return object_of(
        now={"type": "number", "description": "Seconds of the service."},
        unix_ms={"type": "integer"},
        speed={"type": "number"},
        is_manual={"type": "boolean"},
    )


def _clock_change() -> Json:
    changes: dict[str, Json] = {
        "advance": {"type": "number", "minimum": 0},
        "speed": {"type": "number", "exclusiveMinimum": 0},
        "is_manual": {"type": "boolean"},
    }
    return {
        "oneOf": [
            object_of(**{name: change}) | {"additionalProperties": False}
            for name, change in changes.items()
        ]
    }


def _models() -> Json:
    text: Json = {"type": "string"}
    model = object_of(
        slug=text,
        name=text,
        title=text,
        kind={"enum": ["image", "video"]},
        price={"type": "number", "description": "In made-up credits."},
        source={"enum": ["documented", "inferred", "guessed"]},
        input=_ANYTHING | {"description": "JSON Schema of what the model accepts."},
    )
    return object_of(models=list_of(model))


def _faults() -> Json:
    fault = object_of(
        id={"type": "integer"},
        is_on={"type": "boolean"},
        hits={"type": "integer"},
        rule=_ANYTHING,
    )
    return object_of(faults=list_of(fault))


def _rule() -> Json:
    hints = get_type_hints(Fault)
    needed = [
        each.name
        for each in fields(Fault)
        if each.default is MISSING and each.default_factory is MISSING
    ]
    return {
        "title": "Fault",
        "type": "object",
        "properties": {each.name: _of_type(hints[each.name]) for each in fields(Fault)},
        "required": needed,
        "additionalProperties": False,
    }


_SIMPLE: dict[object, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    NoneType: {"type": "null"},
}


def _of_type(hint: Any) -> Json:
    """Return the schema of a type that a rule's field has."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": [*arguments]}
    if origin in {Union, UnionType}:
        # Bytes are for rules in Python; JSON has text.
        return {"anyOf": [_of_type(each) for each in arguments if each is not bytes]}
    if origin is Mapping:
        raise NotImplementedError
    return _SIMPLE[hint]
