"""Which moments of a shared quota a process has, as floats: nothing here waits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liangxin._slots import AHEAD, LONGEST_LEAD, ServerClock, Slots, margin


def slots(*moments: float, grace: float = 0.1, lead: float = 0.0) -> Slots:
    made = Slots(grace=grace, lead=lead)
    for moment in moments:
        made.add(moment, 0.0, 1)
    return made


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.integers(1, 30),
    st.sampled_from([1.0, 10.0, 60.0]),
    st.lists(st.floats(0, 1), min_size=90, max_size=90),
)
def test_creates_that_leave_within_their_grace_never_exceed_the_window(
    count: int, seconds: float, lateness: list[float]
) -> None:
    room = margin(seconds)
    gap = (seconds + room) / count
    times = [place * gap + late * room / 2 for place, late in enumerate(lateness[: 3 * count])]
    for start in times:
        assert sum(start <= time < start + seconds for time in times) <= count


@pytest.mark.parametrize(
    ("seconds", "room"), [(0.1, 0.02), (1.0, 0.04), (10.0, 0.4), (3600.0, 0.5)]
)
def test_the_margin_is_a_share_of_the_window_within_bounds(seconds: float, room: float) -> None:
    assert margin(seconds) == pytest.approx(room)


def test_a_create_is_let_in_by_its_lead_before_its_moment() -> None:
    assert slots(7.0, lead=0.25).delay(5.0) == 1.75


def test_without_a_moment_nobody_is_let_in() -> None:
    assert slots().delay(5.0) == math.inf


def test_a_moment_whose_grace_is_over_is_not_given() -> None:
    assert slots(4.8, 6.0).take(5.0) == 6.0


def test_a_moment_may_be_used_until_its_grace_is_over() -> None:
    assert [slots().is_met(5.0, now) for now in (4.99, 5.0, 5.09, 5.11)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_moment_that_was_given_back_comes_in_its_order() -> None:
    some = slots(6.0, 7.0, 8.0)
    taken = some.take(5.0)
    assert taken == 6.0
    some.give_back(taken)
    assert [some.take(5.0) for _ in range(4)] == [6.0, 7.0, 8.0, None]


def test_a_pause_takes_the_moments_before_its_end() -> None:
    some = slots(6.0, 7.0, 8.0)
    some.drop(7.5)
    assert some.take(5.0) == 8.0


def test_a_tenth_of_a_second_is_reserved_at_a_time() -> None:
    assert slots().wanted(5.0, waiting=1000, gap=0.02) == math.ceil(AHEAD / 0.02)


def test_of_a_slow_quota_one_moment_is_reserved_at_a_time() -> None:
    assert slots().wanted(5.0, waiting=1000, gap=0.5) == 1


def test_no_more_is_reserved_than_there_are_creates() -> None:
    assert slots(5.01, 5.02).wanted(5.0, waiting=4, gap=0.01) == 2


def test_a_moment_that_has_passed_is_reserved_anew() -> None:
    """Counted as there, it would be waited for: and nothing else wakes the door."""
    assert slots(4.8).wanted(5.0, waiting=1, gap=0.5) == 1


def test_whoever_waits_for_a_far_moment_reserves_no_other() -> None:
    assert slots(9.0).wanted(5.0, waiting=1000, gap=0.02) == 0


def test_the_lead_grows_at_once_and_shrinks_by_and_by() -> None:
    some = slots(lead=0.05)
    some.prepared(0.2)
    assert some.lead == 0.4
    some.prepared(0.0)
    assert 0.35 < some.lead < 0.4


def test_the_lead_is_bounded() -> None:
    some = slots()
    some.prepared(60.0)
    assert some.lead == LONGEST_LEAD


# --- the other clock -------------------------------------------------------------------------


def test_the_other_clock_was_read_halfway_between_the_question_and_the_answer() -> None:
    clock = ServerClock()
    clock.heard(10.0, 10.2, says=1000.1)
    assert clock.ours(1005.0) == pytest.approx(15.0)


def test_the_quickest_answer_is_believed() -> None:
    clock = ServerClock()
    clock.heard(10.0, 10.01, says=1000.005)
    clock.heard(11.0, 11.8, says=1001.7)
    assert clock.ours(1005.0) == pytest.approx(15.0)


def test_an_old_answer_is_believed_less() -> None:
    clock = ServerClock()
    clock.heard(10.0, 10.01, says=1000.005)
    clock.heard(1010.0, 1010.02, says=2000.02)
    assert clock.ours(2000.02) == pytest.approx(1010.01)


def test_a_clock_that_was_set_is_noticed() -> None:
    clock = ServerClock()
    clock.heard(10.0, 10.01, says=1000.005)
    clock.heard(11.0, 11.2, says=501.1)
    assert clock.ours(505.0) == pytest.approx(15.0)
