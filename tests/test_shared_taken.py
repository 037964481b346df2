"""What a process is told of a create that was taken from it while it gave no sign of life."""

from __future__ import annotations

import psycopg
import pytest

from liangxin._errors import LedgerHeld
from liangxin.ledger import LedgerRow, LedgerState, Move, Plan, SharedLedger
from tests.databases import database

pytestmark = pytest.mark.campaign

PLAN = Plan(key="a", ref="r1", model="z-image", input={"prompt": "a"}, sha256="00" * 32, at=1.0)


def let_all_leases_lapse(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("UPDATE liangxin_holders SET expires = clock_timestamp() - interval '1 s'")


def made(ledger: SharedLedger, change: Plan | Move) -> LedgerRow:
    (result,) = ledger.apply([change])
    assert isinstance(result, LedgerRow)
    return result


MOVES = [
    Move(ref="r1", to=LedgerState.SENDING, at=2.0),
    Move(ref="r1", to=LedgerState.ACCEPTED, at=3.0, task_id="t1"),
    Move(ref="r1", to=LedgerState.SUCCEEDED, at=4.0),
]


@pytest.mark.parametrize("count", range(len(MOVES) + 1))
def test_who_was_slow_is_told_that_another_has_the_create_however_far_that_is(count: int) -> None:
    url = database()
    with SharedLedger(url) as slow, SharedLedger(url) as quick:
        made(slow, PLAN)
        let_all_leases_lapse(url)
        made(quick, PLAN)
        for move in MOVES[:count]:
            made(quick, move)
        (told,) = slow.apply([MOVES[0]])
    assert isinstance(told, LedgerHeld)
    assert told.key == "a"
