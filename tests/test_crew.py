"""
A share of what `nox -s shared` runs in full: four processes over one shared ledger, and blows.

The judge is the service's books, and PostgreSQL's own record of every move.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.crash.service import service
from tests.crew.sabotage import SABOTAGES
from tests.crew.story import Story, told

pytestmark = pytest.mark.campaign


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with service() as url:
        yield url


def test_workers_that_are_killed_and_a_database_that_falls_lose_nothing_and_pay_nothing_twice(
    url: str,
) -> None:
    verdict = told(Story(seed=1, kills=8, stalls=0), url)
    assert verdict.findings == {}
    assert verdict.kills >= 6  # the last ones may find nobody at work
    assert (verdict.restarts, verdict.cuts) == (1, 1)
    assert verdict.charged == verdict.requests - verdict.unpaid_doubts


@pytest.mark.parametrize(
    ("sabotage", "finding"),
    [
        ("sends again what the dead were sending", "double"),
        ("takes from the living", "stolen"),
    ],
)
def test_the_judge_notices_a_ledger_that(url: str, sabotage: str, finding: str) -> None:
    story = Story(seed=2, kills=5, stalls=0, restarts=0, cuts=0, sabotage=sabotage)
    assert finding in told(story, url).findings


def test_every_sabotage_is_tried() -> None:
    marks = test_the_judge_notices_a_ledger_that.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(SABOTAGES)
