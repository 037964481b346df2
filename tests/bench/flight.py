"""
A batch over time, killed in the middle and run again: what is under way, from the service's books.

    python -m tests.bench.flight        # two minutes, in real time; Linux and macOS

An emulator runs at its natural speed; the batch is a process of its own, told to stay below the
service's rate, which gets SIGKILL and, after a while, is started again.  A create that the kill
strikes between its first byte and its answer on the disk is in doubt, and counted as such.  The
batch fetches no results, which here would measure how fast the emulator paints.  Writes
docs/benchmarks/flight.json, of which docs/benchmarks/plots.py makes the plot of docs/batches.md.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import anyio

from liangxin import AmbiguousCreate
from liangxin.batch import BatchReport
from liangxin.emulator import Emulator
from tests.bench.ours import client

FILE = Path("docs/benchmarks/flight.json")
REQUESTS = 3000
IN_FLIGHT = 500
RATE = "40/1s"
SERVICE_RATE = "50/1s"
KILLED_AFTER = 40.0
DEAD_FOR = 20.0

Marks: TypeAlias = dict[str, float]


def _request(number: int) -> dict[str, Any]:
    fields = {"prompt": f"a lighthouse in fog, number {number}"}
    return {"id": f"poster-{number:04d}", "model": "z-image", "input": fields}


async def _batch(url: str, folder: Path) -> None:
    """What runs in the process that is killed."""
    report = BatchReport()
    async with client(url, rate_limit=RATE) as ours:
        requests, ledger = folder / "posters.jsonl", folder / "ledger.db"
        async with ours.batch(
            requests, ledger=ledger, max_in_flight=IN_FLIGHT, report=report
        ) as outcomes:
            async for outcome in outcomes:
                assert outcome.ok or isinstance(outcome.error, AmbiguousCreate), outcome
    print(json.dumps({"succeeded": report.succeeded, "in_doubt": report.ambiguous}))


def _started(emulator: Emulator, folder: Path) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "tests.bench.flight", emulator.base_url, str(folder))
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _killed_and_resumed(emulator: Emulator, folder: Path) -> tuple[Marks, dict[str, int]]:
    """Run the batch, kill it, run it again to its end; return when, and what came of it."""
    first = _started(emulator, folder)
    time.sleep(KILLED_AFTER)
    os.kill(first.pid, signal.SIGKILL)
    killed = emulator.now
    first.communicate()
    time.sleep(DEAD_FOR)
    resumed = emulator.now
    said, _ = _started(emulator, folder).communicate()
    return {"killed": killed, "resumed": resumed, "ended": emulator.now}, json.loads(said)


def _found(emulator: Emulator) -> dict[str, float]:
    """When a look first saw that a task had ended, by its id."""
    found: dict[str, float] = {}
    for request in emulator.requests:
        task = emulator.tasks.get(request.task_id or "")
        if task and request.endpoint == "look" and request.at >= task.final_at:
            found.setdefault(task.id, request.at)
    return found


def _counts(moments: Iterable[Iterable[float]], until: float) -> list[list[int]]:
    """How many of each had happened, second by second."""
    columns = [sorted(each) for each in moments]
    return [
        [second, *(bisect_right(each, second) for each in columns)]
        for second in range(math.ceil(until) + 1)
    ]


def _judged(emulator: Emulator, marks: Marks, said: dict[str, int]) -> dict[str, Any]:
    """What the books say, in seconds since the first create; or an AssertionError."""
    tasks, found = list(emulator.tasks.values()), _found(emulator)
    assert said["succeeded"] + said["in_doubt"] == REQUESTS
    assert said["succeeded"] == len(found)
    assert len({task.prompt for task in tasks}) == len(emulator.charges)  # none paid twice
    began = tasks[0].created_at
    moments = (
        (task.created_at - began for task in tasks),
        (task.final_at - began for task in tasks),
        (moment - began for moment in found.values()),
    )
    return {
        **said,
        "charges": len(emulator.charges),
        "looks": emulator.looks,
        "marks": {name: round(moment - began, 2) for name, moment in marks.items()},
        "columns": ["second", "created", "ended", "found"],
        "rows": _counts(moments, marks["ended"] - began),
    }


def main() -> int:
    """Run it, judge it by the books, and write down what was under way when."""
    emulator = Emulator(seed=1, rate_limit=SERVICE_RATE, keep_requests=10**6)
    with TemporaryDirectory(prefix="flight-") as made, emulator.serve():
        folder = Path(made)
        lines = (json.dumps(_request(number)) + "\n" for number in range(REQUESTS))
        (folder / "posters.jsonl").write_text("".join(lines), encoding="utf-8")
        marks, said = _killed_and_resumed(emulator, folder)
    asked = {"requests": REQUESTS, "max_in_flight": IN_FLIGHT, "rate_limit": RATE}
    data = {**asked, "service_rate": SERVICE_RATE, **_judged(emulator, marks, said)}
    FILE.write_text(json.dumps(data) + "\n", encoding="utf-8")
    print({name: each for name, each in data.items() if name != "rows"})
    return 0


if __name__ == "__main__":
    if len(sys.argv) == 3:
        anyio.run(_batch, sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(main())
