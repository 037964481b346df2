"""What other tests of creating and of batches leave to chance; each was once a sabotage unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

import liangxin
from liangxin import Outcome, RawInput
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import LedgerState
from tests.test_batch import QuickLedger

pytestmark = pytest.mark.virtual_time

Clients = Callable[..., liangxin.AsyncClient]
POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})

LOST = [
    Fault("create", "withhold"),
    Fault("create", "drop_before"),
    Fault("create", "cut"),
    Fault("create", "garbage"),
    Fault("create", "delay", delay=10),
    Fault("create", status=500),
    Fault("create", status=504),
]


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: f"{fault.action} {fault.status or ''}")
async def test_a_lost_answer_is_not_retried_while_there_are_retries_left(
    emulator: Emulator, client_of: Clients, fault: Fault
) -> None:
    emulator.add_fault(fault)
    async with client_of(max_retries=5, create_timeout=5) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
    assert len(emulator.requests) == 1


async def test_a_block_that_is_cancelled_leaves_a_doubt_on_record_and_in_unclaimed(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    """Without a key, nobody would find it in the ledger."""
    emulator.add_fault(Fault("create", "withhold", delay=2))
    with QuickLedger(tmp_path / "x.db") as ledger:
        with anyio.move_on_after(1) as scope:
            async with client_of(ledger=ledger) as client:
                await client.create_task(POSTER)
        assert scope.cancelled_caught
        assert ledger.counts() == {LedgerState.AMBIGUOUS: 1}
    (outcome,) = client.unclaimed
    assert isinstance(outcome.error, liangxin.AmbiguousCreate)


# --- rows that have changed since a batch has read them ------------------------------------------


async def _told(client: liangxin.AsyncClient, *keys: str, **asked: Any) -> list[Outcome]:
    async with client.batch([(key, POSTER) for key in keys], **asked) as outcomes:
        return [outcome async for outcome in outcomes]


async def test_two_batches_may_retry_one_failure_at_a_time(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    """Both read that it failed, and one comes first: the other goes along with it."""
    emulator.add_fault(Fault("create", "fail"))
    told: list[Outcome] = []

    async def retry(client: liangxin.AsyncClient) -> None:
        told.extend(await _told(client, "a", retry_failed=True))

    with QuickLedger(tmp_path / "x.db") as ledger:
        async with client_of(ledger=ledger) as client:
            await _told(client, "a")
            async with anyio.create_task_group() as group:
                group.start_soon(retry, client)
                group.start_soon(retry, client)
    assert [outcome.ok for outcome in told] == [True, True]
    assert len(emulator.charges) == 2


async def test_a_doubt_is_not_sent_again_by_a_batch_that_had_read_a_failure(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    """Its outcomes are taken slowly; meanwhile the key is resent, and that answer is lost."""
    with QuickLedger(tmp_path / "x.db") as ledger:
        async with client_of(ledger=ledger) as client:
            await _told(client, "a", "b", "c")
            emulator.add_fault(Fault("create", "fail"))
            await _told(client, "d")
            emulator.add_fault(Fault("create", "withhold"))
            requests = [(key, POSTER) for key in "abcd"]
            async with client.batch(requests, max_in_flight=1, retry_failed=True) as outcomes:
                async for outcome in outcomes:
                    if outcome.key == "a":
                        await anyio.wait_all_tasks_blocked()
                        ledger.resend("d", accept_double_payment=True)
                        with pytest.raises(liangxin.AmbiguousCreate):
                            await client.create_task(POSTER, key="d")
            assert isinstance(outcome.error, liangxin.AmbiguousCreate)
    assert len(emulator.charges) == 5


async def test_a_failure_is_not_retried_for_a_request_that_asks_for_something_else(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    emulator.add_fault(Fault("create", "fail"))
    other = RawInput("z-image", {"prompt": "another"})
    with QuickLedger(tmp_path / "x.db") as ledger:
        async with client_of(ledger=ledger) as client:
            await _told(client, "a")
            async with client.batch([("a", other)], retry_failed=True) as outcomes:
                [outcome] = [each async for each in outcomes]
        assert isinstance(outcome.error, liangxin.LedgerConflict)
        assert [row.state for row in ledger.history("a")] == [LedgerState.FAILED]
    assert len(emulator.charges) == 1
