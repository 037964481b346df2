"""
One connection to the service: HTTP/1.1 by h11, on an anyio stream.

It sends the bytes itself, so it knows the moment in which the first one leaves, and says so
before it does (`Evidence`).  One request at a time; no pool, no redirects, no cookies.
"""

from __future__ import annotations

import select
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Protocol

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute
from attrs import define

from liangxin._errors import UnexpectedReply
from liangxin._origin import Origin
from liangxin._text import in_words
from liangxin._wire import MAX_REPLY, Reply, Request

CONNECT_TIMEOUT = 10.0
_MAX_HEAD = 64 * 1024
"""How many bytes the status line and the headers of an answer may take."""
_READ_SIZE = 64 * 1024
_SLICE = 256 * 1024
"""How much of a large body is handed over at a time."""


@define(eq=False)
class Evidence:
    """
    What can be proven about one attempt to send.

    `before_first_byte` is awaited when the first byte is about to leave; if it raises, no byte
    does.  `sent_at` is the time of that moment, None as long as nothing has left.
    """

    before_first_byte: Callable[[], Awaitable[None]] | None = None
    sent_at: float | None = None
    is_proof: bool = False
    """Whether `sent_at` is the truth: a transport that is not ours may send and not tell."""
    begun: bool = False
    """Whether a connection has been taken, or is being made."""
    status: int | None = None
    body: bytes = b""

    async def leaving(self) -> None:
        """The first byte leaves now; a second call changes nothing."""
        if self.sent_at is None:
            if self.before_first_byte is not None:
                await self.before_first_byte()
            self.sent_at = anyio.current_time()

    @property
    def proves_unsent(self) -> bool:
        """Whether no byte can have left."""
        return self.sent_at is None and self.is_proof


class Connection(Protocol):
    """What the transport needs of a connection."""

    idle_since: float

    @property
    def is_reusable(self) -> bool:
        """Whether the last exchange left it fit for another."""

    @property
    def is_stale(self) -> bool:
        """Whether the other side has hung up meanwhile, or said something unasked."""

    async def exchange(self, request: Request, evidence: Evidence) -> Reply:
        """Send a request and read its answer."""

    async def aclose(self) -> None:
        """Close it, also under cancellation."""


