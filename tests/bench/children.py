"""
Runs one client in a process of its own, pinned to the client's core, and reads what it says.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.bench.ours import Absent
from tests.bench.serving import Server, pin_client, serving

Numbers = dict[str, Any]


class ChildFailed(Exception):
    """A client's process ended without a word that can be read."""


def child(module: str, job: Numbers, timeout: float = 300.0) -> Numbers:
    """Run `python -m tests.bench.MODULE JOB` and return its one line of JSON."""
    process = start(module, job)
    return finish(process, timeout)


def start(module: str, job: Numbers) -> subprocess.Popen[str]:
    """Start a child, to be finished later."""
    return subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{module}", json.dumps(job)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=pin_client,
    )


def finish(process: subprocess.Popen[str], timeout: float) -> Numbers:
    """Wait for a child and return what it said; raises `Absent` or `ChildFailed`."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        process.communicate()
        raise ChildFailed(f"no answer within {timeout:g} s") from exc
    last = err.strip().rpartition("\n")[2]
    if process.returncode:
        missing = last.removeprefix("tests.bench.ours.Absent: ")
        raise Absent(missing) if missing != last else ChildFailed(last[:300])
    numbers: Numbers = json.loads(out.strip().rpartition("\n")[2])
    return numbers


def loaded(job: str, client: str, server: Server, **asked: Any) -> Numbers:
    """One load of `tests.bench.load` on a server that runs already."""
    port = int(server.host.rpartition(":")[2])
    return child("load", {"job": job, "client": client, "port": port, **asked})


def together(job: str, clients: list[Numbers], timeout: float = 200.0) -> list[Numbers]:
    """Several loads at the same time, each with a server of its own."""
    if not clients:
        return []
    first, *rest = clients
    with serving() as server:
        port = int(server.host.rpartition(":")[2])
        process = start("load", {"job": job, "port": port, **first})
        others = together(job, rest, timeout)
        return [finish(process, timeout), *others]
