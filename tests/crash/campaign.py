"""
The campaign: which batches are struck where, over several lanes, and what came of it all.

The same numbers of points choose the same points, as far as the library makes the same calls.
"""

from __future__ import annotations

import os
import platform
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tests.crash.judge import FINDINGS
from tests.crash.lane import Kills, Lane, Point, Verdict
from tests.crash.service import service
from tests.crash.tracer import Strike

T = TypeVar("T")

CLIENTS = ("async", "sync")
LANES = 2
DISK_ERRORS = (
    ("pwrite64 ledger", "ENOSPC", True),
    ("pwrite64 ledger", "EIO", False),
    ("fdatasync ledger", "EIO", False),
    ("fdatasync ledger", "EIO", True),
    ("ftruncate ledger", "EIO", False),
    ("openat ledger", "ENOSPC", False),
)
"""A kind of call, the error in its place, and whether it stays."""


# --- which points --------------------------------------------------------------------------------


def kill_points(calls: dict[str, Counter[str]]) -> list[list[Point]]:
    """Every call of an undisturbed run of each client, in groups of a kind."""
    return [
        [Point(client, Strike(kind, nth)) for nth in range(1, count + 1)]
        for client, counted in calls.items()
        for kind, count in sorted(counted.items())
    ]


def error_points(calls: dict[str, Counter[str]]) -> list[list[Point]]:
    """Every call for the ledger's file that a disk can refuse, with each error."""
    return [
        [Point(client, Strike(kind, nth, error, lasting)) for nth in range(1, counted[kind] + 1)]
        for client, counted in calls.items()
        for kind, error, lasting in DISK_ERRORS
    ]


def share(groups: Sequence[Sequence[T]], wanted: int) -> list[T]:
    """About `wanted` of all, at even distances in each group, and one of each at least."""
    part = wanted / sum(map(len, groups))
    return [each for group in groups for each in _spread(group, max(1, round(len(group) * part)))]


def _spread(group: Sequence[T], count: int) -> list[T]:
    count = min(count, len(group))
    return [group[(2 * number + 1) * len(group) // (2 * count)] for number in range(count)]


# --- lanes ---------------------------------------------------------------------------------------

_lane: Lane


def _begin(url: str, folder: Path) -> None:
    global _lane
    _lane = Lane(url, folder)


def _count(client: str) -> Counter[str]:
    return _lane.count(client)


def _crash(point: Point) -> Verdict:
    return _lane.crash(point)


def _kill(kills: Kills) -> Verdict:
    return _lane.kill(kills)


Told = Callable[[int, int], None]


class Campaign:
    """Lanes side by side, each a process with a service and a folder of its own."""

    def __init__(self, lanes: Sequence[ProcessPoolExecutor], told: Told) -> None:
        self._lanes = lanes
        self._told = told

    def calls(self, clients: Sequence[str]) -> dict[str, Counter[str]]:
        """Count what each client calls in an undisturbed run."""
        return {client: self._lanes[0].submit(_count, client).result() for client in clients}

    def crash(self, points: Sequence[Point]) -> list[tuple[Point, Verdict]]:
        """Strike a batch at each point."""
        return self._over(_crash, points)

    def kill(self, runs: Sequence[Kills]) -> list[tuple[Kills, Verdict]]:
        """Kill batches again and again."""
        return self._over(_kill, runs)

    def _over(self, work: Callable[[T], Verdict], items: Sequence[T]) -> list[tuple[T, Verdict]]:
        given: dict[Future[Verdict], T] = {}
        for number, item in enumerate(items):
            given[self._lanes[number % len(self._lanes)].submit(work, item)] = item
        for done, _ in enumerate(as_completed(given), 1):
            self._told(done, len(items))
        return [(item, future.result()) for future, item in given.items()]


@contextmanager
def campaign(told: Told = lambda done, total: None, lanes: int = LANES) -> Iterator[Campaign]:
    """The lanes while the block runs; `told` hears how far the work is."""
    with ExitStack() as stack:
        base = Path(stack.enter_context(TemporaryDirectory(prefix="crash-", dir=_quick_folder())))
        started = []
        for number in range(lanes):
            url = stack.enter_context(service())
            lane = ProcessPoolExecutor(
                1,
                # A process of its own, with one thread: it forks.
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(url, base / str(number)),
            )
            stack.callback(lane.shutdown, cancel_futures=True)
            started.append(lane)
        yield Campaign(started, told)


def _quick_folder() -> str | None:
    """Where syncing costs nothing: what a kill leaves behind does not depend on the disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# --- what came of it -----------------------------------------------------------------------------


def failures(judged: Sequence[tuple[object, Verdict]]) -> list[str]:
    """Whatever went wrong, in words."""
    return [
        f"{item}: {name}: {'; '.join(found)[:2000]}"
        for item, verdict in judged
        for name, found in verdict.findings.items()
    ]


def summary(
    struck: Sequence[tuple[Point, Verdict]], killed: Sequence[tuple[Kills, Verdict]]
) -> dict[str, Any]:
    """What came of a campaign, as JSON."""
    groups = defaultdict[tuple[str, str, str], list[Verdict]](list)
    for point, verdict in struck:
        strike = point.strike
        error = f"{strike.error}{' from then on' * strike.lasting}" if strike.error else "SIGKILL"
        groups[point.client, error, strike.kind].append(verdict)
    return {
        "made_with": {
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
            "system": f"{platform.system()} {platform.machine()}",
        },
        "points": [
            {"client": client, "error": error, "call": call} | _sums(verdicts)
            for (client, error, call), verdicts in sorted(groups.items())
        ],
        "random_kills": [
            {"client": client} | _sums([each for kills, each in killed if kills.client == client])
            for client in sorted({kills.client for kills, _ in killed})
        ],
        "failures": failures([*struck, *killed]),
    }


def _sums(verdicts: Sequence[Verdict]) -> dict[str, int]:
    return {
        "batches": len(verdicts),
        "struck": sum(each.struck for each in verdicts),
        **{name: sum(name in each.findings for each in verdicts) for name in FINDINGS},
        "charged": sum(each.charged for each in verdicts),
        "ambiguous": sum(each.ambiguous for each in verdicts),
        "unpaid_doubts": sum(each.unpaid_doubts for each in verdicts),
        "most_resumes": max(each.resumes for each in verdicts),
    }
