"""
What a task that waits costs: memory beside the `Task` itself, and CPU for the scheduling.

Each figure comes from a process of its own, over a transport that answers in the process.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import sys
import time
import tracemalloc
from typing import Any

import anyio
import anyio.lowlevel
import httpx

from liangxin import Task
from liangxin import _wire as wire
from tests.bench.children import child
from tests.bench.ours import POSTER, UNBOUNDED, client, options
from tests.bench.results import Results
from tests.bench.shapes import LIANGXIN_CREATED, LIANGXIN_PENDING


def measure(results: Results) -> None:
    """Memory in run_many on both backends, memory of wait(), scheduling per look."""
    count = 5_000 if results.quick else 100_000
    numbers: dict[str, Any] = {"tasks": count}
    for backend in ("asyncio", "trio"):
        said = child("memory", {"what": "many", "count": count, "backend": backend})
        numbers[f"many on {backend}"] = said
        results.add(f"bytes_per_waiting_task_{backend}", said["kib"])
    said = child("memory", {"what": "parked", "count": count // 5, "backend": "asyncio"})
    numbers["parked"] = said
    results.add("bytes_per_parked_wait", said["kib"])
    said = child("memory", {"what": "scheduling", "count": count, "backend": "asyncio"})
    numbers["scheduling"] = said
    results.add("us_scheduling_per_look", said["us"])
    results.data["memory"] = numbers


class _Endless(httpx.AsyncBaseTransport):
    """A service on which every task runs for ever."""

    def __init__(self) -> None:
        self.created = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        if request.method == "POST":
            self.created += 1
            return httpx.Response(200, content=LIANGXIN_CREATED(f"bench-{self.created:07d}"))
        return httpx.Response(200, content=LIANGXIN_PENDING(request.url.params["taskId"]))


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _task_bytes(count: int = 2_000) -> float:
    """What one `Task` takes, as a create makes it."""
    request = wire.create_request(POSTER, client_ref="x")
    before = _held()
    tasks = []
    for number in range(count):
        reply = wire.Reply(200, {}, LIANGXIN_CREATED(f"bench-{number:07d}"))
        tasks.append(wire.judge_create(reply, request))
    assert all(isinstance(task, Task) for task in tasks)
    return (_held() - before) / count


def _idle_client(transport: _Endless) -> Any:
    # One look a second: what is measured is the waiting.
    return client("http://localhost", transport=transport, poll_budget=1.0)


async def _many(count: int) -> dict[str, float]:
    """Tasks that wait inside `run_many`."""
    tracemalloc.start()
    task = _task_bytes()
    transport = _Endless()
    async with _idle_client(transport) as ours:
        await ours.get_task(await ours.create_task(POSTER))  # what is loaded at the first call
        before = _held()
        async with ours.run_many(itertools.repeat(POSTER), max_in_flight=count):
            while ours._poller.waiting < count:
                await anyio.sleep(0.05)
            each = (_held() - before) / count
    return {"kib": (each - task) / 1024, "task_kib": task / 1024}


async def _parked(count: int) -> dict[str, float]:
    """Coroutines of the caller's, each in a `wait()`."""
    transport = _Endless()
    async with _idle_client(transport) as ours:
        await ours.get_task(await ours.create_task(POSTER))
        tracemalloc.start()
        before = _held()
        async with anyio.create_task_group() as group:
            for number in range(count):
                group.start_soon(ours.wait, Task(id=f"bench-{number:07d}", model="z-image"))
            while ours._poller.waiting < count:
                await anyio.sleep(0.05)
            each = (_held() - before) / count
            group.cancel_scope.cancel()
    return {"kib": each / 1024}


async def _scheduling(count: int) -> dict[str, float]:
    """CPU per look with a look that costs nothing: what the scheduler itself takes."""
    if "lag_weight" in options():
        asked: dict[str, Any] = {"lag_weight": 0.01, "min_interval": 0.001}
    else:
        asked = {"min_interval": 0.001, "max_interval": 1.0}
    looks = 0

    async def look(task: Any) -> Task:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0)
        return task if isinstance(task, Task) else Task(id=task, model="z-image")

    async with client("http://localhost", poll_budget=UNBOUNDED, **asked) as ours:
        ours._poller._look = look
        for number in range(count):
            ours._poller.add(Task(id=f"bench-{number:07d}", model="z-image"), lambda news: None)
        while looks < count:  # the first look at each
            await anyio.sleep(0.01)
        start, cpu = looks, time.process_time()
        while looks < start + max(count, 20_000):
            await anyio.sleep(0.1)
        cpu = time.process_time() - cpu
        return {"us": 1e6 * cpu / (looks - start), "looks": looks - start}


if __name__ == "__main__":
    _job = json.loads(sys.argv[1])
    _what = {"many": _many, "parked": _parked, "scheduling": _scheduling}[_job["what"]]
    sys.stdout.write(json.dumps(anyio.run(_what, _job["count"], backend=_job["backend"])) + "\n")
