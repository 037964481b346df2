"""
The emulator without a socket: an httpx transport that calls the application in this event loop.

Runs on asyncio and trio, in real and in virtual time.  Lost connections come out as httpx's own
exceptions, and httpx's `trace` hook is called before the application sees anything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import anyio
import httpx
from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class TracedUrl:
    """The URL as httpcore's trace hook shows it."""

    scheme: bytes
    host: bytes
    port: int | None
    target: bytes


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """The request as httpcore's trace hook shows it."""

    method: bytes
    url: TracedUrl
    headers: list[tuple[bytes, bytes]]


class InProcessTransport(httpx.AsyncBaseTransport):
    """
    Hands each request to the emulator, whatever host it is meant for.

    A connection dropped by a fault raises `httpx.RemoteProtocolError`, one cut in the middle of
    the body `httpx.ReadError` while it is read.  The request's read time-out is honoured.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        body = await request.aread()
        await _trace(request)
        exchange = _Exchange(body)
        timeout = request.extensions.get("timeout", {}).get("read")
        with anyio.move_on_after(timeout) as scope:
            await self._app(_scope(request), exchange.receive, exchange.send)
        if scope.cancelled_caught:
            raise httpx.ReadTimeout("the emulator gave no answer in time", request=request)
        return exchange.response(request)


class _Exchange:
    """One request and its answer; `transport` is what a server would call its connection."""

    def __init__(self, body: bytes) -> None:
        self.transport = self
        self._body: bytes | None = body
        self._gone = anyio.Event()
        self._start: Mapping[str, Any] | None = None
        self._chunks: list[bytes] = []

    def abort(self) -> None:
        self._gone.set()

    def close(self) -> None:
        self._gone.set()

    async def receive(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._chunks.append(message.get("body", b""))

    def response(self, request: httpx.Request) -> httpx.Response:
        if self._start is None:
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response.", request=request
            )
        stream = _Body(self._chunks, is_cut=self._gone.is_set())
        return httpx.Response(self._start["status"], headers=self._start["headers"], stream=stream)


class _Body(httpx.AsyncByteStream):
    def __init__(self, chunks: list[bytes], is_cut: bool) -> None:
        self._chunks = chunks
        self._is_cut = is_cut

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if self._is_cut:
            raise httpx.ReadError("the connection was closed in the middle of the body")


def _scope(request: httpx.Request) -> dict[str, Any]:
    url = request.url
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": url.scheme,
        "path": url.path,
        "raw_path": url.raw_path.partition(b"?")[0],
        "query_string": url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": (url.host, url.port),
        "client": ("127.0.0.1", 9),
    }


async def _trace(request: httpx.Request) -> None:
    hook = request.extensions.get("trace")
    if hook is None:
        return
    url = request.url
    seen = TracedUrl(url.raw_scheme, url.raw_host, url.port, url.raw_path)
    traced = TracedRequest(request.method.encode(), seen, request.headers.raw)
    await cast(Any, hook)("http11.send_request_headers.started", {"request": traced})
