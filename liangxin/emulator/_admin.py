"""
The addresses under `/_emulator`, which the Market does not have: books, faults, clock, memory.

Any HTTP client can use them, without a key: the emulator is for the machine it runs on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from liangxin.emulator._faultbook import Rule, document_of, read_rules
from liangxin.emulator._ledger import ledger
from liangxin.emulator._market import Market
from liangxin.emulator._snapshot import Snapshot, read_snapshot, write_snapshot
from liangxin.emulator._time import Timeline

Reset = Callable[[int | None], None]
Restore = Callable[[Snapshot], None]
Handle = Callable[[Request], Awaitable[Response]]


class _Json(JSONResponse):
    """In ASCII: what a hostile client sent may be no text that UTF-8 can hold."""

    def render(self, content: object) -> bytes:
        return json.dumps(content).encode()


class Admin:
    """The handlers; bad input is a ValueError, which the client reads as `error`."""

    def __init__(self, market: Market, time: Timeline, reset: Reset, restore: Restore) -> None:
        self._market = market
        self._time = time
        self._reset = reset
        self._put_back = restore

    def routes(self) -> list[Route]:
        """Return what is served where."""
        table: dict[str, dict[str, Handle]] = {
            "ledger": {"GET": self._books},
            "clock": {"GET": self._clock, "POST": self._move_clock},
            "faults": {
                "GET": self._faults,
                "POST": self._add_faults,
                "DELETE": self._drop_faults,
            },
            "faults/{id}": {"PATCH": self._switch_fault, "DELETE": self._drop_fault},
            "reset": {"POST": self._forget},
            "snapshot": {"GET": self._snapshot},
            "restore": {"POST": self._restore},
        }
        return [
            Route(f"/_emulator/{path}", _told(by_method), methods=[*by_method])
            for path, by_method in table.items()
        ]

    def telling(self) -> dict[str, Callable[[], object]]:
        """Return what the stream of events tells beside the books, by its name there."""
        return {"clock": self._time_told, "faults": lambda: _entries(self._market.faults.rules)}

    async def _books(self, request: Request) -> Response:
        return _Json(ledger(self._market, self._time.now()))

    # The clock

    def _time_told(self) -> dict[str, float]:
        now = self._time.now()
        return {"now": now, "unix_ms": self._time.unix_ms(now), "speed": self._time.speed}

    async def _clock(self, request: Request) -> Response:
        return _Json(self._time_told())

    async def _move_clock(self, request: Request) -> Response:
        moves = await _members(request, {"speed", "advance"})
        if not moves:
            raise ValueError('send {"speed": 60}, {"advance": 30} or both')
        numbers = {name: _number(name, value) for name, value in moves.items()}
        if "speed" in numbers:
            self._time.speed = numbers["speed"]
        if "advance" in numbers:
            self._time.advance(numbers["advance"])
        return await self._clock(request)

    # Faults

    async def _faults(self, request: Request) -> Response:
        return _listed(self._market.faults.rules)

    async def _add_faults(self, request: Request) -> Response:
        rules = [self._market.faults.add(fault) for fault in read_rules(await _json(request))]
        return _listed(rules, 201)

    async def _drop_faults(self, request: Request) -> Response:
        self._market.faults.clear()
        return Response(status_code=204)

    async def _switch_fault(self, request: Request) -> Response:
        rule = self._rule(request)
        is_on = (await _members(request, {"is_on"})).get("is_on")
        if not isinstance(is_on, bool):
            raise ValueError(f"is_on must be true or false, not {is_on!r:.60}")
        rule.is_on = is_on
        return _Json(_entry(rule))

    async def _drop_fault(self, request: Request) -> Response:
        self._market.faults.rules.remove(self._rule(request))
        return Response(status_code=204)

    def _rule(self, request: Request) -> Rule:
        wanted = request.path_params["id"]
        is_number = wanted.isascii() and wanted.isdigit() and len(wanted) < 20
        rule = self._market.faults.find(int(wanted)) if is_number else None
        if rule is None:
            raise LookupError(f"there is no fault {wanted:.60}")
        return rule

    # Memory

    async def _forget(self, request: Request) -> Response:
        seed = (await _members(request, {"seed"})).get("seed")
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(f"seed must be a whole number, not {seed!r:.60}")
        self._reset(seed)
        return _Json({"reset": True})

    async def _snapshot(self, request: Request) -> Response:
        return Response(write_snapshot(self._market.snapshot()), media_type="application/json")

    async def _restore(self, request: Request) -> Response:
        self._put_back(read_snapshot(await request.body()))
        return _Json({"restored": True})


def _told(by_method: dict[str, Handle]) -> Handle:
    async def answer(request: Request) -> Response:
        # HEAD comes with GET.
        handle = by_method.get(request.method) or by_method["GET"]
        try:
            return await handle(request)
        except ValueError as error:
            return _Json({"error": str(error)}, 400)
        except LookupError as error:
            return _Json({"error": str(error)}, 404)

    return answer


def _listed(rules: list[Rule], status: int = 200) -> Response:
    return _Json({"faults": _entries(rules)}, status)


def _entries(rules: list[Rule]) -> list[dict[str, object]]:
    return [_entry(rule) for rule in rules]


def _entry(rule: Rule) -> dict[str, object]:
    told = document_of(rule.fault)
    return {"id": rule.id, "is_on": rule.is_on, "hits": rule.hits, "rule": told}


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, not {value!r:.60}")
    return value


async def _members(request: Request, known: set[str]) -> dict[str, object]:
    """Return the body's members; none if it is empty."""
    document = await _json(request) if await request.body() else {}
    if not isinstance(document, dict):
        raise ValueError("the body must be a JSON object")
    unknown = document.keys() - known
    if unknown:
        raise ValueError(f"{min(unknown)} is not known here; these are: {', '.join(sorted(known))}")
    return document


async def _json(request: Request) -> object:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body must be JSON: {error}") from None
