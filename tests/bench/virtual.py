"""
The real client on a clock that jumps, over a service without sockets.

What is left out is the network and the time it takes; looks and lags are those of the real poller.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
from collections import deque
from collections.abc import Coroutine
from typing import Any

import httpx

from tests.bench.books import Books, Summary
from tests.bench.ours import POSTER, client
from tests.bench.shapes import LIANGXIN_CREATED, LIANGXIN_DONE, LIANGXIN_PENDING


class _JumpingSelector(selectors.DefaultSelector):
    """Does not wait: reports how long it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class BookedService(httpx.AsyncBaseTransport):
    """A service in the process: an httpx transport that keeps the benchmark server's books."""

    def __init__(self, seed: int) -> None:
        self.books = Books(seed=seed)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a createTask or a recordInfo."""
        now = asyncio.get_running_loop().time()
        if request.method == "POST":
            return httpx.Response(200, content=LIANGXIN_CREATED(self.books.create(now)))
        task = request.url.params["taskId"]
        done = self.books.look(task, now)
        return httpx.Response(200, content=(LIANGXIN_DONE if done else LIANGXIN_PENDING)(task))


def run(main: Coroutine[Any, Any, Summary]) -> Summary:
    """Run to the end, in no time."""
    loop = _JumpingLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


async def burst(count: int, *, seed: int = 1, **asked: Any) -> Summary:
    """Create `count` tasks at once with the real client, wait for all, and close the books."""
    service = BookedService(seed)
    async with client("http://localhost", transport=service, **asked) as ours:
        async with ours.run_many([POSTER] * count, max_in_flight=count) as outcomes:
            async for outcome in outcomes:
                outcome.result()
    return service.books.summary(0, 0, 0.0)


def arrivals(count: int, per_second: float, seed: int = 1) -> list[float]:
    """When tasks come, one by one, at random."""
    rng = random.Random(f"arrivals {seed}")
    gaps = (rng.expovariate(per_second) for _ in range(count))
    return list(itertools.accumulate(gaps))


async def stream(moments: list[float], *, seed: int = 1, **asked: Any) -> Summary:
    """Create a task at each moment with the real client, wait for all, and close the books."""
    service = BookedService(seed)

    async def one(moment: float) -> None:
        await asyncio.sleep(moment)
        await ours.run(POSTER)

    async with client("http://localhost", transport=service, **asked) as ours:
        await asyncio.gather(*(one(moment) for moment in moments))
    return service.books.summary(0, 0, 0.0)


def round_robin(moments: list[float], budget: float, *, seed: int = 1) -> Summary:
    """The same tasks under the same budget, each looked at in its turn, at full budget."""
    books = Books(seed=seed)
    coming = deque(moments)
    turn: deque[str] = deque()
    now = 0.0
    while turn or coming:
        if not turn:
            now = max(now, coming[0])
        while coming and coming[0] <= now:
            turn.append(books.create(coming.popleft()))
        now += 1 / budget
        task = turn.popleft()
        if not books.look(task, now):
            turn.append(task)
    return books.summary(0, 0, 0.0)
