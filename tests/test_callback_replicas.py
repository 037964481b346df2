"""
Callbacks behind a load balancer: one that reaches another process than the one that waits.

Two clients over one ledger in a real PostgreSQL, as two processes have them, and twice two
processes.  They look at nothing by themselves, so what they find a callback has told them; the
books of the other side say how often they looked, and what was paid.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from subprocess import PIPE
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

import liangxin
from liangxin import AmbiguousCreate, RawInput, TaskState
from liangxin.callbacks import CallbackReceiver
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import LedgerState, SharedLedger
from liangxin.ledger._hints import Hint, hint_of
from tests.conftest import KEY
from tests.databases import cut_connections, database
from tests.test_callback_receiver import free_port

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
NEVER = 3600.0
PATIENCE = 60.0

# What takes seconds by its nature; what depends on the loop is tried on all of them elsewhere.
ON_TRIO = pytest.mark.parametrize("anyio_backend", ["trio"])


class Fleet:
    """Two replicas of a web service, the service that they use, and what is between them."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url = url
        self.receivers = [CallbackReceiver("https://example.com/liangxin") for _ in range(2)]
        self.door = 1
        """The replica to which callbacks are passed now."""
        self.emulator = Emulator(
            seed=1,
            clock=anyio.current_time,
            callback_transport=httpx.ASGITransport(self._balance),
            **{"durations": 0.2} | options,
        )

    async def _balance(self, scope: Any, receive: Any, send: Any) -> None:
        await self.receivers[self.door](scope, receive, send)

    def client(self, replica: int, **options: Any) -> liangxin.AsyncClient:
        settings: dict[str, Any] = {"ledger": self.url, "poll_interval": NEVER} | options
        return liangxin.AsyncClient(
            KEY,
            base_url="http://127.0.0.1:9",
            transport=self.emulator.transport(),
            callbacks=self.receivers[replica],
            **settings,
        )

    @asynccontextmanager
    async def running(
        self, **options: Any
    ) -> AsyncIterator[tuple[liangxin.AsyncClient, liangxin.AsyncClient]]:
        with anyio.fail_after(PATIENCE):
            async with self.emulator.running():
                async with self.client(0, **options) as one, self.client(1) as other:
                    yield one, other

    @property
    def answers(self) -> list[int | None]:
        return [delivery.status for delivery in self.emulator.callbacks]

    def tokens(self) -> list[str]:
        """What creates gave, in order."""
        params = (json.loads(task.param) for task in self.emulator.tasks.values())
        return [param["callBackUrl"].rpartition("/")[2] for param in params]

    async def post(self, replica: int, token: str, body: bytes = b"{}") -> int:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.receivers[replica])
        ) as client:
            reply = await client.post(f"https://example.com/liangxin/{token}", content=body)
        return reply.status_code


@pytest.fixture
def url() -> str:
    return database()


@pytest.fixture
def ledger(url: str) -> Iterator[SharedLedger]:
    """The view of a third process."""
    with SharedLedger(url) as ledger:
        yield ledger


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not await anyio.to_thread.run_sync(is_so):  # noqa: ASYNC110  # a database says when
            await anyio.sleep(0.01)


def state_in(ledger: SharedLedger, key: str) -> LedgerState:
    return ledger.find([key])[key].state


# --- a task that another replica waits for -----------------------------------------------------


@pytest.mark.campaign
async def test_a_callback_wakes_the_replica_that_waits_and_costs_one_look(url: str) -> None:
    fleet = Fleet(url)
    async with fleet.running() as (one, _):
        task = await one.run(POSTER)
    assert task.state is TaskState.SUCCESS
    assert fleet.answers == [200]
    assert fleet.emulator.looks_of(task.id) == 1
    assert one.stats().callback_share == pytest.approx(0.5, abs=0.5)


@pytest.mark.campaign
@pytest.mark.parametrize("door", [0, 1])
async def test_all_replicas_that_wait_for_one_task_are_woken(url: str, door: int) -> None:
    fleet = Fleet(url, durations=0.7)
    fleet.door = door
    async with fleet.running() as (one, other):
        task = await one.create_task(POSTER, key="fog")
        async with anyio.create_task_group() as group:
            group.start_soon(one.wait, task)
            group.start_soon(partial(other.run, POSTER, key="fog"))
    assert [charge.task_id for charge in fleet.emulator.charges] == [task.id]
    assert fleet.emulator.looks_of(task.id) <= 4


