"""
When to look, and when to try again.

Pure: everything here is told the time and returns a number.  Nothing sleeps, and nothing asks a
clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import backoff

MAX_RETRY_AFTER = 300.0
"""The longest wait, in seconds, that a `Retry-After` can ask of us."""


def retry_delays(factor: float = 0.25, longest: float = 30.0) -> Iterator[float]:
    """Seconds before each retry: exponential, fully jittered, without end."""
    ceilings = backoff.expo(factor=factor, max_value=longest)
    next(ceilings)  # backoff's generators yield None once, to be primed
    for ceiling in ceilings:
        yield backoff.full_jitter(ceiling)


class Schedule:
    """
    How long until the next look at a task, by its age.

    The pause is a share of the age, so the lag is a share of the duration whatever the model:
    at least `min_interval`, at most `max_interval`, jittered by a tenth so that tasks that were
    created together do not stay together.
    """

    def __init__(
        self,
        *,
        min_interval: float = 1.0,
        max_interval: float = 15.0,
        share: float = 0.2,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._min_interval = min_interval
        self._max_interval = max_interval
        self._share = share
        self._uniform = uniform

    def next_delay(self, age: float, *, trouble: int = 0) -> float:
        """
        Seconds until the next look at a task of this age (in seconds).

        `trouble` counts the unusable answers since the last good one; each doubles the pause.
        """
        pause = max(age * self._share, self._min_interval)
        pause = min(pause * float(2 ** min(trouble, 5)), self._max_interval)
        return pause * self._uniform(0.9, 1.1)


class PollBudget:
    """
    How many looks a second all tasks together may take.

    A burst of up to a second's worth may pass at once.  A 429 halves the rate and holds every
    look for as long as the service asked; each good answer gives a little of the rate back.
    """

    def __init__(self, rate: float) -> None:
        self._full_rate = rate
        self.rate = rate
        self._next = 0.0
        """When the next look would be due if looks were spaced evenly."""
        self._held_until = 0.0

    def delay(self, now: float) -> float:
        """Seconds until a look may leave; 0 for now."""
        return max(self._held_until - now, self._next - 1.0 - now, 0.0)

    def spend(self, now: float) -> None:
        """Count one look that leaves now."""
        self._next = max(self._next, now) + 1.0 / self.rate

    def throttled(self, now: float, retry_after: float | None) -> None:
        """Take note of a 429: halve the rate, once for all looks that were on their way."""
        if now >= self._held_until:
            self.rate = max(self.rate / 2, self._full_rate / 64)
        wait = min(retry_after or 1.0, MAX_RETRY_AFTER)
        self._held_until = max(self._held_until, now + wait)

    def answered(self) -> None:
        """Take note of a good answer: the rate recovers by a hundredth of the full one."""
        if self.rate < self._full_rate:
            self.rate = min(self.rate + self._full_rate / 100, self._full_rate)
