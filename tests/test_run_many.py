"""run_many: lazily drawn, bounded, in order of completion, and nothing stops the others."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from itertools import pairwise
from typing import Any

import anyio
import pytest

import liangxin
from liangxin import ModelInput, RawInput
from liangxin.emulator import Emulator, Fault

pytestmark = pytest.mark.virtual_time

Clients = Callable[..., liangxin.AsyncClient]


def posters(count: int) -> Iterator[ModelInput]:
    for number in range(count):
        yield RawInput("z-image", {"prompt": f"poster {number}"})


async def test_every_input_has_one_outcome_in_order_of_completion(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client, client.run_many(posters(50)) as outcomes:
        found = [outcome async for outcome in outcomes]
    assert sorted(outcome.index for outcome in found if outcome.index is not None) == [*range(50)]
    assert all(outcome.result().urls for outcome in found)
    ids = {outcome.result().id for outcome in found}
    assert ids == {charge.task_id for charge in emulator.charges}
    ends = [outcome.result().completed_at for outcome in found]
    lateness = 15 * 1.1  # the longest pause between two looks
    assert all(
        (later - earlier).total_seconds() > -lateness  # type: ignore[operator]
        for earlier, later in pairwise(ends)
    )
    assert [outcome.index for outcome in found] != [*range(50)]


async def test_an_outcome_carries_its_input(client_of: Clients) -> None:
    inputs = list(posters(5))
    async with client_of() as client, client.run_many(inputs) as outcomes:
        async for outcome in outcomes:
            assert outcome.index is not None
            assert outcome.input is inputs[outcome.index]


async def test_async_inputs_are_drawn_too(client_of: Clients) -> None:
    async def trickle() -> AsyncIterator[ModelInput]:
        for poster in posters(5):
            await anyio.sleep(60)
            yield poster

    async with client_of() as client, client.run_many(trickle()) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 5
    assert anyio.current_time() >= 300


async def test_never_more_in_flight_than_allowed(emulator: Emulator, client_of: Clients) -> None:
    async with client_of() as client, client.run_many(posters(40), max_in_flight=7) as outcomes:
        async for _ in outcomes:
            running = [
                task for task in emulator.tasks if emulator.state_of(task) not in ("success",)
            ]
            assert len(running) <= 7
    assert len(emulator.charges) == 40


async def test_inputs_are_drawn_only_when_there_is_room(client_of: Clients) -> None:
    drawn = 0

    def counted() -> Iterator[ModelInput]:
        nonlocal drawn
        for poster in posters(1_000_000):
            drawn += 1
            yield poster

    async with client_of() as client:
        async with client.run_many(counted(), max_in_flight=5) as outcomes:
            taken = 0
            async for _ in outcomes:
                taken += 1
                assert drawn <= taken + 5
                if taken == 20:
                    break


async def test_a_slow_consumer_slows_down_the_creating(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client, client.run_many(posters(30), max_in_flight=4) as outcomes:
        taken = 0
        async for _ in outcomes:
            taken += 1
            await anyio.sleep(1000)
            assert len(emulator.charges) <= taken + 4


async def test_one_failure_never_stops_the_others(emulator: Emulator, client_of: Clients) -> None:
    emulator.add_fault(Fault("create", status=400, prompt="poster 1"))
    emulator.add_fault(Fault("create", "withhold", prompt="poster 2"))
    emulator.add_fault(Fault("create", "fail", prompt="poster 3", message="no luck"))
    emulator.add_fault(Fault("create", "null_task_id", prompt="poster 4"))
    inputs: list[Any] = [*posters(8), "not an input", RawInput("z-image", {"prompt": {1, 2}})]
    async with client_of() as client, client.run_many(inputs) as outcomes:
        found = {outcome.index: outcome async for outcome in outcomes}
    errors = {index: type(outcome.error) for index, outcome in found.items() if not outcome.ok}
    assert errors == {
        1: liangxin.BadRequest,
        2: liangxin.AmbiguousCreate,
        3: liangxin.TaskFailed,
        4: liangxin.AmbiguousCreate,
        8: liangxin.InputError,
        9: liangxin.InputError,
    }
    assert found[3].task is not None
    with pytest.raises(liangxin.TaskFailed, match="no luck"):
        found[3].result()
    assert len(emulator.charges) == 7  # all but the refused one and the two that never left


class Broken(ModelInput):
    """A class of the user's own that says nothing of what to send."""


async def test_a_broken_class_of_ones_own_is_one_failure_among_others(client_of: Clients) -> None:
    inputs: list[ModelInput] = [Broken(), *posters(2)]
    async with client_of() as client, client.run_many(inputs) as outcomes:
        found = {outcome.index: outcome.error async for outcome in outcomes}
    assert isinstance(found.pop(0), liangxin.InputError)
    assert found == {1: None, 2: None}


async def test_each_task_has_the_time_out_for_itself(client_of: Clients) -> None:
    emulator = Emulator(
        seed=1, clock=anyio.current_time, durations={"z-image": 500.0, "flux-2-pro": 5.0}
    )
    inputs = [RawInput(slug, {"prompt": "x"}) for slug in ("z-image", "flux-2-pro") * 5]
    async with client_of(transport=emulator.transport()) as client:
        async with client.run_many(inputs, max_in_flight=4, timeout=60) as outcomes:
            found = [outcome async for outcome in outcomes]
    late = [outcome for outcome in found if isinstance(outcome.error, liangxin.WaitTimeout)]
    assert len(late) == 5
    assert all(outcome.task is not None and not outcome.task.is_final for outcome in late)


