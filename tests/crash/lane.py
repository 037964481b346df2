"""
One crash after the other, in a process that has imported all that a batch needs and forks it.

Each starts with empty books and an empty folder: the batch is struck, judged, run again to its
end, judged again, and run once more, which must do nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import select
import shutil
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

from tests.crash.child import Job, forked
from tests.crash.judge import Findings, Snapshot, after_strike, at_the_end, snapshot
from tests.crash.service import Books, Service
from tests.crash.tracer import Followed, Strike, follow

MAX_RESUMES = 2
ENDS = {"ok", "AmbiguousCreate"}
ENDED = {"downloaded", "ambiguous", "sending"}
"""States that the next run does nothing about."""


@dataclass(frozen=True)
class Point:
    """Where one batch is struck."""

    client: str
    strike: Strike
    sabotage: str | None = None


@dataclass(frozen=True)
class Kills:
    """One batch with many requests in flight, killed at moments that follow from the seed."""

    client: str
    seed: int
    kills: int = 5
    requests: int = 50


@dataclass
class Verdict:
    """What came of one batch."""

    findings: dict[str, list[str]] = field(default_factory=dict)
    struck: int = 0
    """How many kills or errors it met; none, if it came to its end before its moment."""
    ambiguous: int = 0
    unpaid_doubts: int = 0
    """Of the ambiguous, those that the service had never seen: killed between record and byte."""
    charged: int = 0
    resumes: int = 0

    def add(self, findings: Findings) -> None:
        """Take in what was found."""
        for name, found in findings.items():
            self.findings.setdefault(name, []).extend(found)


class Lane:
    """Crashes one batch at a time; `folder` is its own, as is the service at `url`."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._service = Service(url)
        self._durations: dict[str, float] = {}
        """How long many requests take each client, undisturbed."""
        self._import_all()

    def _import_all(self) -> None:
        """Run the batch by each client in a fork, and import here what it has imported there."""
        for client in ("async", "sync"):
            job = self._fresh(Job(client, self._url, self._folder))
            for name in _told(job, self._run(job))["modules"]:
                with suppress(ImportError):
                    importlib.import_module(name)

    def count(self, client: str) -> Counter[str]:
        """Count the calls of an undisturbed run by their kinds."""
        followed = self._follow(self._fresh(Job(client, self._url, self._folder)), None)
        if followed.status:
            raise RuntimeError("the undisturbed run failed")
        return followed.calls

    def crash(self, point: Point) -> Verdict:
        """Strike one batch at one system call, and bring it to its end."""
        job = self._fresh(Job(point.client, self._url, self._folder, sabotage=point.sabotage))
        followed = self._follow(job, point.strike)
        verdict = Verdict(struck=int(followed.was_struck))
        seen, books = self._look(job), self._service.books()
        was_killed = point.strike.error is None
        verdict.add(after_strike(seen, books, job.out, self._service, was_killed=was_killed))
        if not was_killed:
            verdict.add(_unsaid(job, followed.status, seen, books))
        elif followed.status and not followed.was_struck:
            verdict.add({"unfinished": [f"it died by itself: {_last_words(job, {})}"]})
        self._resume(job, verdict, seen)
        return verdict

    def kill(self, kills: Kills) -> Verdict:
        """Kill one batch again and again, and bring it to its end."""
        chance = random.Random(f"{kills.client}/{kills.seed}")
        count = kills.requests
        plain = Job(kills.client, self._url, self._folder, requests=count, in_flight=count)
        if kills.client not in self._durations:
            begun = monotonic()
            self._run(self._fresh(plain))
            self._durations[kills.client] = monotonic() - begun
        job, verdict, seen = self._fresh(plain), Verdict(), Snapshot(())
        for _ in range(kills.kills):
            pid = forked(job)
            ended = sum(row.state in ENDED for row in seen.rows)
            most = self._durations[kills.client] * (count - ended) / count
            status = _kill_after(pid, chance.uniform(0, most / 2))
            if os.WIFSIGNALED(status):
                verdict.struck += 1
            elif status:
                verdict.add({"unfinished": [f"it died by itself: {_last_words(job, {})}"]})
            seen = self._look(job)
            books = self._service.books()
            verdict.add(after_strike(seen, books, job.out, self._service, was_killed=True))
        self._resume(job, verdict, seen)
        return verdict

    # --- the steps ---------------------------------------------------------------------------

    def _fresh(self, job: Job) -> Job:
        self._service.forget()
        shutil.rmtree(job.folder, ignore_errors=True)
        job.folder.mkdir(parents=True)
        return job

    def _run(self, job: Job) -> int:
        return os.waitpid(forked(job), 0)[1]

    def _follow(self, job: Job, strike: Strike | None) -> Followed:
        wait_for, go = os.pipe()
        try:
            return follow(forked(job, wait_for=wait_for), job.out, strike, go=go)
        finally:
            os.close(wait_for)
            os.close(go)

    def _look(self, job: Job) -> Snapshot:
        return snapshot(job.out / "ledger.db", job.folder / "copy")

    def _resume(self, job: Job, verdict: Verdict, struck: Snapshot) -> None:
        """Run the batch to its end, judge it, and see that it rests."""
        told = self._run_to_the_end(job, verdict)
        books, seen = self._service.books(), self._look(job)
        verdict.add(at_the_end(seen, books, job.keys, job.out, self._service))
        doubts = [row for row in seen.rows if row.state == "ambiguous"]
        verdict.ambiguous = len(doubts)
        verdict.unpaid_doubts = sum(row.ref not in books.posts for row in doubts)
        verdict.charged = sum(map(len, books.charged.values()))
        for row in doubts:
            was = struck.states.get(row.ref)
            if was not in ("sending", "ambiguous"):
                verdict.add({"unfinished": [f"{row.key} is in doubt, and was {was}"]})
        ends = {row.key: "AmbiguousCreate" if row in doubts else "ok" for row in seen.rows}
        if told.get("outcomes") != ends:
            verdict.add({"unfinished": [f"its caller was told {told.get('outcomes')}"]})
        books = self._service.books()  # with what the judge has fetched
        again = _told(job, self._run(job))
        if self._service.books() != books:
            verdict.add({"restless": ["a finished batch sent something"]})
        if again.get("outcomes") != told.get("outcomes"):
            verdict.add({"restless": ["a finished batch told another end"]})

    def _run_to_the_end(self, job: Job, verdict: Verdict) -> dict[str, Any]:
        told: dict[str, Any] = {}
        while verdict.resumes < MAX_RESUMES:
            verdict.resumes += 1
            told = _told(job, self._run(job))
            if told and set(told["outcomes"].values()) <= ENDS and told["well"]:
                return told
        verdict.add({"unfinished": [f"after {MAX_RESUMES} more runs: {_last_words(job, told)}"]})
        return told


