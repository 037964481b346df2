"""
What hooks cost: a create and a look without one, and with one that does nothing.
"""

from __future__ import annotations

import itertools
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

EVENTS = 4
"""Told of a create and a look at its task: started, its request, created; the other request."""
POSTER = liangxin.RawInput("z-image", {"prompt": "a lighthouse in fog"})


def measure(results: Results) -> None:
    """The ratio and the difference of the two, medians of several turns in one process."""
    numbers = child("hooks", {"turns": 5 if results.quick else 15, "count": 400})
    results.data["hooks"] = numbers
    results.add("hooks_vs_none", numbers["ratio"])
    results.add("us_per_event", numbers["us_per_event"])


def _service() -> httpx.MockTransport:
    numbers = itertools.count()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(200, json={"code": 200, "data": {"taskId": f"t{next(numbers)}"}})
        record = {"taskId": request.url.params["taskId"], "state": "waiting"}
        return httpx.Response(200, json={"code": 200, "data": record})

    return httpx.MockTransport(answer)


def _turn(count: int, **hooks: Any) -> float:
    """Microseconds of CPU for a create and a look at its task."""
    return anyio.run(lambda: _create_and_look(count, **hooks))


async def _create_and_look(count: int, **hooks: Any) -> float:
    options: dict[str, Any] = {"base_url": "https://x.example", "transport": _service(), **hooks}
    async with liangxin.AsyncClient("sk-x", **options) as client:
        await client.get_task(await client.create_task(POSTER))
        start = time.process_time()
        for _ in range(count):
            await client.get_task(await client.create_task(POSTER))
        return 1e6 * (time.process_time() - start) / count


def _ignore(event: object) -> None:
    """A hook that costs nothing itself."""


def _compare(turns: int, count: int) -> dict[str, float]:
    pairs = [(_turn(count), _turn(count, hooks=_ignore)) for _ in range(turns)]
    extra = statistics.median(after - before for before, after in pairs)
    return {
        "without": statistics.median(before for before, _ in pairs),
        "with": statistics.median(after for _, after in pairs),
        "ratio": statistics.median(after / before for before, after in pairs),
        "us_per_event": extra / EVENTS,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_compare(**json.loads(sys.argv[1]))) + "\n")
