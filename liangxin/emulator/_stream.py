"""
What happens in the service, told as it happens: the server-sent events behind the page.

Nothing in the service ticks, and nothing calls this module.  While someone listens, it looks four
times a second at what changed since its last look, so a thousand tasks a second still make four
messages; and nobody listening costs nothing.  It tells of the latest tasks and requests one by
one, of all others in sums.
"""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice, takewhile
from typing import Generic, TypeVar

import anyio
from starlette.types import Receive, Scope, Send

from liangxin.emulator._books import Charge, Delivery, SeenRequest
from liangxin.emulator._connection import gone
from liangxin.emulator._market import Market
from liangxin.emulator._sizes import result_names
from liangxin.emulator._tasks import TaskRecord
from liangxin.emulator._time import Timeline

TASKS = 500
"""Of how many tasks, the latest, a listener hears one by one."""

LINES = 200
"""Of how many requests and callbacks."""

_PAUSE = 0.25
_QUIET = 15.0
_LONGEST = 500  # characters of a prompt; the page shows two lines of it
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
]

Telling = Mapping[str, Callable[[], object]]


class EventStream:
    """
    `GET /_emulator/events`, a bare ASGI application.

    Each message is a JSON object that has only what changed; one with `restart` tells everything
    anew.  `telling` adds members to it: what each function returns, whenever that has changed.
    """

    def __init__(self, market: Market, time: Timeline, telling: Telling) -> None:
        self._market = market
        self._time = time
        self._telling = telling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until the listener is gone, or the server stops."""
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self._tell, send)
            await gone(receive)
            group.cancel_scope.cancel()

    async def _tell(self, send: Send) -> None:
        view = View(self._market, self._time, self._telling)
        await _send(send, b"retry: 1000\n\n")
        quiet = 0.0
        while True:
            if not view.holds():
                view = View(self._market, self._time, self._telling)
            news = view.news()
            if news:
                # In ASCII: some readers take every line end of Unicode for the end of a message.
                text = json.dumps(news, separators=(",", ":"))
                await _send(send, f"data: {text}\n\n".encode())
                quiet = 0.0
            elif quiet >= _QUIET:
                await _send(send, b": still here\n\n")
                quiet = 0.0
            await anyio.sleep(_PAUSE)
            quiet += _PAUSE


async def _send(send: Send, text: bytes) -> None:
    # Waits while the listener reads too slowly, whose next message then tells of a longer time.
    await send({"type": "http.response.body", "body": text, "more_body": True})


class View:
    """What one listener has been told; good until the service is reset."""

    def __init__(self, market: Market, time: Timeline, telling: Telling) -> None:
        self._market = market
        self._time = time
        self._telling = telling
        self._sums = _Sums()
        self._last: TaskRecord | None = None
        self._latest: deque[TaskRecord] = deque(maxlen=TASKS)
        self._standings: dict[str, tuple[str, int]] = {}
        self._requests = _Tail(market.books.requests)
        self._callbacks = _Tail(market.books.callbacks)
        self._told: dict[str, object] = {}

    def holds(self) -> bool:
        """Return whether the books only grew since they were last read."""
        return (
            (self._last is None or self._market.tasks.get(self._last.id) is self._last)
            and self._requests.holds()
            and self._callbacks.holds()
        )

    def news(self) -> dict[str, object]:
        """Return what changed since the last call, all of it the first time."""
        now = self._time.now()
        self._read(now)
        telling: dict[str, object] = {name: tell() for name, tell in self._telling.items()}
        telling |= {"totals": self._totals(), "models": dict(self._sums.models)}
        telling["restart"] = True  # which is news only once
        news = {name: it for name, it in telling.items() if self._told.get(name) != it}
        self._told = telling
        lists = {
            "tasks": self._task_news(now),
            "requests": [_request(seen) for seen in self._requests.fresh()],
            "callbacks": [_callback(delivery) for delivery in self._callbacks.fresh()],
        }
        return news | {name: entries for name, entries in lists.items() if entries}

    def _read(self, now: float) -> None:
        tasks = self._market.tasks
        count = len(tasks) - self._sums.created
        fresh = list(islice(reversed(tasks.values()), count))
        for task in reversed(fresh):
            self._last = task
            self._latest.append(task)
            self._sums.add(task)
        for charge in self._market.books.charges[self._sums.charges :]:
            self._sums.charge(charge)
        self._sums.settle(now)

    def _totals(self) -> dict[str, int]:
        books = self._market.books
        return {
            "created": self._sums.created,
            "in_flight": len(self._sums.in_flight),
            "succeeded": self._sums.succeeded,
            "failed": self._sums.failed,
            "charged": self._sums.charged,
            "looks": books.looks.total(),
            "requests": len(books.requests),
            "callbacks": len(books.callbacks),
        }

    def _task_news(self, now: float) -> list[dict[str, object]]:
        before, self._standings = self._standings, {}
        news = []
        for task in self._latest:
            standing = task.state_at(now), self._market.books.looks[task.id]
            self._standings[task.id] = standing
            if task.id not in before:
                news.append(_task(task) | _standing(task, *standing))
            elif before[task.id] != standing:
                news.append(_standing(task, *standing))
        return news


class _Sums:
    """Sums over all tasks; each is touched when it comes and when it ends, never in between."""

    def __init__(self) -> None:
        self.created = self.succeeded = self.failed = self.charges = self.charged = 0
        self.models: dict[str, tuple[int, int]] = {}
        self.in_flight: list[tuple[float, int, bool]] = []

    def add(self, task: TaskRecord) -> None:
        self.created += 1
        heapq.heappush(self.in_flight, (task.final_at, self.created, task.failure is not None))

    def charge(self, charge: Charge) -> None:
        self.charges += 1
        self.charged += charge.amount
        count, amount = self.models.get(charge.model, (0, 0))
        self.models[charge.model] = count + 1, amount + charge.amount

    def settle(self, now: float) -> None:
        while self.in_flight and self.in_flight[0][0] <= now:
            _, _, is_failed = heapq.heappop(self.in_flight)
            self.failed += is_failed
            self.succeeded += not is_failed


Entry = TypeVar("Entry")


class _Tail(Generic[Entry]):
    """The end of a book, which may be long: hands out what was added, at most the latest."""

    def __init__(self, book: Sequence[Entry]) -> None:
        self._book = book
        self._last: Entry | None = None

    def _latest(self) -> list[Entry]:
        return list(islice(reversed(self._book), LINES))

    def holds(self) -> bool:
        """Return whether what was handed out is still there, or has scrolled out of sight."""
        latest = self._latest()
        return (
            self._last is None
            or len(latest) == LINES
            or any(entry is self._last for entry in latest)
        )

    def fresh(self) -> list[Entry]:
        """Return the new entries, oldest first."""
        latest = self._latest()
        fresh = list(takewhile(lambda entry: entry is not self._last, latest))
        if latest:
            self._last = latest[0]
        return fresh[::-1]


def _task(task: TaskRecord) -> dict[str, object]:
    return {
        "model": task.model.slug,
        "title": task.model.title,
        "kind": task.kind,
        "price": task.model.price,
        "prompt": task.prompt[:_LONGEST],
        "key_hash": task.key_hash,
        "created_at": task.created_at,
        "duration": task.duration,
        "is_lost": task.is_lost,
        "results": [f"/_emulator/results/{task.id}/{name}" for name in result_names(task)],
    }


def _standing(task: TaskRecord, state: str, looks: int) -> dict[str, object]:
    standing: dict[str, object] = {"task_id": task.id, "state": state, "looks": looks}
    if state == "fail" and task.failure is not None:
        standing["failure"] = {"code": task.failure.code, "message": task.failure.message}
    return standing


def _request(seen: SeenRequest) -> dict[str, object]:
    return {
        "at": seen.at,
        "endpoint": seen.endpoint,
        "method": seen.method,
        "path": seen.path[:_LONGEST],
        "status": seen.status,
        "body_bytes": seen.body_bytes,
        "fault": seen.fault,
        "key_hash": seen.key_hash,
        "task_id": seen.task_id and seen.task_id[:_LONGEST],
    }


def _callback(delivery: Delivery) -> dict[str, object]:
    return {
        "at": delivery.at,
        "task_id": delivery.task_id,
        "url": delivery.url[:_LONGEST],
        "attempt": delivery.attempt,
        "status": delivery.status,
        "error": delivery.error,
    }
