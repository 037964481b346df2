"""
Looks a second and CPU per look, by the number of tasks that wait.

Each client runs in a process of its own, in turns with the others.
"""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.children import loaded
from tests.bench.peers import BARE, installed
from tests.bench.results import Results
from tests.bench.serving import Server, serving

OURS = "liangxin"


def measure(results: Results) -> None:
    """The rates at 1,000, and the curve of CPU per look against tasks in flight."""
    clients = [OURS, *(name for name in BARE if installed(name))]
    window = 1.0 if results.quick else 3.0
    curve: dict[str, dict[str, Any]] = {name: {} for name in clients}
    with serving() as server:
        limit = _rate("raw", 50, window, 1, server)
        results.data["server"] = {**limit, "limit": limit["per_second"] / limit["server_busy"]}
        results.say(
            f"server: {limit['per_second']:,.0f} requests/s at {100 * limit['server_busy']:.0f} % "
            f"of its core, asked by a raw protocol at {100 * limit['busy']:.0f} % of the client's"
        )
        for callers in (10, 1_000, 10_000) if results.quick else (10, 100, 1_000, 10_000):
            turns = 1 if results.quick or callers == 100 else 3
            names = [name for name in clients if callers <= 1_000 or name != "httpx"]
            for name, rate in _in_turns(names, callers, window, turns, server).items():
                curve[name][str(callers)] = rate
                results.say(
                    f"  {name:<18}{callers:>7} waiting {rate['per_second']:>9,.0f} looks/s"
                    f"{rate['cpu_us']:>9,.0f} µs CPU, server {100 * rate['server_busy']:.0f} %"
                )
    results.data["rates"] = curve
    ours = curve[OURS]["1000"]["per_second"]
    for name in clients:
        if name in BARE:
            results.add(f"rps_1000_vs_{name}", ours / curve[name]["1000"]["per_second"])
    results.add("cpu_flat", curve[OURS]["10000"]["cpu_us"] / curve[OURS]["10"]["cpu_us"])


def _in_turns(
    names: list[str], callers: int, window: float, turns: int, server: Server
) -> dict[str, dict[str, Any]]:
    taken: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(turns):
        for name in names:
            taken[name].append(_rate(name, callers, window, 1, server))
    return {name: _median(each) for name, each in taken.items()}


def _rate(name: str, callers: int, window: float, warm: float, server: Server) -> dict[str, Any]:
    if name == "httpx" and callers >= 1_000:
        window, warm = 2 * window, 3  # a few looks a second: they need a longer window
    return loaded("rate", name, server, callers=callers, seconds=window, warm=warm)


def _median(runs: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {
        key: statistics.median(run[key] for run in runs)
        for key in ("per_second", "cpu_us", "busy", "server_busy", "connections")
    }
    return {**figures, "errors": [run["errors"] for run in runs if run["errors"]]}
