"""
Callbacks: one POST to a task's `callBackUrl` once it is final, tried again briefly.

The service documents no signature, count or spacing; three tries, 2 and then 10 seconds apart,
are this emulator's reading of "briefly".  Redirects are not followed, the environment's proxies
are not used.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import anyio

from liangxin.emulator._books import Books, Delivery
from liangxin.emulator._faultbook import FaultBook
from liangxin.emulator._tasks import TaskRecord
from liangxin.emulator._time import Timeline

if TYPE_CHECKING:
    import httpx

_PAUSES = (2.0, 10.0)
_TIMEOUT = 10.0
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Parcel:
    """A callback to post; `body` once a fault has settled what is posted."""

    task: TaskRecord
    url: str
    attempt: int = 1
    body: bytes | None = None


class Courier:
    """Keeps the callbacks to come in order of time, and posts those that are due."""

    def __init__(
        self,
        time: Timeline,
        books: Books,
        faults: FaultBook,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.payload_of: Callable[[TaskRecord], bytes]
        self._time = time
        self._books = books
        self._faults = faults
        self._transport = transport
        self._queue: list[tuple[float, int, Parcel]] = []
        self._count = itertools.count()

    @property
    def parcels(self) -> list[tuple[float, Parcel]]:
        """What is to be posted, and when, in order."""
        return [(due, parcel) for due, _, parcel in sorted(self._queue, key=lambda each: each[:2])]

    def clear(self) -> None:
        """Forget what was to be posted."""
        self._queue.clear()

    def restore(self, parcels: Iterable[tuple[float, Parcel]]) -> None:
        """Post this, and nothing else."""
        self.clear()
        for due, parcel in parcels:
            self._plan(due, parcel)

    def expect(self, task: TaskRecord) -> None:
        """Plan the callback of `task`, if it asked for one."""
        if task.callback_url is None:
            return
        parcel = Parcel(task, task.callback_url)
        fault = self._faults.take("callback", task.subject, early=True)
        if fault is not None:
            self._plan(self._time.now(), replace(parcel, body=fault.posted(self.payload_of(task))))
        self._plan(task.final_at, parcel)

    async def deliver_due(self) -> None:
        """Post, once each, everything that is due now; a failed one becomes due again later."""
        parcels = self._take_due()
        if not parcels:
            return
        limit = anyio.CapacityLimiter(_AT_ONCE)
        async with self._client() as client, anyio.create_task_group() as group:
            for parcel in parcels:
                group.start_soon(self._post, client, limit, parcel)

    async def run(self) -> None:
        """Post callbacks as they fall due, until cancelled."""
        while not self._queue:
            await self._time.moved()
        limit = anyio.CapacityLimiter(_AT_ONCE)
        async with self._client() as client, anyio.create_task_group() as group:
            while True:
                for parcel in self._take_due():
                    group.start_soon(self._post, client, limit, parcel)
                await self._time.moved(self._until_next())

    def _client(self) -> httpx.AsyncClient:
        import httpx  # late, since it is slow, and few emulators call anybody back

        return httpx.AsyncClient(transport=self._transport, trust_env=False, timeout=_TIMEOUT)

    def _plan(self, due: float, parcel: Parcel) -> None:
        heapq.heappush(self._queue, (due, next(self._count), parcel))
        self._time.nudge()

    def _take_due(self) -> list[Parcel]:
        taken = []
        now = self._time.now()
        while self._queue and self._queue[0][0] <= now:
            taken.append(heapq.heappop(self._queue)[2])
        # In the order of time, whichever task is the first to run: so a seed gives the same faults.
        return [settled for parcel in taken if (settled := self._settle(parcel)) is not None]

    def _until_next(self) -> float:
        return self._queue[0][0] - self._time.now() if self._queue else math.inf

    async def _post(
        self, client: httpx.AsyncClient, limit: anyio.CapacityLimiter, parcel: Parcel
    ) -> None:
        async with limit:
            delivery = await self._try(client, parcel)
        self._books.callbacks.append(delivery)
        is_taken = delivery.status is not None and 200 <= delivery.status < 300
        if not is_taken and parcel.attempt <= len(_PAUSES):
            due = self._time.now() + _PAUSES[parcel.attempt - 1]
            self._plan(due, replace(parcel, attempt=parcel.attempt + 1))

    def _settle(self, parcel: Parcel) -> Parcel | None:
        """Apply a fault to a first try; None if it is not posted now."""
        if parcel.body is not None:
            return parcel
        task = parcel.task
        payload = self.payload_of(task)
        fault = self._faults.take("callback", task.subject)
        if fault is None:
            return replace(parcel, body=payload)
        if fault.action in {"drop_before", "lost"}:
            self._books.callbacks.append(self._note(parcel, None, "lost by a fault"))
            return None
        parcel = replace(parcel, body=fault.posted(payload))
        if fault.action == "twice":
            self._plan(self._time.now(), parcel)
        due = task.final_at + fault.delay
        if due <= self._time.now():
            return parcel
        self._plan(due, parcel)
        return None

    async def _try(self, client: httpx.AsyncClient, parcel: Parcel) -> Delivery:
        import httpx

        headers = {"Content-Type": "application/json"}
        try:
            reply = await client.post(parcel.url, content=parcel.body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return self._note(parcel, None, type(error).__name__)
        return self._note(parcel, reply.status_code, None)

    def _note(self, parcel: Parcel, status: int | None, error: str | None) -> Delivery:
        at = self._time.now()
        return Delivery(parcel.task.id, parcel.url, parcel.attempt, at, status, error)
