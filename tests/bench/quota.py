"""
Processes that share one limit, all of them hungry, judged by when their creates came in.

    python -m tests.bench.quota                # 8 processes, 50 creates a second, one minute
    python -m tests.bench.quota 500/10s 20     # another limit, so many seconds

Each process has a client of its own over one ledger in PostgreSQL, and asks for more creates than
it can get.  Start-up is left out: they begin together.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from attrs import asdict, frozen

from liangxin import AsyncClient, RateLimit, RawInput
from liangxin._pacing import RateWindow

if TYPE_CHECKING:
    from liangxin.emulator import Emulator

PROCESSES = 8
IN_FLIGHT = 20


@frozen
class Shared:
    """What came of it."""

    creates: int
    most_in_a_window: int
    used: float
    """Of what the limit allows, from the first create to the last."""
    fairness: float
    """Jain's index over what each process got: 1 if all got the same."""
    by_process: list[int]


async def _hungry(url: str, address: str, rate: str, name: str, seconds: float) -> None:
    """What runs in each process."""
    limit, numbers = RateLimit(rate, store=address), count()

    async def create(client: AsyncClient) -> None:
        while True:
            key = f"{name}-{next(numbers)}"
            await client.create_task(RawInput("z-image", {"prompt": name}), key=key)

    async with AsyncClient("sk-test", base_url=url, ledger=address, rate_limit=limit) as client:
        print("ready", flush=True)
        await anyio.to_thread.run_sync(sys.stdin.readline)
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as group:
                for _ in range(IN_FLIGHT):
                    group.start_soon(create, client)


def _child(url: str, address: str, rate: str, number: int, seconds: float) -> subprocess.Popen[str]:
    words = (url, address, rate, f"process {number}", str(seconds))
    command = (sys.executable, "-m", "tests.bench.quota", *words)
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def run(rate: str, seconds: float, processes: int = PROCESSES) -> Shared:
    """Let processes share a limit for so many seconds."""
    from liangxin.emulator import Emulator  # the processes themselves need neither of them
    from tests.databases import database

    emulator, address = Emulator(seed=1, keep_requests=10**6), database()
    with emulator.serve():
        children = [
            _child(emulator.base_url, address, rate, number, seconds) for number in range(processes)
        ]
        try:
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
            for child in children:
                child.communicate(timeout=seconds + 60)
                assert child.returncode == 0
        finally:
            for child in children:
                child.kill()
    return _judged(emulator, RateWindow.parse(rate))


def _judged(emulator: Emulator, limit: RateWindow) -> Shared:
    times = [seen.at for seen in emulator.requests if seen.endpoint == "create"]
    got = Counter(task.prompt for task in emulator.tasks.values())
    assert len(times) == len(emulator.tasks)
    allowed = limit.count / limit.seconds * (times[-1] - times[0])
    return Shared(
        creates=len(times),
        most_in_a_window=max(
            sum(start <= time < start + limit.seconds for time in times[place : place + 10**4])
            for place, start in enumerate(times)
        ),
        used=round((len(times) - 1) / allowed, 4),
        fairness=round(
            sum(got.values()) ** 2 / (len(got) * sum(each**2 for each in got.values())), 4
        ),
        by_process=sorted(got.values()),
    )


def main(rate: str = "50/1s", seconds: str = "60") -> int:
    """Run it, say what came of it, and whether that is good enough."""
    came = run(rate, float(seconds))
    print(json.dumps({"rate": rate, "seconds": float(seconds), **asdict(came)}))
    is_kept = came.most_in_a_window <= RateWindow.parse(rate).count
    return 0 if is_kept and came.used >= 0.95 and came.fairness >= 0.95 else 1


if __name__ == "__main__":
    if len(sys.argv) > 3:
        url, address, rate, name, seconds = sys.argv[1:]
        anyio.run(_hungry, url, address, rate, name, float(seconds))
    else:
        sys.exit(main(*sys.argv[1:]))
