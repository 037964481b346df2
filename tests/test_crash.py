"""
A share of the crash campaign (`nox -s crash` runs all of it), and that it can fail.

Batches in other processes are killed, or lose their disk, at system calls that are spread evenly
over a whole run.  The judge is the service's books, in another process still.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import liangxin
from liangxin import LedgerError
from liangxin.batch import BatchReport
from liangxin.ledger import Change, Ledger, LedgerRow, LedgerState, Move
from tests.crash.campaign import (
    CLIENTS,
    Campaign,
    campaign,
    error_points,
    failures,
    kill_points,
    share,
)
from tests.crash.lane import Kills, Point
from tests.crash.sabotage import SABOTAGES
from tests.crash.tracer import Strike, why_not

WHY_NOT = why_not()
pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT)),
]

Calls = dict[str, Counter[str]]


@pytest.fixture(scope="module")
def lanes() -> Iterator[Campaign]:
    with campaign() as lanes:
        yield lanes


@pytest.fixture(scope="module")
def calls(lanes: Campaign) -> Calls:
    """What each client calls in an undisturbed run."""
    return lanes.calls(CLIENTS)


def test_a_batch_killed_at_any_system_call_loses_nothing_and_pays_nothing_twice(
    lanes: Campaign, calls: Calls
) -> None:
    points = share(kill_points(calls), 150)
    assert len(points) >= 150
    judged = lanes.crash(points)
    assert failures(judged) == []
    struck = [(point, verdict) for point, verdict in judged if verdict.struck]
    assert len(struck) > 0.8 * len(points)  # two runs never make quite the same calls
    assert {point.client for point, _ in struck} == set(CLIENTS)
    # Only a kill between the record of a send and that of its answer leaves a doubt.
    assert 0 < sum(verdict.ambiguous for _, verdict in struck) < len(points)


def test_a_disk_that_fails_sends_nothing_unrecorded_and_is_not_passed_over(
    lanes: Campaign, calls: Calls
) -> None:
    judged = lanes.crash(share(error_points(calls), 40))
    assert failures(judged) == []
    assert sum(verdict.struck for _, verdict in judged) > 0.8 * len(judged)


def test_a_batch_killed_again_and_again_in_full_flight_ends_all_the_same(lanes: Campaign) -> None:
    judged = lanes.kill([Kills(CLIENTS[seed % 2], seed) for seed in range(50)])
    assert failures(judged) == []
    assert sum(verdict.struck for _, verdict in judged) >= 200  # of 250: a few end before
    assert sum(verdict.ambiguous for _, verdict in judged) > 0  # killed with creates in flight


AT_THE_ANSWER = [Strike("recvfrom service", nth) for nth in (1, 2, 8)]
WHILE_SAVING = [Strike("openat result", 1), Strike("write result", 1)]
ON_A_FULL_DISK = [Strike("pwrite64 ledger", nth, "ENOSPC", True) for nth in range(16, 48, 2)]


@pytest.mark.parametrize(
    ("sabotage", "strikes", "findings"),
    [
        ("sends before it records", AT_THE_ANSWER, {"unrecorded", "double"}),
        ("sends again after a crash", AT_THE_ANSWER, {"double"}),
        ("pays each row of a crash again", AT_THE_ANSWER, {"double"}),
        ("records no acceptance", WHILE_SAVING, {"unrecorded"}),
        ("shows half a file", WHILE_SAVING, {"damaged"}),
        ("sends when it cannot record", ON_A_FULL_DISK, {"unrecorded"}),
    ],
)
def test_the_campaign_notices_a_library_that(
    lanes: Campaign, sabotage: str, strikes: list[Strike], findings: set[str]
) -> None:
    judged = lanes.crash([Point("async", strike, sabotage) for strike in strikes])
    assert findings <= {name for _, verdict in judged for name in verdict.findings}


class FullAtTheAnswer(Ledger):
    """Has room for intentions, and none for what became of them."""

    is_quick = True
    _synchronous = "OFF"

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | LedgerError]:
        if any(isinstance(each, Move) and each.to is LedgerState.ACCEPTED for each in changes):
            raise LedgerError("the disk is full")
        return super().apply(changes)


@pytest.mark.virtual_time
async def test_a_batch_whose_last_answers_cannot_be_recorded_says_so_to_its_caller(
    client_of: Callable[..., liangxin.AsyncClient], tmp_path: Path
) -> None:
    report = BatchReport()
    poster = liangxin.RawInput("z-image", {"prompt": "a fox"})
    with FullAtTheAnswer(tmp_path / "posters.db") as ledger:
        async with client_of(ledger=ledger) as client:
            async with client.batch([("a", poster)], report=report) as outcomes:
                told = [outcome async for outcome in outcomes]
        assert ledger.counts() == {LedgerState.SENDING: 1}  # the next run will be in doubt of it
    assert isinstance(told[0].error, LedgerError) or report.stopped


def test_every_sabotage_is_tried() -> None:
    marks = test_the_campaign_notices_a_library_that.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(SABOTAGES)
