"""
Any story of a client and its ledger, judged by the books of the service.

A story is a list of steps: batches, single creates, faults, cancelled callers, closed clients,
power cuts, and the words by which a user settles a doubt.  It plays in virtual time, with the
service a few milliseconds away and a ledger whose writes take one, and the same is asked of every
story after each step.  `LIANGXIN_STORIES=5000` plays more of them than the tests do by themselves.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import anyio
import anyio.abc
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
import trio
import trio.testing
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import liangxin
from liangxin import Outcome, RawInput, Task
from liangxin.callbacks import CallbackReceiver
from liangxin.emulator import Emulator, Fault, JumpingLoop
from liangxin.emulator._books import Charge, SeenRequest
from liangxin.ledger import Change, Ledger, LedgerRow, LedgerState
from tests.conftest import KEY

pytestmark = pytest.mark.campaign

KEYS = "abcd"
AWAY = 0.010
"""Seconds from the client to the service, and back."""
WRITE = 0.001
"""Seconds of one write to the ledger."""
CREATE_TIMEOUT = 20.0
FOR_EVER = 1e6
"""Virtual seconds after which a story is said to hang."""
FOR_EVER_BUSY = 20_000
"""How often the time may be asked without going on."""

backends = pytest.mark.parametrize("backend", ["asyncio", "trio"])
stories = settings(
    max_examples=int(os.environ.get("LIANGXIN_STORIES", "100")),
    derandomize="LIANGXIN_STORIES" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def poster(key: str) -> RawInput:
    return RawInput("z-image", {"prompt": f"poster {key}"})


# --- steps -----------------------------------------------------------------------------------


@frozen
class Pass:
    """Time goes on."""

    seconds: float


@frozen
class Batch:
    """Somebody starts a batch."""

    keys: str
    retry_failed: bool = False


@frozen
class Create:
    """Somebody asks for one key."""

    key: str


@frozen
class CreateOther:
    """Somebody asks for something else under a key that is taken."""

    key: str


@frozen
class Cancel:
    """One of those who wait is cancelled."""

    who: int


@frozen
class Close:
    """The client is closed, and another one is opened."""


@frozen
class CancelBlock:
    """The block of the client is cancelled, and another one is opened."""


@frozen
class PowerCut:
    """The power goes at a moment from now: 0 is now, and each write and each message is two."""

    moments: int


@frozen
class DiskFull:
    """The next writes fail."""

    writes: int


@frozen
class Strike:
    """The next create meets a fault."""

    fault: str


@frozen
class Resend:
    """The user wants a key once more, and pays again."""

    key: str


@frozen
class Attach:
    """The user has found the task of a doubt in the books of the service."""

    key: str


@frozen
class Abandon:
    """The user gives up a doubt."""

    key: str


Step: TypeAlias = (
    Pass
    | Batch
    | Create
    | CreateOther
    | Cancel
    | Close
    | CancelBlock
    | PowerCut
    | DiskFull
    | Strike
    | Resend
    | Attach
    | Abandon
)

FAULTS: dict[str, Fault] = {
    "answer withheld": Fault("create", "withhold"),
    "reset before reading": Fault("create", "drop_before"),
    "answer cut": Fault("create", "cut"),
    "junk answer": Fault("create", "garbage"),
    "no task id": Fault("create", "null_task_id"),
    "page for an answer": Fault("create", "replace", status=200, body="<html>hello</html>"),
    "answer too late": Fault("create", "withhold", delay=2 * CREATE_TIMEOUT),
    "answer in time": Fault("create", "delay", delay=CREATE_TIMEOUT / 2),
    "429": Fault("create", status=429),
    "429 and when": Fault("create", status=429, headers={"Retry-After": "30"}),
    "429 for hours": Fault("create", status=429, headers={"Retry-After": "7200"}),
    "429 again and again": Fault("create", status=429, count=8),
    "503 and when": Fault("create", status=503, headers={"Retry-After": "3"}),
    "401": Fault("create", status=401),
    "422": Fault("create", status=422),
    "500": Fault("create", status=500),
    "the task fails": Fault("create", "fail"),
    "no look for a while": Fault("look", status=500, count=20),
    "callback lost": Fault("callback", "lost"),
    "callback late": Fault("callback", "delay", delay=60.0),
    "callback early": Fault("callback", "early"),
    "callback twice": Fault("callback", "twice"),
    "callback of junk": Fault("callback", "garbage"),
    "callback for another": Fault("callback", "wrong_task_id"),
}
READABLE = {None, "delay", "fail"}
"""The faults that leave an acceptance as it is."""
REFUSALS = {400, 401, 403, 404, 413, 422, 429, 503}

keys = st.sampled_from(KEYS)
some_keys = st.lists(keys, min_size=1, max_size=len(KEYS), unique=True).map("".join)
faults = st.builds(Strike, st.sampled_from(list(FAULTS)))
calls: st.SearchStrategy[Step] = st.one_of(
    st.builds(Batch, some_keys, st.booleans()),
    st.builds(Create, keys),
    st.builds(CreateOther, keys),
)
instants = st.builds(Pass, st.sampled_from([0.0, WRITE, 5 * WRITE, AWAY + 5 * WRITE, 3 * AWAY]))
whiles = st.builds(Pass, st.sampled_from([60.0, 1.0, 7.0, 0.0]))
mishaps: st.SearchStrategy[Step] = st.one_of(
    st.builds(PowerCut, st.integers(0, 12)),
    st.just(CancelBlock()),
    st.just(Close()),
    st.builds(Cancel, st.integers(0, 2)),
    st.builds(DiskFull, st.integers(1, 3)),
)
words: st.SearchStrategy[Step] = st.one_of(
    st.builds(Resend, keys), st.builds(Attach, keys), st.builds(Abandon, keys)
)


def some(kind: st.SearchStrategy[Step], most: int, least: int = 0) -> st.SearchStrategy[list[Step]]:
    return st.lists(kind, min_size=least, max_size=most)


def joined(parts: Iterable[list[Step]]) -> list[Step]:
    return [step for part in parts for step in part]


scenes = st.tuples(
    some(faults, 3),
    some(calls, 2, least=1),
    some(instants, 1),
    some(mishaps, 1),
    some(whiles, 1),
    some(words, 2),
).map(joined)
any_story = st.lists(scenes, min_size=1, max_size=6).map(joined)


# --- the machine that a client runs on -------------------------------------------------------


async def in_no_thread(
    work: Callable[[], Any], *, limiter: anyio.CapacityLimiter, **_: object
) -> Any:
    """`anyio.to_thread.run_sync`, for clocks that jump: the same checkpoints, and no thread."""
    await anyio.lowlevel.checkpoint()
    async with limiter:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(WRITE)
            return work()


class SlowLedger(Ledger):
    """Takes its time; may find no room; and is where the power may go, before and after a write."""

    _synchronous = "OFF"

    def __init__(self, path: Path, moment: Callable[[], None]) -> None:
        super().__init__(path)
        self.no_room = 0
        self._moment = moment

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | liangxin.LedgerError]:
        self._moment()
        if self.no_room:
            self.no_room -= 1
            raise liangxin.LedgerError("the disk is full")
        rows = super().apply(changes)
        self._moment()
        return rows


class Wire(httpx.AsyncBaseTransport):
    """The way to the service.  What has left arrives, whatever becomes of its sender."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self._service = life.world.emulator.transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._life.moment()
        self._refuse_the_dead()
        self._life.left.add(request.headers.get("idempotency-key", ""))
        with anyio.CancelScope(shield=True):
            await anyio.sleep(AWAY)
        response = await self._service.handle_async_request(request)
        await anyio.sleep(AWAY)
        self._life.moment()
        self._refuse_the_dead()
        return response

    def _refuse_the_dead(self) -> None:
        if self._life.is_over:
            raise httpx.ConnectError("the power is gone")