def _told(job: Job, status: int) -> dict[str, Any]:
    """What a run told its caller; nothing, if it did not live to the end."""
    if status:
        return {}
    told: dict[str, Any] = json.loads(job.told.read_text())
    return told


def _last_words(job: Job, told: dict[str, Any]) -> str:
    printed = job.words.read_text(errors="replace")[-1000:]
    return f"{ {name: told.get(name) for name in ('outcomes', 'raised', 'stopped')} } {printed}"


def _unsaid(job: Job, status: int, seen: Snapshot, books: Books) -> Findings:
    """
    What an error of the disk did without a word.

    The caller gets a `LedgerError` for what was not done.  What was done and could not be recorded
    is named on stderr, by its task.
    """
    words = job.words.read_text(errors="replace")
    if status:
        return {"silent": [f"the batch died of an error of the disk: {words[-1000:]}"]}
    told = _told(job, status)
    findings = [
        f"{task_id} is paid, not on record, and not named"
        for task_ids in books.charged.values()
        for task_id in task_ids
        if task_id not in seen.task_ids and task_id not in words
    ]
    outcomes = told["outcomes"]
    is_done = list(outcomes.values()) == ["ok"] * job.requests
    if not is_done and "LedgerError" not in json.dumps([outcomes, told["raised"]]):
        findings.append(f"no LedgerError: {_last_words(job, told)}")
    return {"silent": findings} if findings else {}


def _kill_after(pid: int, seconds: float) -> int:
    """Kill a child unless it ends before; how it ended."""
    ended = select.poll()
    descriptor = os.pidfd_open(pid)
    try:
        ended.register(descriptor, select.POLLIN)
        ended.poll(seconds * 1000)
    finally:
        os.close(descriptor)
    os.kill(pid, signal.SIGKILL)  # not waited for yet, so the pid is still its own
    return os.waitpid(pid, 0)[1]
