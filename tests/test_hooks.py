"""Hooks: what they are told and when, and that they change nothing.  In virtual time."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx
import pytest

import liangxin
from liangxin import RawInput, TaskState
from liangxin._observer import Observer
from liangxin._origin import parse_base_url
from liangxin._owned import OwnedTasks
from liangxin._pacing import Durations, FixedSchedule, PollBudget
from liangxin._poller import REMEMBERED, Poller
from liangxin.emulator import Emulator, Fault
from liangxin.hooks import (
    CreateFailed,
    CreateStarted,
    Event,
    LookScheduled,
    RequestEnded,
    RetryScheduled,
    StateChanged,
    TaskCreated,
    TaskEnded,
    TaskLeft,
)
from liangxin.ledger import Move
from tests.conftest import KEY
from tests.test_batch import QuickLedger
from tests.test_callbacks import SECONDS, Scene

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
SIGNED = "https://example.com/cat.png?X-Amz-Signature=0123abcd"
Clients = Callable[..., liangxin.AsyncClient]
E = TypeVar("E", bound=Event)

asked_by: contextvars.ContextVar[str] = contextvars.ContextVar("asked_by", default="nobody")


def of_kind(events: Sequence[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def only(events: Sequence[Event], kind: type[E]) -> E:
    [event] = of_kind(events, kind)
    return event


@pytest.fixture
def emulator() -> Emulator:
    """Every task takes 20 seconds."""
    return Emulator(seed=1, clock=anyio.current_time, durations=20.0)


@pytest.fixture
def events() -> list[Event]:
    """What has been told, by whoever has `events.append` for a hook."""
    return []


# --- what is told ---------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_task_is_told_from_its_create_to_its_end(
    client_of: Clients, events: list[Event]
) -> None:
    async with client_of(hooks=events.append, poll_interval=100) as client:
        await client.run(POSTER)
    assert [type(event) for event in events] == [
        CreateStarted,
        RequestEnded,
        TaskCreated,
        LookScheduled,
        RequestEnded,
        StateChanged,
        TaskEnded,
    ]


@pytest.mark.virtual_time
async def test_an_end_is_told_with_its_times_and_its_looks(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    async with client_of(hooks=events.append) as client:
        task = await client.run(POSTER)
    ended = only(events, TaskEnded)
    assert ended.seconds is not None
    assert ended.lag is not None
    assert ended.seconds - ended.lag == pytest.approx(20, abs=0.1)
    assert ended.looks == emulator.looks_of(task.id) == len(of_kind(events, RequestEnded)) - 1
    assert (ended.task_id, ended.state, ended.error) == (task.id, TaskState.SUCCESS, None)


@pytest.mark.virtual_time
async def test_states_are_told_as_a_chain(client_of: Clients, events: list[Event]) -> None:
    async with client_of(hooks=events.append, poll_interval=1) as client:
        await client.run(POSTER)
    changes = of_kind(events, StateChanged)
    assert len(changes) > 1
    assert [change.old for change in changes[1:]] == [change.new for change in changes[:-1]]
    assert (changes[0].old, changes[-1].new) == (TaskState.WAITING, TaskState.SUCCESS)


@pytest.mark.virtual_time
async def test_a_task_that_fails_is_told_with_the_words_of_the_service(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.fail_next_task(message="no foxes")
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.TaskFailed):
            await client.run(POSTER)
    ended = only(events, TaskEnded)
    assert ended.error == "TaskFailed"
    assert "no foxes" in (ended.message or "")


@pytest.mark.virtual_time
async def test_a_create_that_is_sent_again_is_told_with_its_pause(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "60"}, count=1))
    async with client_of(hooks=events.append) as client:
        await client.create_task(POSTER)
    retry = only(events, RetryScheduled)
    assert (retry.lane, retry.attempt, retry.error) == ("create", 1, "RateLimited")
    assert retry.retry_after == 60
    assert retry.pause >= 60
    assert [request.status for request in of_kind(events, RequestEnded)] == [429, 200]
    assert only(events, TaskCreated).attempts == 2


@pytest.mark.virtual_time
async def test_a_doubt_is_told_as_one(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.add_fault(Fault("create", "withhold", count=1))
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.AmbiguousCreate) as caught:
            await client.create_task(POSTER)
    failed = only(events, CreateFailed)
    assert failed.is_ambiguous
    assert failed.ref == caught.value.client_ref == only(events, CreateStarted).ref


@pytest.mark.virtual_time
async def test_a_refusal_is_told_and_is_no_doubt(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.add_fault(Fault("create", status=422, count=1))
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.InvalidInput):
            await client.create_task(POSTER)
    failed = only(events, CreateFailed)
    assert (failed.error, failed.is_ambiguous) == ("InvalidInput", False)


@pytest.mark.virtual_time
async def test_a_look_that_fails_is_told_with_the_pause_until_the_next(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.add_fault(Fault("look", status=502, count=1))
    async with client_of(hooks=events.append, poll_interval=100) as client:
        await client.run(POSTER)
    retry = only(events, RetryScheduled)
    assert (retry.lane, retry.error) == ("look", "ServerError")
    assert retry.pause == of_kind(events, LookScheduled)[1].pause > 50


@pytest.mark.virtual_time
async def test_a_lost_task_has_ended(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.add_fault(Fault("look", "lost", count=None))
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.TaskLost):
            await client.run(POSTER)
    assert only(events, TaskEnded).error == "TaskLost"


@pytest.mark.virtual_time
async def test_a_refused_key_ends_the_waiting_and_not_the_task(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.add_fault(Fault("look", status=401, envelope="gateway", count=None))
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.Unauthorized):
            await client.run(POSTER)
    assert only(events, TaskLeft).error == "Unauthorized"
    assert not of_kind(events, TaskEnded)


@pytest.mark.virtual_time
async def test_a_task_for_which_nobody_waits_any_more_is_told_once(
    client_of: Clients, events: list[Event]
) -> None:
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.WaitTimeout) as caught:
            await client.run(POSTER, timeout=5)
        left = only(events, TaskLeft)
    assert left.task_id == caught.value.task.id
    assert len(of_kind(events, TaskLeft)) == 1


@pytest.mark.virtual_time
async def test_a_task_for_which_nobody_ever_waits_is_left_when_the_client_closes(
    client_of: Clients, events: list[Event]
) -> None:
    async with client_of(hooks=events.append) as client:
        task = await client.create_task(POSTER)
        assert not of_kind(events, TaskLeft)
    assert only(events, TaskLeft).task_id == task.id


async def _no_look(task: liangxin.Task) -> liangxin.Task:
    raise AssertionError("nobody waits")


async def test_a_task_that_is_forgotten_for_others_is_left(events: list[Event]) -> None:
    poller = Poller(
        _no_look,
        OwnedTasks(),
        schedule=FixedSchedule(1),
        budget=PollBudget(1),
        durations=Durations(),
        max_workers=1,
        observer=Observer([events.append], parse_base_url("https://api.example.com")),
    )
    for number in range(REMEMBERED + 1):
        poller.created(liangxin.Task(id=f"t{number}"), None)
    assert only(events, TaskLeft).task_id == "t0"


@pytest.mark.virtual_time
async def test_a_look_by_hand_is_a_request_and_nothing_else(
    client_of: Clients, events: list[Event]
) -> None:
    async with client_of() as other:
        task = await other.create_task(POSTER)
    async with client_of(hooks=events.append) as client:
        await client.get_task(task)
    [event] = events
    assert isinstance(event, RequestEnded)
    assert (event.lane, event.task_id, event.status) == ("look", task.id, 200)


@pytest.mark.virtual_time
async def test_a_task_that_was_created_elsewhere_has_no_age(
    client_of: Clients, events: list[Event]
) -> None:
    async with client_of() as other:
        task = await other.create_task(POSTER)
    async with client_of(hooks=events.append) as client:
        await client.wait(task.id)
    ended = only(events, TaskEnded)
    assert (ended.seconds, ended.lag, ended.model) == (None, None, "z-image")


@pytest.mark.virtual_time
async def test_what_is_told_holds_no_secret(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    emulator.fail_next_task(message=f"cannot fetch {SIGNED} for {KEY}\x1b[31m")
    async with client_of(hooks=events.append) as client:
        with pytest.raises(liangxin.TaskFailed):
            await client.run(POSTER)
    told = repr(events)
    assert "https://example.com/cat.png?…" in told
    for secret in (KEY, "0123abcd", "lighthouse", "\x1b", "\\x1b"):
        assert secret not in told


@pytest.mark.virtual_time
async def test_a_doubt_that_a_callback_settles_is_told_as_a_task(events: list[Event]) -> None:
    scene = Scene()
    scene.emulator.withhold_answer_to_next_create()
    async with scene.running(hooks=events.append) as client:
        with pytest.raises(liangxin.AmbiguousCreate) as caught:
            await client.create_task(POSTER)
        assert not of_kind(events, TaskCreated)
        await anyio.sleep(SECONDS + 5)
    created = only(events, TaskCreated)
    assert created.ref == caught.value.client_ref
    assert [charge.task_id for charge in scene.emulator.charges] == [created.task_id]


# --- when it is told ------------------------------------------------------------------------


class Noting(QuickLedger):
    """Notes what it puts on record."""

    story: list[str]

    def apply(self, changes: Any) -> Any:
        done = super().apply(changes)
        self.story += [each.to.value if isinstance(each, Move) else "planned" for each in changes]
        return done


class NotingTransport(httpx.AsyncBaseTransport):
    """Notes what it sends."""

    def __init__(self, inner: httpx.AsyncBaseTransport, story: list[str]) -> None:
        self._inner = inner
        self._story = story

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._story.append("sent")
        return await self._inner.handle_async_request(request)


@pytest.mark.virtual_time
async def test_no_hook_runs_before_what_it_is_told_is_on_record(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    story: list[str] = []
    ledger = Noting(tmp_path / "ledger.db")
    ledger.story = story
    transport = NotingTransport(emulator.transport(), story)
    hook = lambda event: story.append(type(event).__name__)  # noqa: E731
    with ledger:
        async with client_of(ledger=ledger, transport=transport, hooks=hook) as client:
            await client.create_task(POSTER, key="poster")
    assert story[: story.index("TaskCreated") + 1] == [
        "planned",
        "CreateStarted",
        "sending",
        "sent",
        "accepted",
        "RequestEnded",
        "TaskCreated",
    ]


@pytest.mark.virtual_time
async def test_a_create_that_the_ledger_knows_is_not_told(
    client_of: Clients, events: list[Event], tmp_path: Path
) -> None:
    with QuickLedger(tmp_path / "ledger.db") as ledger:
        async with client_of(ledger=ledger) as client:
            first = await client.run(POSTER, key="poster")
        async with client_of(ledger=ledger, hooks=events.append) as client:
            assert (await client.run(POSTER, key="poster")).id == first.id
    assert events == []


@pytest.mark.virtual_time
async def test_a_batch_is_told_task_by_task(
    emulator: Emulator, client_of: Clients, events: list[Event], tmp_path: Path
) -> None:
    requests = [(f"poster-{number}", POSTER) for number in range(20)]
    with QuickLedger(tmp_path / "ledger.db") as ledger:
        async with client_of(ledger=ledger, hooks=events.append) as client:
            async with client.batch(requests, max_in_flight=5) as outcomes:
                told = {outcome.result().id async for outcome in outcomes}
    assert {event.task_id for event in of_kind(events, TaskCreated)} == told
    assert {event.task_id for event in of_kind(events, TaskEnded)} == told
    assert {charge.task_id for charge in emulator.charges} == told


@pytest.mark.virtual_time
async def test_the_beginning_of_a_create_is_told_in_the_context_of_whoever_asked(
    client_of: Clients,
) -> None:
    seen: list[str] = []

    def hook(event: Event) -> None:
        if isinstance(event, CreateStarted):
            seen.append(asked_by.get())

    async with client_of(hooks=hook) as client:
        asked_by.set("one")
        await client.create_task(POSTER)
        asked_by.set("many")
        async with client.run_many([POSTER]) as outcomes:
            assert [outcome.ok async for outcome in outcomes] == [True]
    assert seen == ["one", "many"]


def test_the_blocking_client_brings_the_context_of_its_caller(
    server: Emulator, options_of: dict[str, Any]
) -> None:
    seen: list[str] = []

    def hook(event: Event) -> None:
        if isinstance(event, CreateStarted):
            seen.append(asked_by.get())

    caller = contextvars.copy_context()
    caller.run(asked_by.set, "the caller")
    with liangxin.Client(**options_of, hooks=hook) as client:
        client.create_task(POSTER)
        caller.run(client.create_task, POSTER)
    assert seen == ["nobody", "the caller"]


def test_the_blocking_client_tells_in_the_thread_of_its_loop(
    server: Emulator, options_of: dict[str, Any]
) -> None:
    threads: set[int] = set()
    hook = lambda event: threads.add(threading.get_ident())  # noqa: E731
    with liangxin.Client(**options_of, hooks=hook) as client:
        client.run(POSTER)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


# --- hooks that are no good -----------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_hook_that_raises_changes_nothing(
    emulator: Emulator, client_of: Clients, events: list[Event]
) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("out of order")

    async with client_of(hooks=[broken, events.append]) as client:
        task = await client.run(POSTER)
    assert [charge.task_id for charge in emulator.charges] == [task.id]
    assert only(events, TaskEnded).task_id == task.id


@pytest.mark.virtual_time
async def test_a_hook_that_raises_is_logged_once_for_each_kind_of_event(
    client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, (CreateStarted, RequestEnded)):
            raise RuntimeError("out of order")

    async with client_of(hooks=broken, poll_interval=5) as client:
        await client.run(POSTER)
    complaints = [record for record in caplog.records if "raised for" in record.getMessage()]
    assert [record.args[1] for record in complaints if isinstance(record.args, tuple)] == [
        "CreateStarted",
        "RequestEnded",
    ]


async def _slow(event: Event) -> None: ...


@pytest.mark.parametrize("hooks", [3, [print, "print"], _slow], ids=repr)
def test_what_is_no_hook_is_refused_by_name(hooks: Any) -> None:
    with pytest.raises(liangxin.InputError, match="hooks must be a plain function") as caught:
        liangxin.AsyncClient(KEY, base_url="https://api.example.com", hooks=hooks)
    assert caught.value.field == "hooks"


# --- without hooks --------------------------------------------------------------------------

UNOBSERVED = """
import sys, anyio, liangxin
from liangxin.emulator import Emulator
emulator = Emulator(speed=1000)
async def main():
    options = {"base_url": "http://127.0.0.1:9", "transport": emulator.transport()}
    async with liangxin.AsyncClient("sk-x", **options, poll_interval=0.01) as client:
        await client.run(liangxin.RawInput("z-image", {"prompt": "a lighthouse"}))
anyio.run(main)
assert len(emulator.charges) == 1
print(*sorted({"liangxin.hooks", "liangxin._observer", "liangxin._logging"} & {*sys.modules}))
"""


def test_without_hooks_there_is_no_class_that_an_event_could_be_made_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LIANGXIN_LOG", raising=False)
    done = subprocess.run([sys.executable, "-c", UNOBSERVED], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
