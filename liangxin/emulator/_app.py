"""
The ASGI application: which address leads where.

A bare router without middleware: the two hot endpoints are called directly.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from liangxin.emulator._admin import Admin
from liangxin.emulator._books import Books
from liangxin.emulator._calls import Call
from liangxin.emulator._endpoint import Endpoint
from liangxin.emulator._faults import Subject
from liangxin.emulator._ledger import ledger
from liangxin.emulator._market import Market
from liangxin.emulator._page import page_routes
from liangxin.emulator._results import Gallery
from liangxin.emulator._stream import EventStream
from liangxin.emulator._time import Timeline

CREATE_PATH = "/api/v1/jobs/createTask"
LOOK_PATH = "/api/v1/jobs/recordInfo"


def build_app(
    *,
    market: Market,
    gallery: Gallery,
    time: Timeline,
    body_limit: int,
    lifespan: Callable[[], contextlib.AbstractAsyncContextManager[object]],
    reset: Callable[[], None],
) -> Router:
    """Return the application; while it is served, `lifespan` is entered."""
    endpoint = functools.partial(
        Endpoint, time=time, books=market.books, faults=market.faults, body_limit=body_limit
    )

    admin = Admin(market, time)
    telling = {"clock": admin.clock, "faults": admin.faults}
    # What the page shows is no client's download: it meets no fault, and is in no book.
    shown_results = Endpoint(
        "result",
        gallery.serve,
        time=time,
        books=Books(keep_requests=0),
        faults=market.faults,
        body_limit=body_limit,
    )

    def about_look(call: Call) -> Subject:
        return market.subject_of_task(call.task_id)

    def about_result(call: Call) -> Subject:
        return market.subject_of_task(call.path_params["task_id"])

    async def show_ledger(request: Request) -> Response:
        return JSONResponse(ledger(market, time.now()))

    async def forget(request: Request) -> Response:
        reset()
        return JSONResponse({"reset": True})

    @contextlib.asynccontextmanager
    async def serving(app: Router) -> AsyncIterator[None]:
        async with lifespan():
            yield

    routes = [
        Route(LOOK_PATH, endpoint("look", market.look, target="look", subject=about_look)),
        Route(
            CREATE_PATH,
            endpoint("create", market.create, target="create", subject=market.subject_of_create),
        ),
        Route(
            "/results/{task_id}/{name}",
            endpoint("result", gallery.serve, target="result", subject=about_result),
        ),
        Route("/_emulator/ledger", show_ledger, methods=["GET"]),
        Route("/_emulator/reset", forget, methods=["POST"]),
        *admin.routes(),
        Route("/_emulator/events", EventStream(market, time, telling), methods=["GET"]),
        Route("/_emulator/results/{task_id}/{name}", shown_results),
        *page_routes(),
    ]
    return Router(
        routes,
        redirect_slashes=False,
        default=endpoint("other", market.unknown),
        lifespan=serving,
    )
