"""
When the looks at one task fall, and what a schedule of looks can buy: computed, nothing is sent.

    python -m tests.bench.looking       # some seconds; the same figures on every machine

`liangxin._pacing` is told the time, and each cost is an integral over the durations.  Writes
docs/benchmarks/looking.json, of which docs/benchmarks/plots.py makes plots.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from liangxin._pacing import DurationModel, Schedule
from tests.bench.callbacks import least
from tests.bench.optimum import Expected, Lognormal, expected
from tests.bench.schedule import TASKS, TEACH, follow

FILE = Path("docs/benchmarks/looking.json")
SEEN = (0, 100)
"""Completions of the model that the schedule has seen."""
WEIGHTS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
PAUSES = (0.4, 0.6, 1.0, 1.5, 2.5, 4.0, 6.0, 10.0, 15.0, 20.0)
"""Seconds: of fixed pauses, and the first of those that grow."""
GROWTH = 1.5
AGES = 120


def _middle(low: float, high: float) -> float:
    return (low + high) / 2


def _learned(kind: str, seen: int) -> DurationModel:
    """What the client knows after so many tasks, of each of which it saw only that it had ended."""
    rng = random.Random(f"looking {kind}")
    task, model, schedule = TASKS[kind], DurationModel(kind), Schedule(uniform=rng.uniform)
    for _ in range(seen):
        duration = task.median * rng.lognormvariate(0, task.sigma)
        follow(schedule, model, duration, TEACH["end not named"])
    return model


def _schedule(kind: str, seen: int) -> dict[str, Any]:
    """The ages at which the client looks, with its own options and without jitter; the cost."""
    model, schedule = _learned(kind, seen), Schedule(uniform=_middle)

    def pause(age: float) -> float:
        return schedule.next_delay(age, model)

    cost = expected(TASKS[kind], pause)
    ages = [round(age, 3) for age in _walk(pause, kind)]
    return {"ages": ages, "looks": round(cost.looks, 4), "lag": round(cost.lag, 4)}


def _walk(pause: Callable[[float], float], kind: str) -> Iterator[float]:
    age = 0.0
    while (age := age + pause(age)) < TASKS[kind].horizon:
        yield age


def _running(task: Lognormal) -> list[tuple[float, float]]:
    """The share of tasks that still run, by age."""
    ages = [task.horizon * step / AGES for step in range(AGES + 1)]
    return [(round(age, 3), round(task.running(age), 5)) for age in ages]


def _ours(task: Lognormal, model: DurationModel, k: float) -> Expected:
    free = Schedule(lag_weight=k, min_interval=0.01, max_interval=1e9, uniform=_middle)
    return expected(task, lambda age: free.next_delay(age, model))


def _fixed(pause: float) -> Callable[[float], float]:
    return lambda age: pause


def _growing(first: float) -> Callable[[float], float]:
    """Pauses that grow: after the n-th, first · (GROWTH^n - 1) / (GROWTH - 1) seconds have gone."""
    return lambda age: first + age * (GROWTH - 1)


def _row(by: str, value: float, each: Expected) -> dict[str, float]:
    return {by: value, "looks": round(each.looks, 4), "lag": round(each.lag, 4)}


def _trade(task: Lognormal, model: DurationModel) -> dict[str, Any]:
    """Looks and lag of each kind of schedule, as what it turns on moves."""
    return {
        "ours": [_row("k", k, _ours(task, model, k)) for k in WEIGHTS],
        "optimum": [_row("k", k, least(task, k, 1.0)) for k in WEIGHTS],
        "fixed": [_row("pause", each, expected(task, _fixed(each))) for each in PAUSES],
        "growing": [_row("pause", each, expected(task, _growing(each))) for each in PAUSES],
    }


def main() -> int:
    """Compute, and write it down."""
    data: dict[str, Any] = {
        "growth": GROWTH,
        "tasks": {
            kind: {
                "median": task.median,
                "running": _running(task),
                "schedules": {str(seen): _schedule(kind, seen) for seen in SEEN},
            }
            for kind, task in TASKS.items()
        },
        "trade": _trade(TASKS["image"], _learned("image", SEEN[-1])),
    }
    FILE.write_text(json.dumps(data) + "\n", encoding="utf-8")
    for name, rows in data["trade"].items():
        print(name, *(f"{row['looks']:.2f}/{row['lag']:.2f}" for row in rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
