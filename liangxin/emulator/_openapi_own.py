"""The emulator's own addresses in its OpenAPI document: books, time, faults, snapshots, models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from liangxin.emulator._faults import APPLIES, HEADER_NAME, HEADER_VALUE, Action, Fault
from liangxin.emulator._openapi_words import Json, as_json, list_of, object_of, ref

_ANYTHING: Json = {"type": "object"}
_REFUSED: Json = {
    "description": "Not understood; nothing was changed.",
    "content": as_json(object_of(error={"type": "string"})),
}
_ABSENT: Json = {
    "description": "There is no such rule.",
    "content": as_json({"anyOf": [object_of(error={"type": "string"}), ref("RouteError")]}),
}
_MOST_SECONDS = 10**9


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
                {
                    "name": "id",
                    "in": "path",
                    "required": True,
                    "schema": {"type": "integer", "minimum": 1},
                }
            ],
            "patch": _switching_a_fault(),
            "delete": _dropping("dropFault", "Drop a rule", {"404": _ABSENT}),
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


def _dropping(name: str, summary: str, unless: Json | None = None) -> Json:
    dropped: Json = {"204": {"description": "Dropped."}}
    return _operation(name, summary, responses=dropped | (unless or {}))


def _adding_faults() -> Json:
    rule = ref("Fault")
    rules = list_of(rule)
    table = object_of(fault={"anyOf": [rule, rules]}) | {"additionalProperties": False}
    return _operation(
        "addFaults",
        "Put one rule in force, or several",
        requestBody={"required": True, "content": as_json({"anyOf": [rule, rules, table]})},
        responses={
            "201": {
                "description": "In force.",
                "content": as_json(_faults()),
                "links": {name: _by_id(name) for name in ("switchFault", "dropFault")},
            },
            "400": _REFUSED,
        },
    )


def _by_id(operation: str) -> Json:
    return {"operationId": operation, "parameters": {"id": "$response.body#/faults/0/id"}}


def _switching_a_fault() -> Json:
    body = object_of(is_on={"type": "boolean"}) | {"additionalProperties": False}
    operation = _writing("switchFault", "Switch a rule on or off", body, _fault())
    operation["responses"]["404"] = _ABSENT
    return operation


def _reset() -> Json:
    operation = _writing(
        "reset",
        "Forget all tasks, books and faults",
        {
            "type": "object",
            "properties": {"seed": {"type": ["integer", "null"]}},
            "additionalProperties": False,
        },
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
        speed={"type": "number", "description": "0 while time stands still."},
    )


def _clock_change() -> Json:
    return {
        "type": "object",
        "properties": {
            "speed": {"type": "number", "minimum": 0, "maximum": _MOST_SECONDS},
            "advance": {"type": "number", "minimum": 0, "maximum": _MOST_SECONDS},
        },
        "minProperties": 1,
        "additionalProperties": False,
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
    return object_of(faults=list_of(_fault()))


def _fault() -> Json:
    whole: Json = {"type": "integer"}
    return object_of(id=whole, is_on={"type": "boolean"}, hits=whole, rule=ref("Fault"))


def fault_rule() -> Json:
    """Return the schema of one rule, from the class itself and what it insists on."""
    hints = get_type_hints(Fault)
    needed = [
        each.name
        for each in fields(Fault)
        if each.default is MISSING and each.default_factory is MISSING
    ]
    return {
        "type": "object",
        "properties": {
            name: _of_type(hint) | _BOUNDS.get(name, {}) for name, hint in hints.items()
        },
        "required": needed,
        "additionalProperties": False,
        "anyOf": [_where(action) for action in APPLIES],
    }


def _where(action: Action) -> Json:
    """Return where this action means something; without one, it is "answer"."""
    choice: Json = {"action": {"const": action}, "endpoint": {"enum": sorted(APPLIES[action])}}
    return {"properties": choice, "required": [] if action == Fault.action else ["action"]}


_BOUNDS: dict[str, Json] = {
    "status": {"minimum": 100, "maximum": 599},
    "delay": {"minimum": 0},
    "nth": {"minimum": 1},
    "count": {"type": ["integer", "null", "string"], "minimum": 1, "pattern": "^all$"},
    "probability": {"minimum": 0, "maximum": 1},
}
_NAMES: dict[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    NoneType: "null",
}


def _of_type(hint: Any) -> Json:
    """Return the schema of what a member of a rule holds."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"type": "string", "enum": [*arguments]}
    if origin is UnionType:
        # Bytes are for rules in Python; JSON has text.
        return {"type": [_NAMES[each] for each in arguments if each is not bytes]}
    if origin is Mapping:
        return {
            "type": "object",
            "propertyNames": {"pattern": HEADER_NAME},
            "additionalProperties": {"type": "string", "pattern": HEADER_VALUE},
        }
    if origin is tuple:
        return list_of({"type": "string"})
    return {"type": _NAMES[hint]}