@define(eq=False)
class Life:
    """One client over one ledger, until it is closed or the power goes."""

    world: World
    folder: Path
    is_over: bool = False
    was_full: bool = False
    fuse: int | None = None
    """After how many moments the power goes."""
    left: set[str] = field(factory=set)
    """The creates that have been sent."""
    block: anyio.CancelScope = field(factory=lambda: anyio.CancelScope())
    callers: list[anyio.CancelScope] = field(factory=list)
    ledger: SlowLedger = field(init=False)
    client: liangxin.AsyncClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.ledger = SlowLedger(self.folder / "ledger.db", self.moment)
        self.client = liangxin.AsyncClient(
            KEY,
            base_url="http://127.0.0.1:9",
            transport=Wire(self),
            ledger=self.ledger,
            callbacks=self.world.new_receiver(),
            create_timeout=CREATE_TIMEOUT,
        )

    def moment(self) -> None:
        """Something happens: perhaps the power goes."""
        if self.fuse is not None and not self.is_over:
            self.fuse -= 1
            if self.fuse < 0:
                self.die()

    def die(self) -> None:
        """Leave the files as they are now to the next life; what this one still does is void."""
        self.is_over = True
        self.world.receiver = None
        self.world.deaths += 1
        self.world.folder = self.world.next_folder()
        for file in self.folder.glob("ledger.db*"):
            if not file.name.endswith(".lock"):
                shutil.copy(file, self.world.folder)
        for scope in (*self.callers, self.block):
            scope.cancel()

    def row(self, key: str) -> LedgerRow | None:
        return self.ledger.find([key]).get(key)


