"""
The one module that talks HTTP to the service: connections, deadlines, and evidence of sending.

It knows nothing of tasks or money.  It says what can be proven: an answer, or that nothing left
(`NotSent`), or neither (`TransportError`).  It follows no redirect, keeps no cookie, and reads no
`.netrc`: a paid API has no use for them.

httpx's own pool is never made to queue, because it walks all of its connections for every waiting
request: each connection here is an httpx transport of its own, handed out from a stack behind our
own permits.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
import urllib.request
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import anyio
import httpx
from attrs import define, field, frozen

from liangxin._errors import InputError, LiangxinError, NotSent, TransportError, UnexpectedReply
from liangxin._text import in_words, printable
from liangxin._version import __version__
from liangxin._wire import MAX_REPLY, Reply, Request

log = logging.getLogger("liangxin")

Lane: TypeAlias = Literal["create", "look"]

CONNECT_TIMEOUT = 10.0
KEEP_IDLE = 4.0
"""Seconds that an idle connection is kept: less than the 5 s after which common servers hang up."""
_TIMEOUTS = {"connect": CONNECT_TIMEOUT, "read": None, "write": None, "pool": None}
FRESH = 2.0
"""A create goes out only on a connection that was idle for less, or on a new one."""


class Secret:
    """A string that shows itself to nobody who merely prints, logs or pickles it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an API key is not pickled; give it to the new process another way")


_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@define(eq=False)
class Evidence:
    """
    What can be proven about one attempt to send.

    `before_first_byte` is awaited when the first byte is about to leave; if it raises, no byte
    does.  `sent_at` is the time of that moment, None as long as nothing has left.
    """

    before_first_byte: Callable[[], Awaitable[None]] | None = None
    sent_at: float | None = None
    reports: bool = False
    """Whether the transport is known to report its steps, so that silence proves something."""
    begun: bool = False
    """Whether a connection has been taken, or is being made."""
    status: int | None = None
    body: bytes = b""

    async def trace(self, event: str, info: dict[str, object]) -> None:
        """httpx's trace hook; a proxy's CONNECT is reported too, and is not ours."""
        if event.endswith(".send_request_headers.started"):
            request = info.get("request")
            if getattr(request, "method", None) != b"CONNECT":
                await self.leaving()

    async def leaving(self) -> None:
        """The first byte leaves now; a second call changes nothing."""
        if self.sent_at is None:
            if self.before_first_byte is not None:
                await self.before_first_byte()
            self.sent_at = anyio.current_time()

    def proves_unsent(self, exc: Exception) -> bool:
        """Whether no byte can have left, given the exception that ended the attempt."""
        return self.sent_at is None and (self.reports or isinstance(exc, _NEVER_LEFT))


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


class _Body(httpx.AsyncByteStream):
    """A body in one piece; httpx's own leaves a generator behind when its sending fails."""

    def __init__(self, body: bytes) -> None:
        self._pieces = [body]

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


@define(eq=False)
class _Connection:
    """One httpx transport with room for one connection."""

    transport: httpx.AsyncBaseTransport
    idle_since: float = 0.0

    async def aclose(self) -> None:
        # Also reached under cancellation, where an unshielded close would leave the socket open.
        with anyio.move_on_after(1, shield=True):
            await self.transport.aclose()


