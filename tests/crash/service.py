"""The service in a process of its own, and its books, which are read over HTTP and believed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

SPEED = 5000
"""A clip of 90 s is made in 18 ms."""


@contextmanager
def service() -> Iterator[str]:
    """An emulator in another process while the block runs; yields its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "liangxin.emulator", "--port", "0", "--speed", str(SPEED)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        greeting = process.stderr.readline()
        found = re.search(r"http://\S+", greeting)
        if found is None:
            raise RuntimeError(f"the emulator did not start: {greeting}")
        yield found[0]
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


@dataclass(frozen=True)
class Books:
    """
    What the service knows: the tasks it charged for by the key of their request, those of them
    that somebody asked about, and the creates it saw by the name (`ref`) that came with them, with
    those among them that it did not answer.
    """

    charged: Mapping[str, Sequence[str]]
    looked_at: Set[str]
    posts: Mapping[str, int]
    unanswered: frozenset[str]
    requests: int


class Service:
    """The other side, as the judge sees it."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=30)
        self._results: dict[str, bytes] = {}

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def forget(self) -> None:
        """Begin with empty books."""
        self._http.post("/_emulator/reset").raise_for_status()
        self._results.clear()

    def misbehave(self, *faults: Mapping[str, object]) -> None:
        """Put rules in force, each as the documentation of the emulator has it."""
        self._http.delete("/_emulator/faults").raise_for_status()
        self._http.post("/_emulator/faults", json=faults).raise_for_status()

    def books(self) -> Books:
        """Read the books."""
        ledger = self._http.get("/_emulator/ledger").raise_for_status().json()
        charged, posts = defaultdict[str, list[str]](list), defaultdict[str, int](int)
        unanswered = set[str]()
        for task in ledger["tasks"]:
            charged[task["prompt"].partition(" ")[0]].append(task["task_id"])
        if len(ledger["charges"]) != sum(map(len, charged.values())):
            raise AssertionError("the emulator's books contradict each other")
        for seen in ledger["requests"]:
            if seen["endpoint"] == "create":
                ref = seen["headers"]["idempotency-key"]
                posts[ref] += 1
                if seen["fault"] == "withhold":
                    unanswered.add(ref)
        looked_at = {task["task_id"] for task in ledger["tasks"] if task["looks"]}
        return Books(charged, looked_at, posts, frozenset(unanswered), len(ledger["requests"]))

    def result(self, task_id: str, ending: str) -> bytes:
        """Return the bytes that a task resulted in, as they were when first asked for."""
        path = f"/results/{task_id}/1.{ending}"
        if path not in self._results:
            self._results[path] = self._http.get(path).raise_for_status().content
        return self._results[path]