@pytest.mark.campaign
async def test_long_time_outs_do_not_keep_what_has_ended(client_of: Clients) -> None:
    """One task goes on and on, so that its deadline is the next of all."""
    emulator = Emulator(
        seed=1, clock=anyio.current_time, durations={"z-image": 5.0, "flux-2-pro": 1e5}
    )
    inputs = [RawInput("flux-2-pro", {"prompt": "endless"}), *posters(400)]
    async with client_of(transport=emulator.transport()) as client:
        async with client.run_many(inputs, max_in_flight=10, timeout=1e6) as outcomes:
            async for _ in outcomes:
                assert len(client._poller._deadlines) <= 2 * 10 + 65


async def test_what_the_inputs_raise_comes_when_all_before_has_come(
    emulator: Emulator, client_of: Clients
) -> None:
    def broken() -> Iterator[ModelInput]:
        yield from posters(3)
        raise OSError("the file of prompts ends here")

    found = []
    async with client_of() as client:
        with pytest.raises(OSError, match="ends here"):
            async with client.run_many(broken()) as outcomes:
                async for outcome in outcomes:
                    found.append(outcome.ok)
    assert found == [True] * 3
    assert len(emulator.charges) == 3


async def test_what_the_body_raises_arrives_as_itself(client_of: Clients) -> None:
    async with client_of() as client:
        with pytest.raises(KeyError, match="mine"):
            async with client.run_many(posters(9)) as outcomes:
                async for _ in outcomes:
                    raise KeyError("mine")
        assert client._poller.waiting == 0


async def test_leaving_early_keeps_what_was_accepted(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        async with client.run_many(posters(50), max_in_flight=20) as outcomes:
            async for outcome in outcomes:
                first = outcome.result().id
                break
        assert client._poller.waiting == 0
        looks = emulator.looks
        await anyio.sleep(1000)
        assert emulator.looks == looks
    kept = [outcome.task.id for outcome in client.unclaimed if outcome.task]
    assert sorted([first, *kept]) == sorted(charge.task_id for charge in emulator.charges)
    assert all(outcome.index is not None for outcome in client.unclaimed)


async def test_an_input_that_arrives_as_the_block_is_left_is_not_sent(
    emulator: Emulator, client_of: Clients
) -> None:
    leaving = anyio.Event()

    async def late() -> AsyncGenerator[ModelInput, None]:
        with anyio.CancelScope(shield=True):
            await leaving.wait()
        yield next(posters(1))

    async with client_of() as client, aclosing(late()) as inputs:
        async with client.run_many(inputs):
            await anyio.wait_all_tasks_blocked()
            leaving.set()
        await anyio.sleep(100)
    assert emulator.requests == ()


async def test_a_cancelled_block_ends_and_the_client_goes_on(
    emulator: Emulator, client_of: Clients
) -> None:
    async with client_of() as client:
        with anyio.move_on_after(5) as scope:
            async with client.run_many(posters(50)) as outcomes:
                async for _ in outcomes:
                    pass
        assert scope.cancelled_caught
        assert (await client.run(next(posters(1)))).urls
    kept = [outcome.task.id for outcome in client.unclaimed if outcome.task]
    assert len(kept) + 1 == len(emulator.charges)


async def test_two_streams_of_one_client_do_not_mix(emulator: Emulator, client_of: Clients) -> None:
    counts: list[int] = []

    async def collect(client: liangxin.AsyncClient, count: int) -> None:
        async with client.run_many(posters(count), max_in_flight=10) as outcomes:
            counts.append(len([outcome async for outcome in outcomes if outcome.ok]))

    async with client_of() as client, anyio.create_task_group() as group:
        group.start_soon(collect, client, 30)
        group.start_soon(collect, client, 20)
    assert sorted(counts) == [20, 30]
    assert len(emulator.charges) == 50


async def test_closing_the_client_ends_the_stream_with_errors_not_with_a_hang(
    client_of: Clients,
) -> None:
    client = client_of()
    async with client:
        async with client.run_many(posters(20)) as outcomes:
            first = await anext(outcomes)
            await client.aclose()
            rest = [outcome async for outcome in outcomes]
    assert first.ok
    assert {type(outcome.error) for outcome in rest} <= {liangxin.ClientStateError, type(None)}


@pytest.mark.campaign
async def test_a_thousand_in_flight_need_few_connections(client_of: Clients) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, durations=60.0)
    most = 0
    async with client_of(transport=emulator.transport()) as client:
        async with client.run_many(posters(1000), max_in_flight=1000) as outcomes:
            async for outcome in outcomes:
                most = max(most, client._transport.in_use)
                assert outcome.ok
    assert len(emulator.charges) == 1000
    assert most <= 50


@pytest.mark.parametrize("max_in_flight", [0, -1])
async def test_a_bound_that_bounds_nothing_is_refused(
    max_in_flight: int, client_of: Clients
) -> None:
    async with client_of() as client:
        with pytest.raises(liangxin.InputError, match="max_in_flight"):
            client.run_many(posters(1), max_in_flight=max_in_flight)
