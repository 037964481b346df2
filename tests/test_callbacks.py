"""
Callbacks: whether they come early, late, twice, forged or not at all, every task is found, by the
books of the other side, and nothing is paid for twice.  In virtual time.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest

import liangxin
from liangxin import AmbiguousCreate, InputError, RawInput, Task, TaskState
from liangxin._callbacks import TRIES
from liangxin.callbacks import CallbackReceiver
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Ledger, LedgerState
from tests.conftest import KEY

pytestmark = pytest.mark.virtual_time

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
SECONDS = 100.0
"""What a task takes."""
BASE = "http://127.0.0.1:9"


class Doorway:
    """Where callbacks are posted: at the receiver behind it now, which may be another later."""

    def __init__(self, receiver: CallbackReceiver) -> None:
        self.receiver = receiver

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.receiver(scope, receive, send)


class Scene:
    """A receiver, a service that posts to it, and clients of both."""

    def __init__(self, **options: Any) -> None:
        self.receiver = CallbackReceiver("https://example.com/liangxin/")
        self.doorway = Doorway(self.receiver)
        self.emulator = Emulator(
            seed=1,
            clock=anyio.current_time,
            callback_transport=httpx.ASGITransport(self.doorway),
            **{"durations": SECONDS} | options,
        )

    def client(self, **options: Any) -> liangxin.AsyncClient:
        options.setdefault("callbacks", self.receiver)
        return liangxin.AsyncClient(
            KEY, base_url=BASE, transport=self.emulator.transport(), **options
        )

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[liangxin.AsyncClient]:
        """The service at work, and one client."""
        async with self.emulator.running(), self.client(**options) as client:
            yield client

    def fault(self, action: Any, **details: Any) -> None:
        self.emulator.add_fault(Fault("callback", action, **details))

    @property
    def urls(self) -> list[str]:
        """The addresses that creates gave, in order."""
        params = (json.loads(task.param) for task in self.emulator.tasks.values())
        return [param.get("callBackUrl") for param in params]

    def post(self, url: str, body: bytes = b"{}") -> int:
        return self.receiver.handle("POST", httpx.URL(url).path, {}, body)

    @staticmethod
    def share(client: liangxin.AsyncClient) -> float:
        share = client.stats().callback_share
        assert share is not None
        return share

    def answers(self) -> list[int | None]:
        return [delivery.status for delivery in self.emulator.callbacks]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    class QuickLedger(Ledger):
        is_quick = True  # where time jumps, nothing may happen outside of the loop
        _synchronous = "OFF"

    with QuickLedger(tmp_path / "posters.db") as ledger:
        yield ledger


# --- the address -------------------------------------------------------------------------------


async def test_every_create_gives_an_address_of_its_own(scene: Scene) -> None:
    async with scene.running() as client:
        for _ in range(2):
            await client.create_task(POSTER)
    first, second = scene.urls
    assert first != second
    for url in (first, second):
        prefix, _, token = url.rpartition("/")
        assert prefix == "https://example.com/liangxin"
        assert len(token) == 43


async def test_a_callback_url_of_the_users_own_is_left_alone(scene: Scene) -> None:
    async with scene.running() as client:
        task = await client.create_task(POSTER, callback_url="https://example.org/mine")
        assert await client.wait(task)
    assert scene.urls == ["https://example.org/mine"]


async def test_without_a_receiver_no_address_is_given(scene: Scene) -> None:
    async with scene.running(callbacks=None) as client:
        await client.run(POSTER)
        assert client.stats().callback_share is None
    assert scene.urls == [None]


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "https://example.com/x?y", "example.com", "", None, "https://"]
)
def test_an_address_that_the_service_could_not_call_is_refused(url: Any) -> None:
    with pytest.raises(InputError, match="public_url must be a public https URL"):
        CallbackReceiver(url)


# --- a callback that comes ---------------------------------------------------------------------


async def test_a_task_is_found_in_the_moment_of_its_callback(scene: Scene) -> None:
    async with scene.running(poll_interval=30) as client:
        task = await client.run(POSTER)
        assert anyio.current_time() == pytest.approx(SECONDS, abs=0.01)
    assert task.state is TaskState.SUCCESS
    assert scene.answers() == [200]
    assert scene.emulator.looks_of(task.id) == 4  # at about 30, 60 and 90 s, and the last


async def test_a_task_that_fails_is_found_as_well(scene: Scene) -> None:
    scene.emulator.fail_next_task(message="no")
    async with scene.running() as client:
        with pytest.raises(liangxin.TaskFailed, match="no"):
            await client.run(POSTER)
        assert anyio.current_time() == pytest.approx(SECONDS, abs=0.01)


async def test_looks_become_fewer_while_callbacks_arrive_and_never_stop(scene: Scene) -> None:
    async with scene.running() as client:
        before = (await client.run(POSTER)).id
        for _ in range(60):
            last = (await client.run(POSTER)).id
        assert scene.share(client) == pytest.approx(0.97, abs=0.02)
    assert 1 < scene.emulator.looks_of(last) < scene.emulator.looks_of(before) / 2


async def test_when_callbacks_stop_the_looks_are_as_many_as_before(scene: Scene) -> None:
    async def looks(client: liangxin.AsyncClient, count: int) -> float:
        start = scene.emulator.looks
        for _ in range(count):
            await client.run(POSTER)
        return (scene.emulator.looks - start) / count

    async with scene.running(callbacks=None) as client:
        await looks(client, 60)
        alone = await looks(client, 20)
    async with scene.running() as client:
        await looks(client, 60)
        scene.fault("lost", count=None)
        await looks(client, 60)
        assert await looks(client, 20) == pytest.approx(alone, rel=0.15)
        assert scene.share(client) < 0.1


async def test_a_callback_before_the_answer_to_the_create_is_remembered(scene: Scene) -> None:
    scene.fault("early")
    scene.emulator.add_fault(Fault("create", "delay", delay=5.0))
    async with scene.running(poll_interval=30) as client:
        task = await client.create_task(POSTER)
        async with aclosing(cast("AsyncGenerator[Task]", client.watch(task))) as snapshots:
            snapshot = await anext(snapshots)
            first_look = anyio.current_time()
    assert not snapshot.is_final
    assert first_look == pytest.approx(5.0, abs=0.01)
    assert scene.answers()[0] == 200


async def test_a_callback_for_which_nobody_waits_yet_saves_the_first_pause(scene: Scene) -> None:
    async with scene.running(poll_interval=30) as client:
        task = await client.create_task(POSTER)
        await anyio.sleep(SECONDS + 50)
        await client.wait(task)
        assert anyio.current_time() == pytest.approx(SECONDS + 50, abs=0.01)
    assert scene.emulator.looks_of(task.id) == 1


async def test_a_callback_that_comes_twice_costs_no_second_look(scene: Scene) -> None:
    scene.fault("twice")
    async with scene.running() as client:
        task = await client.run(POSTER)
        looks = scene.emulator.looks_of(task.id)
        await anyio.sleep(30)
    assert scene.answers() == [200, 200]
    assert scene.emulator.looks_of(task.id) == looks


async def test_a_callback_long_after_the_end_was_found_is_answered_well(scene: Scene) -> None:
    scene.fault("delay", delay=60.0)
    async with scene.running() as client:
        await client.run(POSTER)
        share = scene.share(client)
        await anyio.sleep(100)
        assert scene.share(client) == share
    assert scene.answers() == [200]


async def test_a_callback_just_after_the_end_was_found_counts_as_one_that_came(
    scene: Scene,
) -> None:
    scene.fault("delay", delay=0.5)
    async with scene.running(poll_interval=0.2) as client:
        await client.run(POSTER)
        missed = scene.share(client)
        await anyio.sleep(1)
        assert scene.share(client) > missed


async def test_callbacks_out_of_order_each_wake_their_own_task(scene: Scene) -> None:
    scene.fault("delay", delay=20.0, prompt="one")
    posters = [RawInput("z-image", {"prompt": word}) for word in ("one", "two", "three")]
    async with scene.running(poll_interval=300) as client:
        async with client.run_many(posters) as outcomes:
            found = [(outcome.index, anyio.current_time()) async for outcome in outcomes]
    assert {index for index, _ in found[:2]} == {1, 2}
    assert [moment for _, moment in found] == pytest.approx([100, 100, 120], abs=0.01)


@pytest.mark.parametrize("p", [0.05, 0.5, 1.0])
async def test_whatever_share_is_lost_every_task_is_found(p: float) -> None:
    scene = Scene(durations=None)
    scene.fault("lost", count=None, probability=p)
    async with scene.running() as client:
        async with client.run_many([POSTER] * 100, max_in_flight=20) as outcomes:
            found = {outcome.result().id async for outcome in outcomes}
    assert found == set(scene.emulator.tasks)
    assert len(scene.emulator.charges) == 100


async def test_a_task_with_a_callback_is_looked_at_before_all_others() -> None:
    scene = Scene(durations=lambda slug: 400.0 if slug == "z-image" else 100.0)
    scene.fault("lost", count=None, model="z-image")
    slow = RawInput("z-image", {"prompt": "slow"})
    async with (
        scene.running(poll_budget=1, max_interval=5) as client,
        anyio.create_task_group() as group,
    ):
        for _ in range(50):
            group.start_soon(client.run, slow)
        await client.run(RawInput("flux-2-pro", {"prompt": "quick"}))
        assert anyio.current_time() == pytest.approx(100, abs=2.5)
        group.cancel_scope.cancel()


async def test_of_too_many_open_tasks_the_oldest_are_simply_polled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liangxin._callbacks.OPEN", 2)
    async with scene.running() as client:
        tasks = [await client.create_task(POSTER) for _ in range(3)]
        assert [scene.post(url) for url in scene.urls] == [404, 200, 200]
        for task in tasks:
            assert (await client.wait(task)).state is TaskState.SUCCESS


# --- what a stranger can do --------------------------------------------------------------------


async def test_a_body_decides_nothing(scene: Scene) -> None:
    async with scene.running(poll_interval=300) as client:
        task = await client.create_task(POSTER)
        record = {"taskId": task.id, "state": "success", "resultJson": '{"resultUrls":["x"]}'}
        told = []

        async def forge() -> None:
            await anyio.sleep(10)
            body = json.dumps({"code": 200, "data": record}).encode()
            assert scene.post(scene.urls[0], body) == 200

        async with anyio.create_task_group() as group:
            group.start_soon(forge)
            async for snapshot in client.watch(task):
                told.append((snapshot.state, round(anyio.current_time())))
    assert told[0][0] is not TaskState.SUCCESS
    assert told[0][1] == 10
    assert told[-1] == (TaskState.SUCCESS, 100)


PICTURED = RawInput(
    "nano-banana-pro", {"prompt": "fog", "image_input": ["data:image/png;base64," + "A" * 400_000]}
)
"""Its record, which repeats it, is longer than the body of a callback may be."""


async def test_a_callback_that_is_too_long_to_be_read_is_heeded(scene: Scene) -> None:
    async with scene.running(poll_interval=300) as client:
        await client.run(PICTURED)
        assert anyio.current_time() == pytest.approx(SECONDS, abs=0.01)
    assert scene.answers()[0] == 413


# httpx's ASGITransport leaves a generator behind when an app answers before it has read all.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_doubt_is_settled_by_the_beginning_of_a_callback_that_is_too_long(
    scene: Scene, ledger: Ledger
) -> None:
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(ledger=ledger) as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(PICTURED, key="fog")
        await anyio.sleep(SECONDS + 5)
    assert ledger.find(["fog"])["fog"].state is LedgerState.SUCCEEDED
    assert len(scene.emulator.charges) == 1


@pytest.mark.parametrize(
    "details", [{"action": "garbage"}, {"action": "wrong_task_id"}, {"action": "delay", "body": ""}]
)
async def test_whatever_a_callback_says_its_token_names_the_task(
    scene: Scene, details: dict[str, Any]
) -> None:
    scene.fault(**details)
    async with scene.running(poll_interval=300) as client:
        task = await client.run(POSTER)
        assert anyio.current_time() == pytest.approx(SECONDS, abs=0.01)
    assert {seen.task_id for seen in scene.emulator.requests if seen.endpoint == "look"} == {
        task.id
    }


async def test_a_hundred_callbacks_in_a_second_make_one_look_a_second(scene: Scene) -> None:
    async with scene.running(poll_interval=300) as client:
        task = await client.create_task(POSTER)
        async with anyio.create_task_group() as group:
            group.start_soon(client.wait, task)
            await anyio.sleep(10)
            for _ in range(300):
                assert scene.post(scene.urls[0]) == 200
                await anyio.sleep(0.01)
            assert scene.emulator.looks_of(task.id) in (3, 4)


async def test_tokens_that_nobody_gave_are_refused_and_cause_no_look(scene: Scene) -> None:
    async with scene.running(poll_interval=300) as client:
        await client.create_task(POSTER)
        url = scene.urls[0]
        for other in (url[:-1], url + "A", url[:-1] + chr(ord(url[-1]) ^ 1), "/x/" * 9):
            assert scene.post(f"https://example.com{httpx.URL(other).path}") == 404
        assert scene.receiver.handle("GET", httpx.URL(url).path, {}, b"") == 405
    assert scene.emulator.looks == 0


async def test_no_token_and_no_key_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture, ledger: Ledger
) -> None:
    caplog.set_level(logging.DEBUG)
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(ledger=ledger) as client:
        with pytest.raises(AmbiguousCreate) as caught:
            await client.run(POSTER)
        await client.run(POSTER)
        await anyio.sleep(10)
    ours = [record for record in caplog.records if record.name.startswith("liangxin")]
    assert any("was accepted: its callback came" in record.getMessage() for record in ours)
    said = f"{[record.getMessage() for record in ours]} {caught.value!r} {scene.receiver!r}"
    assert not [url for url in scene.urls if url.rpartition("/")[2] in said]
    assert KEY not in said


async def test_a_closed_client_expects_nothing(scene: Scene) -> None:
    async with scene.running() as client:
        await client.create_task(POSTER)
        await client.run(POSTER)
    assert [scene.post(url) for url in scene.urls] == [404, 404]


async def test_what_was_refused_expects_nothing(scene: Scene) -> None:
    seen: list[bytes] = []

    class Listening(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(await request.aread())
            return httpx.Response(400, json={"code": 400, "msg": "no", "data": None})

    async with liangxin.AsyncClient(
        KEY, base_url=BASE, transport=Listening(), callbacks=scene.receiver
    ) as client:
        with pytest.raises(liangxin.BadRequest):
            await client.create_task(POSTER)
        with pytest.raises(InputError):
            await client.create_task(RawInput("z-image", {"prompt": float("nan")}))
        assert scene.post(json.loads(seen[0])["callBackUrl"]) == 404
        assert scene.receiver.expected == 0


# --- several clients, several processes --------------------------------------------------------


async def test_two_clients_on_one_receiver_hear_of_their_own_tasks(scene: Scene) -> None:
    found = []

    async def run(client: liangxin.AsyncClient) -> None:
        task = await client.run(POSTER)
        found.append((task.id, anyio.current_time()))

    async with scene.running(poll_interval=300) as one, scene.client(poll_interval=300) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(run, one)
            group.start_soon(run, other)
    assert {task for task, _ in found} == set(scene.emulator.tasks)
    assert [moment for _, moment in found] == pytest.approx([100, 100], abs=0.01)


async def test_a_task_of_another_process_is_simply_polled(scene: Scene) -> None:
    async with scene.running() as client, scene.client(callbacks=None) as other:
        task = await client.create_task(POSTER)
        await client.aclose()
        assert (await other.wait(task)).state is TaskState.SUCCESS
    assert set(scene.answers()) == {404}


async def test_a_restart_with_a_ledger_keeps_the_tokens(scene: Scene, ledger: Ledger) -> None:
    async with scene.emulator.running():
        async with scene.client(ledger=ledger) as client:
            task = await client.create_task(POSTER, key="fog")
        scene.doorway.receiver = CallbackReceiver(scene.receiver.public_url)
        async with scene.client(
            ledger=ledger, callbacks=scene.doorway.receiver, poll_interval=300
        ) as client:
            again = await client.run(POSTER, key="fog")
            assert anyio.current_time() == pytest.approx(SECONDS, abs=0.01)
    assert again.id == task.id
    assert len(scene.emulator.charges) == 1
    assert scene.answers() == [200]


async def test_what_is_on_record_is_brought_to_its_end_although_nobody_waits(
    scene: Scene, ledger: Ledger
) -> None:
    async with scene.running(ledger=ledger) as client:
        await client.create_task(POSTER, key="fog")
        await anyio.sleep(SECONDS + 5)
        row = ledger.find(["fog"])["fog"]
    assert row.state is LedgerState.SUCCEEDED
    assert row.urls


async def test_a_ledger_that_cannot_be_opened_leaves_nothing_behind(
    scene: Scene, tmp_path: Path
) -> None:
    file = tmp_path / "posters.db"
    file.write_bytes(b"not a ledger" * 100)
    with anyio.fail_after(5):
        with pytest.raises(liangxin.LedgerCorrupt):
            async with scene.client(ledger=file):
                raise AssertionError("opened")


# --- doubts ------------------------------------------------------------------------------------


async def test_a_callback_that_is_quicker_than_the_answer_that_never_comes_saves_the_task(
    scene: Scene,
) -> None:
    scene.emulator.add_fault(Fault("create", "delay", delay=1000.0))
    async with scene.running(create_timeout=150) as client:
        task = await client.create_task(POSTER)
        assert anyio.current_time() == pytest.approx(150, abs=1)
        assert (await client.wait(task)).state is TaskState.SUCCESS
    assert [charge.task_id for charge in scene.emulator.charges] == [task.id]


async def test_a_late_callback_turns_a_doubt_into_a_task_without_paying_again(
    scene: Scene, ledger: Ledger
) -> None:
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(ledger=ledger) as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        assert ledger.find(["fog"])["fog"].state is LedgerState.AMBIGUOUS
        await anyio.sleep(SECONDS + 5)
        row = ledger.find(["fog"])["fog"]
        again = await client.run(POSTER, key="fog")
    assert row.state is LedgerState.SUCCEEDED
    assert [charge.task_id for charge in scene.emulator.charges] == [row.task_id] == [again.id]


async def test_a_doubt_of_an_earlier_process_is_settled_too(scene: Scene, ledger: Ledger) -> None:
    scene.emulator.withhold_answer_to_next_create()
    async with scene.emulator.running():
        async with scene.client(ledger=ledger) as client:
            with pytest.raises(AmbiguousCreate):
                await client.create_task(POSTER, key="fog")
        scene.doorway.receiver = CallbackReceiver(scene.receiver.public_url)
        async with scene.client(ledger=ledger, callbacks=scene.doorway.receiver):
            await anyio.sleep(SECONDS + 5)
    row = ledger.find(["fog"])["fog"]
    assert row.state is LedgerState.SUCCEEDED
    assert [charge.task_id for charge in scene.emulator.charges] == [row.task_id]


async def test_a_batch_run_again_goes_on_with_what_callbacks_have_settled(
    scene: Scene, ledger: Ledger
) -> None:
    requests = [(f"fog-{n}", RawInput("z-image", {"prompt": f"fog {n}"})) for n in range(10)]
    scene.emulator.withhold_answer_to_next_create(3)
    async with scene.running(ledger=ledger) as client:
        async with client.batch(requests) as outcomes:
            first = [outcome async for outcome in outcomes]
        await anyio.sleep(SECONDS + 5)
        async with client.batch(requests) as outcomes:
            second = [outcome async for outcome in outcomes]
    assert sum(isinstance(outcome.error, AmbiguousCreate) for outcome in first) == 3
    assert all(outcome.ok for outcome in second)
    paid = {charge.task_id for charge in scene.emulator.charges}
    assert len(scene.emulator.charges) == 10
    assert {outcome.result().id for outcome in second} == paid


async def test_without_a_ledger_the_task_of_a_doubt_is_in_unclaimed(scene: Scene) -> None:
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running() as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER)
        await anyio.sleep(SECONDS + 5)
        [outcome] = client.unclaimed
        assert (await client.wait(outcome.result())).state is TaskState.SUCCESS
    assert outcome.result().id == scene.emulator.charges[0].task_id
    assert outcome.input is POSTER


async def test_the_task_takes_the_place_of_the_doubt_in_unclaimed(scene: Scene) -> None:
    scene.emulator.add_fault(Fault("create", "withhold", delay=10.0))
    async with scene.running() as client:
        with anyio.move_on_after(1):
            await client.create_task(POSTER)
        await anyio.sleep(20)
        assert [type(each.error) for each in client.unclaimed] == [AmbiguousCreate]
        await anyio.sleep(SECONDS)
        assert [each.error for each in client.unclaimed] == [None]


async def test_a_task_with_another_token_is_not_taken_for_the_lost_one(
    scene: Scene, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    scene.fault("lost", count=None)
    async with scene.running(ledger=ledger) as client:
        other = await client.create_task(POSTER, key="other")
        scene.emulator.withhold_answer_to_next_create()
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        body = json.dumps({"data": {"taskId": other.id}}).encode()
        assert scene.post(scene.urls[1], body) == 200
        await anyio.sleep(20)
        assert ledger.find(["fog"])["fog"].state is LedgerState.AMBIGUOUS
    assert "not of that create" in caplog.text


async def test_a_name_that_the_service_does_not_know_stays_a_doubt(
    scene: Scene, ledger: Ledger
) -> None:
    scene.fault("lost", count=None)
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(ledger=ledger) as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        for _ in range(50):
            assert scene.post(scene.urls[0], b'{"data": {"taskId": "task_of_nobody"}}') == 200
        await anyio.sleep(300)
        assert ledger.find(["fog"])["fog"].state is LedgerState.AMBIGUOUS
    assert 1 < scene.emulator.looks_of("task_of_nobody") <= 5


async def test_wrong_names_cause_one_look_a_second_and_do_not_hide_the_right_one(
    scene: Scene, ledger: Ledger
) -> None:
    scene.fault("lost", count=None)
    async with scene.running(ledger=ledger, poll_interval=300) as client:
        others = [await client.create_task(POSTER) for _ in range(2)]
        scene.emulator.withhold_answer_to_next_create()
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        lost = list(scene.emulator.tasks)[-1]
        before = sum(scene.emulator.looks_of(other.id) for other in others)
        for n in range(300):
            body = json.dumps({"data": {"taskId": others[n % 2].id}}).encode()
            assert scene.post(scene.urls[2], body) == 200
            await anyio.sleep(0.01)
        looks = sum(scene.emulator.looks_of(other.id) for other in others) - before
        assert looks in (3, 4)
        assert scene.post(scene.urls[2], json.dumps({"data": {"taskId": lost}}).encode()) == 200
        await anyio.sleep(5)
        row = ledger.find(["fog"])["fog"]
    assert (row.state, row.task_id) == (LedgerState.ACCEPTED, lost)


async def test_a_name_that_came_early_is_not_lost_when_the_looks_fail_for_a_while(
    scene: Scene, ledger: Ledger
) -> None:
    scene.emulator.add_fault(Fault("create", "delay", delay=1000.0))
    scene.emulator.add_fault(Fault("look", status=503, count=TRIES))
    async with scene.running(ledger=ledger, create_timeout=150) as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        await anyio.sleep(60)
        row = ledger.find(["fog"])["fog"]
    assert row.state is LedgerState.SUCCEEDED
    assert len(scene.emulator.callbacks) == len(scene.emulator.charges) == 1


async def test_a_doubt_that_somebody_has_settled_meanwhile_is_followed_to_its_end(
    scene: Scene, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(ledger=ledger) as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        ledger.attach("fog", scene.emulator.charges[0].task_id or "")
        await anyio.sleep(SECONDS + 5)
        assert ledger.find(["fog"])["fog"].state is LedgerState.SUCCEEDED
    assert "could not be put down" not in caplog.text


async def test_the_users_own_word_about_a_doubt_stands(
    scene: Scene, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(ledger=ledger) as client:
        with pytest.raises(AmbiguousCreate):
            await client.create_task(POSTER, key="fog")
        ledger.abandon("fog")
        await anyio.sleep(SECONDS + 5)
        assert ledger.find(["fog"])["fog"].state is LedgerState.ABANDONED
    assert "could not be put down" in caplog.text
