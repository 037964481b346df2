"""
The way through httpx, for what our own connection does not do: proxies, and a user's transport.

httpx's own transport calls a hook before the first byte of a request leaves, which is evidence as
good as our own.  A foreign one is believed only when it says that it never connected.
"""

from __future__ import annotations

import ssl
from contextlib import suppress

import anyio
import httpx

from liangxin._connection import CONNECT_TIMEOUT, Evidence, check_size, inflated
from liangxin._errors import UnexpectedReply
from liangxin._origin import Origin
from liangxin._wire import Reply, Request

_TIMEOUTS = {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def through_proxy(proxy: str, tls: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    """A transport with room for one connection: httpx's own pool is never made to queue."""
    return httpx.AsyncHTTPTransport(
        verify=tls, trust_env=False, proxy=proxy, limits=httpx.Limits(max_connections=1)
    )


class HttpxConnection:
    """An httpx transport in the place of a connection."""

    is_reusable = True
    is_stale = False

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        origin: Origin,
        headers: list[tuple[bytes, bytes]],
    ) -> None:
        self._transport = transport
        self._origin = origin
        self._headers = httpx.Headers(headers)
        self.idle_since = 0.0

    async def exchange(self, request: Request, evidence: Evidence) -> Reply:
        evidence.begun = True
        extensions = {"timeout": _TIMEOUTS, "trace": _Trace(evidence)}
        # Silence of httpx's own hook is proof; of a foreign transport's it is nothing, and what
        # has to be on record before the first byte goes on record before the hand-over.
        evidence.is_proof = type(self._transport) is httpx.AsyncHTTPTransport
        if not evidence.is_proof and evidence.before_first_byte is not None:
            await evidence.before_first_byte()
            evidence.before_first_byte = None
        try:
            response = await self._transport.handle_async_request(
                httpx.Request(
                    request.method,
                    self._origin.url + request.target,
                    headers=[*self._headers.raw, *request.headers],
                    stream=_Body(request),
                    extensions=extensions,
                )
            )
        except _NEVER_LEFT:
            evidence.is_proof = True
            raise
        try:
            body = await _read(response, evidence)
        finally:
            await response.aclose()
        return Reply(
            response.status_code,
            response.headers,
            inflated(body, response.headers, status=response.status_code),
        )

    async def aclose(self) -> None:
        # Also reached under cancellation, where an unshielded close would leave the socket open.
        with anyio.move_on_after(1, shield=True):
            await self._transport.aclose()


class _Trace:
    """httpx's trace hook; a proxy's CONNECT is reported too, and is not ours."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    async def __call__(self, event: str, info: dict[str, object]) -> None:
        if event.endswith(".send_request_headers.started"):
            request = info.get("request")
            if getattr(request, "method", None) != b"CONNECT":
                await self._evidence.leaving()


class _Body(httpx.AsyncByteStream):
    """A body in pieces; httpx's own leaves a generator behind when its sending fails."""

    def __init__(self, request: Request) -> None:
        self._body: bytes | None = request.body
        self._rest = iter(request.rest)

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        body, self._body = self._body, None
        piece = next(self._rest, None) if body is None else body
        if piece is None:
            raise StopAsyncIteration
        return piece


async def _read(response: httpx.Response, evidence: Evidence) -> bytes:
    """Read the body as it was sent, up to `MAX_REPLY` bytes, and keep what came of it."""
    body = bytearray()
    evidence.status = response.status_code
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks = aiter(response.stream)
    try:
        async for chunk in chunks:
            body += chunk
            check_size(body, evidence.status)
    except UnexpectedReply:
        # httpcore leaves a generator of its own behind unless the stream ends by itself: it does
        # once it is closed.
        await response.aclose()
        with suppress(Exception):
            async for _ in chunks:
                pass
        raise
    finally:
        evidence.body = bytes(body)
    return evidence.body
