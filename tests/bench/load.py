"""
One client under one load, in a process of its own: `python -m tests.bench.load JSON`.

The parent pins it to a core, and reads one line of JSON: CPU and wall seconds from here, what was
looked at and found from the server's books.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any, TypeAlias

import liangxin
from tests.bench import ours
from tests.bench.peers import PEERS, Session
from tests.bench.serving import Server

Job: TypeAlias = dict[str, Any]


# --- requests a second: many callers, no pauses --------------------------------------------------


async def rate(job: Job) -> Job:
    """Look without pause at `callers` tasks that never end; count over a window of time."""
    server = Server(job["port"])
    server.reset(tasks=job["callers"], endless=True)
    tasks = [f"bench-{number:07d}" for number in range(job["callers"])]
    async with AsyncExitStack() as stack:
        start = await _RATES[job["client"]](server.url, tasks, stack)
        running = [asyncio.ensure_future(each) for each in start]
        await asyncio.sleep(job["warm"])
        before, cpu, wall = server.books(), time.process_time(), time.perf_counter()
        await asyncio.sleep(job["seconds"])
        after, cpu, wall = server.books(), time.process_time() - cpu, time.perf_counter() - wall
        failed = Counter(repr(each.exception()) for each in running if each.done())
        requests = after["requests"] - before["requests"]
        _leave(
            {
                "per_second": requests / wall,
                "cpu_us": 1e6 * cpu / max(requests, 1),
                "busy": cpu / wall,
                "server_busy": (after["cpu"] - before["cpu"]) / wall,
                "connections": after["connections"],
                "errors": dict(failed),
            }
        )
    raise AssertionError("unreachable: the process has left")


async def _our_looks(url: str, tasks: list[str], stack: AsyncExitStack) -> list[Awaitable[Any]]:
    client = await stack.enter_async_context(ours.restless(url))
    return [client.wait(task) for task in tasks]


async def _httpx_looks(url: str, tasks: list[str], stack: AsyncExitStack) -> list[Awaitable[Any]]:
    return await _looks_by("httpx", url, tasks, stack)


async def _httpx2_looks(url: str, tasks: list[str], stack: AsyncExitStack) -> list[Awaitable[Any]]:
    return await _looks_by("httpx2", url, tasks, stack)


async def _looks_by(
    library: str, url: str, tasks: list[str], stack: AsyncExitStack
) -> list[Awaitable[Any]]:
    # Defaults but for the time-out, of which the wait for a connection is a part.
    client = await stack.enter_async_context(import_module(library).AsyncClient(timeout=120))

    async def call(target: str) -> None:
        while True:
            (await client.get(target)).json()

    return [call(f"{url}/api/v1/jobs/recordInfo?taskId={task}") for task in tasks]


async def _aiohttp_looks(url: str, tasks: list[str], stack: AsyncExitStack) -> list[Awaitable[Any]]:
    session = await stack.enter_async_context(import_module("aiohttp").ClientSession())

    async def call(target: str) -> None:
        while True:
            async with session.get(target) as answer:
                await answer.json()

    return [call(f"{url}/api/v1/jobs/recordInfo?taskId={task}") for task in tasks]


class _RawCaller(asyncio.Protocol):
    """Sends the next request as soon as an answer has come; reads nothing of it."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._request)


async def _raw_looks(url: str, tasks: list[str], stack: AsyncExitStack) -> list[Awaitable[Any]]:
    host, _, port = url.rpartition("/")[2].partition(":")
    loop = asyncio.get_running_loop()
    for task in tasks:
        target = f"/api/v1/jobs/recordInfo?taskId={task}"
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        await loop.create_connection(lambda request=request: _RawCaller(request), host, int(port))  # type: ignore[misc]
    return []


_RATES: dict[str, Callable[[str, list[str], AsyncExitStack], Awaitable[list[Awaitable[Any]]]]] = {
    "liangxin": _our_looks,
    "httpx": _httpx_looks,
    "httpx2": _httpx2_looks,
    "aiohttp": _aiohttp_looks,
    "raw": _raw_looks,
}


# --- from the create to the end ------------------------------------------------------------------


async def whole(job: Job) -> Job:
    """Create `count` tasks at once and wait for all of them."""
    server = Server(job["port"])
    count: int = job["count"]
    if job["client"] == "liangxin":
        async with ours.client(
            server.url, poll_budget=ours.UNBOUNDED, **job.get("options", {})
        ) as client:
            task = await client.create_task(ours.POSTER)
            await client.get_task(task)
            return await _measured(server, count, lambda: _our_run(client, count))
    async with PEERS[job["client"]][1](server.url) as session:
        await session.look(await session.create())
        return await _measured(server, count, lambda: _peers_run(session, count))


async def _measured(server: Server, count: int, run: Callable[[], Awaitable[Counter[str]]]) -> Job:
    server.reset()  # the warm-up is not in the books
    cpu, wall = time.process_time(), time.perf_counter()
    errors = await run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "cpu_ms": 1000 * cpu / count,
        "wall": wall,
        "errors": dict(errors),
        "books": server.books(),
    }


async def _our_run(client: liangxin.AsyncClient, count: int) -> Counter[str]:
    errors: Counter[str] = Counter()
    async with client.run_many([ours.POSTER] * count, max_in_flight=count) as outcomes:
        async for outcome in outcomes:
            if outcome.error is not None:
                errors[type(outcome.error).__name__] += 1
    return errors


async def _peers_run(session: Session, count: int) -> Counter[str]:
    async def one() -> str | None:
        try:
            async with asyncio.timeout(180):
                await session.run()
        except Exception as exc:  # any package's own, counted by name
            return type(exc).__name__
        return None

    return Counter(
        name for name in await asyncio.gather(*(one() for _ in range(count))) if name is not None
    )


# --- one call at a time --------------------------------------------------------------------------


async def single(job: Job) -> Job:
    """Create and look, one at a time on one connection: CPU and wall µs a call."""
    server = Server(job["port"])
    server.reset(endless=True)
    count: int = job["count"]
    async with AsyncExitStack() as stack:
        if job["client"] == "liangxin":
            client = await stack.enter_async_context(ours.client(server.url))
            session = Session(
                lambda: client.create_task(ours.POSTER), client.get_task, lambda: asyncio.sleep(0)
            )
        else:
            session = await stack.enter_async_context(PEERS[job["client"]][1](server.url))
        task = await session.create()
        for _ in range(20):
            await session.look(task)
            await session.create()
        create = await _us(session.create, count)
        look = await _us(lambda: session.look(task), count)
        _leave({"create": create, "look": look})
    raise AssertionError("unreachable: the process has left")


async def _us(call: Callable[[], Awaitable[Any]], count: int) -> dict[str, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(count):
        await call()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": 1e6 * cpu / count, "wall": 1e6 * wall / count}


def _leave(result: Job) -> None:
    """Tell, and go at once: closing a pool with a thousand callers takes httpx minutes."""
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)


_JOBS = {"rate": rate, "whole": whole, "single": single}

if __name__ == "__main__":
    _job = json.loads(sys.argv[1])
    _leave(asyncio.run(_JOBS[_job["job"]](_job)))