@frozen
class Origin:
    """Where the service is: the base URL, checked and taken apart."""

    url: str = field(repr=lambda url: repr(printable(url)))
    scheme: str
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's by its spelling."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def parse_base_url(base_url: str) -> Origin:
    """Check a base URL: with or without a path prefix or a trailing slash, https or loopback."""
    allowed = "https://host[:port][/prefix], or http:// on this machine"
    try:
        parts = urlsplit(base_url.strip())
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
        httpx.URL(base_url.strip())
    except (ValueError, AttributeError, httpx.InvalidURL) as exc:
        raise InputError(
            f"base_url cannot be read: {printable(exc)}",
            field="base_url",
            value=base_url,
            allowed=allowed,
        ) from exc
    wrong = ""
    if parts.scheme not in ("https", "http") or not host:
        wrong = "is not an http(s) address"
    elif parts.query or parts.fragment or parts.username or parts.password:
        wrong = "must have no query, fragment or credentials"
    elif parts.scheme == "http" and not is_loopback(host):
        wrong = "is plain http: the API key would travel unencrypted"
    if wrong:
        # Credentials in a URL are a secret too, so only the host is repeated.
        shown = printable(host or base_url.split("@")[-1], 80)
        raise InputError(
            f"base_url {shown!r} {wrong}; allowed is {allowed}",
            field="base_url",
            value=shown,
            allowed=allowed,
        )
    prefix = parts.path.rstrip("/")
    name = f"[{host}]" if ":" in host else host
    netloc = name if port is None else f"{name}:{port}"
    return Origin(
        f"{parts.scheme}://{netloc}{prefix}",
        parts.scheme,
        host,
        port or (443 if parts.scheme == "https" else 80),
    )


def _proxy_for(origin: Origin) -> str | None:
    """The proxy that the environment (or the system's settings) names for this origin."""
    if origin.is_loopback or urllib.request.proxy_bypass(origin.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy


def _tls(verify: ssl.SSLContext | str | os.PathLike[str]) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        return ssl.create_default_context(cafile=os.fspath(verify))
    except (OSError, ssl.SSLError) as exc:
        raise InputError(
            f"verify: no certificates can be read from {os.fspath(verify)!r}: {exc}",
            field="verify",
            value=verify,
            allowed="an ssl.SSLContext, or the path of a PEM file of certificates",
        ) from exc


class Transport:
    """The way to one service: sends a request once, and says what can be known about it."""

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
        self._proxy = proxy if proxy is not None else _proxy_for(self.origin)
        self.verify = None if verify is None else _tls(verify)
        self._tls = self.verify
        self._shared = None if transport is None else _Connection(transport)
        self._max_connections = max_connections
        self._permits = _Permits(max_connections)
        self._idle: deque[_Connection] = deque()
        self.in_use = 0
        """Connections that carry a request now."""
        # The scheme Bearer is inferred from look-alikes: no page of the service shows the header.
        self._headers = httpx.Headers(
            [
                (b"Host", httpx.URL(self.origin.url).netloc),
                (b"Accept", b"application/json"),
                (b"Accept-Encoding", b"identity"),
                (b"User-Agent", f"liangxin-python/{__version__}".encode()),
                (b"Authorization", f"Bearer {api_key.reveal()}".encode()),
            ]
        )

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
        try:
            connection = await self._take(lane)
            try:
                with anyio.fail_after(timeout):
                    reply = await self._converse(connection, request, evidence)
            except BaseException as exc:
                # A conversation that broke off may leave anything behind: its connection goes.
                if connection is not self._shared:
                    await connection.aclose()
                if isinstance(exc, LiangxinError) or not isinstance(exc, Exception):
                    raise
                # Any exception at all: what is not proven unsent may have cost money, also when a
                # transport of the user's own raises what httpx does not know.
                raise self._explained(exc, evidence, timeout) from exc
            self._give_back(connection)
            return reply
        finally:
            self.in_use -= 1
            self._permits.release()

    async def _converse(
        self, connection: _Connection, request: Request, evidence: Evidence | None
    ) -> Reply:
        extensions: dict[str, object] = {"timeout": _TIMEOUTS}
        if evidence is not None:
            evidence.begun = True
            extensions["trace"] = evidence.trace
            # Silence of httpx's own hook is proof; of a foreign transport's it is nothing, and
            # what has to be on record before the first byte goes on record before the hand-over.
            evidence.reports = type(connection.transport) is httpx.AsyncHTTPTransport
            if not evidence.reports and evidence.before_first_byte is not None:
                await evidence.before_first_byte()
                evidence.before_first_byte = None
        response = await connection.transport.handle_async_request(
            httpx.Request(
                request.method,
                self.origin.url + request.target,
                headers=[*self._headers.raw, *request.headers]
                if request.headers
                else self._headers,
                stream=_Body(request.body),
                extensions=extensions,
            )
        )
        try:
            body = await _read(response, evidence)
        finally:
            await response.aclose()
        if log.isEnabledFor(logging.DEBUG):
            target, status = printable(request.target), response.status_code
            log.debug("%s %s: %d, %d bytes", request.method, target, status, len(body))
        return Reply(response.status_code, response.headers, body)

    def _explained(
        self, exc: Exception, evidence: Evidence | None, timeout: float
    ) -> TransportError:
        why = f"no answer within {timeout:g} s" if isinstance(exc, TimeoutError) else in_words(exc)
        if evidence is not None and evidence.proves_unsent(exc):
            return NotSent(f"nothing was sent to {self.origin.host}: {why}")
        return TransportError(f"no usable answer from {self.origin.host}: {why}")

    async def _take(self, lane: Lane) -> _Connection:
        """The connection used last, if it is fresh enough; a new one otherwise."""
        if self._shared is not None:
            return self._shared
        now = anyio.current_time()
        while self._idle and now - self._idle[0].idle_since > KEEP_IDLE:
            await self._idle.popleft().aclose()
        if self._idle and (lane == "look" or now - self._idle[-1].idle_since < FRESH):
            return self._idle.pop()
        while self._idle and self.open_connections > self._max_connections:
            await self._idle.popleft().aclose()
        if self._tls is None:  # one for all connections: reading the certificates takes 10-30 ms
            self._tls = self._default_tls()
        return _Connection(
            httpx.AsyncHTTPTransport(
                verify=self._tls,
                trust_env=False,
                proxy=self._proxy,
                limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_IDLE),
            )
        )

    def _default_tls(self) -> ssl.SSLContext:
        if self.origin.scheme == "https" or self._proxy:
            return httpx.create_ssl_context()
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates it trusts nobody

    def _give_back(self, connection: _Connection) -> None:
        if connection is not self._shared:
            connection.idle_since = anyio.current_time()
            self._idle.append(connection)

    async def aclose(self) -> None:
        """Close every connection; a transport of the user's own too, as httpx does."""
        while self._idle:
            await self._idle.pop().aclose()
        if self._shared is not None:
            await self._shared.aclose()


