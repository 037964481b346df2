"""
Looks and lag by the share of callbacks that are lost: the real client on a clock that jumps, and
the least that any schedule could do, by dynamic programming.

    python -m tests.bench.callbacks         # 3 minutes; the same figures on every machine

Writes docs/benchmarks/callbacks.json and the table of docs/callbacks.md.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from liangxin.callbacks import CallbackReceiver
from tests.bench.books import Summary
from tests.bench.optimum import Expected, Lognormal
from tests.bench.ours import POSTER, client
from tests.bench.page import splice
from tests.bench.virtual import BookedService, run

FILE = Path("docs/benchmarks/callbacks.json")
PAGE = Path("docs/callbacks.md")
LOST = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
COUNT = 2000
AT_ONCE = 50
LATENCY = 0.05
"""Seconds from the end of a task to its callback."""
IMAGE = Lognormal(12.0, 0.5)
WEIGHT = 0.2
"""The client's own `lag_weight`."""
WEIGHTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


class CallingService(BookedService):
    """The same service, which posts to the address that a create gives, unless that is lost."""

    def __init__(self, seed: int, receiver: CallbackReceiver, lost: float) -> None:
        super().__init__(seed)
        self._receiver = receiver
        self._lost = lost
        self._rng = random.Random(f"callbacks {seed}")
        self.answers: dict[int, int] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a createTask or a recordInfo, and plan the callback."""
        answer = await super().handle_async_request(request)
        if request.method == "POST" and self._rng.random() >= self._lost:
            url = json.loads(await request.aread()).get("callBackUrl")
            if url is not None:
                end = self.books.last_end + LATENCY
                asyncio.get_running_loop().call_at(end, self._post, httpx.URL(url).path)
        return answer

    def _post(self, path: str) -> None:
        status = self._receiver.handle("POST", path, {}, b"{}")
        self.answers[status] = self.answers.get(status, 0) + 1


async def _measured(lost: float | None, seed: int = 1) -> Summary:
    """So many tasks, some at a time; `lost` None is a client without a receiver."""
    random.seed(seed)  # jitter draws from the module's own generator
    receiver = CallbackReceiver("https://example.com/liangxin")
    service = CallingService(seed, receiver, 1.0 if lost is None else lost)
    asked = {} if lost is None else {"callbacks": receiver}
    async with client("http://localhost", transport=service, **asked) as ours:
        async with ours.run_many([POSTER] * COUNT, max_in_flight=AT_ONCE) as outcomes:
            async for outcome in outcomes:
                outcome.result()
    assert not service.answers.get(404)
    return service.books.summary(0, 0, 0.0)


def least(task: Lognormal, k: float, lost: float, steps: int = 700) -> Expected:
    """The best of all schedules when so many ends are told: each look costs `k` seconds of lag."""
    ages = [0.0, *(task.horizon * (step / steps) ** 1.5 for step in range(1, steps + 1))]
    alive = [task.running(age) for age in ages]
    area = [task.area(age) for age in ages]
    best = [(0.0, 0.0, 0.0)] * (steps + 1)
    for here in range(steps - 1, -1, -1):
        found = (math.inf, 0.0, 0.0)
        for there in range(here + 1, steps + 1):
            ended = alive[here] - alive[there]
            looks = alive[there] + lost * ended
            lag = lost * (alive[here] * (ages[there] - ages[here]) - area[there] + area[here])
            if lag > found[0]:
                break  # the lag alone is dearer, and only grows
            cost = k * looks + lag + best[there][0]
            if cost < found[0]:
                found = (cost, looks + best[there][1], lag + best[there][2])
        best[here] = found
    return Expected(best[0][1], best[0][2])


def _row(each: Summary, alone: Summary, lost: str) -> dict[str, Any]:
    return {
        "lost": lost,
        "found": each["found"],
        "looks": each["looks_per_task"],
        "lag": each["lag_mean"],
        "p95": each["lag_p95"],
        "looks_share": each["looks_per_task"] / alone["looks_per_task"],
        "lag_share": each["lag_mean"] / alone["lag_mean"],
    }


def _table(rows: Iterable[dict[str, Any]]) -> str:
    head = "| callbacks lost | found | looks a task | of polling | mean lag s | of polling | p95 |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        lines.append(
            f"| {row['lost']} | {row['found']:,} | {row['looks']:.2f} | {row['looks_share']:.0%} "
            f"| {row['lag']:.2f} | {row['lag_share']:.0%} | {row['p95']:.2f} |"
        )
    return "\n".join(lines)


def _bound(data: dict[str, Any]) -> str:
    head = "| a look is worth | looks to find the lost | of polling | mean lag s | of polling |"
    lines = [head, "|---|---:|---:|---:|---:|"]
    for each in data["least"]:
        lines.append(
            f"| {each['k']:g} s | {each['looks']:.2f} | {each['looks_share']:.0%} "
            f"| {each['lag']:.2f} | {each['lag_share']:.0%} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Measure, compute, and write both down."""
    alone = run(_measured(None))
    rows = [_row(alone, alone, "no callbacks")]
    for lost in LOST:
        rows.append(_row(run(_measured(lost)), alone, f"{lost:.0%}"))
        print(_table(rows[-1:]).splitlines()[-1], flush=True)
    polling = least(IMAGE, WEIGHT, 1.0)
    bound = []
    for k in WEIGHTS:
        best = least(IMAGE, k, 0.05)
        bound.append(
            {
                "k": k,
                "looks": best.looks,
                "lag": best.lag,
                "looks_share": best.looks / polling.looks,
                "lag_share": best.lag / polling.lag,
            }
        )
    data = {
        "count": COUNT,
        "at_once": AT_ONCE,
        "latency": LATENCY,
        "weight": WEIGHT,
        "polling": {"looks": polling.looks, "lag": polling.lag},
        "measured": rows,
        "least": bound,
    }
    FILE.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    splice(PAGE, {"callbacks": _table(rows), "least": _bound(data)})
    print(_bound(data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
