"""
The page at `/`: what happens in the emulator, and the switches to make other things happen.

Four files, served as they are: no build, nothing from elsewhere.  Prompts and errors are other
people's words; the page's policy lets the browser run, style and load nothing but what comes from
this server, and the script only ever writes them as text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES: Final = (
    ("/", "page.html", "text/html"),
    ("/_emulator/icon.svg", "icon.svg", "image/svg+xml"),
    ("/_emulator/page.css", "page.css", "text/css"),
    ("/_emulator/page.js", "page.js", "text/javascript"),
)


def page_routes() -> list[Route]:
    """Return the routes of the page and its files."""
    return [Route(path, _server_of(name, kind), methods=["GET"]) for path, name, kind in _FILES]


def _server_of(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return Response(_content(name), media_type=media_type, headers=_HEADERS)

    return serve


@cache
def _content(name: str) -> bytes:
    return (files(__name__) / name).read_bytes()