@pytest.mark.campaign
@ON_TRIO
async def test_a_hundred_callbacks_elsewhere_make_one_look_a_second(url: str) -> None:
    fleet = Fleet(url, durations=0.5)
    async with fleet.running() as (one, _):
        task = await one.create_task(POSTER)
        [token] = fleet.tokens()
        async with anyio.create_task_group() as group:
            group.start_soon(one.wait, task)
            for _ in range(5):
                async with anyio.create_task_group() as flood:
                    for _ in range(20):
                        flood.start_soon(fleet.post, 1, token)
    assert fleet.emulator.looks_of(task.id) <= 3


@pytest.mark.campaign
async def test_a_token_that_no_ledger_knows_is_answered_404_and_causes_no_look(url: str) -> None:
    fleet = Fleet(url, durations=NEVER)
    async with fleet.running() as (one, _):
        await one.create_task(POSTER)
        answers = [await fleet.post(1, secrets.token_urlsafe(32)) for _ in range(3)]
        path = f"/liangxin/{secrets.token_urlsafe(32)}"
        answers.append(fleet.receivers[1].handle("POST", path, {}, b"{}"))
    assert answers == [404] * 4
    assert fleet.emulator.looks == 0


@pytest.mark.campaign
async def test_what_is_no_asgi_passes_callbacks_on_as_well(url: str) -> None:
    fleet = Fleet(url, durations=0.0)
    fleet.emulator.add_fault(Fault("callback", "lost"))
    async with fleet.running() as (one, _):
        task = await one.create_task(POSTER)
        assert fleet.receivers[1].handle("POST", fleet.tokens()[0], {}, b"{}") == 200
        assert (await one.wait(task)).state is TaskState.SUCCESS
    assert fleet.emulator.looks_of(task.id) == 1


@pytest.mark.campaign
async def test_a_callback_after_the_end_is_answered_well(url: str) -> None:
    fleet = Fleet(url)
    async with fleet.running() as (one, other):
        task = await one.run(POSTER)
        await one.aclose()
        assert await fleet.post(1, fleet.tokens()[0]) == 200
        assert other.stats().waiting == 0
    assert fleet.emulator.looks_of(task.id) == 1


@pytest.mark.campaign
async def test_a_task_whose_replica_has_gone_is_brought_to_its_end(
    url: str, ledger: SharedLedger
) -> None:
    fleet = Fleet(url, durations=0.5)
    async with fleet.running() as (one, _):
        await one.create_task(POSTER, key="fog")
        await one.aclose()
        await until(lambda: state_in(ledger, "fog") is LedgerState.SUCCEEDED)
    assert fleet.answers == [200]
    assert fleet.emulator.looks <= 2


# --- the database ------------------------------------------------------------------------------


@pytest.mark.campaign
async def test_while_the_ledger_cannot_be_asked_the_service_shall_try_again(url: str) -> None:
    fleet = Fleet(url)
    with SharedLedger(url) as ledger:
        async with fleet.client(1, ledger=ledger):
            ledger.channel().close()
            token = secrets.token_urlsafe(32)
            assert await fleet.post(1, token) == 503
            assert fleet.receivers[1].handle("POST", token, {}, b"{}") == 503
        assert await fleet.post(1, token) == 404


HINTS = [Hint(token_sha256=bytes([n] * 32), sender="a", task_id=f"task_{n}") for n in range(2)]


@pytest.mark.campaign
def test_ledgers_in_one_database_do_not_hear_each_other(url: str) -> None:
    heard: list[Hint] = []
    with (
        SharedLedger(url) as ours,
        SharedLedger(database()) as theirs,
    ):
        ours.channel().listen(heard.append)
        theirs.channel().tell(HINTS[0])
        anyio.run(until, lambda: not theirs.channel()._hints)
        ours.channel().tell(HINTS[1])
        anyio.run(until, lambda: heard != [])
    assert heard == [HINTS[1]]


