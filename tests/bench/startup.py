"""
What it costs to have liangxin at all: time to import, time to a ready client, dependencies.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.bench.results import Results
from tests.bench.serving import pin_client

READY = """
import time; start = time.perf_counter()
import anyio, liangxin
async def main():
    async with liangxin.AsyncClient("sk-x", base_url="https://x.example"):
        print(1000 * (time.perf_counter() - start))
anyio.run(main)
"""


def _process(code: str) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        preexec_fn=pin_client,
    )
    return 1000 * (time.perf_counter() - start), done.stdout


def measure(results: Results) -> None:
    """Medians over fresh processes, in turns."""
    turns = 9 if results.quick else 25
    pairs = [(_process("pass")[0], _process("import liangxin")[0]) for _ in range(turns)]
    results.add("import_ms", statistics.median(after - before for before, after in pairs))
    ready = [float(_process(READY)[1]) for _ in range(turns)]
    results.add("ready_ms", statistics.median(ready))
    results.data["dependencies"] = sorted(_dependencies())
    results.add("dependencies", len(_dependencies()))


def _dependencies() -> set[str]:
    found: set[str] = set()
    new = {"liangxin"}
    while new:
        for text in requires(new.pop()) or []:
            requirement = Requirement(text)
            name = canonicalize_name(requirement.name)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and name not in found:
                found.add(name)
                new.add(requirement.name)
    return found
