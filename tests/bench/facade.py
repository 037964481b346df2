"""
What a blocking call costs over an async one, without I/O.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import anyio
import httpx

import liangxin
from tests.bench.children import child
from tests.bench.results import Results

RECORD = json.dumps({"code": 200, "data": {"taskId": "t", "state": "waiting"}}).encode()


def measure(results: Results) -> None:
    """The difference of the two, the median of several turns in one process."""
    numbers = child("facade", {"turns": 3 if results.quick else 9, "count": 1000})
    results.data["facade"] = numbers
    results.add("sync_overhead_us", numbers["overhead"])


def _answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=RECORD)


def _options() -> dict[str, Any]:
    return {"base_url": "https://x.example", "transport": httpx.MockTransport(_answer)}


async def _async_us(count: int) -> float:
    async with liangxin.AsyncClient("sk-x", **_options()) as client:
        await client.get_task("t")
        start = time.perf_counter()
        for _ in range(count):
            await client.get_task("t")
        return 1e6 * (time.perf_counter() - start) / count


def _blocking_us(client: liangxin.Client, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        client.get_task("t")
    return 1e6 * (time.perf_counter() - start) / count


def _compare(turns: int, count: int) -> dict[str, float]:
    pairs = []
    with liangxin.Client("sk-x", **_options()) as client:
        client.get_task("t")
        for _ in range(turns):
            pairs.append((anyio.run(_async_us, count), _blocking_us(client, count)))
    return {
        "async": statistics.median(pair[0] for pair in pairs),
        "blocking": statistics.median(pair[1] for pair in pairs),
        "overhead": statistics.median(after - before for before, after in pairs),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_compare(**json.loads(sys.argv[1]))) + "\n")
