"""What other tests of creating and of batches leave to chance; each was once a sabotage unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import liangxin
from liangxin import RawInput
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
