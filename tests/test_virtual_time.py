"""The clocks that the other tests rely on."""

import anyio
import anyio.lowlevel
import pytest


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once_and_in_order() -> None:
    start = anyio.current_time()
    woken: list[float] = []

    async def sleeper(delay: float) -> None:
        await anyio.sleep(delay)
        woken.append(anyio.current_time() - start)

    async with anyio.create_task_group() as group:
        for delay in (3600, 0.5, 60):
            group.start_soon(sleeper, delay)
    assert woken == pytest.approx([0.5, 60, 3600])


@pytest.mark.virtual_time
async def test_a_deadline_strikes_at_its_time() -> None:
    start = anyio.current_time()
    with anyio.move_on_after(100) as scope:
        await anyio.Event().wait()
    assert scope.cancelled_caught
    assert anyio.current_time() - start == pytest.approx(100, abs=0.01)


@pytest.mark.virtual_time
async def test_work_that_is_ready_is_done_before_the_clock_jumps() -> None:
    start = anyio.current_time()
    with anyio.move_on_after(1) as scope:
        for _ in range(1000):
            await anyio.lowlevel.checkpoint()
    assert not scope.cancelled_caught
    assert anyio.current_time() == start
