"""
One story: a file of requests, four workers, and what befalls them; then the judgement.

The same seed is the same list of blows, at the same distances; what they hit is up to the moment.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crash.judge import Findings
from tests.crash.service import Service
from tests.crew.judge import ends, in_the_end, is_sending, last_words, meanwhile, snapshot, watch
from tests.crew.worker import KINDS, LEASE, Job, work
from tests.databases import cut_connections, database, kill_and_start_again

REQUESTS_A_BLOW = 15
MEAN_PAUSE = 0.2
"""Seconds between two blows."""
FAULTS = (
    {"endpoint": "create", "action": "withhold", "probability": 0.02, "count": "all"},
    # A second or a tenth, so that creates are under way whenever somebody is killed.
    {"endpoint": "create", "action": "delay", "delay": 5000, "probability": 0.5, "count": "all"},
    {"endpoint": "create", "action": "delay", "delay": 500, "count": "all"},
)

ENDS = ("ok", "AmbiguousCreate")

_processes = get_context("forkserver")
_processes.set_forkserver_preload(["tests.crew.worker", "pytest"])


@dataclass(frozen=True)
class Story:
    """How many blows of each sort fall: a stall is a process that stops for more than its lease."""

    seed: int
    kills: int = 20
    stalls: int = 1
    restarts: int = 1
    cuts: int = 1
    sabotage: str | None = None


@dataclass
class Verdict:
    """What came of one story."""

    findings: dict[str, list[str]] = field(default_factory=dict)
    kills: int = 0
    stalls: int = 0
    restarts: int = 0
    cuts: int = 0
    requests: int = 0
    charged: int = 0
    ambiguous: int = 0
    unanswered: int = 0
    """Of the ambiguous, those of which the service withheld the answer."""
    unpaid_doubts: int = 0
    """Of the ambiguous, those that the service had never seen."""

    def add(self, findings: Findings) -> None:
        """Take in what was found."""
        for name, found in findings.items():
            self.findings.setdefault(name, []).extend(found)


def told(story: Story, url: str) -> Verdict:
    """Tell a story, with the service at `url`."""
    with TemporaryDirectory(prefix="crew-", dir=_quick_folder()) as folder:
        blows = story.kills + story.stalls + story.restarts + story.cuts
        job = Job(url, database(), Path(folder), REQUESTS_A_BLOW * blows, sabotage=story.sabotage)
        job.write_file()
        watch(job.ledger)
        with closing(Service(url)) as service, _crew(job, service) as crew:
            crew.befall(story)
            crew.end()
            return crew.verdict


def _quick_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@contextmanager
def _crew(job: Job, service: Service) -> Iterator[_Crew]:
    service.forget()
    service.misbehave(*FAULTS)
    crew = _Crew(job, service)
    try:
        yield crew
    finally:
        crew.disband()


class _Crew:
    """The workers of a story, each with a number and a backend of its own."""

    def __init__(self, job: Job, service: Service) -> None:
        self.verdict = Verdict(requests=job.requests)
        self._job = job
        self._service = service
        self._killed: set[int] = set()
        self._unrest: list[tuple[float, float]] = []
        self._workers = [self._start(number) for number in range(len(KINDS))]

    def _start(self, number: int) -> ForkServerProcess:
        process = _processes.Process(target=work, args=(self._job, number, KINDS[number]))
        process.start()
        return process

    def disband(self) -> None:
        """End whoever is left."""
        for worker in self._workers:
            worker.kill()
            worker.join()

    # --- what befalls them ---

    def befall(self, story: Story) -> None:
        """Let the blows of a story fall, until there are no more, or nobody is at work."""
        chance = random.Random(story.seed)
        blows = (
            [self._kill] * story.kills
            + [self._stall] * story.stalls
            + [self._restart] * story.restarts
            + [self._cut] * story.cuts
        )
        chance.shuffle(blows)
        while self._working(0.05) and not is_sending(self._job.ledger):
            pass
        for blow in blows:
            working = self._working(chance.uniform(0, 2 * MEAN_PAUSE))
            if not working:
                return
            blow(chance.choice(working))
            self.verdict.add(meanwhile(self._job, self._service))

    def _working(self, seconds: float) -> list[int]:
        """Who is at work after so many seconds, or when the last one ends."""
        until = time.monotonic() + seconds
        while True:
            working = {each.sentinel: n for n, each in enumerate(self._workers) if each.is_alive()}
            left = until - time.monotonic()
            if not working or left <= 0:
                return list(working.values())
            connection.wait(working, left)

    def _kill(self, number: int) -> None:
        worker = self._workers[number]
        assert worker.pid is not None
        worker.kill()
        worker.join()
        if worker.exitcode == -signal.SIGKILL:
            self._killed.add(worker.pid)
            self.verdict.kills += 1
            self._workers[number] = self._start(number)

    def _stall(self, number: int) -> None:
        worker = self._workers[number]
        assert worker.pid is not None
        with self._in_unrest():
            os.kill(worker.pid, signal.SIGSTOP)
            try:
                time.sleep(1.5 * LEASE)
            finally:
                os.kill(worker.pid, signal.SIGCONT)
        self.verdict.stalls += 1

    def _restart(self, number: int) -> None:
        with self._in_unrest():
            kill_and_start_again()
        self.verdict.restarts += 1

    def _cut(self, number: int) -> None:
        with self._in_unrest():
            cut_connections()
        self.verdict.cuts += 1

    @contextmanager
    def _in_unrest(self) -> Iterator[None]:
        begun = time.time()
        yield
        self._unrest.append((begun, time.time() + LEASE))

    # --- the end ---

    def end(self) -> None:
        """Let all come to their ends, run the batch once more, judge, and see that it rests."""
        for number, worker in enumerate(self._workers):
            worker.join()
            self._expect_well(number, worker)
        self._run_again()
        self._judge()
        books = self._service.books()  # with what the judge has fetched
        self._run_again()
        if self._service.books() != books:
            self.verdict.add({"restless": ["a finished batch sent something"]})

    def _run_again(self) -> None:
        worker = self._workers[0] = self._start(0)
        worker.join()
        told, true = self._expect_well(0, worker), ends(self._job.ledger)
        if told and told != true:
            wrong = sorted(told.items() ^ true.items())
            self.verdict.add({"unfinished": [f"its caller was told otherwise: {wrong}"]})

    def _expect_well(self, number: int, worker: ForkServerProcess) -> dict[str, str]:
        """What a worker told that was left alone in the end."""
        if worker.exitcode:
            words = last_words(self._job.words)
            died = f"worker {number} died by itself ({worker.exitcode}): {words}"
            self.verdict.add({"unfinished": [died]})
            return {}
        said = json.loads(self._job.told(number).read_text())
        outcomes: dict[str, str] = said["outcomes"]
        failed = {key: end for key, end in outcomes.items() if end not in ENDS}
        if said["stopped"] is not None or failed:
            found = f"worker {number} stopped ({said['stopped']}) or failed: {failed}"
            self.verdict.add({"unfinished": [found]})
        return outcomes

    def _judge(self) -> None:
        self.verdict.add(in_the_end(self._job, self._service, self._killed, self._unrest))
        books = self._service.books()
        doubts = [row.ref for row in snapshot(self._job.ledger).rows if row.state == "ambiguous"]
        self.verdict.charged = sum(map(len, books.charged.values()))
        self.verdict.ambiguous = len(doubts)
        self.verdict.unanswered = len(books.unanswered.intersection(doubts))
        self.verdict.unpaid_doubts = sum(ref not in books.posts for ref in doubts)
