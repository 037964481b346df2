"""
The way to one service: connections, deadlines, and whose turn it is.

It knows nothing of tasks or money.  It says what can be proven: an answer, or that nothing left
(`NotSent`), or neither (`TransportError`).

Connections are handed out last in, first out behind our own permits: no request waits anywhere
else, and the idle ones at the bottom of the stack grow old and are closed.
"""

from __future__ import annotations

import os
import ssl
from collections import deque
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
from attrs import evolve

from liangxin._connection import Connection, DirectConnection, Evidence
from liangxin._errors import LiangxinError, NotSent, TransportError, UnexpectedReply
from liangxin._origin import Secret, default_tls, parse_base_url, proxy_for, tls_context
from liangxin._text import in_words
from liangxin._version import __version__
from liangxin._wire import Reply, Request

if TYPE_CHECKING:
    import httpx

Lane: TypeAlias = Literal["create", "look"]

KEEP_IDLE = 4.0
"""Seconds that an idle connection is kept: less than the 5 s after which common servers hang up."""
FRESH = 2.0
"""A create goes out only on a connection that was idle for less, or on a new one."""

_SHORTEST_SECRET = 12
"""Shorter keys are an emulator's, and may be part of any word."""


class _Permits:
    """A number of permits over two lanes: as long as both wait, they take turns."""

    def __init__(self, total: int) -> None:
        self._free = total
        self._waiting: dict[Lane, deque[anyio.Event]] = {"create": deque(), "look": deque()}
        self._turn: Lane = "create"

    async def acquire(self, lane: Lane) -> None:
        if self._free:
            self._free -= 1
            return
        granted = anyio.Event()
        self._waiting[lane].append(granted)
        try:
            await granted.wait()
        except BaseException:  # cancelled: leave the queue, or pass on what was granted meanwhile
            if granted.is_set():
                self.release()
            else:
                self._waiting[lane].remove(granted)
            raise

    def release(self) -> None:
        first: Lane = self._turn
        second: Lane = "look" if first == "create" else "create"
        for lane in (first, second):
            if self._waiting[lane]:
                self._turn = "look" if lane == "create" else "create"
                self._waiting[lane].popleft().set()
                return
        self._free += 1


class Transport:
    """Sends a request once, and says what can be known about it."""

    def __init__(
        self,
        base_url: str,
        api_key: Secret,
        *,
        max_connections: int,
        proxy: str | None = None,
        verify: ssl.SSLContext | str | os.PathLike[str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.origin = parse_base_url(base_url)
        self._proxy = proxy if proxy is not None else proxy_for(self.origin)
        self.verify = None if verify is None else tls_context(verify)
        self._tls = self.verify
        self._max_connections = max_connections
        self._permits = _Permits(max_connections)
        self._idle: deque[Connection] = deque()
        self.in_use = 0
        """Connections that carry a request now."""
        # The scheme Bearer is inferred from look-alikes: no page of the service shows the header.
        self._headers = [
            (b"Host", self.origin.netloc.encode()),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", f"liangxin-python/{__version__}".encode()),
            (b"Authorization", f"Bearer {api_key.reveal()}".encode()),
        ]
        self._api_key = api_key
        self._shared = None if transport is None else self._bridged(transport)

    @property
    def open_connections(self) -> int:
        """Connections in use and kept idle."""
        return self.in_use + len(self._idle)

    async def exchange(
        self, request: Request, *, lane: Lane, timeout: float, evidence: Evidence | None = None
    ) -> Reply:
        """
        Send a request once and read its answer, within `timeout` seconds in all.

        Waiting for a free connection does not count.  Raises `NotSent` when provably no byte
        left, `TransportError` when no answer came, `UnexpectedReply` for one that is too large.
        """
        await self._permits.acquire(lane)
        self.in_use += 1
        evidence = Evidence() if evidence is None else evidence
        try:
            connection = await self._take(lane)
            try:
                with anyio.fail_after(timeout):
                    reply = await connection.exchange(request, evidence)
            except BaseException as exc:
                # A conversation that broke off may leave anything behind: its connection goes.
                if connection is not self._shared:
                    await connection.aclose()
                if isinstance(exc, UnexpectedReply):
                    exc.raw = self._redacted(exc.raw)
                if isinstance(exc, LiangxinError) or not isinstance(exc, Exception):
                    raise
                # Any exception at all: what is not proven unsent may have cost money, also when a
                # transport of the user's own raises what nobody knows.
                raise self._explained(exc, evidence, timeout) from exc
            finally:
                evidence.body = self._redacted(evidence.body)
            await self._give_back(connection)
        finally:
            self.in_use -= 1
            self._permits.release()
        body = self._redacted(reply.body)
        return reply if body is reply.body else evolve(reply, body=body)

    def _redacted(self, body: bytes) -> bytes:
        """An answer without our key, which some services repeat in their errors."""
        key = self._api_key.reveal().encode()
        return body if len(key) < _SHORTEST_SECRET else body.replace(key, b"[the API key]")

    def _explained(self, exc: Exception, evidence: Evidence, timeout: float) -> TransportError:
        why = f"no answer within {timeout:g} s" if isinstance(exc, TimeoutError) else in_words(exc)
        if evidence.proves_unsent:
            return NotSent(f"nothing was sent to {self.origin.host}: {why}")
        return TransportError(f"no usable answer from {self.origin.host}: {why}")

    async def _take(self, lane: Lane) -> Connection:
        """The connection used last, if it is fresh enough; a new one otherwise."""
        if self._shared is not None:
            return self._shared
        now = anyio.current_time()
        while self._idle and now - self._idle[0].idle_since > KEEP_IDLE:
            await self._idle.popleft().aclose()
        while self._idle and (lane == "look" or now - self._idle[-1].idle_since < FRESH):
            connection = self._idle.pop()
            if not connection.is_stale:
                return connection
            await connection.aclose()
        while self._idle and self.open_connections > self._max_connections:
            await self._idle.popleft().aclose()
        return self._connection()

    def _connection(self) -> Connection:
        if self._tls is None:  # one for all connections: reading the certificates takes 10-30 ms
            self._tls = default_tls(needed=self.origin.scheme == "https" or bool(self._proxy))
        self._tls.set_alpn_protocols(["http/1.1"])
        if self._proxy:
            from liangxin._bridge import through_proxy  # httpx takes 60 ms to import

            return self._bridged(through_proxy(self._proxy, self._tls))
        tls = self._tls if self.origin.scheme == "https" else None
        return DirectConnection(self.origin, self._headers, tls)

    def _bridged(self, transport: httpx.AsyncBaseTransport) -> Connection:
        from liangxin._bridge import HttpxConnection

        return HttpxConnection(transport, self.origin, self._headers)

    async def _give_back(self, connection: Connection) -> None:
        if connection is self._shared:
            return
        if connection.is_reusable:
            connection.idle_since = anyio.current_time()
            self._idle.append(connection)
        else:
            await connection.aclose()

    async def aclose(self) -> None:
        """Close every connection; a transport of the user's own too, as httpx does."""
        while self._idle:
            await self._idle.pop().aclose()
        if self._shared is not None:
            await self._shared.aclose()
