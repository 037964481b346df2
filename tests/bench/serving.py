"""
Starts the benchmark server on a core of its own, and reads its books.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from tests.bench.books import Summary


def cores() -> tuple[set[int] | None, set[int] | None]:
    """The client's core and the server's: two different ones where there are two."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[0]}, {allowed[-1]}


_CLIENT_CORE, _SERVER_CORE = cores()


def pin(process: int, core: set[int] | None) -> None:
    """Keep a process on its core, where the system can."""
    if core is not None:
        os.sched_setaffinity(process, core)


def pin_client() -> None:
    """Keep this process on the client's core."""
    pin(0, _CLIENT_CORE)


class Server:
    """One benchmark server that runs."""

    def __init__(self, port: int) -> None:
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"

    def reset(self, **asked: float | bool) -> Summary:
        """Open new books: `tasks`, `seed`, `endless`, `latency`."""
        query = "&".join(f"{name}={value:g}" for name, value in asked.items())
        return self._ask(f"/_bench/reset?{query}")

    def books(self) -> Summary:
        """What the books say now."""
        return self._ask("/_bench/books")

    def _ask(self, target: str) -> Summary:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.url + target, timeout=30) as answer:
            return cast("Summary", json.load(answer))


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a process of its own, for as long as the block lasts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    pin(process.pid, _SERVER_CORE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)
