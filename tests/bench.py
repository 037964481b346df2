"""
Measures what the README and the docs claim, side by side in one run: `nox -s bench`.

Figures drift from machine to machine; what is compared is measured in turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import requires

import anyio
import httpx
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import liangxin
from liangxin import RawInput

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
RECORD = json.dumps({"code": 200, "data": {"taskId": "t", "state": "waiting"}}).encode()
READY = """
import time; start = time.perf_counter()
import anyio, liangxin
async def main():
    async with liangxin.AsyncClient("sk-x", base_url="https://x.example"):
        print(1000 * (time.perf_counter() - start))
anyio.run(main)
"""


def report(name: str, value: float, unit: str, target: str) -> None:
    print(f"{name:<28} {value:>9.1f} {unit:<4} target {target}", flush=True)


def process_ms(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return 1000 * (time.perf_counter() - start)


def imports(turns: int = 25) -> None:
    pairs = [(process_ms("pass"), process_ms("import liangxin")) for _ in range(turns)]
    cost = statistics.median(after - before for before, after in pairs)
    report("import over `pass`", cost, "ms", "≤ 45")
    said = [
        float(subprocess.run([sys.executable, "-c", READY], capture_output=True, check=True).stdout)
        for _ in range(turns)
    ]
    report("client ready to send", statistics.median(said), "ms", "≤ 110")


def dependencies() -> None:
    found: set[str] = set()
    new = {"liangxin"}
    while new:
        name = new.pop()
        for text in requires(name) or []:
            requirement = Requirement(text)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            normal = canonicalize_name(requirement.name)
            if wanted and normal not in found:
                found.add(normal)
                new.add(requirement.name)
    report("transitive dependencies", len(found), "", "≤ 10")


def answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=RECORD)


def _calls_us(call: Callable[[], object], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return 1e6 * (time.perf_counter() - start) / count


def facade(turns: int = 9, count: int = 1000) -> None:
    options = {"base_url": "https://x.example", "transport": httpx.MockTransport(answer)}

    async def by_loop() -> float:
        async with liangxin.AsyncClient("sk-x", **options) as client:  # type: ignore[arg-type]
            start = time.perf_counter()
            for _ in range(count):
                await client.get_task("t")
            return 1e6 * (time.perf_counter() - start) / count

    costs = []
    with liangxin.Client("sk-x", **options) as client:  # type: ignore[arg-type]
        client.get_task("t")
        for _ in range(turns):
            direct = anyio.run(by_loop)
            costs.append(_calls_us(lambda: client.get_task("t"), count) - direct)
    report("blocking over async call", statistics.median(costs), "µs", "≤ 150")


@contextmanager
def emulator_on_another_core() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "liangxin.emulator", "--port", "8797", "--speed", "1"],
        stderr=subprocess.DEVNULL,
    )
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    try:
        for _ in range(200):
            try:
                httpx.get("http://127.0.0.1:8797/_emulator/ledger", trust_env=False)
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield "http://127.0.0.1:8797"
    finally:
        process.terminate()
        process.wait(10)


def thousand(count: int = 1000) -> None:
    """A thousand tasks in flight at once, on one core, the service on another."""

    async def main(base_url: str) -> None:
        most = failed = 0
        start, busy = time.perf_counter(), time.process_time()
        inputs = [POSTER] * count
        async with liangxin.AsyncClient("sk-x", base_url=base_url) as client:
            async with client.run_many(inputs, max_in_flight=count) as outcomes:
                async for outcome in outcomes:
                    failed += not outcome.ok
                    most = max(most, client._transport.open_connections)
        wall, busy = time.perf_counter() - start, time.process_time() - busy
        books = httpx.get(f"{base_url}/_emulator/ledger", trust_env=False).json()["totals"]
        report("1,000 in flight: wall", wall, "s", "all finish")
        report("  errors", failed, "", "0")
        report("  connections at most", most, "", "≤ 64")
        report("  CPU a task", 1000 * busy / count, "ms", "")
        report("  looks a task (books)", books["looks"] / count, "", "")
        report("  created (books)", books["created"], "", str(count))

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with emulator_on_another_core() as base_url:
        anyio.run(main, base_url)


if __name__ == "__main__":
    print(f"liangxin {liangxin.__version__}, Python {sys.version.split()[0]}")
    dependencies()
    imports()
    facade()
    thousand()
