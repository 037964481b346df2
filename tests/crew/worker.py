"""
The program that is killed: one batch over a file and a ledger that others are at work on as well.

It is forked from a process that has imported all it needs.  What it tells its caller goes into a
file, for the cases in which it lives to tell it.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio
import uvloop

import liangxin
from liangxin import LedgerError
from liangxin.batch import BatchReport
from liangxin.ledger import SharedLedger
from tests.crew.sabotage import SABOTAGES

KEY = "sk-test-0123456789"
LEASE = 2.0
LIFETIME = 300
"""Seconds after which one that hangs is killed by its own alarm, and the story has failed."""

Kind = Literal["asyncio", "asyncio+uvloop", "trio", "sync"]
KINDS: tuple[Kind, ...] = ("asyncio", "asyncio+uvloop", "trio", "sync")


@dataclass(frozen=True)
class Job:
    """What all processes of a story share; `folder` has the requests, and the results in `out`."""

    service: str
    ledger: str
    folder: Path
    requests: int
    in_flight: int = 6
    sabotage: str | None = None

    @property
    def keys(self) -> list[str]:
        """The keys of the requests, of the plain kind after which files are called as they are."""
        return [f"clip{number}" for number in range(self.requests)]

    @property
    def file(self) -> Path:
        """The requests."""
        return self.folder / "requests.jsonl"

    @property
    def out(self) -> Path:
        """Where the results go."""
        return self.folder / "out"

    @property
    def words(self) -> Path:
        """Whatever all of them printed."""
        return self.folder / "words.txt"

    def told(self, number: int) -> Path:
        """What the worker of that number told its caller, when it came to its end."""
        return self.folder / f"told{number}.json"

    def write_file(self) -> None:
        """Write the requests; the prompt of each begins with its key, by which the books go."""
        with self.file.open("w") as lines:
            for key in self.keys:
                fields = {"prompt": f"{key} over the sea"}
                line = {"id": key, "model": "wan-2-6-text-to-video", "raw": True, "input": fields}
                lines.write(json.dumps(line) + "\n")


def work(job: Job, number: int, kind: Kind) -> None:
    """Run the batch in this process, and leave what it told."""
    signal.alarm(LIFETIME)
    words = os.open(job.words, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(words, 1)
    os.dup2(words, 2)
    if job.sabotage is not None:
        SABOTAGES[job.sabotage]()
    report, told = BatchReport(), dict[str, str]()
    with _opened(SharedLedger(job.ledger, lease=LEASE)) as ledger:
        if kind == "sync":
            _run_sync(job, ledger, report, told)
        else:
            loop = {"loop_factory": uvloop.new_event_loop} if kind == "asyncio+uvloop" else {}
            backend = kind.partition("+")[0]
            anyio.run(_run, job, ledger, report, told, backend=backend, backend_options=loop)
    job.told(number).write_text(json.dumps({"outcomes": told, "stopped": report.stopped}))


def _opened(ledger: SharedLedger) -> SharedLedger:
    """Open it, also when the database is just coming up: whatever runs this would start it anew."""
    while True:
        try:
            return ledger.open()
        except LedgerError:
            time.sleep(0.1)


def _options(job: Job) -> dict[str, Any]:
    return {
        "api_key": KEY,
        "base_url": job.service,
        "min_interval": 0.01,
        "max_interval": 0.05,
        "poll_budget": 5000,
    }


def _asked(job: Job, ledger: SharedLedger, report: BatchReport) -> dict[str, Any]:
    return {
        "ledger": ledger,
        "out": job.out,
        "max_in_flight": job.in_flight,
        "max_ambiguous": job.requests,
        "report": report,
    }


async def _run(job: Job, ledger: SharedLedger, report: BatchReport, told: dict[str, str]) -> None:
    async with liangxin.AsyncClient(**_options(job)) as client:
        async with client.batch(job.file, **_asked(job, ledger, report)) as outcomes:
            async for outcome in outcomes:
                told[str(outcome.key)] = _name(outcome)


def _run_sync(job: Job, ledger: SharedLedger, report: BatchReport, told: dict[str, str]) -> None:
    with liangxin.Client(**_options(job)) as client:
        with client.batch(job.file, **_asked(job, ledger, report)) as outcomes:
            for outcome in outcomes:
                told[str(outcome.key)] = _name(outcome)


def _name(outcome: liangxin.Outcome) -> str:
    return "ok" if outcome.error is None else type(outcome.error).__name__
