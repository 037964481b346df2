"""The clocks that the other tests rely on, and those of our users."""

import asyncio

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from liangxin import AsyncClient, RawInput
from liangxin.emulator import Emulator, JumpingLoop, virtual_time


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


def test_a_thread_wakes_a_loop_that_waits_for_nothing_else() -> None:
    async def main() -> tuple[str, float]:
        return await anyio.to_thread.run_sync(lambda: "done"), anyio.current_time()

    assert anyio.run(main, backend_options={"loop_factory": JumpingLoop}) == ("done", 0)


def test_the_end_of_a_loop_does_not_time_out_on_its_threads() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(int)
        await loop.shutdown_default_executor(300)  # type: ignore[call-arg]  # none before 3.12
        return loop.time()

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        assert runner.run(main()) == 0


def test_time_jumps_on_no_backend_that_is_not_known() -> None:
    with pytest.raises(ValueError, match="'curio'"):
        virtual_time("curio")


@pytest.mark.campaign
@pytest.mark.virtual_time
async def test_two_hundred_tasks_of_ten_minutes_take_ten_minutes_of_nobodys_time() -> None:
    emulator = Emulator(clock=anyio.current_time, durations=600.0)
    start = anyio.current_time()
    inputs = [RawInput("z-image", {"prompt": f"poster {number}"}) for number in range(200)]
    async with AsyncClient(
        "sk-test", base_url=emulator.base_url, transport=emulator.transport()
    ) as client:
        async with client.run_many(inputs, max_in_flight=200) as outcomes:
            ends = [outcome.result().completed_at async for outcome in outcomes]
    assert len(ends) == len(emulator.charges) == 200
    assert 600 <= anyio.current_time() - start < 700
