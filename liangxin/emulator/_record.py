"""
`Recorder`: stands between a client and a real service, and writes down what passes.

Only the two endpoints are passed on, each request once: a createTask costs money, so nothing here
tries again.  Where the service's answer is lost, the client's connection goes down too, so that it
is left in the same doubt.  What is written down is without secrets; what the client gets is as the
service sent it.
"""

from __future__ import annotations

import functools
import ipaddress
import logging
import os
import re
import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx

from liangxin.emulator import _tape as tape
from liangxin.emulator._addresses import MOST_BYTES, app_of, only
from liangxin.emulator._answers import Answer
from liangxin.emulator._app import CREATE_PATH, LOOK_PATH
from liangxin.emulator._books import without_credentials
from liangxin.emulator._calls import Call
from liangxin.emulator._redaction import Redaction, callback_origin_in
from liangxin.emulator._running import Runnable
from liangxin.emulator._time import Timeline

log = logging.getLogger("liangxin.emulator")

# RFC 9110, section 7.6.1, and what RFC 2616 counted among them.
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
# Cookies are for the host that set them, and nothing of the API needs one.
_NOT_SENT = {"host", "content-length", "accept-encoding", "expect", "cookie"}
_NOT_RETURNED = {"content-length", "content-type", "content-encoding", "date", "set-cookie"}

# All others may carry what nobody expects.
_RECORDED = {
    "content-type",
    "idempotency-key",
    "location",
    "retry-after",
    "user-agent",
    "x-oneapi-request-id",
    "x-request-id",
}


class AnswerLost(Exception):
    """Raised where no whole answer came from the service."""


class Recorder(Runnable):
    """
    A recording proxy of the service at `upstream`: `https://host`, or http on this machine.

    Appends one JSON line for each exchange to `file`, which is new, empty, or a recording of the
    same service, readable by its owner only.  Never in it: API keys (a short hash stands for each),
    cookies, queries of URLs, paths of callback URLs, the content of data URIs.

    Each exchange has a connection of its own, through the environment's proxies, if it names any
    and the service is not on this machine; `upstream_transport` takes their place.  `timeout` is
    how long the service may be silent.  `clock` and `wall` are as for `Emulator`.
    """

    def __init__(
        self,
        upstream: str,
        file: str | os.PathLike[str],
        *,
        timeout: float = 120.0,
        upstream_transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] | None = None,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self._upstream, is_local = _checked(upstream)
        self._file = Path(file)
        self._held = tape.prepare(self._file, self._upstream)
        self._time = Timeline(clock, wall, 1.0)
        self._offset: float | None = None
        self._callback_origins: set[str] = set()
        self._client = functools.partial(
            httpx.AsyncClient,
            transport=upstream_transport,
            verify=_certificates(self._upstream),
            trust_env=not is_local,
            timeout=timeout,
        )
        self.app = app_of(
            {CREATE_PATH: only("POST", self._pass_on), LOOK_PATH: only("GET", self._pass_on)},
            self._time,
        )

    async def _pass_on(self, call: Call) -> Answer:
        try:
            answer = await self._ask(call)
        except AnswerLost as lost:
            log.warning("%s did not answer %s %s: %s", self._upstream, call.method, call.path, lost)
            self._note(call, lost=str(lost))
            return Answer(0, b"", delivery="drop")
        except anyio.get_cancelled_exc_class():
            if call.path == CREATE_PATH:  # which may have been paid for; a look is simply given up
                self._note(call, lost="the client left before the answer")
            raise
        self._note(call, answer)
        return answer

    async def _ask(self, call: Call) -> Answer:
        url = httpx.URL(self._upstream + call.path).copy_with(query=call.query_string or None)
        try:
            async with (
                self._client() as client,
                client.stream(
                    call.method,
                    url,
                    headers=[*_passed_on(call.headers, _NOT_SENT), ("accept-encoding", "identity")],
                    content=call.body,
                    follow_redirects=False,
                ) as reply,
            ):
                return _answer(reply, await _whole(reply))
        except httpx.HTTPError as error:
            raise AnswerLost(f"{type(error).__name__}: {error}") from error

    def _note(self, call: Call, answer: Answer | None = None, lost: str | None = None) -> None:
        try:
            tape.add(self._file, self._exchange(call, answer, lost))
        except OSError as error:
            # The client still gets its answer: it may have paid for it.
            log.error("%s: an exchange could not be recorded: %s", self._file, error)

    def _exchange(self, call: Call, answer: Answer | None, lost: str | None) -> tape.Exchange:
        secrets = _secrets(call)
        asked = Redaction(secrets)
        if (origin := callback_origin_in(call.body)) is not None:
            self._callback_origins.add(origin)
        told = Redaction(secrets, self._callback_origins)
        exchange = tape.Exchange(
            at=round(self._since_the_beginning(call.at), 6),
            method=call.method,
            path=call.path,
            query=asked.query(call.query_string),
            key=call.key_hash,
            request_headers=_recorded(_readable(call.headers), asked),
            request_body=asked.body(call.body, call.header(b"content-encoding")),
        )
        if answer is None:
            return replace(exchange, lost=told.text(lost or ""))
        headers = (("content-type", answer.content_type), *answer.headers)
        return replace(
            exchange,
            status=answer.status,
            response_headers=_recorded(headers, told),
            response_body=told.body(answer.body),
        )

    def _since_the_beginning(self, at: float) -> float:
        if self._offset is None:
            self._offset = self._begin(self._time.unix_ms(0) / 1000)
        return self._offset + at

    def _begin(self, unix: float) -> float:
        """Return at which second of the recording this run begins, at the time `unix`."""
        if self._held is None:
            tape.begin(self._file, self._upstream, unix)
            return 0.0
        latest = max((exchange.at for exchange in self._held.exchanges), default=0.0)
        return max(unix - self._held.started, latest)


