"""When to look and when to try again, as floats: nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liangxin._pacing import MAX_RETRY_AFTER, PollBudget, Schedule, retry_delays

examples = settings(derandomize=True, deadline=None, max_examples=100)


# --- the schedule of one task ------------------------------------------------------------------


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def lowest(low: float, high: float) -> float:
    return low


def highest(low: float, high: float) -> float:
    return high


def test_the_pause_is_a_share_of_the_age_between_its_bounds() -> None:
    schedule = Schedule(uniform=middle)
    pauses = {age: schedule.next_delay(age) for age in (0, 1, 5, 10, 30, 60, 75, 600, 1e9)}
    assert pauses == pytest.approx(
        {0: 1, 1: 1, 5: 1, 10: 2, 30: 6, 60: 12, 75: 15, 600: 15, 1e9: 15}
    )


def test_the_bounds_and_the_share_can_be_chosen() -> None:
    schedule = Schedule(min_interval=0.01, max_interval=0.05, share=0.5, uniform=middle)
    pauses = {age: schedule.next_delay(age) for age in (0, 0.05, 0.08, 10)}
    assert pauses == pytest.approx({0: 0.01, 0.05: 0.025, 0.08: 0.04, 10: 0.05})


@pytest.mark.parametrize(("edge", "factor"), [(lowest, 0.9), (middle, 1.0), (highest, 1.1)])
def test_the_jitter_is_a_tenth_either_way(
    edge: Callable[[float, float], float], factor: float
) -> None:
    schedule = Schedule(uniform=edge)
    for age in (0, 20, 1000):
        expected = Schedule(uniform=middle).next_delay(age) * factor
        assert schedule.next_delay(age) == pytest.approx(expected)


def test_tasks_that_were_created_together_do_not_stay_together() -> None:
    schedule = Schedule()
    assert len({schedule.next_delay(30) for _ in range(100)}) > 90


def test_each_unusable_answer_doubles_the_pause_up_to_the_longest() -> None:
    schedule = Schedule(max_interval=100, uniform=middle)
    pauses = [schedule.next_delay(10, trouble=trouble) for trouble in range(8)]
    assert pauses == pytest.approx([2, 4, 8, 16, 32, 64, 64, 64])
    assert Schedule(uniform=middle).next_delay(10, trouble=10**9) == pytest.approx(15)


@given(st.floats(0, 1e12), st.floats(0, 1e12), st.integers(0, 1000))
@examples
def test_the_pause_stays_within_its_bounds_and_never_shrinks_with_age(
    age: float, more: float, trouble: int
) -> None:
    pause = Schedule().next_delay(age, trouble=trouble)
    assert 0.9 <= pause <= 15 * 1.1
    steady = Schedule(uniform=middle)
    assert steady.next_delay(age, trouble=trouble) <= steady.next_delay(age + more, trouble=trouble)


def test_a_task_of_three_minutes_is_seen_ended_within_a_fifth_and_in_few_looks() -> None:
    schedule = Schedule(uniform=middle)
    age, looks = 0.0, 0
    while age < 180:
        age += schedule.next_delay(age)
        looks += 1
    assert age <= 180 + 15
    assert looks < 30


# --- the budget of all tasks -------------------------------------------------------------------


def leave_as_soon_as_allowed(budget: PollBudget, now: float) -> float:
    """Let one look leave; return when it left."""
    now += budget.delay(now)
    assert budget.delay(now) == pytest.approx(0, abs=1e-6)
    budget.spend(now)
    return now


def test_a_seconds_worth_may_leave_at_once_and_the_rest_evenly() -> None:
    budget = PollBudget(10)
    departures = []
    now = 100.0
    for _ in range(31):
        now = leave_as_soon_as_allowed(budget, now)
        departures.append(now - 100)
    assert departures[:11] == pytest.approx([0.0] * 11)
    assert [b - a for a, b in pairwise(departures[10:])] == pytest.approx([0.1] * 20)


def test_a_budget_below_one_a_second_has_no_burst() -> None:
    budget = PollBudget(0.5)
    now = 0.0
    departures = [now := leave_as_soon_as_allowed(budget, now) for _ in range(4)]
    assert departures == pytest.approx([0, 1, 3, 5])


def test_idleness_earns_no_more_than_one_burst() -> None:
    budget = PollBudget(10)
    budget.spend(0)
    at_once = 0
    while budget.delay(1e6) == 0:
        budget.spend(1e6)
        at_once += 1
    assert at_once == 11


@st.composite
def histories(draw: st.DrawFn) -> tuple[float, list[tuple[str, float]]]:
    rate = draw(st.floats(0.1, 500))
    events = st.tuples(
        st.sampled_from(["want"] * 8 + ["answered", "throttled"]),
        st.floats(0, 2) | st.just(0.0) | st.floats(0, 400),
    )
    return rate, draw(st.lists(events, max_size=120))


@given(histories())
@examples
def test_no_window_sees_more_looks_than_rate_times_its_length_and_a_burst(
    history: tuple[float, list[tuple[str, float]]],
) -> None:
    rate, events = history
    budget = PollBudget(rate)
    now = 50.0
    departures: list[float] = []
    for what, wait in events:
        if what == "answered":
            budget.answered()
        elif what == "throttled":
            budget.throttled(now, wait)
        else:
            now = leave_as_soon_as_allowed(budget, now + min(wait, 2 / rate))
            departures.append(now)
        assert 0 < budget.rate <= rate
    for first, start in enumerate(departures):
        for last, end in enumerate(departures[first:], first):
            assert last - first + 1 <= rate * (end - start) + rate + 1 + 1e-3


def test_a_429_halves_the_rate_and_holds_every_look() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 5)
    assert budget.rate == 4
    assert budget.delay(100) == 5
    assert budget.delay(103.5) == 1.5
    assert budget.delay(105) == 0


def test_a_429_without_retry_after_holds_for_a_second() -> None:
    for asked in (None, 0.0):
        budget = PollBudget(8)
        budget.throttled(100, asked)
        assert budget.delay(100) == 1


def test_looks_that_were_on_their_way_halve_the_rate_only_once() -> None:
    budget = PollBudget(8)
    for now in (100, 100, 101, 104.9):
        budget.throttled(now, 5)
    assert budget.rate == 4
    budget.throttled(109.9, 5)  # the last of them held until then
    assert budget.rate == 2


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 60)
    budget.throttled(101, 1)
    assert budget.delay(101) == 59


def test_a_hold_is_never_longer_than_five_minutes() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 1e8)
    assert budget.delay(100) == MAX_RETRY_AFTER == 300


def test_the_rate_never_falls_below_a_sixty_fourth() -> None:
    budget = PollBudget(64)
    for number in range(20):
        budget.throttled(number * 10, 1)
    assert budget.rate == 1


def test_the_rate_recovers_by_a_hundredth_with_each_good_answer_and_no_further() -> None:
    budget = PollBudget(8)
    budget.throttled(100, 1)
    budget.answered()
    assert budget.rate == pytest.approx(4.08)
    for _ in range(200):
        budget.answered()
    assert budget.rate == 8


def test_after_a_hold_looks_leave_at_half_the_rate() -> None:
    budget = PollBudget(10)
    budget.throttled(100, 5)
    now = 100.0
    departures = [now := leave_as_soon_as_allowed(budget, now) for _ in range(16)]
    assert departures[0] == 105
    assert [b - a for a, b in pairwise(departures[6:])] == pytest.approx([0.2] * 9)


# --- retries -----------------------------------------------------------------------------------


def test_retry_delays_have_no_end_and_stay_below_ceilings_that_double() -> None:
    for _ in range(50):
        delays = list(islice(retry_delays(), 200))
        assert all(isinstance(delay, float) for delay in delays)
        ceilings = [min(0.5 * 2**attempt, 30) for attempt in range(200)]
        assert all(0 <= delay <= top for delay, top in zip(delays, ceilings, strict=True))


def test_retry_delays_are_jittered_over_the_whole_of_their_range() -> None:
    late = [list(islice(retry_delays(1, 10), 10))[-1] for _ in range(400)]
    assert min(late) < 1
    assert max(late) > 9
    assert 4 < sum(late) / len(late) < 6
    assert len(set(late)) > 390
