"""
Inspection of a task of lognormal duration: the exact optimum, and the exact cost of any schedule.

A look costs `k`, a second between the end and the look that finds it costs one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Lognormal:
    """A duration in seconds by its median and its spread."""

    median: float
    sigma: float

    def running(self, age: float) -> float:
        """The share of tasks that still run at this age."""
        if age <= 0:
            return 1.0
        return _NORMAL.cdf(-math.log(age / self.median) / self.sigma)

    def area(self, age: float) -> float:
        """The integral of `running` from 0 to this age."""
        if age <= 0:
            return 0.0
        mean = self.median * math.exp(self.sigma**2 / 2)
        early = _NORMAL.cdf(math.log(age / self.median) / self.sigma - self.sigma)
        return age * self.running(age) + mean * early

    @property
    def horizon(self) -> float:
        """An age that one task in 30,000 reaches."""
        return self.median * math.exp(4 * self.sigma)


def _stretch(alive: float, seconds: float, area: float) -> float:
    """The lag expected of the tasks that end between two looks."""
    return alive * seconds - area


def optimum(task: Lognormal, k: float, steps: int = 800) -> float:
    """The least cost of any schedule, by dynamic programming over a grid of ages."""
    ages = [task.horizon * step / steps for step in range(steps + 1)]
    alive = [task.running(age) for age in ages]
    area = [task.area(age) for age in ages]
    cost = [0.0] * (steps + 1)
    for here in range(steps - 1, -1, -1):
        best = math.inf
        for there in range(here + 1, steps + 1):
            lag = _stretch(alive[here], ages[there] - ages[here], area[there] - area[here])
            if lag > best:
                break  # the lag alone is dearer, and only grows
            best = min(best, lag + cost[there])
        cost[here] = k * alive[here] + best
    return cost[0]


@dataclass(frozen=True)
class Expected:
    """What a schedule comes to, per task."""

    looks: float
    lag: float

    def cost(self, k: float) -> float:
        """Looks and lag in one figure."""
        return k * self.looks + self.lag


def expected(task: Lognormal, next_delay: Callable[[float], float]) -> Expected:
    """Looks and lag of a schedule, exactly, for the pauses that it happens to draw."""
    age = looks = lag = 0.0
    while age < task.horizon:
        pause = next_delay(age)
        alive = task.running(age)
        looks += alive
        lag += _stretch(alive, pause, task.area(age + pause) - task.area(age))
        age += pause
    return Expected(looks, lag)
