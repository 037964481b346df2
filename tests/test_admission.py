"""The door for creates: limits that are told, limits that are found out, and turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import pairwise

import anyio
import httpx
import pytest

import liangxin
from liangxin import RawInput
from liangxin.emulator import Emulator

pytestmark = pytest.mark.virtual_time

Clients = Callable[..., liangxin.AsyncClient]
POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})


class Limited(httpx.AsyncBaseTransport):
    """The service behind a quota: at most `count` creates in `seconds`, else 429."""

    def __init__(
        self, emulator: Emulator, count: int = 20, seconds: float = 10.0, *, tells: bool = False
    ) -> None:
        self._inner = emulator.transport()
        self._count, self._seconds, self._tells = count, seconds, tells
        self._window: deque[float] = deque()
        self.refused: list[tuple[float, float]] = []
        self.posts: list[float] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        now = anyio.current_time()
        if request.method != "POST":
            return await self._inner.handle_async_request(request)
        self.posts.append(now)
        while self._window and self._window[0] <= now - self._seconds:
            self._window.popleft()
        if len(self._window) < self._count:
            self._window.append(now)
            return await self._inner.handle_async_request(request)
        until = self._window[0] + self._seconds
        self.refused.append((now, until))
        headers = {"Retry-After": f"{until - now:.3f}"} if self._tells else {}
        return httpx.Response(429, json={"code": 429, "msg": "saturated"}, headers=headers)


def creates_of(emulator: Emulator) -> list[float]:
    return [seen.at for seen in emulator.requests if seen.method == "POST"]


async def run_all(client: liangxin.AsyncClient, count: int) -> list[liangxin.Outcome]:
    async with client.run_many([POSTER] * count, max_in_flight=count) as outcomes:
        return [outcome async for outcome in outcomes]


async def test_never_more_creates_than_the_limit_in_any_window_and_hardly_fewer(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of(rate_limit="20/10s") as client:
        assert all(outcome.ok for outcome in await run_all(client, 200))
    times = creates_of(emulator)
    assert all(later - earlier >= 10 for earlier, later in zip(times, times[20:], strict=False))
    assert times[-1] - times[0] <= 90 / 0.95


async def test_a_limit_counts_what_left_not_what_was_let_in(client_of: Clients) -> None:
    """One slow connection: what is let in early leaves late, and the window moves with it."""
    emulator = Emulator(seed=1, clock=anyio.current_time)
    seen: list[float] = []

    class Slow(httpx.AsyncBaseTransport):
        inner = emulator.transport()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "POST":
                seen.append(anyio.current_time())
                await anyio.sleep(7)
            return await self.inner.handle_async_request(request)

    async with client_of(transport=Slow(), rate_limit="2/10s", max_connections=1) as client:
        await run_all(client, 8)
    assert all(later - earlier >= 10 for earlier, later in zip(seen, seen[2:], strict=False))


@pytest.mark.parametrize("limit", ["0/10s", "20", "20/0s", "twenty/10s", "20/10y", "-1/s", "", 20])
def test_a_limit_that_is_none_is_refused(limit: str, client_of: Clients) -> None:
    with pytest.raises(liangxin.InputError, match="rate_limit"):
        client_of(rate_limit=limit)


async def test_two_streams_and_a_single_caller_take_turns(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of(rate_limit="10/10s") as client, anyio.create_task_group() as group:
        group.start_soon(run_all, client, 100)
        await anyio.sleep(0.5)
        group.start_soon(run_all, client, 50)
        await anyio.sleep(20)
        start = anyio.current_time()
        await client.create_task(RawInput("flux-2-pro", {"prompt": "at once"}))
        assert anyio.current_time() - start <= 10
        await anyio.sleep(40)
        half = [task.model for task in emulator.tasks.values()]
        assert len(half) >= 60
        group.cancel_scope.cancel()


async def test_streams_get_equal_shares(emulator: Emulator, client_of: Clients) -> None:
    async def stream(client: liangxin.AsyncClient, name: str) -> None:
        inputs = [RawInput("z-image", {"prompt": name})] * 300
        async with client.run_many(inputs, max_in_flight=300) as outcomes:
            async for _ in outcomes:
                pass

    async with client_of(rate_limit="10/10s") as client, anyio.create_task_group() as group:
        group.start_soon(stream, client, "first")
        await anyio.sleep(0.1)
        for name in ("second", "third"):
            group.start_soon(stream, client, name)
        await anyio.sleep(120)
        prompts = [task.prompt for task in emulator.tasks.values()]
        counts = [prompts.count(name) for name in ("first", "second", "third")]
        assert max(counts) - min(counts) <= 11  # the first had a window for itself
        group.cancel_scope.cancel()


async def test_whoever_leaves_the_queue_gives_up_the_turn(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of(rate_limit="1/10s") as client:
        await client.create_task(POSTER)
        for _ in range(5):
            with anyio.move_on_after(1):
                await client.create_task(POSTER)
        await client.create_task(POSTER)
        assert anyio.current_time() == pytest.approx(10, abs=0.1)
    assert len(emulator.charges) == 2
    assert client.unclaimed == ()


@pytest.mark.campaign
@pytest.mark.parametrize("tells", [True, False], ids=["Retry-After", "bare 429"])
async def test_in_a_storm_of_refusals_most_of_what_is_allowed_is_used(
    tells: bool, emulator: Emulator, client_of: Clients
) -> None:
    limited = Limited(emulator, tells=tells)
    async with client_of(transport=limited, max_retries=8) as client:
        outcomes = await run_all(client, 400)
    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    times = creates_of(emulator)
    lasted = times[-1] - times[0]
    ideal = (400 / 20 - 1) * 10
    assert ideal / lasted >= 0.9
    if tells:
        for refused_at, until in limited.refused:
            assert not [at for at in limited.posts if refused_at < at < until - 0.001]


@pytest.mark.campaign
async def test_the_pace_recovers_when_the_limit_is_lifted(
    emulator: Emulator, client_of: Clients
) -> None:
    limited = Limited(emulator)
    async with client_of(transport=limited, max_retries=8) as client:
        await run_all(client, 100)
        limited._count = 1_000_000
        before = len(creates_of(emulator))
        start = anyio.current_time()
        await run_all(client, 400)
        times = [at for at in creates_of(emulator)[before:] if at >= start]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert sum(pauses[-50:]) < 1
