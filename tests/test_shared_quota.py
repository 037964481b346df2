"""A limit that processes keep together, in a real PostgreSQL; judged by the emulator's books."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psycopg
import pytest

import liangxin
from liangxin import InputError, LedgerError, RateLimit, RateLimited, RawInput
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger, SharedLedger
from liangxin.ledger._postgres_quota import LEAST, SLOWER
from tests.bench import quota
from tests.commands import command
from tests.databases import cut_connections, database

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
HOUR = 3600.0
"""Beside such gaps it does not matter how quick the machine is."""


@pytest.fixture
def address() -> str:
    return database()


@pytest.fixture
def two(address: str) -> Iterator[tuple[SharedLedger, SharedLedger]]:
    """The same database, as two processes have it open."""
    with SharedLedger(address) as one, SharedLedger(address) as other:
        yield one, other


def wait_of(
    ledger: SharedLedger, count: int = 1, *, name: str = "ours", accepted: int = 0
) -> float:
    """Hours until the first of some moments that are reserved now."""
    given = ledger.reserve(name, count, gap=HOUR, ahead=0.0, accepted=accepted)
    return (given.first - given.now) / HOUR


def gap_of(ledger: SharedLedger, *, accepted: int = 0) -> float:
    return ledger.reserve("ours", 1, gap=HOUR, ahead=0.0, accepted=accepted).gap / HOUR


# --- the quota in the database ---------------------------------------------------------------


@pytest.mark.campaign
def test_whoever_reserves_next_stands_behind(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, other = two
    waits = [wait_of(one, 3), wait_of(other), wait_of(one)]
    assert waits == pytest.approx([0, 3, 4], abs=0.1)


@pytest.mark.campaign
def test_a_moment_comes_no_sooner_than_it_can_be_met(
    two: tuple[SharedLedger, SharedLedger],
) -> None:
    one, _ = two
    given = one.reserve("ours", 1, gap=1.0, ahead=2 * HOUR, accepted=0)
    assert given.first - given.now == pytest.approx(2 * HOUR, abs=60)


@pytest.mark.campaign
def test_quotas_of_other_names_are_apart(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, other = two
    wait_of(one, 100, name="images")
    assert wait_of(other, name="videos") == pytest.approx(0, abs=0.1)


@pytest.mark.campaign
def test_what_was_not_used_is_not_saved_up(two: tuple[SharedLedger, SharedLedger]) -> None:
    """After a long pause the next ones are as far from each other as ever."""
    one, other = two
    wait_of(one)
    with psycopg.connect(one._conninfo, autocommit=True) as db:
        db.execute("UPDATE liangxin_quotas SET next = next - interval '1 day'")
    assert [wait_of(one), wait_of(other)] == pytest.approx([0, 1], abs=0.1)


@pytest.mark.campaign
def test_a_refusal_of_one_slows_down_all(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, other = two
    gap_of(one)
    one.hold("ours", gap=1.0, pause=0.0)
    assert gap_of(other) == pytest.approx(1 / SLOWER)


@pytest.mark.campaign
def test_retry_after_holds_everybody(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, other = two
    wait_of(one)
    assert one.hold("ours", gap=1.0, pause=20 * HOUR) == pytest.approx(20 * HOUR)
    assert wait_of(other) == pytest.approx(20, abs=0.1)


@pytest.mark.campaign
def test_refusals_that_belong_together_count_once(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, other = two
    gap_of(one)
    for each in (one, other, one, other):
        each.hold("ours", gap=HOUR, pause=HOUR)
    assert gap_of(one) == pytest.approx(1 / SLOWER)


@pytest.mark.campaign
def test_the_rate_has_a_floor(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, _ = two
    gap_of(one)
    for _ in range(60):
        with psycopg.connect(one._conninfo, autocommit=True) as db:
            db.execute("UPDATE liangxin_quotas SET held_until = '-infinity'")
        one.hold("ours", gap=1.0, pause=0.0)
        gap_of(one, accepted=1)
    assert SLOWER < gap_of(one) * LEAST <= 1


@pytest.mark.campaign
def test_what_is_accepted_brings_the_rate_back(two: tuple[SharedLedger, SharedLedger]) -> None:
    one, other = two
    gap_of(one)
    one.hold("ours", gap=1.0, pause=0.0)
    gaps = [gap_of(each, accepted=10) for each in (other, one, other, one)]
    assert gaps == sorted(gaps, reverse=True)
    assert gap_of(other, accepted=100_000) == 1.0


@pytest.mark.campaign
def test_a_ledger_of_the_first_version_learns_to_share_a_quota(address: str) -> None:
    with psycopg.connect(SharedLedger(address)._conninfo, autocommit=True) as db:
        db.execute("DROP TABLE liangxin_quotas")
        db.execute("UPDATE liangxin_version SET version = 1")
        db.execute(
            "INSERT INTO liangxin_rows (key, ref, current, state, model, sha256, planned_at) "
            "VALUES ('poster', 'ref', true, 'planned', 'm', '', 1.0)"
        )
    with pytest.raises(LedgerError, match="liangxin ledger migrate"):
        SharedLedger(address).open()
    SharedLedger(address).migrate()
    with SharedLedger(address) as ledger:
        assert wait_of(ledger) == pytest.approx(0, abs=0.1)
        assert list(ledger.find(["poster"])) == ["poster"]


# --- clients that share ----------------------------------------------------------------------


def times_of(server: Emulator) -> list[float]:
    """When creates came in, by our clock: that of the emulator is a thousand times as fast."""
    return [seen.at / 1000 for seen in server.requests if seen.endpoint == "create"]


@pytest.mark.campaign
async def test_two_clients_keep_one_limit_together(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    """Thirty creates at 40 a second; two limits of their own would let all leave at once."""

    async def create_all(client: liangxin.AsyncClient) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(15):
                group.start_soon(client.create_task, POSTER)

    limit = RateLimit("20/0.5s", store=address)
    async with (
        liangxin.AsyncClient(**options_of, rate_limit=limit) as one,
        liangxin.AsyncClient(**options_of, rate_limit=limit) as other,
        anyio.create_task_group() as group,
    ):
        group.start_soon(create_all, one)
        group.start_soon(create_all, other)
    times = times_of(server)
    assert len(times) == 30
    assert times[-1] - times[0] > 0.5


@pytest.mark.campaign
def test_two_blocking_clients_keep_one_limit_together(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    limit = RateLimit("20/0.5s", store=address)

    def create_all() -> None:
        with liangxin.Client(**options_of, rate_limit=limit) as client:
            with client.run_many([POSTER] * 15, max_in_flight=15) as outcomes:
                assert all(outcome.ok for outcome in outcomes)

    threads = [threading.Thread(target=create_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    times = times_of(server)
    assert len(times) == 30
    assert times[-1] - times[0] > 0.5


@pytest.mark.campaign
async def test_a_refused_client_tells_the_others_before_it_ends(
    address: str, options_of: dict[str, Any]
) -> None:
    emulator = Emulator(rate_limit="1/h")
    options = {**options_of, "rate_limit": RateLimit("5/s", store=address)}
    with emulator.serve(), SharedLedger(address) as other:
        options["base_url"] = emulator.base_url
        async with liangxin.AsyncClient(**options) as client:
            await client.create_task(POSTER)
            with pytest.raises(RateLimited):
                await client.create_task(POSTER)
        given = other.reserve("creates", 1, gap=1.0, ahead=0.0, accepted=0)
    assert given.gap == pytest.approx(1 / SLOWER)
    assert given.first - given.now > 200  # of the hour that was asked for, five minutes are given


@pytest.mark.campaign
async def test_without_an_answer_of_the_database_nothing_is_sent(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    limit = RateLimit("20/s", store=address)
    async with liangxin.AsyncClient(**options_of, rate_limit=limit) as client:
        with psycopg.connect(SharedLedger(address)._conninfo, autocommit=True) as db:
            db.execute("DROP TABLE liangxin_quotas")
        async with client.run_many([POSTER] * 5, max_in_flight=5) as outcomes:
            errors = [outcome.error async for outcome in outcomes]
    assert [type(error) for error in errors] == [LedgerError] * 5
    assert server.charges == ()


@pytest.mark.campaign
async def test_a_connection_that_was_cut_is_made_anew(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    limit = RateLimit("20/s", store=address)
    async with liangxin.AsyncClient(**options_of, ledger=address, rate_limit=limit) as client:
        await client.create_task(POSTER, key="before")
        cut_connections()
        await client.create_task(POSTER, key="after")
    assert len(server.charges) == 2


@pytest.mark.campaign
async def test_a_ledger_and_its_quota_are_opened_once(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    limit = RateLimit("20/s", store=address)
    async with liangxin.AsyncClient(**options_of, ledger=address, rate_limit=limit):
        with psycopg.connect(SharedLedger(address)._conninfo) as db:
            (holders,) = db.execute("SELECT count(*) FROM liangxin_holders").fetchone() or ()
    assert holders == 1


@pytest.mark.campaign
async def test_a_ledger_that_is_open_stays_open(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    with SharedLedger(address) as ledger:
        limit = RateLimit("20/s", store=ledger)
        async with liangxin.AsyncClient(**options_of, rate_limit=limit) as client:
            await client.create_task(POSTER)
        assert ledger.is_open


@pytest.mark.campaign
async def test_whoever_gives_up_at_the_door_costs_no_more_than_its_moment(
    address: str, server: Emulator, options_of: dict[str, Any]
) -> None:
    limit = RateLimit("1/h", store=address)
    async with liangxin.AsyncClient(**options_of, rate_limit=limit) as client:
        await client.create_task(POSTER)
        async with anyio.create_task_group() as group:
            group.start_soon(client.create_task, POSTER)
            while reserved(address) < 1.5:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    assert len(server.charges) == 1
    assert client.unclaimed == ()
    assert reserved(address) == pytest.approx(2, abs=0.1)


@pytest.mark.campaign
def test_a_batch_shares_its_rate_with_all_who_have_the_ledger(
    address: str, server: Emulator, tmp_path: Path
) -> None:
    requests = tmp_path / "posters.jsonl"
    requests.write_text('{"model": "z-image", "input": {"prompt": "a lighthouse"}}')
    done = command("batch", requests, "--ledger", address, "--rate", "1/h", server=server)
    assert done.exit_code == 0, done.output
    assert reserved(address) == pytest.approx(1, abs=0.1)


def reserved(address: str) -> float:
    """Hours for which all moments are taken."""
    with psycopg.connect(SharedLedger(address)._conninfo) as db:
        found = db.execute(
            "SELECT extract(epoch FROM next - clock_timestamp())::float8 / 3600 "
            "FROM liangxin_quotas WHERE name = 'creates'"
        ).fetchone()
    return 0.0 if found is None else float(found[0])


@pytest.mark.campaign
def test_eight_hungry_processes_get_equal_shares_of_what_is_allowed() -> None:
    """How much of it they use depends on the machine: `nox -s quota` asks for 95 %."""
    came = quota.run("250/5s", 7.0)
    assert came.most_in_a_window <= 250
    assert came.used >= 0.3
    assert came.fairness >= 0.9


# --- what is no limit ------------------------------------------------------------------------


@pytest.mark.parametrize("store", ["posters.db", 20, Path("posters.db"), Ledger("posters.db")])
def test_what_cannot_be_shared_is_no_store(store: Any) -> None:
    with pytest.raises(InputError, match="store must be a SharedLedger"):
        RateLimit("20/10s", store=store)


def test_a_password_in_the_address_is_not_shown() -> None:
    limit = RateLimit("20/10s", store="postgresql://me:sesame@db/ledger")
    with pytest.raises(InputError) as told:
        RateLimit("20/10s", store="mysql://me:sesame@db/ledger")
    assert "sesame" not in repr(limit) + str(told.value)


@pytest.mark.parametrize("name", ["two\nlines", "x" * 201, 7])
def test_a_name_is_short_and_printable(name: Any) -> None:
    with pytest.raises(InputError, match="name must be text"):
        RateLimit("20/10s", name=name)


def test_a_limit_without_a_store_is_that_of_one_process() -> None:
    limit = RateLimit("20/10s")
    assert (limit.window.count, limit.window.seconds) == (20, 10.0)
