"""
The program that is killed: one batch, by either client, in a fork of a process that has imported.

Only imports are carried across the fork.  What the batch told its caller goes into a file, for
the cases in which it lives to tell it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

import liangxin
from liangxin import RawInput
from liangxin.batch import BatchReport

KEY = "sk-test-0123456789"
LIFETIME = 60
"""Seconds after which a child that hangs is killed by its own alarm, and the point has failed."""


@dataclass(frozen=True)
class Job:
    """One batch: `folder` gets its results and ledger in `out`, and what it told beside them."""

    client: str
    url: str
    folder: Path
    requests: int = 6
    in_flight: int = 3
    sabotage: str | None = None

    @property
    def keys(self) -> list[str]:
        """The keys of the requests, of the plain kind after which files are called as they are."""
        return [f"poster{number}" for number in range(self.requests)]

    @property
    def out(self) -> Path:
        """Where the results and the ledger are."""
        return self.folder / "out"

    @property
    def told(self) -> Path:
        """What the last run that came to its end told its caller."""
        return self.folder / "told.json"

    @property
    def words(self) -> Path:
        """Whatever all runs printed."""
        return self.folder / "words.txt"


def requests(job: Job) -> list[tuple[str, RawInput]]:
    """The requests; the prompt of each begins with its key, by which the books are read."""
    # Clips, which the service has ready; a picture would be painted, which takes longer than all
    # else.
    return [
        (key, RawInput("wan-2-6-text-to-video", {"prompt": f"{key} over the sea"}))
        for key in job.keys
    ]


def forked(job: Job, *, wait_for: int | None = None) -> int:
    """Run the batch in a fork; return its pid at once.  It waits for a byte from `wait_for`."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        _be_alone(job)
        if wait_for is not None:
            os.read(wait_for, 1)
        job.told.write_text(json.dumps(_run(job)))
        code = 0
    except BaseException:  # ends the process below, whatever it is
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _be_alone(job: Job) -> None:
    signal.alarm(LIFETIME)
    job.told.unlink(missing_ok=True)
    words = os.open(job.words, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(words, 1)
    os.dup2(words, 2)
    if job.sabotage is not None:
        from tests.crash.sabotage import SABOTAGES

        SABOTAGES[job.sabotage]()


def _run(job: Job) -> dict[str, Any]:
    report, told = BatchReport(), dict[str, str]()
    raised = None
    try:
        if job.client == "async":
            anyio.run(_run_async, job, report, told)
        else:
            _run_sync(job, report, told)
    except liangxin.LiangxinError as exc:
        raised = _name(exc)
    return {
        "outcomes": told,
        "raised": raised,
        "stopped": report.stopped,
        "well": raised is None and report.stopped is None,
        "modules": list(sys.modules),  # in the order in which they can be imported
    }


def _options(job: Job) -> dict[str, Any]:
    return {
        "api_key": KEY,
        "base_url": job.url,
        "min_interval": 0.01,
        "max_interval": 0.05,
        "poll_budget": 5000,
    }


def _asked(job: Job, report: BatchReport) -> dict[str, Any]:
    return {
        "out": job.out,
        "max_in_flight": job.in_flight,
        "max_ambiguous": job.requests,
        "report": report,
    }


async def _run_async(job: Job, report: BatchReport, told: dict[str, str]) -> None:
    async with liangxin.AsyncClient(**_options(job)) as client:
        async with client.batch(requests(job), **_asked(job, report)) as outcomes:
            async for outcome in outcomes:
                told[str(outcome.key)] = _name(outcome.error)


def _run_sync(job: Job, report: BatchReport, told: dict[str, str]) -> None:
    with liangxin.Client(**_options(job)) as client:
        with client.batch(requests(job), **_asked(job, report)) as outcomes:
            for outcome in outcomes:
                told[str(outcome.key)] = _name(outcome.error)


def _name(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    if isinstance(error, liangxin.LedgerError):  # the leaves too: what matters is that it is said
        return f"LedgerError ({type(error).__name__})"
    return type(error).__name__
