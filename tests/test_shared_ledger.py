"""
A ledger that processes share: whose a create is, who may take it over, and what a lost line does.

Two `Ledger` objects over one database are two processes to it.  That a holder is dead is told to
the database, not waited for.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import anyio.lowlevel
import anyio.to_thread
import psycopg
import pytest

import liangxin
from liangxin import AmbiguousCreate, Outcome, RawInput
from liangxin._errors import LedgerError, LedgerHeld, LedgerTooNew
from liangxin.batch import BatchReport
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger, LedgerRow, LedgerState, Move, Plan, Renew, SharedLedger
from tests.conftest import KEY
from tests.databases import cut_connections, database, kill_and_start_again, server
from tests.test_ledger import bring, made, move, plan

pytestmark = pytest.mark.campaign

S = LedgerState


@pytest.fixture
def url() -> str:
    return database()


@pytest.fixture
def ledger(url: str) -> Iterator[SharedLedger]:
    with SharedLedger(url) as ledger:
        yield ledger


@pytest.fixture
def other(url: str) -> Iterator[SharedLedger]:
    with SharedLedger(url) as ledger:
        yield ledger


def let_lapse(url: str) -> None:
    """No holder so far has given a sign of life for too long, as the database sees it."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("UPDATE liangxin_holders SET expires = clock_timestamp() - interval '1 s'")


# --- whose a create is -----------------------------------------------------------------------


def test_what_one_has_planned_another_may_not_send(
    ledger: SharedLedger, other: SharedLedger
) -> None:
    made(ledger, plan())
    (held,) = other.apply([plan(ref="another")])
    assert isinstance(held, LedgerRow)
    assert held.ref == "ref of a"
    assert held.held_by == f"process {os.getpid()} on {socket.gethostname()}"
    (refusal,) = other.apply([move(S.SENDING)])
    assert isinstance(refusal, LedgerHeld)
    assert refusal.key == "a"
    assert made(ledger, move(S.SENDING)).held_by is None


def test_a_ledger_that_closes_lets_go_of_what_it_has_not_sent(
    url: str, other: SharedLedger
) -> None:
    with SharedLedger(url) as ledger:
        made(ledger, plan())
    assert made(other, plan(ref="another"), move(S.SENDING)).state is S.SENDING


def test_a_holder_that_is_gone_leaves_its_plans_to_others_and_a_slow_one_sends_nothing(
    url: str, ledger: SharedLedger, other: SharedLedger
) -> None:
    made(ledger, plan())
    let_lapse(url)
    assert made(other, plan(ref="another")).held_by is None
    (refusal,) = ledger.apply([move(S.SENDING)])
    assert isinstance(refusal, LedgerHeld)
    assert made(other, move(S.SENDING)).state is S.SENDING


def test_what_a_dead_holder_was_sending_is_in_doubt_for_all(
    url: str, ledger: SharedLedger, other: SharedLedger
) -> None:
    bring(ledger, S.SENDING)
    assert other.find(["a"])["a"].held_by is not None
    let_lapse(url)
    row = made(other, plan(ref="another"))
    assert (row.state, row.ref, row.held_by) == (S.AMBIGUOUS, "ref of a", None)
    assert "ended before the answer" in (row.reason or "")


def test_who_opens_a_ledger_puts_in_doubt_what_the_dead_were_sending(
    url: str, ledger: SharedLedger
) -> None:
    bring(ledger, S.SENDING)
    let_lapse(url)
    with SharedLedger(url) as other:
        assert other.counts() == {S.AMBIGUOUS: 1}


def test_an_answer_that_comes_late_still_settles_the_doubt(
    url: str, ledger: SharedLedger, other: SharedLedger
) -> None:
    bring(ledger, S.SENDING)
    let_lapse(url)
    made(other, plan(ref="another"))
    assert made(ledger, move(S.ACCEPTED)).state is S.ACCEPTED


def test_what_a_dead_holder_had_accepted_is_taken_over_to_be_waited_for(
    url: str, ledger: SharedLedger, other: SharedLedger
) -> None:
    bring(ledger, S.ACCEPTED)
    assert made(other, plan(ref="another")).held_by is not None
    let_lapse(url)
    assert made(other, plan(ref="another")).held_by is None
    assert ledger.find(["a"])["a"].held_by is not None


