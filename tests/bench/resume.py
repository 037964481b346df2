"""
What it costs to run a batch again that is finished, beside a bare loop over its file and ledger.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from liangxin.batch import check
from liangxin.ledger import Change, Ledger, LedgerState, Move, Plan, input_sha256
from tests.bench.children import child
from tests.bench.ours import client
from tests.bench.results import Results

LOOKED_UP = 256


def measure(results: Results) -> None:
    """CPU of a second run, without and with results on disk; of a check; of opening the ledger."""
    count = 10_000 if results.quick else 100_000
    said = {name: child("resume", {"count": count, "files": name == "files"}) for name in KINDS}
    results.data["resume"] = {"requests": count, **said}
    results.add("resume_vs_bare", said["urls"]["again_us"] / said["urls"]["bare_us"])
    results.add("resume_vs_bare_files", said["files"]["again_us"] / said["files"]["bare_us"])
    results.add("resume_peak_mib", max(each["peak_mib"] for each in said.values()))
    results.add("ledger_kib_per_row", max(each["kib_per_row"] for each in said.values()))
    for name, each in said.items():
        figures = ", ".join(f"{what} {figure:.3g}" for what, figure in each.items())
        results.say(f"  {name}: {figures}")


KINDS = ("urls", "files")


class _Unsynced(Ledger):
    _synchronous = "OFF"


def _finish(folder: Path, count: int, has_files: bool) -> None:
    """Leave what a finished batch leaves: its file of requests, its ledger, its results."""
    out = folder / "out"
    out.mkdir()
    with (folder / "posters.jsonl").open("w") as file, _Unsynced(out / "ledger.db") as ledger:
        numbers = iter(range(count))
        while some := list(islice(numbers, 500)):
            ledger.apply([change for n in some for change in _history(n, has_files)])
            file.writelines(json.dumps(_asked(n)) + "\n" for n in some)
    for number in range(count if has_files else 0):
        (out / f"poster-{number:06d}.png").write_bytes(b"a picture")


def _asked(number: int) -> dict[str, Any]:
    prompt = f"poster {number}: a lighthouse in fog, seen from a small boat, oil on canvas"
    fields = {"prompt": prompt, "aspect_ratio": "16:9"}
    return {"id": f"poster-{number:06d}", "model": "z-image", "input": fields}


def _history(number: int, has_files: bool) -> Iterator[Change]:
    asked = _asked(number)
    key, model, fields = asked["id"], asked["model"], asked["input"]
    ref, task = f"{number:032x}", f"task_z-image_{number:013d}"
    digest = input_sha256(model, fields)
    yield Plan(key=key, ref=ref, model=model, input=fields, sha256=digest, at=1.0)
    yield Move(ref=ref, to=LedgerState.SENDING, at=2.0)
    yield Move(ref=ref, to=LedgerState.ACCEPTED, at=3.0, task_id=task, http_status=200)
    url = f"https://cdn.example/results/{task}/1.png"
    yield Move(ref=ref, to=LedgerState.SUCCEEDED, at=4.0, urls=(url,))
    if has_files:
        yield Move(ref=ref, to=LedgerState.DOWNLOADED, at=5.0, files=(f"{key}.png",))


def _bare(folder: Path) -> None:
    """The least that such a run has to do: read, hash, look up."""
    with (folder / "posters.jsonl").open() as file, Ledger(folder / "out" / "ledger.db") as ledger:
        assert ledger._opened is not None
        while lines := list(islice(file, LOOKED_UP)):
            asked = [json.loads(line) for line in lines]
            hashes = [hashlib.sha256(line.encode()).digest() for line in lines]
            marks = ", ".join("?" * len(asked))
            found = ledger._opened.db.execute(
                f"SELECT * FROM rows WHERE current = 1 AND key IN ({marks})",
                [each["id"] for each in asked],
            ).fetchall()
            assert len(found) == len(hashes)


async def _again(folder: Path, has_files: bool) -> None:
    out = folder / "out" if has_files else None
    async with client("http://127.0.0.1:9") as ours:
        path, ledger = folder / "posters.jsonl", folder / "out" / "ledger.db"
        async with ours.batch(path, ledger=ledger, out=out) as outcomes:
            async for outcome in outcomes:
                assert outcome.ok


def _cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _open(folder: Path) -> None:
    with Ledger(folder / "out" / "ledger.db"):
        pass


def _main(count: int, files: bool) -> dict[str, float]:
    with TemporaryDirectory(prefix="resume-") as made:
        folder = Path(made)
        _finish(folder, count, files)
        runs = [
            (
                _cpu(lambda: anyio.run(_again, folder, files)),
                _cpu(lambda: _bare(folder)),
                _cpu(lambda: check(folder / "posters.jsonl")),
                _cpu(lambda: _open(folder)),
            )
            for _ in range(3)
        ]
        again, bare, checked, opened = (1e6 * min(each) / count for each in zip(*runs, strict=True))
        return {
            "again_us": again,
            "bare_us": bare,
            "check_us": checked,
            "open_us": opened,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "kib_per_row": (folder / "out" / "ledger.db").stat().st_size / count / 1024,
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_main(**json.loads(sys.argv[1]))) + "\n")
