"""
From the create to the end: many image-like tasks at once, us beside the peers.

Each client has the machine to itself at 1,000; at 100, where the load is small, they run side by
side, each on a server of its own.  Our lag is compared at a peer's own number of looks: the
weight of a lag that leads to it is found on a clock that jumps, then used for real.
"""

from __future__ import annotations

import itertools
import math
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.children import loaded, together
from tests.bench.ours import UNBOUNDED, options
from tests.bench.peers import present
from tests.bench.results import Results
from tests.bench.serving import serving
from tests.bench.virtual import burst, run

WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
FREE: dict[str, Any] = {"min_interval": 0.02, "max_interval": 60.0}
"""Bounds of the pauses that leave the choice to the weight."""


def measure(results: Results) -> None:
    """Side by side at 100; one after the other at 1,000; ours at 10,000."""
    if results.quick:
        _quick(results)
        return
    names = ["liangxin", *present()]
    small = _side_by_side([_job(name, 100) for name in names])
    _tell(results, 100, small)
    with TemporaryDirectory() as folder:
        learned = {"durations": f"{folder}/durations.json"} if "durations" in options() else {}
        large = {"liangxin": _alone("liangxin", 1_000, **learned)}
        _tell(results, 1_000, large)
        for name in present():
            large[name] = _alone(name, 1_000)
            _tell(results, 1_000, {name: large[name]})
        results.data["ends"] = {
            "small": {"count": 100, "clients": small},
            "large": {"count": 1_000, "clients": large},
        }
        _cpu(results, large)
        _lag(results, 1_000, large, learned)
    _ten_thousand(results, 10_000, large["liangxin"], _alone("liangxin", 10_000))


def _quick(results: Results) -> None:
    """A handful of tasks, and everybody at the same time: enough to see that it works."""
    jobs = [_job(name, 30) for name in ["liangxin", *present()]]
    *small, many = together("whole", [*jobs, _job("liangxin", 300)])
    clients = {job["client"]: each for job, each in zip(jobs, small, strict=True)}
    _tell(results, 30, clients)
    results.data["ends"] = {"small": {"count": 30, "clients": clients}}
    _cpu(results, clients)
    results.absent["e2e_lag"] = "not in a quick run"
    _ten_thousand(results, 300, clients["liangxin"], many)


def _job(name: str, count: int, **asked: Any) -> dict[str, Any]:
    return {"client": name, "count": count, "options": asked}


def _alone(name: str, count: int, **asked: Any) -> dict[str, Any]:
    with serving() as server:
        return loaded("whole", name, server, count=count, options=asked)


def _side_by_side(jobs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = [job["client"] for job in jobs]
    return dict(zip(names, together("whole", jobs), strict=True))


def _tell(results: Results, count: int, clients: dict[str, dict[str, Any]]) -> None:
    results.say(f"  {count:,} at once: CPU ms a task, looks a task, lag s (p95), found, errors")
    for name, each in clients.items():
        books = each["books"]
        results.say(
            f"  {name:<24}{each['cpu_ms']:>8.1f}{books['looks_per_task']:>8.1f}"
            f"{books['lag_mean']:>8.2f} ({books['lag_p95']:.2f}) {books['found']:>7,} "
            f"{each['errors'] or ''} {each['wall']:.0f} s"
        )


def _cpu(results: Results, clients: dict[str, dict[str, Any]]) -> None:
    ours = clients["liangxin"]
    best = min(each["cpu_ms"] for name, each in clients.items() if name != "liangxin")
    results.add("e2e_cpu_per_task", ours["cpu_ms"] / best)
    results.add("e2e_found", _found(ours))


def _found(run_of: dict[str, Any]) -> float:
    books = run_of["books"]
    return 0.0 if run_of["errors"] else books["found"] / max(books["created"], 1)


def _lag(
    results: Results, count: int, clients: dict[str, dict[str, Any]], learned: dict[str, Any]
) -> None:
    """Real runs with as many looks as each peer took that found all; and one that knows more."""
    if "lag_weight" not in options():
        results.absent["e2e_lag"] = "this version has no lag_weight"
        return
    curve = weighed(count)
    results.data["weights"] = {str(k): each for k, each in curve.items()}
    # One that lost tasks has no lag to compare: it never learned when those ended.
    peers = [name for name in clients if name != "liangxin" and _found(clients[name]) == 1]
    chosen = {name: weight_for(clients[name]["books"]["looks_per_task"], curve) for name in peers}
    jobs = [_job("liangxin", count, lag_weight=chosen[name], **FREE) for name in peers]
    half = len(jobs) // 2  # all at once would be more than one core carries
    second, *early = together("whole", [_job("liangxin", count, **learned), *jobs[:half]])
    matched = dict(zip(peers, early + together("whole", jobs[half:]), strict=True))
    for name, each in matched.items():
        each["lag_weight"] = chosen[name]
    results.data["ends"]["matched"] = matched
    results.data["ends"]["second run"] = second
    said = {f"as often as {name}": each for name, each in matched.items()}
    _tell(results, count, {**said, "a second run": second})
    for target, key in (("e2e_lag", "lag_mean"), ("e2e_lag_p95", "lag_p95")):
        ratios = [matched[name]["books"][key] / clients[name]["books"][key] for name in peers]
        results.add(target, max(ratios))


def weighed(count: int) -> dict[float, dict[str, float]]:
    """Looks and lag by the weight of a lag, of so many tasks at once, on a clock that jumps."""
    runs = {}
    for k in WEIGHTS:
        some = count if k >= 0.1 else min(count, 300)  # below, so many looks that fewer tasks do
        runs[k] = run(burst(some, lag_weight=k, poll_budget=UNBOUNDED, **FREE))
    return {
        k: {"looks": books["looks_per_task"], "lag": books["lag_mean"], "p95": books["lag_p95"]}
        for k, books in runs.items()
    }


def weight_for(looks: float, curve: dict[float, dict[str, float]]) -> float:
    """The weight at which a task is looked at so often, a little less to be sure."""
    wanted = 0.97 * looks
    points = [(k, curve[k]["looks"]) for k in sorted(curve)]
    for (k1, looks1), (k2, looks2) in itertools.pairwise(points):
        if looks2 <= wanted <= looks1:
            share = (looks1 - wanted) / max(looks1 - looks2, 1e-9)
            return math.exp(math.log(k1) + share * (math.log(k2) - math.log(k1)))
    return points[0][0] if wanted > points[0][1] else points[-1][0]


def _ten_thousand(
    results: Results, count: int, fewer: dict[str, Any], many: dict[str, Any]
) -> None:
    results.data["ends"]["huge"] = {"count": count, "clients": {"liangxin": many}}
    _tell(results, count, {"liangxin": many})
    lag, lag_of_fewer = many["books"]["lag_mean"], fewer["books"]["lag_mean"]
    results.add("e2e_10000", many["cpu_ms"] / fewer["cpu_ms"])
    results.add("e2e_10000_lag", lag / lag_of_fewer)
    results.add("e2e_10000_found", _found(many))