def _checked(upstream: str) -> tuple[str, bool]:
    """Return the address of a service in its plain form, and whether it is on this machine."""
    wrong = ValueError("the address of the service must be https://host[:port][/prefix]")
    try:
        parts = urlsplit(upstream.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise wrong from None  # it may repeat a part of a password
    if parts.scheme not in {"https", "http"} or not host:
        raise wrong
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise wrong
    is_local = _is_loopback(host)
    if parts.scheme == "http" and not is_local:
        raise ValueError(f"http://{host} would see the API key unencrypted; https:// is needed")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", is_local


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _certificates(upstream: str) -> ssl.SSLContext:
    """Return whom to trust; made once, since it takes longer than many an exchange."""
    if upstream.startswith("https:"):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without certificates it trusts nobody


def _readable(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        yield name.decode("latin-1").lower(), value.decode("latin-1")


def _passed_on(
    headers: Iterable[tuple[bytes, bytes]], kept_back: set[str]
) -> list[tuple[str, str]]:
    """Return the headers that are for the other end, and not for this connection only."""
    pairs = list(_readable(headers))
    named = {
        name.strip().lower()
        for header, value in pairs
        if header == "connection"
        for name in value.split(",")
    }
    not_for_it = _HOP_BY_HOP | named | kept_back
    return [(name, value) for name, value in pairs if name not in not_for_it]


async def _whole(reply: httpx.Response) -> bytes:
    body, size = bytearray(), 0
    async for piece in reply.aiter_bytes():
        # What is too much is read all the same: httpx's streams are not made to be left half-way.
        size += len(piece)
        if size <= MOST_BYTES:
            body += piece
    if size > MOST_BYTES:
        raise AnswerLost(f"the answer is larger than {MOST_BYTES} bytes")
    return bytes(body)


def _answer(reply: httpx.Response, body: bytes) -> Answer:
    return Answer(
        reply.status_code,
        body,
        reply.headers.get("content-type", "application/octet-stream"),
        tuple(_passed_on(reply.headers.raw, _NOT_RETURNED)),
    )


def _recorded(headers: Iterable[tuple[str, str]], redaction: Redaction) -> dict[str, str]:
    return {name: redaction.text(value) for name, value in headers if name in _RECORDED}


def _secrets(call: Call) -> set[str]:
    """Return whatever came in the headers that carry credentials, whole and in pieces."""
    held = set(call.headers) - set(without_credentials(call.headers))
    words = {
        word
        for _, value in _readable(held)
        for word in (*value.split(), *re.findall(r"[^\s;=]+", value))
    }
    return words | {word.removeprefix("sk-") for word in words}
