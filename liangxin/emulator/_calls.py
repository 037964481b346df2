"""A request as the service sees it, read from ASGI with a cap on the body; nothing is judged."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.types import Receive, Scope

from liangxin.emulator._books import RawHeaders, key_hash


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request.

    `key_hash` is the Bearer key as the books have it, `task_id` the query's `taskId` or nothing;
    `origin` is the scheme and host it was sent to; `is_too_large` that the body went over the cap
    and was thrown away; `at` the service's time of arrival.
    """

    method: str
    path: str
    at: float
    query_string: bytes
    headers: RawHeaders
    key_hash: str | None
    task_id: str
    body: bytes
    body_bytes: int
    is_too_large: bool
    origin: str
    path_params: dict[str, str]

    def header(self, name: bytes) -> str | None:
        """Return the first header of that lower-case name."""
        return _header(self.headers, name)


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
    host = _header(headers, b"host") or "127.0.0.1:9"
    return Call(
        method=scope["method"],
        path=scope["path"],
        at=at,
        query_string=scope["query_string"],
        headers=headers,
        key_hash=_key_hash(headers),
        task_id=_task_id(scope["query_string"]),
        body=body,
        body_bytes=size,
        is_too_large=size > body_limit,
        origin=f"{scope.get('scheme', 'http')}://{host}",
        path_params=scope.get("path_params") or {},
    )


def _header(headers: RawHeaders, name: bytes) -> str | None:
    for key, value in headers:
        if key == name:
            return value.decode("latin-1")
    return None


def _key_hash(headers: RawHeaders) -> str | None:
    scheme, _, key = (_header(headers, b"authorization") or "").partition(" ")
    key = key.strip()
    return key_hash(key) if key and scheme.lower() == "bearer" else None


def _task_id(query: bytes) -> str:
    if not query:
        return ""
    return parse_qs(query.decode("latin-1")).get("taskId", [""])[0].strip()


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
