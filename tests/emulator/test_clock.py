"""Time moved by hand: states change, callbacks and held answers come, and nobody waits longer."""

from __future__ import annotations

import threading

import anyio
import httpx
import pytest

from liangxin.emulator import Emulator, Fault
from tests.emulator.service import KEY, HandClock, create, fetch, look, order, result_url

pytestmark = pytest.mark.anyio
STATES = [(0.0, "waiting"), (1.0, "queuing"), (2.0, "generating"), (17.0, "success")]


async def test_time_that_stands_still_moves_when_told_to() -> None:
    emulator = Emulator(speed=0, durations=20.0)
    task_id = await create(emulator, order())
    for seconds, state in STATES:
        emulator.advance(seconds)
        assert (await look(emulator, task_id))["state"] == state
    assert emulator.now == 20.0


async def test_time_that_goes_can_be_moved_on_as_well() -> None:
    clock = HandClock()
    emulator = Emulator(clock=clock, speed=2)
    assert emulator.now == 0
    clock.now = 5.0
    emulator.advance(100)
    assert emulator.now == 110.0
    emulator.speed = 0
    clock.now = 50.0
    assert emulator.now == 110.0
    emulator.speed = 3
    clock.now = 51.0
    assert emulator.now == 113.0


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_time_never_goes_back_nor_beyond_all_bounds(wrong: float) -> None:
    emulator = Emulator(speed=0)
    with pytest.raises(ValueError, match="time moves on"):
        emulator.advance(wrong)
    with pytest.raises(ValueError, match="speed must be"):
        emulator.speed = wrong
    assert (emulator.now, emulator.speed) == (0, 0)


async def test_the_unix_time_of_a_task_is_that_of_the_moved_clock() -> None:
    emulator = Emulator(speed=0, wall=lambda: 1_000.0, durations=5.0)
    emulator.advance(60)
    task_id = await create(emulator, order())
    emulator.advance(5)
    record = await look(emulator, task_id)
    assert (record["createTime"], record["completeTime"]) == (1_060_000, 1_065_000)


async def test_a_result_expires_when_time_is_moved_beyond_its_days() -> None:
    emulator = Emulator(speed=0, durations=5.0, result_ttl=60)
    task_id = await create(emulator, order())
    emulator.advance(64)
    url = await result_url(emulator, task_id)
    assert (await fetch(emulator, url)).status_code == 200
    emulator.advance(1)
    assert (await fetch(emulator, url)).status_code == 404


async def test_a_callback_falls_due_when_time_is_moved() -> None:
    came = anyio.Event()

    def take(request: httpx.Request) -> httpx.Response:
        came.set()
        return httpx.Response(204)

    emulator = Emulator(speed=0, durations=5.0, callback_transport=httpx.MockTransport(take))
    async with emulator.running():
        await create(emulator, order() | {"callBackUrl": "https://example.com/hook"})
        emulator.advance(4.9)
        await anyio.wait_all_tasks_blocked()
        assert not came.is_set()
        emulator.advance(0.1)
        await came.wait()
        await anyio.wait_all_tasks_blocked()
    assert [(delivery.at, delivery.status) for delivery in emulator.callbacks] == [(5.0, 204)]


async def test_an_answer_that_is_held_back_comes_when_time_is_moved() -> None:
    emulator = Emulator(speed=0)
    emulator.add_fault(Fault("create", "delay", delay=30))
    answered = anyio.Event()

    async def ask() -> None:
        await create(emulator, order())
        answered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        emulator.advance(29.5)
        await anyio.wait_all_tasks_blocked()
        assert len(emulator.charges) == 1
        assert not answered.is_set()
        emulator.advance(0.5)
        await answered.wait()


def test_a_served_emulator_hears_of_time_moved_in_another_thread() -> None:
    emulator = Emulator(speed=0)
    emulator.add_fault(Fault("create", "delay", delay=30))
    answers: list[httpx.Response] = []

    def ask(url: str) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        address = f"{url}/api/v1/jobs/createTask"
        answers.append(httpx.post(address, json=order(), headers=headers, timeout=60))

    with emulator.serve() as url:
        asking = threading.Thread(target=ask, args=(url,))
        asking.start()
        while not emulator.requests:
            httpx.get(f"{url}/_emulator/clock")
        assert not answers
        emulator.advance(30)
        asking.join()
    assert answers[0].status_code == 200