# --- a story ---------------------------------------------------------------------------------


class World:
    """One service with its books, and the lives of those who use it, one after the other."""

    def __init__(self, folder: Path, calls: bool) -> None:
        self.emulator = Emulator(
            seed=1,
            clock=anyio.current_time,
            durations=5.0,
            callback_transport=httpx.MockTransport(self._post),
        )
        self._calls = calls
        """Whether the clients of this world expect callbacks."""
        self.receiver: CallbackReceiver | None = None
        """Of the life that is lived now."""
        self.deaths = 0
        self._root = folder
        self._folders = count()
        self.folder = self.next_folder()
        self._resends: Counter[str] = Counter()
        self._retried: set[str] = set()
        """The keys whose failed tasks somebody wanted anew."""
        self.ends: dict[str | None, type] = {}
        """How each key has ended."""

    def new_receiver(self) -> CallbackReceiver | None:
        self.receiver = CallbackReceiver("https://example.com/calls") if self._calls else None
        return self.receiver

    def _post(self, request: httpx.Request) -> httpx.Response:
        if self.receiver is None:
            return httpx.Response(502)
        path, body = request.url.path, request.content
        return httpx.Response(self.receiver.handle("POST", path, request.headers, body))

    def next_folder(self) -> Path:
        folder = self._root / str(next(self._folders))
        folder.mkdir()
        return folder

    async def play(self, story: Sequence[Step]) -> None:
        """Play the story, then run what it has left undone to its end."""
        steps = deque(story)
        async with self.emulator.running():
            while steps:
                await self._live(lambda life: self._follow(life, steps))
            self.emulator.clear_faults()
            await self._live(lambda life: anyio.sleep(100))  # the last callbacks come
            await self._live(self._finish)
            await self._live(self._repeat)

    async def _live(self, work: Callable[[Life], Awaitable[None]]) -> None:
        life = Life(self, self.folder)
        with life.ledger:
            self._judge(life)
            async with anyio.create_task_group() as self._callers:
                with life.block:
                    async with life.client:
                        try:
                            await work(life)
                        finally:
                            life.ledger.no_room = 0
            if not life.is_over:
                self._judge(life)
                self._judge_closed(life)

    async def _follow(self, life: Life, steps: deque[Step]) -> None:
        while steps:
            step = steps.popleft()
            if isinstance(step, Close):
                return
            await self._take(life, step)
            await anyio.lowlevel.checkpoint()  # where a life ends whose power has gone
            self._judge(life)

    async def _take(self, life: Life, step: Step) -> None:
        match step:
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Batch(keys, retry_failed):
                self._retried.update(keys if retry_failed else "")
                self._call(life, lambda: _run_batch(life, keys, retry_failed))
            case Create(key):
                self._call(life, lambda: _create(life, key))
            case CreateOther(key):
                if life.row(key) is not None:
                    self._call(life, lambda: _create_other(life, key))
            case Cancel(who):
                for scope in life.callers[who : who + 1]:
                    scope.cancel()
            case CancelBlock():
                life.block.cancel()
            case PowerCut(moments):
                life.fuse = moments
                life.moment()
            case DiskFull(writes):
                life.ledger.no_room, life.was_full = writes, True
            case Strike(fault):
                self.emulator.add_fault(FAULTS[fault])
            case Resend() | Attach() | Abandon():
                self._settle(life, step)

    def _call(self, life: Life, work: Callable[[], Awaitable[None]]) -> None:
        """Let somebody do something, who may be cancelled."""
        scope = anyio.CancelScope()
        life.callers.append(scope)

        async def call() -> None:
            with scope:
                await work()

        self._callers.start_soon(call)

    def _settle(self, life: Life, step: Resend | Attach | Abandon) -> None:
        row = life.row(step.key)
        doubts = LedgerState.AMBIGUOUS, LedgerState.FAILED, LedgerState.ABANDONED
        if row is None or row.state not in doubts or life.ledger.no_room:
            return
        if isinstance(step, Resend):
            self._resends[step.key] += 1
            life.ledger.resend(step.key, accept_double_payment=True)
        elif row.state is LedgerState.AMBIGUOUS and isinstance(step, Abandon):
            life.ledger.abandon(step.key)
        elif row.state is LedgerState.AMBIGUOUS and row.ref in self._charges():
            life.ledger.attach(step.key, self._charges()[row.ref].task_id)

    # --- the books ---

    def _charges(self) -> dict[str, Charge]:
        """What was charged, by the create: none is charged twice."""
        charges = {str(each.idempotency_key): each for each in self.emulator.charges}
        assert len(charges) == len(self.emulator.charges)
        return charges

    def _posts(self) -> dict[str, list[SeenRequest]]:
        posts = defaultdict(list)
        for each in self.emulator.requests:
            if each.endpoint == "create":
                posts[each.headers["idempotency-key"]].append(each)
        return posts

    def _judge(self, life: Life) -> None:
        """What holds at every moment, for every create that has ever left."""
        rows = {row.ref: row for row in life.ledger.rows(history=True)}
        posts, charges = self._posts(), self._charges()
        for ref, sent in posts.items():
            refused = [_is_refusal(each) for each in sent]
            assert all(refused[:-1]), "sent again, and it was not refused"
            if rows[ref].state in (LedgerState.PLANNED, LedgerState.REFUSED):
                assert all(refused), "sent and not refused, and the ledger says it costs nothing"
        for ref, charge in charges.items():
            row = rows[ref]
            assert row.state.money in ("paid", "maybe paid")
            assert row.task_id == charge.task_id or row.state.money == "maybe paid"
            assert self.emulator.tasks[charge.task_id].prompt == f"poster {row.key}"
        for row in rows.values():
            assert row.state.money != "paid" or row.ref in charges, "paid, and never charged"
        creates = Counter(rows[ref].key for ref in posts)
        for key, created in creates.items():
            assert created <= 1 + self._wanted_anew(key), "created anew, and nobody asked for it"

    def _wanted_anew(self, key: str) -> int:
        """How often a key may have been created once more, by somebody's word."""
        tasks = self.emulator.tasks.values() if key in self._retried else ()
        failed = [each for each in tasks if each.failure and each.prompt == f"poster {key}"]
        return self._resends[key] + len(failed)

    def _judge_closed(self, life: Life) -> None:
        """What holds when a client has closed: it has seen through what had left."""
        rows = {row.ref: row for row in life.ledger.rows(history=True)}
        assert LedgerState.SENDING not in {row.state for row in rows.values()}
        for ref, posts in self._posts().items():
            if ref in life.left and posts[-1].status == 200 and posts[-1].fault in READABLE:
                assert rows[ref].state.money == "paid", "accepted, answered, and not recorded"
        money = life.ledger.status().money
        charged = len(self.emulator.charges)
        assert money["paid"] <= charged <= money["paid"] + money["maybe paid"]

    # --- the end ---

    async def _finish(self, life: Life) -> None:
        """With nothing in its way, a run brings every key to one end."""
        outcomes = await _outcomes(life, KEYS)
        assert Counter(each.key for each in outcomes) == Counter(KEYS)
        self.ends = {each.key: type(each.error) for each in outcomes}
        self._requests = len(self.emulator.requests)

    async def _repeat(self, life: Life) -> None:
        """A further run sends nothing, and tells the same."""
        outcomes = await _outcomes(life, KEYS)
        assert len(self.emulator.requests) == self._requests
        assert {each.key: type(each.error) for each in outcomes} == self.ends
        assert Counter(each.key for each in outcomes) == Counter(KEYS)
        for outcome in outcomes:
            self._judge_end(life, outcome)

    def _judge_end(self, life: Life, outcome: Outcome) -> None:
        row = life.row(outcome.key or "")
        assert row is not None
        match outcome.error:
            case None:
                assert row.state is LedgerState.SUCCEEDED
                assert outcome.result().id == row.task_id
                assert self.emulator.state_of(str(row.task_id)) == "success"
            case liangxin.TaskFailed():
                assert row.state is LedgerState.FAILED
                assert self.emulator.state_of(str(row.task_id)) == "fail"
            case liangxin.AmbiguousCreate():
                assert row.state in (LedgerState.AMBIGUOUS, LedgerState.ABANDONED)
            case _:
                assert isinstance(outcome.error, liangxin.APIError)
                assert row.state is LedgerState.REFUSED


