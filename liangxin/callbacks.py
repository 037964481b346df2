"""
Where the service's callbacks arrive: a bare ASGI app, and `handle` for everything else.

    receiver = CallbackReceiver("https://example.com/liangxin")
    app.mount("/liangxin", receiver)  # FastAPI, Starlette
    client = liangxin.AsyncClient(callbacks=receiver)

The service documents no signature, so nothing that a callback says is believed.  Each create gives
an address of its own, which ends in a token of 256 random bits; whoever knows it may make us read a
task with our own key, at most once a second, and nothing else.  Polling never stops: it slows down
while callbacks arrive.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import anyio
from attrs import field, frozen

from liangxin import _wire as wire
from liangxin._errors import CallbackRejected, InputError, LedgerError
from liangxin._soon import result_of
from liangxin._text import in_words, quoted

if TYPE_CHECKING:
    from liangxin._callbacks import Ticket
    from liangxin._replicas import Addressee, Replica

__all__ = ["CallbackReceiver", "HmacVerifier", "Verifier"]

log = logging.getLogger("liangxin")

MAX_BODY = 256 * 1024
"""How many bytes of a callback's body are read at the most."""
BODY_TIMEOUT = 5.0
"""Seconds that a body may take to arrive."""
MAX_BODIES = 64
"""How many bodies are read at a time; only senders with a good token get so far."""
LOOKUP_TIMEOUT = 5.0
"""Seconds that a shared ledger may take to say whose a token is."""

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Verifier(Protocol):
    """Says whether a callback bears the right signature; header names are in lower case."""

    def __call__(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return, or raise `CallbackRejected`."""


def _is_secret(verifier: HmacVerifier, attribute: object, value: bytes) -> None:
    if not isinstance(value, bytes) or not value:
        allowed = "bytes, and at least one"
        raise InputError(f"secret must be {allowed}", field="secret", allowed=allowed)


@frozen
class HmacVerifier:
    """
    The signature that a look-alike service documents; LiangXin documents none (inferred).

    `x-webhook-signature` is the Base64 of HMAC-SHA256(`secret`, task id + "." + timestamp), and
    `x-webhook-timestamp` a Unix time in seconds, which may be off by `tolerance` seconds either
    way.
    """

    secret: bytes = field(repr=False, validator=_is_secret)
    tolerance: float = 300.0

    def __call__(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return, or raise `CallbackRejected`, which never says what exactly was wrong."""
        timestamp = headers.get("x-webhook-timestamp", "")
        task_id = wire.task_named_in(body)
        if task_id is None or not re.fullmatch(r"[0-9]{1,12}", timestamp):
            raise CallbackRejected(_REJECTED)
        off = datetime.now(UTC).timestamp() - int(timestamp)
        signed = f"{task_id}.{timestamp}".encode("utf-8", "replace")
        wanted = hmac.digest(self.secret, signed, hashlib.sha256)
        if not hmac.compare_digest(wanted, _unbase64(headers.get("x-webhook-signature", ""))):
            raise CallbackRejected(_REJECTED)
        if not abs(off) <= self.tolerance:
            raise CallbackRejected(_REJECTED)


_REJECTED = "the callback's signature is missing, wrong or too old; it was not heeded"


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("utf-8", "replace"), validate=True)
    except binascii.Error:
        return b""


