"""
What one create and one look cost, one at a time on one connection.
"""

from __future__ import annotations

import statistics

from tests.bench.children import loaded
from tests.bench.peers import present
from tests.bench.results import Results
from tests.bench.serving import serving


def measure(results: Results) -> None:
    """CPU µs per create and per look: ours, and every peer's."""
    count, turns = (100, 1) if results.quick else (600, 3)
    clients = ["liangxin", *present()]
    taken: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in clients}
    with serving() as server:
        for _ in range(turns):
            for name in clients:
                taken[name].append(loaded("single", name, server, count=count))
    figures = {
        name: {
            call: {
                kind: statistics.median(run[call][kind] for run in runs) for kind in ("cpu", "wall")
            }
            for call in ("create", "look")
        }
        for name, runs in taken.items()
    }
    results.data["singles"] = figures
    for name, each in figures.items():
        results.say(
            f"  {name:<18} create {each['create']['cpu']:>6,.0f} µs CPU "
            f"({each['create']['wall']:,.0f} wall), look {each['look']['cpu']:>6,.0f} µs "
            f"({each['look']['wall']:,.0f} wall)"
        )
    for call in ("create", "look"):
        best = min(figures[name][call]["cpu"] for name in present())
        results.add(f"us_per_{call}", figures["liangxin"][call]["cpu"] / best)