@pytest.mark.campaign
def test_whatever_else_is_said_on_the_channel_is_not_heeded(url: str) -> None:
    heard: list[Hint] = []
    with SharedLedger(url) as ledger:
        ledger.channel().listen(heard.append)
        ledger._run(
            "SELECT pg_notify('liangxin_' || 'liangxin_rows'::regclass::oid, text) "
            "FROM unnest(ARRAY['', 'fog', '[]', '{\"token\": 7}']) AS text"
        )
        ledger.channel().tell(HINTS[0])
        anyio.run(until, lambda: heard != [])
    assert heard == [HINTS[0]]


def listening(ledger: SharedLedger) -> set[int]:
    """The sessions that hear of this ledger, and have done nothing else yet."""
    found = ledger._run(
        "SELECT pid FROM pg_stat_activity "
        "WHERE query = 'LISTEN \"liangxin_' || 'liangxin_rows'::regclass::oid || '\"'"
    )
    return {pid for (pid,) in found}


@pytest.mark.campaign
def test_a_connection_that_was_cut_is_made_anew(url: str) -> None:
    heard: list[Hint] = []
    with SharedLedger(url) as ledger:
        ledger.channel().listen(heard.append)
        before = listening(ledger)
        cut_connections()
        anyio.run(until, lambda: len(listening(ledger) - before) == 1)
        ledger.channel().tell(HINTS[0])
        assert ledger.channel().ask(b"a" * 32).result(PATIENCE) is None
        anyio.run(until, lambda: heard != [])
    assert heard == [HINTS[0]]


@pytest.mark.campaign
def test_whoever_has_left_hears_nothing(url: str) -> None:
    heard: list[Hint] = []
    left: list[Hint] = []
    with SharedLedger(url) as ledger:
        channel = ledger.channel()
        channel.listen(left.append)
        channel.listen(heard.append)
        channel.leave(left.append)
        channel.tell(HINTS[0])
        anyio.run(until, lambda: heard != [])
    assert left == []


@pytest.mark.campaign
def test_the_create_of_a_token_is_found_by_an_index(
    ledger: SharedLedger,
) -> None:
    from liangxin.ledger import _channel

    with ledger._using()._pool.connection() as db, db.transaction():
        db.execute("SET LOCAL enable_seqscan = off")
        plan = db.execute(f"EXPLAIN {_channel._FIND}".encode(), (1, [b"a" * 32, b"b" * 32]))
        assert "liangxin_by_token" in str(plan.fetchall())


TOKEN = "0f" * 32


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fog",
        "7",
        "[]",
        "{}",
        "[" * 5000,
        '{"token": 7}',
        '{"token": "0f", "sender": "a"}',
        f'{{"token": "{TOKEN}"}}',
        f'{{"token": "{TOKEN}", "sender": ""}}',
        f'{{"token": "{TOKEN.upper()}", "sender": "a"}}',
        f'{{"token": "{TOKEN}", "sender": "a", "task": 7}}',
        f'{{"token": "{TOKEN}", "sender": "a", "task": ""}}',
        f'{{"token": "{TOKEN}", "sender": "a", "named": ["x"]}}',
        f'{{"token": "{TOKEN}", "sender": "a", "named": "a\\nb"}}',
        f'{{"token": "{TOKEN}", "sender": "a", "named": "{"x" * 2001}"}}',
        f'{{"token": "{TOKEN}", "sender": "a", "named": "\\ud800"}}',
    ],
)
def test_what_is_no_hint_is_none(text: str) -> None:
    assert hint_of(text) is None


@pytest.mark.parametrize("id", [None, "task_1", '"' * 2000, "霧" * 666, "🌫" * 500])
def test_a_hint_is_heard_as_it_was_sent_and_fits_into_a_notification(id: str | None) -> None:
    named = id and id[:512]
    hint = Hint(token_sha256=bytes(range(32)), sender="a" * 16, task_id=id, named=named)
    assert hint_of(hint.to_text()) == hint
    assert len(hint.to_text().encode()) < 8000


# --- doubts ------------------------------------------------------------------------------------