class DirectConnection:
    """A connection of our own, made when first used."""

    def __init__(
        self, origin: Origin, headers: list[tuple[bytes, bytes]], tls: ssl.SSLContext | None
    ) -> None:
        self._origin = origin
        self._headers = headers
        self._tls = tls
        self._stream: ByteStream | None = None
        self._socket: socket.socket | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.is_reusable = False
        self.idle_since = 0.0

    @property
    def is_stale(self) -> bool:
        return self._socket is None or _is_readable(self._socket)

    async def exchange(self, request: Request, evidence: Evidence) -> Reply:
        self.is_reusable = False
        evidence.is_proof = evidence.begun = True
        if self._stream is None:
            self._stream = await self._connect()
            self._socket = self._stream.extra(SocketAttribute.raw_socket)
        data = self._written(request)
        await evidence.leaving()
        with suppress(anyio.BrokenResourceError):
            # It may have answered, and hung up, before it had read everything: that is read below.
            await self._stream.send(data)
            for number in range(len(request.rest)):
                await self._send_slices(self._stream, request.rest, number)
            if request.rest:
                self._http.send(h11.EndOfMessage())
        return await self._answer(self._stream, evidence)

    async def aclose(self) -> None:
        if self._stream is not None:
            # Forcefully: what is left to say to the other side is not worth waiting for.
            await anyio.aclose_forcefully(self._stream)

    async def _connect(self) -> ByteStream:
        host, port = self._origin.host, self._origin.port
        try:
            with anyio.fail_after(CONNECT_TIMEOUT):
                if self._tls is None:
                    return await anyio.connect_tcp(host, port)
                return await anyio.connect_tcp(
                    host, port, ssl_context=self._tls, tls_standard_compatible=False
                )
        except TimeoutError as exc:
            raise ConnectionError(f"no connection within {CONNECT_TIMEOUT:g} s") from exc
        except OSError as exc:  # "all connection attempts failed": the first of them says why
            raise ConnectionError(in_words(first_cause(exc))) from exc

    def _written(self, request: Request) -> bytes:
        head = h11.Request(
            method=request.method,
            target=self._origin.path + request.target,
            headers=[*self._headers, *request.headers] if request.headers else self._headers,
        )
        pieces = [self._http.send(head)]
        if request.body:
            pieces.append(self._http.send(h11.Data(request.body)))
        if not request.rest:
            pieces.append(self._http.send(h11.EndOfMessage()))
        return b"".join(piece for piece in pieces if piece)

    async def _send_slices(self, stream: ByteStream, pieces: list[bytes], number: int) -> None:
        # An event loop copies what it cannot send at once: a picture is never there twice.
        for start in range(0, len(pieces[number]), _SLICE):
            data = self._http.send(h11.Data(pieces[number][start : start + _SLICE]))
            assert data is not None
            await stream.send(data)

    async def _answer(self, stream: ByteStream, evidence: Evidence) -> Reply:
        headers: dict[str, str] = {}
        body = bytearray()
        try:
            while type(event := self._http.next_event()) is not h11.EndOfMessage:
                if event is h11.NEED_DATA:
                    data = await _received(stream)
                    if not data and evidence.status is None:
                        raise ConnectionError("the service hung up before it answered")
                    self._http.receive_data(data)
                elif isinstance(event, h11.Response):
                    evidence.status = event.status_code
                    headers = _headers(event)
                elif isinstance(event, h11.Data):
                    body += event.data
                    check_size(body, evidence.status)
        finally:
            evidence.body = bytes(body)
        self._finish()
        assert evidence.status is not None
        return Reply(
            evidence.status, headers, inflated(evidence.body, headers, status=evidence.status)
        )

    def _finish(self) -> None:
        http = self._http
        done = http.our_state is h11.DONE and http.their_state is h11.DONE
        # Bytes that nobody asked for would be taken for the answer to the next request.
        if done and http.trailing_data == (b"", False):
            http.start_next_cycle()
            self.is_reusable = True


def first_cause(exc: BaseException) -> BaseException:
    """What an exception, or the first of a group, goes back to."""
    while True:
        cause = exc.exceptions[0] if isinstance(exc, BaseExceptionGroup) else exc.__cause__
        if cause is None:
            return exc
        exc = cause


async def _received(stream: ByteStream) -> bytes:
    try:
        return await stream.receive(_READ_SIZE)
    except anyio.EndOfStream:
        return b""


def _headers(response: h11.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _is_readable(sock: socket.socket) -> bool:
    descriptor = sock.fileno()
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):  # Windows; elsewhere select() takes no large descriptors
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def check_size(body: bytes | bytearray, status: int | None) -> None:
    """Refuse an answer that has grown beyond `MAX_REPLY`."""
    if len(body) > MAX_REPLY:
        raise UnexpectedReply(
            f"the answer is larger than {MAX_REPLY} bytes", raw=bytes(body), status=status
        )


def inflated(body: bytes, headers: Mapping[str, str], *, status: int) -> bytes:
    """The body as it was meant, up to `MAX_REPLY` bytes."""
    if headers.get("content-encoding", "identity").lower() == "identity":
        return body
    # We ask for identity; a proxy that compresses all the same gets no room for a bomb.
    inflater = zlib.decompressobj(wbits=47)
    try:
        plain = inflater.decompress(body, MAX_REPLY)
    except zlib.error as exc:
        raise UnexpectedReply(
            "the answer is compressed in a way that was not asked for", raw=body, status=status
        ) from exc
    if inflater.unconsumed_tail:
        raise UnexpectedReply(
            f"the answer inflates to more than {MAX_REPLY} bytes", raw=plain, status=status
        )
    return plain
