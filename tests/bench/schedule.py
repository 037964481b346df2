"""
What learning when to look costs over knowing it: the real schedule against the exact optimum.

Nothing is sent and nothing waits: `liangxin._pacing` is told the time.
"""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from collections.abc import Callable
from typing import Any

from liangxin import _pacing
from tests.bench.optimum import Expected, Lognormal, expected, optimum
from tests.bench.ours import Absent
from tests.bench.results import Results

TASKS = {"image": Lognormal(12.0, 0.5), "video": Lognormal(90.0, 0.5)}
WEIGHTS = (0.1, 0.2, 0.5, 1.0, 2.0)
SEEN = (0, 2, 5, 10, 20, 50, 100, 200)
TEACH: dict[str, Callable[[Any, float, float, float], None]] = {
    "end named": lambda model, ran, end, found: model.ended(ran, end),
    "end not named": lambda model, ran, end, found: model.ended_between(ran, found),
}
"""What the model learns of an end: the service names it, or all that is known is between which
looks it was."""
RIVALS: dict[str, Callable[[float], float]] = {
    "fal-client 0.1 s": lambda age: 0.1,
    "replicate 0.5 s": lambda age: 0.5,
    "openai 1 s": lambda age: 1.0,
    "runwayml 6 s": lambda age: 6.0,
    "fixed 5 s": lambda age: 5.0,
}


def measure(results: Results) -> None:
    """The worst of all kinds, weights and ways to learn, after so many completions and at once."""
    if not hasattr(_pacing, "DurationModel"):
        raise Absent("this version learns no durations")
    random.seed(1)  # jitter draws from the module's own generator
    turns = 4 if results.quick else 12
    seen = [0, 50] if results.quick else SEEN
    costs: dict[str, dict[str, float]] = {}
    bursts: dict[str, dict[str, float]] = {}
    for (kind, task), k, taught in itertools.product(TASKS.items(), WEIGHTS, TEACH):
        least = optimum(task, k)
        name, teach = f"{kind}, k = {k:g}, {taught}", TEACH[taught]
        costs[name] = {str(n): _learned(kind, task, k, n, turns, teach) / least for n in seen}
        bursts[name] = {
            str(n): _burst(kind, task, k, n, max(2, turns * 400 // n), teach) / least
            for n in (20, 200, 1000)
        }
        said = ", ".join(f"{n}: {value:.3f}" for n, value in costs[name].items())
        at_once = ", ".join(f"{n}: {value:.3f}" for n, value in bursts[name].items())
        results.say(f"  {name:<31} {said}; at once {at_once}")
    results.data["schedule"] = {
        "seen": costs,
        "burst": bursts,
        "best fixed": {
            f"{kind}, k = {k:g}": _best_fixed(task, k)
            for (kind, task), k in itertools.product(TASKS.items(), WEIGHTS)
        },
        "rivals": _rivals(),
    }
    for n in ("50", "0"):
        results.add(f"poll_cost_learned_{n}", max(by_seen[n] for by_seen in costs.values()))
    results.add("poll_cost_learned_burst", max(by_size["200"] for by_size in bursts.values()))


def _schedule(k: float) -> Any:
    return _pacing.Schedule(lag_weight=k, min_interval=0.01, max_interval=1e9)


def _learned(kind: str, task: Lognormal, k: float, seen: int, turns: int, teach: Any) -> float:
    """The cost after `seen` tasks, one after the other; the mean of several such histories."""
    costs = []
    for turn in range(turns if seen else 1):
        rng = random.Random(f"{kind} {turn}")
        schedule, model = _schedule(k), _pacing.DurationModel(kind)
        for _ in range(seen):
            follow(schedule, model, task.median * rng.lognormvariate(0, task.sigma), teach)
        costs += [_cost(schedule, model, task, k) for _ in range(6)]
    return statistics.fmean(costs)


def follow(schedule: Any, model: Any, duration: float, teach: Any) -> None:
    age = 0.0
    while (later := age + schedule.next_delay(age, model)) < duration:
        model.survived(age, later)
        age = later
    teach(model, age, duration, later)


def _cost(schedule: Any, model: Any, task: Lognormal, k: float) -> float:
    return expected(task, lambda age: schedule.next_delay(age, model)).cost(k)


def _burst(kind: str, task: Lognormal, k: float, count: int, turns: int, teach: Any) -> float:
    """The cost per task of `count` tasks at once, of a model never seen before."""
    return statistics.fmean(_one_burst(kind, task, k, count, turn, teach) for turn in range(turns))


def _one_burst(kind: str, task: Lognormal, k: float, count: int, turn: int, teach: Any) -> float:
    rng = random.Random(f"{kind} {turn}")
    ends = [task.median * rng.lognormvariate(0, task.sigma) for _ in range(count)]
    schedule, model = _schedule(k), _pacing.DurationModel(kind)
    due = [(schedule.next_delay(0.0, model), each, 0.0) for each in range(count)]
    heapq.heapify(due)
    looks = lag = 0.0
    while due:
        now, which, before = heapq.heappop(due)
        looks += 1
        if now >= ends[which]:
            lag += now - ends[which]
            teach(model, before, ends[which], now)
        else:
            model.survived(before, now)
            heapq.heappush(due, (now + schedule.next_delay(now, model), which, now))
    return Expected(looks / count, lag / count).cost(k)


def _rivals() -> dict[str, dict[str, float]]:
    """Looks and lag of the peers' fixed pauses on an image, if their loops kept up."""
    exact = {name: expected(TASKS["image"], pause) for name, pause in RIVALS.items()}
    return {name: {"looks": each.looks, "lag": each.lag} for name, each in exact.items()}


def _best_fixed(task: Lognormal, k: float) -> float:
    """What the best of all fixed pauses costs, chosen with hindsight, over the optimum."""
    pauses = (0.2 * 1.1**step for step in range(60))
    return min(_fixed(task, pause).cost(k) for pause in pauses) / optimum(task, k)


def _fixed(task: Lognormal, pause: float) -> Expected:
    return expected(task, lambda age: pause)
