"""Callbacks: at the end of a task, with the record, tried again, and noted."""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import httpx
import pytest

from liangxin.emulator import Emulator, Fault
from tests.emulator.service import HandClock, client_of, create, look, order

pytestmark = pytest.mark.anyio

HOOK = "https://example.com/hook"


class Receiver:
    """Takes callbacks, and answers each with the next of its statuses."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[bytes] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "POST"
        assert "authorization" not in request.headers
        self.got.append(request.content)
        return httpx.Response(self.statuses.pop(0) if self.statuses else 204)


@pytest.fixture
def service(clock: HandClock) -> Callable[[Receiver], Emulator]:
    """Make an emulator that posts to a receiver."""

    def make(receiver: Receiver) -> Emulator:
        transport = httpx.MockTransport(receiver)
        return Emulator(clock=clock, durations=100.0, callback_transport=transport)

    return make


async def ordered(emulator: Emulator, prompt: str = "a cat") -> str:
    """Create a task that calls back."""
    return await create(emulator, order(prompt=prompt) | {"callBackUrl": HOOK})


async def test_one_callback_comes_when_the_task_is_final_and_not_before(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    task_id = await ordered(emulator)
    clock.now = 99
    await emulator.deliver_callbacks()
    assert receiver.got == []
    clock.now = 100
    await emulator.deliver_callbacks()
    await emulator.deliver_callbacks()
    (payload,) = (json.loads(body) for body in receiver.got)
    assert payload == {"code": 200, "msg": "success", "data": await look(emulator, task_id)}
    (delivery,) = emulator.callbacks
    assert (delivery.task_id, delivery.url, delivery.status) == (task_id, HOOK, 204)


async def test_a_failed_task_calls_back_too(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    await ordered(emulator, "!fail:no")
    clock.now = 100
    await emulator.deliver_callbacks()
    assert json.loads(receiver.got[0])["data"]["failMsg"] == "no"


async def test_a_task_without_a_url_calls_nobody(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    await create(emulator, order())
    clock.now = 100
    await emulator.deliver_callbacks()
    assert receiver.got == []


async def test_a_refused_callback_is_tried_three_times_in_all(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver(500, 302, 404, 200)
    emulator = service(receiver)
    await ordered(emulator)
    for moment in (100, 101, 102, 111, 112, 300):
        clock.now = moment
        await emulator.deliver_callbacks()
    noted = [(delivery.attempt, delivery.status) for delivery in emulator.callbacks]
    assert noted == [(1, 500), (2, 302), (3, 404)]


async def test_a_callback_that_gets_through_later_is_not_sent_again(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver(503)
    emulator = service(receiver)
    await ordered(emulator)
    for moment in (100, 102, 112, 300):
        clock.now = moment
        await emulator.deliver_callbacks()
    assert [delivery.status for delivery in emulator.callbacks] == [503, 204]


async def test_a_receiver_that_is_not_there_is_noted(clock: HandClock) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    emulator = Emulator(clock=clock, callback_transport=httpx.MockTransport(nobody), durations=1)
    await ordered(emulator)
    clock.now = 1
    await emulator.deliver_callbacks()
    assert [(one.status, one.error) for one in emulator.callbacks] == [(None, "ConnectError")]


async def test_a_lost_callback_is_never_posted(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    emulator.add_fault(Fault("callback", "lost"))
    await ordered(emulator)
    clock.now = 1000
    await emulator.deliver_callbacks()
    assert receiver.got == []
    assert emulator.callbacks[0].error == "lost by a fault"


async def test_a_callback_can_be_late_and_forged(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    emulator.add_fault(Fault("callback", "wrong_task_id", delay=50))
    await ordered(emulator)
    clock.now = 149
    await emulator.deliver_callbacks()
    assert receiver.got == []
    clock.now = 150
    await emulator.deliver_callbacks()
    assert json.loads(receiver.got[0])["data"]["taskId"] == "task_someone-else_1"


async def test_running_posts_by_itself() -> None:
    arrived = anyio.Event()

    def receive(request: httpx.Request) -> httpx.Response:
        arrived.set()
        return httpx.Response(200)

    emulator = Emulator(durations=0.01, callback_transport=httpx.MockTransport(receive))
    with anyio.fail_after(5):
        async with emulator.running():
            await ordered(emulator)
            await arrived.wait()


async def test_an_error_in_the_body_of_running_arrives_as_itself(emulator: Emulator) -> None:
    with pytest.raises(KeyError):
        async with emulator.running():
            raise KeyError("mine")


def test_a_served_emulator_posts_to_a_real_address() -> None:
    receiver, sender = Emulator(), Emulator(durations=0.01)
    with receiver.serve() as hook, sender.serve() as url:
        body = order() | {"callBackUrl": f"{hook}/hook"}
        with httpx.Client(headers={"Authorization": "Bearer k"}) as client:
            assert client.post(f"{url}/api/v1/jobs/createTask", json=body).status_code == 200
            while len(sender.callbacks) < 1:
                client.get(f"{url}/api/v1/jobs/recordInfo?taskId=x")
    assert receiver.requests[0].path == "/hook"
    assert sender.callbacks[0].status == 404


async def test_the_books_show_the_deliveries(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    emulator = service(Receiver())
    await ordered(emulator)
    clock.now = 100
    await emulator.deliver_callbacks()
    async with client_of(emulator) as client:
        ledger = (await client.get("/_emulator/ledger")).json()
    assert ledger["callbacks"][0]["url"] == HOOK


async def test_a_callback_may_be_posted_twice(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    emulator.add_fault(Fault("callback", "twice"))
    await ordered(emulator)
    clock.now = 100
    await emulator.deliver_callbacks()
    await emulator.deliver_callbacks()
    await emulator.deliver_callbacks()
    first, second = receiver.got
    assert first == second


async def test_a_callback_may_come_early_and_then_again_at_the_end(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    emulator.add_fault(Fault("callback", "early"))
    await ordered(emulator)
    await emulator.deliver_callbacks()
    clock.now = 100
    await emulator.deliver_callbacks()
    states = [json.loads(body)["data"]["state"] for body in receiver.got]
    assert states == ["waiting", "success"]


async def test_a_share_of_the_callbacks_is_lost_the_same_ones_with_the_same_seed(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    async def delivered(emulator: Emulator) -> list[bool]:
        emulator.add_fault(Fault("callback", "lost", count=None, probability=0.3))
        for _ in range(400):
            await ordered(emulator)
        clock.now += 100
        await emulator.deliver_callbacks()
        by_task = sorted(emulator.callbacks, key=lambda delivery: delivery.task_id)
        return [delivery.status is not None for delivery in by_task]

    emulator = service(Receiver())
    first = await delivered(emulator)
    emulator.reset()
    assert await delivered(emulator) == first
    assert 260 <= sum(first) <= 300


async def test_a_forged_callback_comes_first_and_is_full_of_lies(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    emulator.add_fault(Fault("callback", "forged", urls=("https://mallory.example/a.png",)))
    task_id = await ordered(emulator, "!fail:no")
    await emulator.deliver_callbacks()
    (forged,) = (json.loads(body)["data"] for body in receiver.got)
    assert (forged["taskId"], forged["state"]) == (task_id, "success")
    assert "mallory.example" in forged["resultJson"]
    clock.now = 100
    await emulator.deliver_callbacks()
    assert json.loads(receiver.got[1])["data"]["state"] == "fail"


async def test_the_magic_prompt_no_callback_calls_nobody(
    service: Callable[[Receiver], Emulator], clock: HandClock
) -> None:
    receiver = Receiver()
    emulator = service(receiver)
    await ordered(emulator, "a cat !no-callback")
    clock.now = 100
    await emulator.deliver_callbacks()
    assert not receiver.got
    assert not emulator.callbacks
