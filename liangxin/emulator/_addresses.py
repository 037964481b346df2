"""Addresses of a service that is not the emulator, yet answers as it does where asked amiss."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from liangxin.emulator._answers import Answer, gateway_error, route_error
from liangxin.emulator._books import Books
from liangxin.emulator._calls import Call
from liangxin.emulator._endpoint import Endpoint, Handler
from liangxin.emulator._faultbook import FaultBook
from liangxin.emulator._faults import Fault
from liangxin.emulator._time import Timeline

MOST_BYTES = 32 * 1024 * 1024
"""How large a body may be."""


def app_of(handlers: Mapping[str, Handler], time: Timeline) -> ASGIApp:
    """Return an application with a handler at each path, and nothing anywhere else."""

    def endpoint(handler: Handler) -> Endpoint:
        return Endpoint(
            "other", handler, time=time, books=Books(0), faults=FaultBook(), body_limit=MOST_BYTES
        )

    routes = [Route(path, endpoint(handler)) for path, handler in handlers.items()]
    return Router(routes, redirect_slashes=False, default=endpoint(_nothing))


def only(method: str, handler: Callable[[Call], Awaitable[Answer]]) -> Handler:
    """Return a handler for requests of that method with a body that is not too large."""

    async def handle(call: Call, fault: Fault | None = None) -> Answer:
        if call.method != method:
            return await _nothing(call)
        if call.is_too_large:
            return gateway_error(413, "request body too large")
        return await handler(call)

    return handle


async def _nothing(call: Call, fault: Fault | None = None) -> Answer:
    return route_error(call.method, call.path)
