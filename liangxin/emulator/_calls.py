"""A request as the service sees it, read from ASGI with a cap on the body; nothing is judged."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from starlette.types import Receive, Scope

from liangxin.emulator._books import RawHeaders, key_hash


@dataclass(frozen=True)
class Call:
    """
    One request.

    `origin` is the scheme and host it was sent to; `is_too_large` that the body went over the cap
    and was thrown away; `at` the service's time of arrival.
    """

    method: str
    path: str
    at: float
    query_string: bytes = b""
    headers: RawHeaders = ()
    body: bytes = b""
    body_bytes: int = 0
    is_too_large: bool = False
    origin: str = "http://127.0.0.1:9"
    path_params: dict[str, str] = field(default_factory=dict)

    def header(self, name: bytes) -> str | None:
        """Return the first header of that lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    @functools.cached_property
    def key(self) -> str | None:
        """The Bearer key, if one came."""
        scheme, _, key = (self.header(b"authorization") or "").partition(" ")
        return key.strip() or None if scheme.lower() == "bearer" else None

    @functools.cached_property
    def key_hash(self) -> str | None:
        """The Bearer key as the books have it."""
        return None if self.key is None else key_hash(self.key)

    @functools.cached_property
    def task_id(self) -> str:
        """The query's `taskId`, or an empty string."""
        query = parse_qs(self.query_string.decode("latin-1"))
        return query.get("taskId", [""])[0].strip()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, as far as it says."""

    model: str | None = None
    prompt: str = ""
    task_id: str | None = None
    key_hash: str | None = None


async def read_call(scope: Scope, receive: Receive, at: float, body_limit: int) -> Call:
    """Read the whole request."""
    headers = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
    body, size = await _read_body(receive, body_limit)
    host = next((value for name, value in headers if name == b"host"), b"127.0.0.1:9")
    return Call(
        method=scope["method"],
        path=scope["path"],
        at=at,
        query_string=scope["query_string"],
        headers=headers,
        body=body,
        body_bytes=size,
        is_too_large=size > body_limit,
        origin=f"{scope.get('scheme', 'http')}://{host.decode('latin-1')}",
        path_params=scope.get("path_params") or {},
    )


async def _read_body(receive: Receive, limit: int) -> tuple[bytes, int]:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
    return b"".join(chunks), size
