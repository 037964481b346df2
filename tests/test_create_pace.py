"""How fast creates may leave when only refusals say so, as floats: nothing here waits."""

from __future__ import annotations

import pytest

from liangxin._pacing import CreatePace


@pytest.mark.parametrize("per_second", [2, 50, 150])
def test_after_the_first_refusal_the_pace_is_a_little_less_than_what_was_accepted(
    per_second: int,
) -> None:
    pace = CreatePace()
    for number in range(20 * per_second):
        pace.accepted(number / per_second)
    pace.refused(20.0, None)
    assert pace.rate == pytest.approx(0.9 * per_second, rel=0.05)


def test_a_burst_that_filled_a_window_says_little_about_its_rate() -> None:
    """A hundred at once, then a refusal: more likely 100 in 10 s than 100 in a moment."""
    pace = CreatePace()
    for number in range(100):
        pace.accepted(1000.0 + number / 1000)
    pace.refused(1000.1, None)
    assert pace.rate == pytest.approx(9.0)
