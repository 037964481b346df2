"""
One address of the service as a bare ASGI application: read, apply a fault, answer, write it down.

Every request ends in the books, whatever was answered.  The entry is made before an answer is
delayed or dropped: the service has seen it by then.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import anyio.abc
from starlette.types import Message, Receive, Scope, Send

from liangxin.emulator._answers import Answer
from liangxin.emulator._books import Books, SeenRequest, without_credentials
from liangxin.emulator._calls import Call, Subject, read_call
from liangxin.emulator._connection import gone, hang_up
from liangxin.emulator._faultbook import FaultBook
from liangxin.emulator._faults import Fault, Target
from liangxin.emulator._time import Timeline

_DROPS = 16


class Handler(Protocol):
    """What the service does for a request."""

    def __call__(self, call: Call, fault: Fault | None = None) -> Awaitable[Answer]: ...


class Endpoint:
    """`target` is the address's name for faults; `subject` what a request there is about."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        time: Timeline,
        books: Books,
        faults: FaultBook,
        body_limit: int,
        target: Target | None = None,
        subject: Callable[[Call], Subject] | None = None,
    ) -> None:
        self._name = name
        self._handler = handler
        self._time = time
        self._books = books
        self._faults = faults
        self._body_limit = body_limit
        self._target = target
        self._subject = subject

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        call = await read_call(scope, receive, self._time.now(), self._body_limit)
        answer = await self._answer(call)
        self._note(call, answer)
        if answer.delay and answer.delivery != "drip":
            await self._pause(answer.delay, receive)
        await self._deliver(answer, call.method, receive, send)

    async def _answer(self, call: Call) -> Answer:
        fault = self._fault(call)
        if fault is None:
            return await self._handler(call)
        return await fault.act(lambda: self._handler(call, fault))

    def _fault(self, call: Call) -> Fault | None:
        if self._target is None or self._subject is None or not self._faults:
            return None
        return self._faults.take(self._target, self._subject(call))

    def _note(self, call: Call, answer: Answer) -> None:
        task_id = answer.task_id or call.path_params.get("task_id") or call.task_id or None
        if self._name == "look":
            self._books.looks[task_id or ""] += 1
        self._books.requests.append(
            SeenRequest(
                endpoint=self._name,
                method=call.method,
                path=call.path,
                task_id=task_id,
                at=call.at,
                status=None if answer.delivery == "drop" else answer.status,
                body_bytes=call.body_bytes,
                key_hash=call.key_hash,
                raw_headers=without_credentials(call.headers),
                fault=answer.fault,
            )
        )

    async def _pause(self, seconds: float, receive: Receive) -> None:
        """Wait for `seconds` of the service, or until the connection is down."""
        async with anyio.create_task_group() as group:
            group.start_soon(_then_cancel, group, self._time.until, self._time.now() + seconds)
            group.start_soon(_then_cancel, group, gone, receive)

    async def _deliver(self, answer: Answer, method: str, receive: Receive, send: Send) -> None:
        if answer.delivery == "drop":
            await hang_up(receive)
            return
        await send(_start_of(answer))
        body = b"" if method == "HEAD" else answer.body
        if answer.delivery == "cut":
            half = body[: len(body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await hang_up(receive, after_sending=True)
            return
        if answer.delivery == "drip":
            pieces = _pieces(body)
            for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await self._pause(answer.delay / len(pieces), receive)
            body = b""
        await send({"type": "http.response.body", "body": body})


def _pieces(body: bytes) -> list[bytes]:
    size = max(1, math.ceil(len(body) / _DROPS))
    return [body[first : first + size] for first in range(0, len(body), size)]


def _start_of(answer: Answer) -> Message:
    headers = {"content-type": answer.content_type, "content-length": str(len(answer.body))}
    headers |= {name.lower(): text for name, text in answer.headers}
    raw = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": raw}


async def _then_cancel(
    group: anyio.abc.TaskGroup, wait: Callable[..., Awaitable[None]], *args: object
) -> None:
    await wait(*args)
    group.cancel_scope.cancel()
