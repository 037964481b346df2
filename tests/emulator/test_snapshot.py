"""Snapshots: whatever was remembered, as JSON and back, and the same future from there."""

from __future__ import annotations

import httpx
import pytest

from liangxin.emulator import Emulator, Fault, read_snapshot, write_snapshot
from tests.emulator.service import KEY, HandClock, create, fetch, look, order, post, result_url

pytestmark = pytest.mark.anyio
HOOK = "https://example.com/hook"


async def lived() -> Emulator:
    """An emulator that has seen a bit of everything."""
    emulator = Emulator(seed=3, speed=0, durations=100.0, quota=1000)
    emulator.add_fault(Fault("look", "cut", nth=30, headers={"X-A": "b"}, body=b"\xff\x00"))
    emulator.add_fault(Fault("create", status=500, probability=0.5, count=None, key=KEY))
    for number in range(20):
        await post(emulator, order(prompt=f"cat {number}") | {"callBackUrl": HOOK})
    emulator.add_fault(Fault("create", "urls", urls=("http://127.0.0.1/a.png",)))
    await post(emulator, order(prompt="!fail:no luck"))
    await post(emulator, b"\xff{}")
    emulator.advance(10)
    for charge in emulator.charges[:2]:
        await look(emulator, charge.task_id)
    return emulator


async def test_a_snapshot_is_the_same_after_its_way_through_json() -> None:
    snapshot = (await lived()).snapshot()
    assert read_snapshot(write_snapshot(snapshot)) == snapshot
    assert read_snapshot(write_snapshot(snapshot).encode()) == snapshot


async def test_what_is_restored_has_the_same_books() -> None:
    first = await lived()
    second = Emulator(speed=0)
    second.restore(read_snapshot(write_snapshot(first.snapshot())))
    for book in ("charges", "requests", "callbacks", "tasks", "looks", "spent", "now"):
        assert getattr(second, book) == getattr(first, book), book
    assert second.snapshot() == first.snapshot()


async def test_the_future_is_the_same_from_there() -> None:
    first = await lived()
    kept = write_snapshot(first.snapshot())

    async def future(emulator: Emulator) -> list[object]:
        seen: list[object] = [(await post(emulator, order())).content for _ in range(10)]
        emulator.advance(200)
        done = next(iter(emulator.tasks))
        seen.append(await look(emulator, done))
        seen.append((await fetch(emulator, await result_url(emulator, done))).content)
        await emulator.deliver_callbacks()
        return [*seen, sorted(delivery.task_id for delivery in emulator.callbacks)]

    transport = httpx.MockTransport(lambda request: httpx.Response(204))
    futures = []
    for _ in range(2):
        emulator = Emulator(speed=0, callback_transport=transport, durations=100.0, quota=1000)
        emulator.restore(read_snapshot(kept))
        futures.append(await future(emulator))
    assert futures[0] == futures[1]
    assert len(futures[0][-1]) == len([1 for c in first.charges]) - 1  # type: ignore[arg-type]


async def test_going_back_undoes_what_came_after() -> None:
    clock = HandClock()
    emulator = Emulator(clock=clock, durations=100.0)
    kept_id = await create(emulator, order())
    kept = emulator.snapshot()
    clock.now = 500
    later_id = await create(emulator, order())
    emulator.restore(kept)
    assert list(emulator.tasks) == [kept_id] != [later_id]
    assert emulator.now == 0
    assert (await look(emulator, kept_id))["state"] == "waiting"
    clock.now = 600
    assert (await look(emulator, kept_id))["state"] == "success"


async def test_a_snapshot_holds_no_key() -> None:
    assert KEY not in write_snapshot((await lived()).snapshot())


@pytest.mark.parametrize("text", ["", "{}", "7", "[]", '{"version": 1, "sneed": 1}'])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="snapshot of an emulator"):
        read_snapshot(text)


async def test_a_snapshot_of_another_version_is_refused() -> None:
    text = write_snapshot((await lived()).snapshot()).replace('"version": 1', '"version": 2')
    with pytest.raises(ValueError, match="has version 1, not 2"):
        read_snapshot(text)
