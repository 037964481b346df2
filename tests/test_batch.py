"""Batches: every request to its end once, by the books of the other side, however often it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

import liangxin
from liangxin import Outcome, RawInput
from liangxin.batch import BatchReport
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Ledger, LedgerState

pytestmark = pytest.mark.virtual_time

Clients = Callable[..., liangxin.AsyncClient]


class QuickLedger(Ledger):
    """Writes in the loop: where time jumps, nothing may happen outside of it."""

    is_quick = True
    _synchronous = "OFF"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[QuickLedger]:
    with QuickLedger(tmp_path / "posters.db") as ledger:
        yield ledger


def posters(count: int, start: int = 0) -> list[tuple[str, RawInput]]:
    return [
        (f"poster-{number}", RawInput("z-image", {"prompt": f"poster {number}"}))
        for number in range(start, start + count)
    ]


async def outcomes_of(client: liangxin.AsyncClient, *args: Any, **asked: Any) -> list[Outcome]:
    async with client.batch(*args, **asked) as outcomes:
        return [outcome async for outcome in outcomes]


async def test_every_request_ends_once_and_a_second_run_sends_nothing(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    async with client_of(ledger=ledger) as client:
        first = await outcomes_of(client, posters(40), max_in_flight=7)
    assert len(emulator.charges) == 40
    requests = len(emulator.requests)
    report = BatchReport()
    async with client_of(ledger=ledger) as client:
        second = await outcomes_of(client, posters(40), max_in_flight=7, report=report)
    assert len(emulator.requests) == requests
    assert {o.key: o.result().id for o in second} == {o.key: o.result().id for o in first}
    assert all(o.resumed and o.result().urls for o in second)
    assert (report.resumed, report.succeeded, report.created, report.ok) == (40, 40, 0, True)
    assert ledger.counts() == {LedgerState.SUCCEEDED: 40}


async def test_what_was_left_in_the_middle_goes_on(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    async with client_of(ledger=ledger) as client:
        async with client.batch(posters(60), max_in_flight=20) as outcomes:
            async for _ in outcomes:
                if len(emulator.charges) > 25:
                    break
    assert client.unclaimed == ()
    async with client_of(ledger=ledger) as client:
        told = await outcomes_of(client, posters(60), max_in_flight=20)
    assert sorted(o.key or "" for o in told) == sorted(key for key, _ in posters(60))
    assert all(o.ok for o in told)
    assert sorted(charge.task_id for charge in emulator.charges) == sorted(
        o.result().id for o in told
    )


async def test_a_key_that_comes_again_is_paid_once(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    report = BatchReport()
    async with client_of(ledger=ledger) as client:
        told = await outcomes_of(client, posters(5) + posters(5), report=report)
    assert len(emulator.charges) == len(told) == 5
    assert report.repeated == 5


async def test_a_key_with_another_input_is_a_conflict_and_costs_nothing(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    report = BatchReport()
    other = ("poster-1", RawInput("z-image", {"prompt": "something else"}))
    async with client_of(ledger=ledger) as client:
        await outcomes_of(client, posters(3))
        (told,) = await outcomes_of(client, [other], report=report)
    assert isinstance(told.error, liangxin.LedgerConflict)
    assert told.key == "poster-1"
    assert (report.conflicts, len(emulator.charges)) == (1, 3)


async def test_a_lost_answer_is_a_doubt_for_ever_and_never_sent_again(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    emulator.add_fault(Fault("create", "withhold", prompt="poster 1"))
    report = BatchReport()
    async with client_of(ledger=ledger, create_timeout=5) as client:
        first = await outcomes_of(client, posters(3), report=report)
        again = await outcomes_of(client, posters(3))
    doubts = [o for o in first if not o.ok]
    assert [type(o.error) for o in doubts] == [liangxin.AmbiguousCreate]
    assert (report.ambiguous, report.succeeded) == (1, 2)
    assert [o.key for o in again if isinstance(o.error, liangxin.AmbiguousCreate)] == ["poster-1"]
    assert len(emulator.charges) == 3

    (lost,) = {c.task_id for c in emulator.charges} - {o.task.id for o in first if o.task}
    ledger.attach("poster-1", lost)
    async with client_of(ledger=ledger) as client:
        settled = await outcomes_of(client, posters(3))
    assert all(o.ok for o in settled)
    assert len(emulator.charges) == 3


async def test_resending_a_doubt_is_the_users_word(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    emulator.add_fault(Fault("create", "withhold"))
    async with client_of(ledger=ledger, create_timeout=5) as client:
        await outcomes_of(client, posters(1))
        ledger.resend("poster-0", accept_double_payment=True)
        (told,) = await outcomes_of(client, posters(1))
    assert told.ok
    assert len(emulator.charges) == 2
    assert ledger.counts() == {LedgerState.RESENT: 1, LedgerState.SUCCEEDED: 1}


async def test_failed_and_refused_requests_are_made_again_only_when_asked(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    emulator.add_fault(Fault("create", status=422, prompt="poster 1"))
    emulator.add_fault(Fault("create", "fail", fail_code="500", prompt="poster 2"))
    reports = [BatchReport() for _ in range(3)]
    async with client_of(ledger=ledger) as client:
        await outcomes_of(client, posters(3), report=reports[0])
        second = await outcomes_of(client, posters(3), report=reports[1])
        third = await outcomes_of(client, posters(3), report=reports[2], retry_failed=True)
    for report in reports[:2]:
        assert (report.succeeded, report.failed, report.refused) == (1, 1, 1)
    errors = {o.key: type(o.error) for o in second if not o.ok}
    assert errors == {"poster-1": liangxin.InvalidInput, "poster-2": liangxin.TaskFailed}
    assert all(o.ok for o in third)
    assert len(emulator.charges) == 4


@pytest.mark.parametrize(("status", "leaf"), [(401, "Unauthorized"), (403, "Forbidden")])
async def test_a_refused_key_stops_the_creating_and_the_next_run_goes_on(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger, status: int, leaf: str
) -> None:
    emulator.add_fault(Fault("create", status=status, nth=6, count=None))
    report = BatchReport()
    async with client_of(ledger=ledger, max_connections=2) as client:
        told = await outcomes_of(client, posters(50), report=report)
    assert report.stopped is not None
    assert str(status) in report.stopped
    assert report.succeeded == len(emulator.charges) == 5
    assert report.not_created == 45
    assert report.refused == 0
    assert leaf in {type(o.error).__name__ for o in told}
    posts = [each for each in emulator.requests if each.method == "POST"]
    assert len(posts) <= 5 + 2 * 2  # those under way, and those that took their places meanwhile
    emulator.clear_faults()
    async with client_of(ledger=ledger) as client:
        assert all(o.ok for o in await outcomes_of(client, posters(50)))
    assert len(emulator.charges) == 50


async def test_max_tasks_bounds_what_one_run_creates(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    async with client_of(ledger=ledger) as client:
        for charged in (4, 8, 10):
            report = BatchReport()
            await outcomes_of(client, posters(10), max_tasks=4, report=report)
            assert len(emulator.charges) == charged
            assert (report.succeeded, report.not_created) == (charged, 10 - charged)


async def test_too_many_doubts_stop_the_creating(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    emulator.add_fault(Fault("create", "withhold", count=None))
    report = BatchReport()
    async with client_of(ledger=ledger, create_timeout=5, max_connections=1) as client:
        await outcomes_of(client, posters(20), max_ambiguous=3, max_in_flight=1, report=report)
    assert report.ambiguous == len(emulator.charges) == 4
    assert "max_ambiguous" in (report.stopped or "")


async def test_shards_are_disjoint_and_complete(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    keys: list[str] = []
    for index in range(3):
        with QuickLedger(tmp_path / f"{index}.db") as ledger:
            async with client_of() as client:
                told = await outcomes_of(client, posters(30), ledger=ledger, shard=(index, 3))
        assert 3 < len(told) < 20
        keys += [o.key or "" for o in told]
    assert sorted(keys) == sorted(key for key, _ in posters(30))
    assert len(emulator.charges) == 30


async def test_an_iterable_of_any_kind_is_drawn_when_there_is_room(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    drawn = 0

    def many() -> Iterator[tuple[str, RawInput]]:
        nonlocal drawn
        for each in posters(1_000):
            drawn += 1
            yield each

    async with client_of(ledger=ledger) as client:
        async with client.batch(many(), max_in_flight=5) as outcomes:
            async for _ in outcomes:
                assert drawn <= len(emulator.charges) + 12
                if drawn > 30:
                    break


async def test_an_error_of_the_callers_own_iterable_is_raised_after_what_was_drawn(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    def broken() -> Iterator[tuple[str, RawInput]]:
        yield from posters(3)
        raise KeyError("mine")

    told = []
    async with client_of(ledger=ledger) as client:
        with pytest.raises(KeyError, match="mine"):
            async with client.batch(broken()) as outcomes:
                async for outcome in outcomes:
                    told.append(outcome)
    assert len(told) == len(emulator.charges) == 3


async def test_without_a_place_for_the_ledger_it_says_so(client_of: Clients) -> None:
    async with client_of() as client:
        with pytest.raises(liangxin.InputError, match="ledger"):
            client.batch(posters(1))
        with pytest.raises(liangxin.InputError, match="shard"):
            client.batch(posters(1), ledger="x.db", shard=(3, 3))
        with pytest.raises(liangxin.InputError, match="key"):
            await client.create_task(posters(1)[0][1], key="a")


# --- the ledger of a client ----------------------------------------------------------------------


async def test_a_key_of_the_ledger_is_not_paid_again(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    _, poster = posters(1)[0]
    async with client_of(ledger=ledger) as client:
        task = await client.create_task(poster, key="a")
        assert (await client.create_task(poster, key="a")).id == task.id
        ended = await client.run(poster, key="a")
        assert ended.id == task.id
        assert (await client.run(poster, key="a")).urls == ended.urls
        with pytest.raises(liangxin.LedgerConflict):
            await client.create_task(posters(2)[1][1], key="a")
    assert len(emulator.charges) == 1


async def test_the_same_key_at_the_same_time_is_paid_once(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    _, poster = posters(1)[0]
    ids: set[str] = set()

    async def create(client: liangxin.AsyncClient) -> None:
        ids.add((await client.create_task(poster, key="a")).id)

    async with client_of(ledger=ledger) as client, anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(create, client)
    assert len(emulator.charges) == len(ids) == 1


async def test_creates_without_a_key_are_on_record_too(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    async with client_of(ledger=ledger) as client:
        async with client.run_many([each for _, each in posters(5)]) as outcomes:
            assert len([each async for each in outcomes]) == 5
    assert {row.task_id for row in ledger.rows()} == {c.task_id for c in emulator.charges}
    assert ledger.counts() == {LedgerState.SUCCEEDED: 5}


async def test_what_was_learned_of_durations_is_kept_in_the_ledger(
    client_of: Clients, ledger: QuickLedger
) -> None:
    async with client_of(ledger=ledger) as client:
        await outcomes_of(client, posters(20))
        learned = client.stats().durations
    assert learned["z-image"].finished == 20
    async with client_of(ledger=ledger) as client:
        again = client.stats().durations["z-image"]
    assert again.finished == 20
    assert again.median == pytest.approx(learned["z-image"].median, rel=0.01)