def test_the_end_of_a_task_may_be_noted_by_anybody(
    ledger: SharedLedger, other: SharedLedger
) -> None:
    bring(ledger, S.ACCEPTED)
    assert made(other, move(S.SUCCEEDED)).state is S.SUCCEEDED


def test_nobody_renews_what_another_is_sending(ledger: SharedLedger, other: SharedLedger) -> None:
    bring(ledger, S.SENDING)
    (refusal,) = other.apply([Renew(key="a", ref="again", at=1.0)])
    assert isinstance(refusal, LedgerError)


def test_a_lease_that_is_renewed_never_lapses(url: str, other: SharedLedger) -> None:
    with SharedLedger(url, lease=0.4) as ledger:
        made(ledger, plan())
        with psycopg.connect(url, autocommit=True) as db:
            first = "SELECT min(expires) FROM liangxin_holders WHERE expires < %s"
            soon = "SELECT clock_timestamp() + interval '20 s'"
            (limit,) = db.execute(soon).fetchone() or (None,)
            (before,) = db.execute(first, (limit,)).fetchone() or (None,)
            while db.execute(first, (limit,)).fetchone() == (before,):
                pass  # until its thread has renewed it, with nothing asked of it
        assert other.find(["a"])["a"].held_by is not None


@pytest.mark.parametrize("keys", [["a", "b"], ["b", "a"]])
def test_of_two_that_plan_the_same_at_once_one_has_it(
    ledger: SharedLedger, other: SharedLedger, keys: list[str]
) -> None:
    results: dict[str, list[LedgerRow | LedgerError]] = {}
    both = threading.Barrier(2)

    def work(name: str, store: SharedLedger, order: list[str]) -> None:
        both.wait()
        results[name] = store.apply([plan(key, ref=f"{name}-{key}") for key in order])

    threads = [
        threading.Thread(target=work, args=("one", ledger, ["a", "b"])),
        threading.Thread(target=work, args=("two", other, keys)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refs: dict[str, set[str]] = {}
    for name in results:
        for row in results[name]:
            assert isinstance(row, LedgerRow)
            refs.setdefault(row.key, set()).add(row.ref)
            assert (row.held_by is None) == row.ref.startswith(name)
    assert {key: len(found) for key, found in refs.items()} == {"a": 1, "b": 1}


# --- connections that get lost ------------------------------------------------------------------


@contextmanager
def line_to(
    url: str, folder: Path, *, before: bool = False
) -> Iterator[tuple[str, threading.Event]]:
    """
    A way to the database on which a commit gets lost when the event is set.

    Its answer gets lost; with `before`, it does not even arrive.
    """
    loses = threading.Event()
    place = folder / ".s.PGSQL.5432"
    target = f"{psycopg.conninfo.conninfo_to_dict(url)['host']}/.s.PGSQL.5432"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place))
    listener.listen()

    def carry(source: socket.socket, sink: socket.socket, *, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer is not before and b"COMMIT\0" in data and loses.is_set():
                    loses.clear()
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(target)
                sockets.extend((near, far))
                for pair in ((near, far, False), (far, near, True)):
                    source, sink, is_answer = pair
                    threading.Thread(
                        target=carry, args=(source, sink), kwargs={"is_answer": is_answer}
                    ).start()

    sockets: list[socket.socket] = []
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield url.replace(str(psycopg.conninfo.conninfo_to_dict(url)["host"]), str(folder)), loses
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def test_a_commit_whose_answer_is_lost_is_not_made_twice(url: str) -> None:
    import tempfile

    with (
        tempfile.TemporaryDirectory() as folder,
        line_to(url, Path(folder)) as (detour, loses),
        SharedLedger(detour) as ledger,
    ):
        made(ledger, plan("before"))
        loses.set()
        row = made(ledger, plan(), move(S.SENDING), move(S.ACCEPTED))
        assert not loses.is_set(), "no answer was lost"
        assert (row.state, row.task_id) == (S.ACCEPTED, "task of ref of a")
        assert [each.key for each in ledger.rows()] == ["before", "a"]


def test_a_commit_that_failed_for_good_is_told_apart_from_one_that_was_made(url: str) -> None:
    import tempfile

    with (
        tempfile.TemporaryDirectory() as folder,
        line_to(url, Path(folder)) as (detour, loses),
        SharedLedger(detour, patience=0.0) as ledger,
    ):
        made(ledger, plan())
        loses.set()
        fact, news = move(S.SENDING), plan("b")
        with pytest.raises(LedgerError, match="cannot be read or written"):
            ledger.apply([fact])
        sent, planned = ledger.apply([fact, news])  # owed, and asked for again beside something new
        assert isinstance(sent, LedgerRow)
        assert isinstance(planned, LedgerRow)
        assert sent.state is S.SENDING


def test_a_commit_that_never_arrived_is_made_although_the_lease_was_renewed_since(
    url: str,
) -> None:
    import tempfile

    expiry = "SELECT max(expires) FROM liangxin_holders"
    with (
        tempfile.TemporaryDirectory() as folder,
        line_to(url, Path(folder), before=True) as (detour, loses),
        SharedLedger(detour, patience=0.0, lease=0.4) as ledger,
        psycopg.connect(url, autocommit=True) as db,
    ):
        made(ledger, plan())
        loses.set()
        sending = move(S.SENDING)
        with pytest.raises(LedgerError, match="cannot be read or written"):
            ledger.apply([sending])
        assert db.execute("SELECT state FROM liangxin_rows").fetchone() == ("planned",)
        before = db.execute(expiry).fetchone()
        while db.execute(expiry).fetchone() == before:
            pass  # until the lease has been renewed
        row = made(ledger, sending)
        assert row.state is S.SENDING
        assert db.execute("SELECT state FROM liangxin_rows").fetchone() == ("sending",)


def test_connections_that_are_cut_are_made_anew(ledger: SharedLedger) -> None:
    for number in range(5):
        cut_connections()
        made(ledger, plan(str(number)))
    assert len(ledger.find([str(number) for number in range(5)])) == 5


def test_a_database_that_comes_up_again_has_all_that_was_acknowledged(
    ledger: SharedLedger,
) -> None:
    bring(ledger, S.SENDING)
    kill_and_start_again()
    made(ledger, move(S.ACCEPTED))
    kill_and_start_again()
    assert ledger.counts() == {S.ACCEPTED: 1}


def test_a_database_that_is_gone_is_an_error_within_its_patience(url: str, tmp_path: Path) -> None:
    nowhere = f"postgresql://localhost/x?host={quote(str(tmp_path))}"
    with pytest.raises(LedgerError, match="cannot be read or written"):
        SharedLedger(nowhere).open()


# --- opening --------------------------------------------------------------------------------


def test_a_database_without_a_ledger_says_how_to_make_one(url: str) -> None:
    empty = url.partition("&options")[0]
    with pytest.raises(LedgerError, match="liangxin ledger migrate"):
        Ledger(empty).open()


def test_a_ledger_of_a_newer_version_is_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("UPDATE liangxin_version SET version = 99")
    with pytest.raises(LedgerTooNew, match="upgrade"):
        Ledger(url).open()
    with pytest.raises(LedgerTooNew, match="upgrade"):
        SharedLedger(url).migrate()


def test_migrating_again_keeps_what_is_there(url: str, ledger: SharedLedger) -> None:
    made(ledger, plan())
    SharedLedger(url).migrate()
    assert ledger.counts() == {S.PLANNED: 1}


def test_no_password_is_shown() -> None:
    ledger = Ledger("postgresql://me:s3cret@db.example:5433/posters")
    assert ledger.path == "postgresql://db.example:5433/posters"  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("rest", ["[::1/posters", "host/db?no_such_option=1", "host:port/db"])
def test_no_password_is_in_what_is_said_of_a_bad_address(rest: str) -> None:
    with pytest.raises((liangxin.InputError, LedgerError)) as caught:
        SharedLedger(f"postgresql://me:s3cret@{rest}").open()
    assert "s3cret" not in str(caught.value)


def test_the_command_to_go_on_with_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from liangxin.cli._batch import _again

    words = ["x", "batch", "a.jsonl", "--ledger", "postgresql://me:s3cret@host/db"]
    monkeypatch.setattr(sys, "argv", words)
    assert _again() == "liangxin batch a.jsonl --ledger postgresql://me@host/db"


def test_what_is_no_address_of_a_database_is_refused() -> None:
    with pytest.raises(liangxin.InputError, match="no_such_option"):
        Ledger("postgresql://host/db?no_such_option=1")


def test_a_forked_process_says_that_the_ledger_is_not_its_own(ledger: SharedLedger) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            ledger.counts()
        except LedgerError as error:
            os._exit(0 if "fork" in str(error) else 2)
        os._exit(3)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    made(ledger, plan())  # and the parent's connections are whole


# --- clients over it ----------------------------------------------------------------------------


Pair = Callable[[], tuple[liangxin.AsyncClient, liangxin.AsyncClient]]


@pytest.fixture
def service() -> Iterator[Emulator]:
    emulator = Emulator(seed=1, durations=0.05)
    with emulator.serve() as address:
        emulator.address = address  # type: ignore[attr-defined]
        yield emulator


@pytest.fixture
def clients(service: Emulator, url: str) -> Pair:
    """Two clients, each with the shared ledger as a process of its own would have it."""

    def client() -> liangxin.AsyncClient:
        address = service.address  # type: ignore[attr-defined]
        return liangxin.AsyncClient(KEY, base_url=address, ledger=url, poll_interval=0.05)

    return lambda: (client(), client())


async def test_the_same_key_of_two_processes_is_paid_once(service: Emulator, clients: Pair) -> None:
    one, two = clients()
    tasks: list[liangxin.Task] = []

    async def run(client: liangxin.AsyncClient) -> None:
        tasks.append(await client.run(RawInput("z-image", {"prompt": "a fox"}), key="fox"))

    async with one, two, anyio.create_task_group() as group:
        for client in (one, two, one, two):
            group.start_soon(run, client)
    assert len({task.id for task in tasks}) == 1
    assert len(service.charges) == 1


async def test_a_batch_of_two_processes_is_paid_once_and_each_tells_all_of_it(
    service: Emulator, clients: Pair, tmp_path: Path
) -> None:
    lines = [
        f'{{"id": "p{n}", "model": "z-image", "input": {{"prompt": "poster {n}"}}}}\n'
        for n in range(40)
    ]
    file = tmp_path / "posters.jsonl"
    file.write_text("".join(lines), encoding="utf-8")
    one, two = clients()
    told: dict[int, list[Outcome]] = {0: [], 1: []}
    reports = [BatchReport(), BatchReport()]

    async def run(number: int, client: liangxin.AsyncClient) -> None:
        out = tmp_path / "out"
        async with client.batch(file, out=out, max_in_flight=4, report=reports[number]) as outcomes:
            told[number] = [outcome async for outcome in outcomes]

    async with one, two, anyio.create_task_group() as group:
        group.start_soon(run, 0, one)
        group.start_soon(run, 1, two)
    assert len(service.charges) == 40
    keys = sorted(f"p{n}" for n in range(40))
    for number in (0, 1):
        assert sorted(outcome.key or "" for outcome in told[number]) == keys
        assert all(outcome.ok for outcome in told[number])
    assert [report.elsewhere for report in reports] == [0, 0]
    assert sum(report.created for report in reports) == 40
    assert min(report.created for report in reports) > 0
    assert len(list((tmp_path / "out").glob("p*.png"))) == 40


async def test_a_key_that_stands_twice_in_a_file_is_had_back_once(
    service: Emulator, clients: Pair, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "posters.jsonl"
    line = '{"id": "fox", "model": "z-image", "input": {"prompt": "a fox"}}\n'
    file.write_text(2 * line, encoding="utf-8")
    asked = liangxin.ledger.input_sha256("z-image", {"prompt": "a fox"})
    other, report = SharedLedger(url).open(), BatchReport()
    made(
        other,
        Plan(key="fox", ref="r", model="z-image", input={"prompt": "a fox"}, sha256=asked, at=1.0),
    )
    one, _ = clients()
    async with one, one.batch(file, report=report) as outcomes, anyio.create_task_group() as group:

        async def let_go() -> None:
            while not report.elsewhere:
                await anyio.lowlevel.checkpoint()
            await anyio.to_thread.run_sync(other.close)

        group.start_soon(let_go)
        assert [outcome.key async for outcome in outcomes] == ["fox"]
    assert len(service.charges) == 1


async def test_what_is_not_from_a_file_is_left_to_others_too(
    service: Emulator, clients: Pair
) -> None:
    one, two = clients()
    requests = [(f"p{n}", RawInput("z-image", {"prompt": f"poster {n}"})) for n in range(40)]

    async def trickle() -> Any:
        for request in requests:
            yield request

    told: list[list[Outcome]] = [[], []]

    async def run(number: int, client: liangxin.AsyncClient, source: Any) -> None:
        async with client.batch(source, max_in_flight=4) as outcomes:
            told[number] = [outcome async for outcome in outcomes]

    async with one, two, anyio.create_task_group() as group:
        group.start_soon(run, 0, one, requests)
        group.start_soon(run, 1, two, trickle())
    assert len(service.charges) == 40
    assert [len(outcomes) for outcomes in told] == [40, 40]


async def test_a_doubt_of_another_process_is_a_doubt_here(
    service: Emulator, clients: Pair, url: str
) -> None:
    asked_for = RawInput("z-image", {"prompt": "a fox"})
    with SharedLedger(url) as dead:
        bring(dead, S.SENDING, "other")  # so that there is a holder which lapses
        one, two = clients()
        async with one, two:
            task = await one.create_task(asked_for, key="fox")
            let_lapse(url)
            assert (await two.create_task(asked_for, key="fox")).id == task.id
    assert len(service.charges) == 1


async def test_a_process_that_died_while_it_sent_leaves_a_doubt_and_no_second_payment(
    service: Emulator, clients: Pair, url: str
) -> None:
    asked_for = RawInput("z-image", {"prompt": "a fox"})
    one, two = clients()
    async with one:
        await one.create_task(asked_for, key="owl")
    with SharedLedger(url) as dead:
        model, fields = "z-image", {"prompt": "a fox"}
        asked = liangxin.ledger.input_sha256(model, fields)
        made(
            dead,
            Plan(key="fox", ref="r", model=model, input=fields, sha256=asked, at=1.0),
            Move(ref="r", to=S.SENDING, at=2.0),
        )
        let_lapse(url)
        async with two:
            with pytest.raises(AmbiguousCreate, match="ended before the answer"):
                await two.create_task(asked_for, key="fox")
    assert len(service.charges) == 1


def test_the_blocking_client_shares_it_as_well(service: Emulator, url: str) -> None:
    address = service.address  # type: ignore[attr-defined]
    ids = set()
    for _ in range(2):
        with liangxin.Client(KEY, base_url=address, ledger=url, poll_interval=0.05) as client:
            ids.add(client.run(RawInput("z-image", {"prompt": "a fox"}), key="fox").id)
    assert len(ids) == len(service.charges) == 1


def test_commands_take_its_address(service: Emulator, url: str, tmp_path: Path) -> None:
    file = tmp_path / "posters.jsonl"
    file.write_text('{"id": "fox", "model": "z-image", "input": {"prompt": "a fox"}}\n')
    environment = {
        **os.environ,
        "LIANGXIN_API_KEY": KEY,
        "LIANGXIN_BASE_URL": service.address,  # type: ignore[attr-defined]
    }

    def liangxin_(*words: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("liangxin")), *words],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    bare = url.partition("&options")[0]
    with psycopg.connect(server().get_uri(), autocommit=True) as db:
        db.execute("CREATE SCHEMA of_commands")
    fresh = f"{bare}&options={quote('-csearch_path=of_commands')}"
    liangxin_("ledger", "migrate", fresh)
    for _ in range(2):
        liangxin_(
            "batch",
            str(file),
            "--ledger",
            fresh,
            "--rate",
            "20/10s",
            "--out",
            str(tmp_path / "out"),
        )
    assert '"succeeded": 0' in liangxin_("ledger", "status", fresh, "--format", "json")
    assert '"downloaded": 1' in liangxin_("ledger", "status", fresh, "--format", "json")
    assert len(service.charges) == 1
