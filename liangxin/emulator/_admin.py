"""A stand-in for the emulator's switches, until the real one is merged."""

from __future__ import annotations

import dataclasses
import json
import typing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from liangxin.emulator import _rules as r
from liangxin.emulator._catalogue import CATALOGUE
from liangxin.emulator._faults import Fault
from liangxin.emulator._inputs import RULES
from liangxin.emulator._market import Market
from liangxin.emulator._time import Timeline

Json = dict[str, Any]


class Admin:
    def __init__(self, market: Market, time: Timeline) -> None:
        self.market, self.time = market, time
        self.is_manual = False
        self._ids: dict[int, tuple[int, Fault]] = {}
        self._off: dict[int, tuple[Fault, list[int]]] = {}
        self._next = 1

    # clock

    def clock(self) -> Json:
        now = self.time.now()
        return {
            "now": round(now, 3),
            "unix_ms": self.time.unix_ms(now),
            "speed": self.time.speed,
            "is_manual": self.is_manual,
        }

    def _rebase(self, now: float) -> None:
        self.time._start = self.time._clock() - now / self.time.speed

    def set_clock(self, body: Json) -> None:
        now = self.time.now()
        if "advance" in body:
            if not isinstance(body["advance"], int | float) or body["advance"] < 0:
                raise ValueError("advance: must be a number of seconds, 0 or more")
            if self.is_manual:
                self._freeze(now + body["advance"])
            else:
                self._rebase(now + body["advance"])
        if "speed" in body:
            if not isinstance(body["speed"], int | float) or body["speed"] <= 0:
                raise ValueError("speed: must be above 0")
            self.time.speed = float(body["speed"])
            if self.is_manual:
                self._freeze(now)
            else:
                self._rebase(now)
        if "is_manual" in body and body["is_manual"] != self.is_manual:
            self.is_manual = body["is_manual"]
            if self.is_manual:
                self._real = self.time._clock
                self._freeze(now)
            else:
                self.time._clock = self._real
                self._rebase(now)

    def _freeze(self, now: float) -> None:
        self.time._start = 0.0
        reading = now / self.time.speed
        self.time._clock = lambda: reading

    # faults

    def _id(self, fault: Fault) -> int:
        if id(fault) not in self._ids:
            self._ids[id(fault)] = (self._next, fault)
            self._next += 1
        return self._ids[id(fault)][0]

    def faults(self) -> list[Json]:
        on = [(f, seen, True) for f, seen in self.market.faults._rules]
        rows = on + [(f, seen, False) for f, seen in self._off.values()]
        return sorted((self._entry(*row) for row in rows), key=lambda e: int(e["id"]))

    def _entry(self, fault: Fault, seen: list[int], is_on: bool) -> Json:
        hits = max(0, seen[0] - fault.nth + 1)
        if fault.count is not None:
            hits = min(hits, fault.count)
        rule = {}
        for f in dataclasses.fields(fault):
            value = getattr(fault, f.name)
            if f.name in {"endpoint", "action"} or (value != f.default and value != {}):
                rule[f.name] = value
        return {"id": self._id(fault), "is_on": is_on, "hits": hits, "rule": rule}

    def entry(self, number: int) -> Json | None:
        return next((e for e in self.faults() if e["id"] == number), None)

    def add(self, body: Json) -> Json:
        names = {f.name for f in dataclasses.fields(Fault)}
        for name in body:
            if name not in names:
                raise ValueError(f"{name}: is no field of a fault")
        hints = typing.get_type_hints(Fault)
        for name in ("endpoint", "action"):
            if name in body and body[name] not in typing.get_args(hints[name]):
                raise ValueError(f"{name}: must be one of {typing.get_args(hints[name])}")
        status = body.get("status")
        if status is not None and not 100 <= status <= 599:
            raise ValueError("status: must be from 100 to 599")
        fault = Fault(**body)
        self.market.faults.add(fault)
        found = self.entry(self._id(fault))
        assert found
        return found

    def switch(self, number: int, is_on: bool) -> None:
        book = self.market.faults._rules
        if is_on and number in self._off:
            book.append(self._off.pop(number))
        elif not is_on:
            for row in book:
                if self._id(row[0]) == number:
                    self._off[number] = row
                    book.remove(row)
                    break

    def drop(self, number: int) -> None:
        self.switch(number, False)
        self._off.pop(number, None)

    def routes(self) -> list[Route]:
        async def clock(request: Request) -> Response:
            if request.method == "POST":
                try:
                    self.set_clock(await request.json())
                    if self.market._courier._news is not None:
                        self.market._courier._news.set()
                except ValueError as error:
                    return JSONResponse({"error": str(error)}, 400)
            return JSONResponse(self.clock())

        async def faults(request: Request) -> Response:
            if request.method == "GET":
                return JSONResponse({"faults": self.faults()})
            if request.method == "DELETE":
                self.market.faults.clear()
                self._off.clear()
                return Response(status_code=204)
            try:
                return JSONResponse(self.add(json.loads(await request.body())), 201)
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": str(error)}, 400)

        async def fault(request: Request) -> Response:
            number = int(request.path_params["id"])
            if self.entry(number) is None:
                return JSONResponse({"error": "no such fault"}, 404)
            if request.method == "DELETE":
                self.drop(number)
                return Response(status_code=204)
            self.switch(number, (await request.json())["is_on"])
            return JSONResponse(self.entry(number))

        async def models(request: Request) -> Response:
            return JSONResponse({"models": [_model(slug) for slug in CATALOGUE]})

        return [
            Route("/_emulator/clock", clock, methods=["GET", "POST"]),
            Route("/_emulator/faults", faults, methods=["GET", "POST", "DELETE"]),
            Route("/_emulator/faults/{id:int}", fault, methods=["PATCH", "DELETE"]),
            Route("/_emulator/models", models, methods=["GET"]),
        ]


def _model(slug: str) -> Json:
    model, rules = CATALOGUE[slug], RULES[slug]
    properties = {"prompt": _schema(rules.prompt)}
    properties |= {name: _schema(rule) for name, rule in rules.fields.items()}
    required = (["prompt"] if rules.needs_prompt else []) + list(rules.required)
    schema = {"type": "object", "properties": properties, "required": required}
    return dataclasses.asdict(model) | {"input": schema}


def _schema(rule: r.Rule) -> Json:
    match rule:
        case r.Text():
            told: Json = {"type": "string"}
            if rule.shortest:
                told["minLength"] = rule.shortest
            if rule.longest:
                told["maxLength"] = rule.longest
            return told
        case r.Choice():
            return {"type": "string", "enum": list(rule.values)}
        case r.Seconds():
            return {"type": "integer", "enum": list(rule.values)}
        case r.Number():
            told = {"type": "number" if rule.fractions else "integer"}
            if abs(rule.low) != float("inf"):
                told["minimum"] = rule.low
            if abs(rule.high) != float("inf"):
                told["maximum"] = rule.high
            return told
        case r.Flag():
            return {"type": "boolean"}
        case r.Object():
            return {"type": "object"}
        case r.Objects():
            return {"type": "array", "items": {"type": "object"}}
        case r.Texts():
            return {"type": "array", "items": {"type": "string"}, "maxItems": rule.most}
        case r.Images(single=True):
            return {"type": "string", "format": "uri"}
    return {"type": "array", "items": {"type": "string", "format": "uri"}}