def _is_refusal(post: SeenRequest) -> bool:
    return post.status in REFUSALS


# --- what callers do -------------------------------------------------------------------------

EXPECTED = (
    liangxin.AmbiguousCreate,
    liangxin.APIError,
    liangxin.NotSent,
    liangxin.TaskFailed,
    liangxin.ClientStateError,
)


async def _outcomes(life: Life, keys: str, **asked: Any) -> list[Outcome]:
    requests = [(key, poster(key)) for key in keys]
    async with life.client.batch(requests, max_ambiguous=1000, **asked) as outcomes:
        return [each async for each in outcomes]


async def _run_batch(life: Life, keys: str, retry_failed: bool) -> None:
    try:
        outcomes = await _outcomes(life, keys, retry_failed=retry_failed)
    except liangxin.LiangxinError as exc:
        _expect(life, exc)
        return
    for outcome in outcomes:
        _expect(life, outcome.error)
        _expect_on_record(life, outcome.task)


async def _create(life: Life, key: str) -> None:
    try:
        task = await life.client.create_task(poster(key), key=key)
    except liangxin.LiangxinError as exc:
        _expect(life, exc)
    else:
        _expect_on_record(life, task)


async def _create_other(life: Life, key: str) -> None:
    other = RawInput("z-image", {"prompt": f"something else for {key}"})
    try:
        await life.client.create_task(other, key=key)
    except (liangxin.LedgerConflict, liangxin.ClientStateError, liangxin.NotSent):
        return
    except liangxin.LedgerError:
        assert life.was_full or life.is_over
        return
    raise AssertionError("two inputs under one key")


