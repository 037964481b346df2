"""What other tests of creating and of batches leave to chance; each was once a sabotage unseen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import liangxin
from liangxin import RawInput
from liangxin.emulator import Emulator, Fault

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
