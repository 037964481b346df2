"""
The server's books: which task was created when, ends when, and was looked at how often.

Lag is the time from a task's end to the first look that was answered with it.
"""

from __future__ import annotations

import random
import statistics
from typing import TypedDict

MEDIAN = 12.0
SIGMA = 0.5
LONGEST = 42.0
"""Durations above (0.6 % of them) are drawn anew, so that a run has an end in sight."""


class Summary(TypedDict):
    """What the books say about one run."""

    created: int
    found: int
    looks: int
    """Looks at tasks of which the end had not been seen before."""
    extra: int
    """Requests about a task after its end had been seen."""
    looks_per_task: float
    lag_mean: float
    lag_p50: float
    lag_p95: float
    requests: int
    refused: int
    connections: int
    most_connections: int
    cpu: float
    """CPU seconds that the server has used since it started."""


def duration(rng: random.Random) -> float:
    """One image-like duration in seconds: lognormal, cut off."""
    while True:
        seconds = MEDIAN * rng.lognormvariate(0.0, SIGMA)
        if seconds < LONGEST:
            return seconds


class Books:
    """What happened since the last reset."""

    def __init__(self, tasks: int = 0, seed: int = 1, *, endless: bool = False) -> None:
        self._rng = random.Random(seed)
        self._endless = endless
        self._ends: list[float] = []
        self._lags: list[float] = []
        self._seen: set[int] = set()
        self.looks = self.extra = self.requests = self.refused = 0
        for _ in range(tasks):
            self.create(0.0)

    def create(self, now: float) -> str:
        """Enter a task and return its id."""
        seconds = float("inf") if self._endless else duration(self._rng)
        self._ends.append(now + seconds)
        return f"bench-{len(self._ends) - 1:07d}"

    @property
    def last_end(self) -> float:
        """When the task ends that was created last."""
        return self._ends[-1]

    def look(self, task: str, now: float) -> bool:
        """Enter a look at a task; say whether it has ended."""
        number = int(task[6:])
        if number in self._seen:
            self.extra += 1
            return True
        self.looks += 1
        lag = now - self._ends[number]
        if lag < 0:
            return False
        self._seen.add(number)
        self._lags.append(lag)
        return True

    def summary(self, connections: int, most: int, cpu: float) -> Summary:
        """Close the books, so far."""
        lags = sorted(self._lags) or [0.0]
        return Summary(
            created=len(self._ends),
            found=len(self._lags),
            looks=self.looks,
            extra=self.extra,
            looks_per_task=self.looks / max(len(self._ends), 1),
            lag_mean=statistics.fmean(lags),
            lag_p50=lags[len(lags) // 2],
            lag_p95=lags[min(len(lags) - 1, int(0.95 * len(lags)))],
            requests=self.requests,
            refused=self.refused,
            connections=connections,
            most_connections=most,
            cpu=cpu,
        )