class CallbackReceiver:
    """
    Takes callbacks for the clients that it is given to, on asyncio and trio, from any thread.

    `public_url` is where the service can reach it: https, or http on this machine for the
    emulator.  It is an ASGI app: mount it there, or let `serving` run it alone; what is no ASGI
    calls `handle`.  `verifier` is asked about each callback with a known token, for the day on
    which the service signs them.

    Answers are constant: 200 for a token that is expected, or whose task has ended lately, and 404
    for any other.  Where a client has a ledger that processes share, all tokens in it are good, and
    whoever waits for the task is told, in whatever process; a token that is not expected here then
    costs a question to the database, and gets 503 while that cannot be asked.
    """

    def __init__(self, public_url: str, *, verifier: Verifier | None = None) -> None:
        if not wire.is_callback_url(public_url) or re.search(r"[?#]", public_url):
            allowed = "a public https URL without ? and # (or http on this machine)"
            raise InputError(
                f"public_url must be {allowed}, not {quoted(public_url)}",
                field="public_url",
                value=public_url,
                allowed=allowed,
            )
        self._public_url = public_url.rstrip("/")
        self._verifier = verifier
        # Written by the loops of clients, read by any thread: single steps of a dict, each atomic.
        self._tickets: dict[bytes, Ticket] = {}
        self._replicas: tuple[Replica, ...] = ()
        self._consulting = threading.Lock()
        self._bodies = threading.BoundedSemaphore(MAX_BODIES)  # of all loops that serve it

    def __repr__(self) -> str:
        return f"CallbackReceiver({self._public_url!r})"

    @property
    def public_url(self) -> str:
        """Where the service can reach it, without a trailing slash."""
        return self._public_url

    @property
    def expected(self) -> int:
        """How many tokens of this process are good: of tasks under way, in doubt, or just ended."""
        return len(self._tickets)

    def handle(self, method: str, path: str, headers: Headers, body: bytes) -> int:
        """
        Take a callback that a framework has received, and return the HTTP status to answer.

        For WSGI, Flask, Django or a serverless function; any thread may call.  Of `path` only the
        last segment counts.  It may wait for the database of a shared ledger.
        """
        digest = _digest(method, path)
        if isinstance(digest, int):
            return digest
        ticket = self.ticket(digest) or self._elsewhere(digest)
        if isinstance(ticket, int):
            return ticket
        named = _in_lower_case(headers)
        if _is_encoded(named):
            return 415
        if len(body) > MAX_BODY or _is_long(named):
            return self._take_the_beginning(ticket, body[:MAX_BODY])
        return self._take(ticket, named, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})
        else:
            status = await self._serve(scope, receive)
            if status is not None:
                await _answer(status, send)

    def serving(self, host: str = "127.0.0.1", port: int = 8788) -> AbstractContextManager[int]:
        """
        Serve it alone while the block runs, in a thread of its own; yields the port.

        Port 0 takes a free one.  Needs the extra `callbacks`.  Put a proxy with TLS in front: the
        service calls https addresses only.
        """
        try:
            from liangxin._serving import serving
        except ImportError as error:
            needed = 'serving callbacks needs an extra: pip install "liangxin[callbacks]"'
            raise ImportError(needed) from error
        return serving(self, host, port)

    # --- for clients -------------------------------------------------------------------------

    def expect(self, ticket: Ticket) -> None:
        """Take note that a callback with this ticket's token may come; clients do that."""
        self._tickets[ticket.digest] = ticket

    def forget(self, ticket: Ticket) -> None:
        """Answer this token as any unknown one from now on."""
        self._tickets.pop(ticket.digest, None)

    def ticket(self, digest: bytes) -> Ticket | None:
        """The ticket that is expected under the SHA-256 of a token."""
        # Found by a hash of what came, so the time it takes tells nothing about the tokens.
        ticket = self._tickets.get(digest)
        if ticket is None or not hmac.compare_digest(ticket.digest, digest):
            return None
        return ticket

    def consult(self, replica: Replica) -> None:
        """Ask it about tokens that are not expected; clients with a shared ledger do that."""
        with self._consulting:
            self._replicas = (*self._replicas, replica)

    def consult_no_more(self, replica: Replica) -> None:
        """Do without it."""
        with self._consulting:
            self._replicas = tuple(each for each in self._replicas if each is not replica)

    # --- one callback ------------------------------------------------------------------------

    def _consulted(self) -> Iterable[Replica]:
        """Whom to ask about a token: one for each ledger."""
        return {id(each.channel): each for each in self._replicas}.values()

    def _elsewhere(self, digest: bytes) -> Addressee | int:
        """Whose token it is in another process, or the status to refuse it with."""
        try:
            for replica in self._consulted():
                row = replica.ask(digest).result(LOOKUP_TIMEOUT)
                if row is not None:
                    return replica.addressee(digest, row)
        except (LedgerError, TimeoutError):
            return 503
        return 404

    async def _elsewhere_async(self, digest: bytes) -> Addressee | int:
        """The same, where nothing may block."""
        try:
            for replica in self._consulted():
                row = await result_of(replica.ask(digest), LOOKUP_TIMEOUT)
                if row is not None:
                    return replica.addressee(digest, row)
        except (LedgerError, TimeoutError):
            return 503
        return 404

    async def _serve(self, scope: Scope, receive: Receive) -> int | None:
        digest = _digest(scope["method"], scope["path"])
        if isinstance(digest, int):
            return digest
        ticket = self.ticket(digest) or await self._elsewhere_async(digest)
        if isinstance(ticket, int):  # before a byte of the body is read
            return ticket
        headers = _in_lower_case(scope["headers"])
        if _is_encoded(headers):
            return 415
        if _is_long(headers) and not ticket.wants_name:
            return self._take_the_beginning(ticket, b"")
        if not self._bodies.acquire(blocking=False):
            return 503
        try:
            with anyio.move_on_after(BODY_TIMEOUT):
                body = await _read(receive)
                if body is None:
                    return None
                if len(body) > MAX_BODY:
                    return self._take_the_beginning(ticket, body[:MAX_BODY])
                return self._take(ticket, headers, body)
            return 408
        finally:
            self._bodies.release()

    def _take(self, ticket: Ticket | Addressee, headers: Mapping[str, str], body: bytes) -> int:
        if self._verifier is not None:
            try:
                self._verifier(headers, body)
            except Exception as exc:  # whatever a user's verifier raises: it does not believe it
                # It may quote a header in which a proxy has put the whole address.
                log.warning("a callback was not believed: %s", _LONG_WORD.sub("…", in_words(exc)))
                return 403
        ticket.told(wire.task_named_in(body) if ticket.wants_name else None)
        return 200

    def _take_the_beginning(self, ticket: Ticket | Addressee, beginning: bytes) -> int:
        """
        Heed a callback that is too long to be read: its token has said what there is to say.

        A record repeats its request, and with it the pictures that were data URIs.
        """
        if self._verifier is None:
            ticket.told(wire.task_named_early_in(beginning) if ticket.wants_name else None)
        return 413


def _digest(method: str, path: str) -> bytes | int:
    """The SHA-256 of a callback's token, or the status to refuse it with."""
    if method.upper() != "POST":
        return 405
    token = path.removesuffix("/").rpartition("/")[2]  # Litestar puts a slash behind it
    if not _TOKEN.fullmatch(token):
        return 404
    return hashlib.sha256(token.encode("ascii")).digest()


_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_LONG_WORD = re.compile(r"[A-Za-z0-9_-]{24,}")


def _in_lower_case(headers: Headers) -> dict[str, str]:
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {_text(name).lower(): _text(value) for name, value in pairs}


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _is_encoded(headers: Mapping[str, str]) -> bool:
    return headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def _is_long(headers: Mapping[str, str]) -> bool:
    """Whether a body that is too long is announced."""
    length = headers.get("content-length", "0").strip()
    return length.isdecimal() and (len(length) > 19 or int(length) > MAX_BODY)


async def _read(receive: Receive) -> bytes | None:
    """The body, or more than `MAX_BODY` bytes of it; None if its sender has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY or not message.get("more_body", False):
            return bytes(body)


async def _answer(status: int, send: Send) -> None:
    headers = [(b"content-length", b"0")]
    if status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
