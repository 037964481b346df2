"""
The ASGI application: which address leads where.

A bare router without middleware: the two hot endpoints are called directly.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable

from starlette.routing import Route, Router

from liangxin.emulator._admin import Admin, Reset, Restore
from liangxin.emulator._books import Books
from liangxin.emulator._description import description_routes
from liangxin.emulator._endpoint import Endpoint
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
    reset: Reset,
    restore: Restore,
) -> Router:
    """Return the application; while it is served, `lifespan` is entered."""
    endpoint = functools.partial(
        Endpoint, time=time, books=market.books, faults=market.faults, body_limit=body_limit
    )

    admin = Admin(market, time, reset, restore)
    # What the page shows is no client's download: it meets no fault, and is in no book.
    shown = endpoint("result", gallery.serve, books=Books(keep_requests=0))

    @contextlib.asynccontextmanager
    async def serving(app: Router) -> AsyncIterator[None]:
        async with lifespan():
            yield

    routes = [
        Route(
            LOOK_PATH, endpoint("look", market.look, target="look", subject=market.subject_of_look)
        ),
        Route(
            CREATE_PATH,
            endpoint("create", market.create, target="create", subject=market.subject_of_create),
        ),
        Route(
            "/results/{task_id}/{name}",
            endpoint("result", gallery.serve, target="result", subject=market.subject_of_result),
        ),
        *admin.routes(),
        *description_routes(),
        Route("/_emulator/events", EventStream(market, time, admin.telling()), methods=["GET"]),
        Route("/_emulator/results/{task_id}/{name}", shown),
        *page_routes(),
    ]
    return Router(
        routes,
        redirect_slashes=False,
        default=endpoint("other", market.unknown),
        lifespan=serving,
    )