@pytest.mark.campaign
async def test_a_callback_elsewhere_that_is_quicker_than_the_answer_saves_the_task(
    url: str, ledger: SharedLedger
) -> None:
    fleet = Fleet(url)
    fleet.emulator.add_fault(Fault("create", "delay", delay=1000.0))
    async with fleet.running(create_timeout=0.7) as (one, _):
        task = await one.run(POSTER, key="fog")
    assert [charge.task_id for charge in fleet.emulator.charges] == [task.id]
    assert ledger.find(["fog"])["fog"].task_id == task.id


@pytest.mark.campaign
@ON_TRIO
async def test_a_doubt_is_settled_once_and_by_the_replica_that_has_it(
    url: str, ledger: SharedLedger
) -> None:
    fleet = Fleet(url, durations=0.5)
    fleet.emulator.withhold_answer_to_next_create()
    async with fleet.running() as (one, other):
        with pytest.raises(AmbiguousCreate):
            await one.create_task(POSTER, key="fog")
        await until(lambda: state_in(ledger, "fog") is LedgerState.SUCCEEDED)
        callbacks = other._callbacks
        assert callbacks is not None
        [replica] = callbacks._replicas.values()
        assert list(replica._doubts)
        await until(lambda: not replica._doubts)
    [charge] = fleet.emulator.charges
    assert ledger.find(["fog"])["fog"].task_id == charge.task_id
    assert fleet.emulator.looks_of(charge.task_id or "") == 2  # whether it is ours, and its end


@pytest.mark.campaign
@ON_TRIO
async def test_a_doubt_of_a_replica_that_has_gone_is_settled_by_another(
    url: str, ledger: SharedLedger
) -> None:
    fleet = Fleet(url, durations=0.5)
    fleet.emulator.withhold_answer_to_next_create()
    async with fleet.running() as (one, other):
        with pytest.raises(AmbiguousCreate):
            await one.create_task(POSTER, key="fog")
        await one.aclose()
        await until(lambda: state_in(ledger, "fog") is LedgerState.SUCCEEDED)
        again = await other.run(POSTER, key="fog")
    assert [charge.task_id for charge in fleet.emulator.charges] == [again.id]


# --- processes ---------------------------------------------------------------------------------


@contextmanager
def replicas(url: str, emulator: Emulator) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes, each of which gets the callbacks of the other."""
    ports = [free_port(), free_port()]
    command = [sys.executable, "-m", "tests.callback_replica", url, emulator.base_url]
    processes = [
        subprocess.Popen(
            [*command, *map(str, ports)], stdin=PIPE, stdout=PIPE, text=True, bufsize=1
        )
        for ports in (ports, ports[::-1])
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield processes
    finally:
        for process in processes:
            process.communicate(timeout=PATIENCE)


def ask(process: subprocess.Popen[str], prompts: list[str]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(prompts) + "\n")


@pytest.mark.campaign
def test_two_processes_that_get_each_others_callbacks_find_all_with_one_look_each(
    url: str,
) -> None:
    emulator, found = Emulator(seed=1, durations=0.5), []
    with emulator.serve(), replicas(url, emulator) as processes:
        for process in processes:
            ask(process, [f"a lighthouse in fog, {n}" for n in range(20)])
        for process in processes:
            assert process.stdout is not None
            found += json.loads(process.stdout.readline())
    assert sorted(found) == sorted(emulator.tasks)
    assert len(emulator.charges) == emulator.looks == 40


@pytest.mark.campaign
def test_what_a_killed_process_was_sending_is_settled_by_the_other(
    url: str, ledger: SharedLedger
) -> None:
    emulator = Emulator(seed=1, durations=1.0)
    emulator.add_fault(Fault("create", "delay", delay=1000.0))
    with emulator.serve(), replicas(url, emulator) as [one, _]:
        ask(one, ["a lighthouse in fog"])
        anyio.run(until, lambda: len(emulator.tasks) == 1)
        one.kill()
        anyio.run(until, lambda: bool(list(ledger.rows(LedgerState.SUCCEEDED))))
    [row] = ledger.rows()
    assert [charge.task_id for charge in emulator.charges] == [row.task_id]
