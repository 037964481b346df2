"""
Lag under a budget that binds: the real poller against round robin, both on a clock that jumps.

Tasks come one by one, so that their ages differ: then a look is worth more at one than at another.
Of tasks that were all created at once, none is likelier to have ended than the next, and no order
of looking beats round robin; that is measured too, and 1 is then the best there is.
"""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.results import Results
from tests.bench.virtual import arrivals, burst, round_robin, run, stream

COUNT = 500
PER_SECOND = 10.0
"""Tasks a second: some 135 of them wait at any time."""
BUDGETS = (15, 20, 30, 40, 60, 80)
"""Looks a second; unbound, those tasks would like more."""
KEYS = ("lag_mean", "lag_p95", "looks_per_task")


def measure(results: Results) -> None:
    """The mean over the budgets of the ratio of the lags, for several sets of tasks."""
    seeds = range(1, 2 if results.quick else 6)
    curve = {str(budget): _streamed(budget, seeds) for budget in BUDGETS}
    for budget, each in curve.items():
        results.say(f"  {budget:>4} looks/s: {_said(each)}")
    at_once = {str(budget): _at_once(budget, seeds) for budget in (20, 80)}
    for budget, each in at_once.items():
        results.say(f"  {budget:>4} looks/s, {COUNT} at once: {_said(each)}")
    results.data["budget"] = {"per_second": PER_SECOND, "stream": curve, "at once": at_once}
    results.add("poll_budget_lag", _ratio(curve, "lag_mean"))
    results.add("poll_budget_lag_p95", _ratio(curve, "lag_p95"))
    results.add("poll_budget_lag_at_once", _ratio(at_once, "lag_mean"))


def _said(each: dict[str, dict[str, float]]) -> str:
    return ", ".join(
        f"{whose} {figures['lag_mean']:.2f} s (p95 {figures['lag_p95']:.2f}) "
        f"with {figures['looks_per_task']:.1f} looks"
        for whose, figures in each.items()
    )


def _asked(budget: float) -> dict[str, float]:
    # So small a weight that the budget is what decides, as it is for round robin.
    return {"poll_budget": budget, "lag_weight": 0.001, "min_interval": 0.05}


def _streamed(budget: float, seeds: range) -> dict[str, dict[str, float]]:
    ours, robin = [], []
    for seed in seeds:
        moments = arrivals(COUNT, PER_SECOND, seed)
        ours.append(run(stream(moments, seed=seed, **_asked(budget))))
        robin.append(round_robin(moments, budget, seed=seed))
    return {"ours": _mean(ours), "round robin": _mean(robin)}


def _at_once(budget: float, seeds: range) -> dict[str, dict[str, float]]:
    ours = [run(burst(COUNT, seed=seed, **_asked(budget))) for seed in seeds]
    robin = [round_robin([0.0] * COUNT, budget, seed=seed) for seed in seeds]
    return {"ours": _mean(ours), "round robin": _mean(robin)}


def _mean(runs: list[Any]) -> dict[str, float]:
    return {key: statistics.fmean(each[key] for each in runs) for key in KEYS}


def _ratio(curve: dict[str, dict[str, dict[str, float]]], key: str) -> float:
    return statistics.fmean(each["ours"][key] / each["round robin"][key] for each in curve.values())
