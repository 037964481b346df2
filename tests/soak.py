"""
A long run against the emulator in another process: `nox -s soak`; a tenth of it is in CI.

Thousands of tasks in flight, one in fifty of them in trouble.  Every one must be found, memory
must not grow after the first tenth, and at the end there must be nothing left: no connection, no
task, no thread, no file descriptor.  Judged by the emulator's books.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import trio.lowlevel

import liangxin
from liangxin import ModelInput, RawInput

PORT = 8796
BASE_URL = f"http://127.0.0.1:{PORT}"
TROUBLE = {0: "!fail:no luck", 50: "!lost-answer", 100: "!slow:20s", 150: "!fail"}
"""Of 200 prompts, those that go wrong, and how."""
GROWTH = 32.0
"""MiB that memory may grow after the first tenth."""


def prompts(count: int) -> Iterator[ModelInput]:
    for number in range(count):
        yield RawInput("z-image", {"prompt": f"{number} {TROUBLE.get(number % 200, '')}"})


@contextmanager
def emulator() -> Iterator[None]:
    command = [sys.executable, "-m", "liangxin.emulator", "--port", str(PORT), "--seed", "1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            try:
                urllib.request.urlopen(BASE_URL + "/_emulator/ledger").close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def books() -> dict[str, Any]:
    with urllib.request.urlopen(BASE_URL + "/_emulator/ledger") as answer:
        ledger: dict[str, Any] = json.load(answer)
    return ledger


def memory() -> float:
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def left_open(backend: str) -> dict[str, int]:
    if backend == "trio":
        tasks = trio.lowlevel.current_statistics().tasks_living
    else:
        tasks = len(asyncio.all_tasks())
    files = len(os.listdir("/proc/self/fd"))
    return {"tasks": tasks, "threads": threading.active_count(), "files": files}


async def soak(count: int, in_flight: int, backend: str) -> list[str]:
    """Run it, print what happened, and return what was wrong."""
    before = left_open(backend)
    ends: Counter[str] = Counter()
    ids: list[str] = []
    early = most = 0.0
    connections = 0
    start = time.perf_counter()
    async with liangxin.AsyncClient(
        "sk-soak", base_url=BASE_URL, poll_budget=3000, lag_weight=1.0
    ) as client:
        async with client.run_many(prompts(count), max_in_flight=in_flight) as outcomes:
            async for outcome in outcomes:
                ends[type(outcome.error).__name__ if outcome.error else "success"] += 1
                if outcome.task is not None:
                    ids.append(outcome.task.id)
                done = sum(ends.values())
                connections = max(connections, client.stats().connections)
                if done == count // 10:
                    early = memory()
                if done % (count // 20) == 0:
                    most = max(most, memory())
        stats = client.stats()
    del client, outcomes, outcome
    after = left_open(backend)
    seconds = time.perf_counter() - start
    print(f"{backend}: {count} tasks, {in_flight} in flight, {seconds:.0f} s, {dict(ends)}")
    print(f"  {stats.looks_per_task:.2f} looks a task, mean lag {stats.mean_lag:.2f} s")
    print(f"  {connections} connections at most; {before} before, {after} after")
    print(f"  memory {early:.0f} MiB after the first tenth, {most:.0f} MiB at most")

    ledger = await anyio.to_thread.run_sync(books)
    charged = {charge["task_id"] for charge in ledger["charges"]}
    lost = count // 200
    expected = {"success": count - 3 * lost, "TaskFailed": 2 * lost, "AmbiguousCreate": lost}
    return [
        said
        for holds, said in [
            (ends == expected, f"expected {expected}, got {dict(ends)}"),
            (len(set(ids)) == len(ids), "one task was reported twice"),
            (set(ids) <= charged, "a task was reported that was never charged"),
            (len(charged) == len(ids) + lost == count, f"{len(charged)} charged, {len(ids)} found"),
            (most - early <= GROWTH, f"memory grew by {most - early:.0f} MiB"),
            (connections <= 50, f"{connections} connections"),
            (after == before, f"left behind: {before} before, {after} after"),
        ]
        if not holds
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--in-flight", type=int, default=5_000)
    parser.add_argument("--backend", default="asyncio", choices=["asyncio", "trio"])
    options = parser.parse_args()
    with emulator():
        wrong = anyio.run(
            soak, options.tasks, options.in_flight, options.backend, backend=options.backend
        )
    for said in wrong:
        print("WRONG:", said)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