async def _read(response: httpx.Response, evidence: Evidence | None) -> bytes:
    """Read the body as it was sent, up to `MAX_REPLY` bytes, and keep what came of it."""
    body = bytearray()
    evidence = evidence or Evidence()
    evidence.status = response.status_code
    assert isinstance(response.stream, httpx.AsyncByteStream)
    chunks = aiter(response.stream)
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_REPLY:
                raise UnexpectedReply(
                    f"the answer is larger than {MAX_REPLY} bytes",
                    raw=bytes(body),
                    status=response.status_code,
                )
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
    encoding = response.headers.get("content-encoding", "identity").lower()
    return evidence.body if encoding == "identity" else _inflated(evidence.body, response)


def _inflated(body: bytes, response: httpx.Response) -> bytes:
    # We ask for identity; a proxy that compresses all the same gets no room for a bomb.
    inflater = zlib.decompressobj(wbits=47)
    try:
        plain = inflater.decompress(body, MAX_REPLY)
    except zlib.error as exc:
        raise UnexpectedReply(
            "the answer is compressed in a way that was not asked for",
            raw=body,
            status=response.status_code,
        ) from exc
    if inflater.unconsumed_tail:
        raise UnexpectedReply(
            f"the answer inflates to more than {MAX_REPLY} bytes",
            raw=plain,
            status=response.status_code,
        )
    return plain