def _expect(life: Life, error: liangxin.LiangxinError | None) -> None:
    """What the dead are told does not count."""
    if not life.is_over and error is not None and not isinstance(error, EXPECTED):
        assert isinstance(error, liangxin.LedgerError), repr(error)
        assert life.was_full, repr(error)


def _expect_on_record(life: Life, task: Task | None) -> None:
    """Whoever is given a task finds it in the ledger in the same moment."""
    if task is not None and not life.is_over and not life.was_full:
        assert life.ledger.find_task(task.id) is not None


# --- stories ---------------------------------------------------------------------------------


def _in_memory() -> str | None:
    """Where files are quick, if there is such a place: power cuts are not the disk's here."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None


def tell(story: Sequence[Step], backend: str, schedule: int = 0, *, calls: bool = False) -> World:
    """Play a story from its beginning to its end, on a clock that starts at 0."""
    worlds: list[World] = []

    async def play(folder: Path) -> None:
        worlds.append(World(folder, calls))
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 2 * FOR_EVER)
            await worlds[0].play(story)
            group.cancel_scope.cancel()

    random.seed(schedule)
    trio._core._run._r.seed(schedule)  # the order in which trio runs what is ready
    with (
        tempfile.TemporaryDirectory(dir=_in_memory()) as folder,
        patch.object(anyio.to_thread, "run_sync", in_no_thread),
        patch.object(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
    ):
        try:
            anyio.run(play, Path(folder), backend=backend, backend_options=_clock_of(backend))
        except ExceptionGroup as failures:
            raise _first(failures) from None
    return worlds[0]


def _first(failure: Exception) -> Exception:
    return _first(failure.exceptions[0]) if isinstance(failure, ExceptionGroup) else failure


def _clock_of(backend: str) -> dict[str, Any]:
    """A clock that jumps, and breaks when a story hangs: no shield holds against that."""
    if backend == "asyncio":

        def loop() -> JumpingLoop:
            loop = JumpingLoop()
            loop.time = _breaking(loop.time)  # type: ignore[method-assign]
            return loop

        return {"loop_factory": loop}
    clock = trio.testing.MockClock(autojump_threshold=0)
    clock.current_time = _breaking(clock.current_time)  # type: ignore[method-assign]
    return {"clock": clock}


def _breaking(time: Callable[[], float]) -> Callable[[], float]:
    """The time, as long as it goes on: neither for ever nor not at all."""
    last, asked = 0.0, 0

    def now() -> float:
        nonlocal last, asked
        asked = asked + 1 if time() == last else 0
        last = time()
        assert last < FOR_EVER, "the story hangs"
        assert asked < FOR_EVER_BUSY, "the story runs in circles"
        return last

    return now


def struck(*faults: str) -> list[Step]:
    """One create after the other meets a fault."""
    return [Strike(fault) for fault in faults]


def running(keys: str, *, retry_failed: bool = False) -> list[Step]:
    """A batch from its beginning to its end."""
    return [Batch(keys, retry_failed), Pass(60)]


TOLD: dict[str, list[Step]] = {
    "one create": [Create("a"), Create("b"), Pass(60)],
    "a key with another input": [Create("a"), Pass(1), CreateOther("a"), Pass(60)],
    "a power cut while creates are on their way": [Batch("abcd"), Pass(AWAY), PowerCut(0)],
    "doubts of every kind": [
        *struck("answer withheld", "500", "junk answer", "answer too late"),
        *running("abcd"),
    ],
    "doubts when there is a retry": [
        *struck("answer withheld", "the task fails", "422"),
        *running("abcd"),
        *running("abcd", retry_failed=True),
    ],
    "a doubt that is settled": [
        *struck("answer withheld"),
        *(Batch("abcd"), Pass(1)),
        *(Attach("a"), Attach("b"), Attach("c"), Attach("d")),
        Pass(60),
    ],
    "a full disk when the answer comes": [
        *(Create("a"), Pass(AWAY + 5 * WRITE), DiskFull(1), Pass(60), Create("b")),
    ],
    "the block is cancelled": [Batch("abcd"), Pass(AWAY), CancelBlock()],
    "the block is cancelled as a batch begins": [Batch("a"), Create("a"), CancelBlock()],
    "the client is closed": [Batch("abcd"), Pass(AWAY), Close()],
    "those who wait are cancelled": [Batch("ab"), Create("c"), Pass(AWAY), Cancel(0), Cancel(1)],
}


@backends
@pytest.mark.parametrize("calls", [False, True], ids=["polling", "callbacks"])
@pytest.mark.parametrize("story", TOLD, ids=lambda story: story.replace(" ", "_"))
def test_the_money_is_accounted_for_in_stories_that_are_often_told(
    backend: str, story: str, calls: bool
) -> None:
    tell(TOLD[story], backend, calls=calls)


@backends
@given(any_story, st.integers(0, 3), st.booleans())
@stories
def test_the_money_is_accounted_for_in_any_story(
    backend: str, story: list[Step], schedule: int, calls: bool
) -> None:
    tell(story, backend, schedule, calls=calls)


@backends
def test_callbacks_settle_every_doubt_whose_callback_comes(backend: str) -> None:
    faults = struck("answer withheld", "no task id", "junk answer", "answer too late")
    world = tell([*faults, *running("abcd")], backend, calls=True)
    assert len(world.emulator.charges) == 4
    assert set(world.ends.values()) == {type(None)}


@backends
def test_the_power_may_go_at_any_moment(backend: str) -> None:
    story = [
        *struck("429", "answer withheld", "the task fails"),
        *running("abcd"),
        *running("abcd", retry_failed=True),
    ]
    for moments in count(1):
        world = tell([PowerCut(moments), *story], backend)
        if not world.deaths:
            break
    assert moments > 50
