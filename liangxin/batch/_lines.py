"""
What a batch leaves beside its files: `results.jsonl` and `errors.jsonl`, what one run had to say, a
line for each request; and `manifest.jsonl`, what is in the folder, a line for each file.

Runs that share a folder have a part of their own in the names: `results.0-of-4.jsonl` of a shard,
`results.HOST-PID.jsonl` of a process over a shared ledger.
"""

from __future__ import annotations

import json
import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from liangxin._errors import AmbiguousCreate, APIError, DownloadError, TaskFailed
from liangxin._outcomes import money_of
from liangxin._tasks import Outcome, Task

if TYPE_CHECKING:
    from liangxin._files import SavedFile  # and with it httpx

RESULTS = "results"
ERRORS = "errors"
MANIFEST = "manifest.jsonl"

_encode = json.JSONEncoder(ensure_ascii=False).encode


class OutcomeLines:
    """Writes the two files anew, line by line; the ledger is what lasts."""

    def __init__(self, folder: Path, part: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._results = (folder / f"{RESULTS}{part}.jsonl").open("w", encoding="utf-8")
        self._errors = (folder / f"{ERRORS}{part}.jsonl").open("w", encoding="utf-8")

    def write(self, outcome: Outcome) -> None:
        """Write one line to the file where it belongs."""
        file = self._results if outcome.error is None else self._errors
        file.write(_encode(line_of(outcome, self._folder)) + "\n")
        if not outcome.resumed:  # what an earlier run has ended comes by the thousand
            file.flush()

    def close(self) -> None:
        """Close both files."""
        self._results.close()
        self._errors.close()


class Manifest:
    """
    Adds a line for each file that is saved, over all runs; the last line of a file counts.

    `key`, `task_id`, `model`, `file` (in the folder), `sha256`, `size` in bytes, `media_type`,
    `host` that it came from, and when the task was created and completed, and the file saved.
    """

    def __init__(self, folder: Path) -> None:
        self._file = (folder / MANIFEST).open("a+b")
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read() != b"\n":  # a run that was killed has left half a line
                self._file.write(b"\n")

    def write(self, key: str | None, task: Task, file: SavedFile) -> None:
        """Add one line."""
        line = {
            "key": key,
            "task_id": task.id,
            "model": task.model,
            "file": file.path.name,
            "sha256": file.sha256,
            "size": file.size,
            "media_type": file.media_type,
            "host": file.host,
            "created_at": _iso(task.created_at),
            "completed_at": _iso(task.completed_at),
            "saved_at": _iso(datetime.now(UTC)),
        }
        self._file.write(f"{_encode(line)}\n".encode("utf-8", "replace"))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def part_of(shard: tuple[int, int] | None, *, is_shared: bool) -> str:
    """What the names of lines have that others must not write over."""
    if shard is not None:
        return f".{shard[0]}-of-{shard[1]}"
    if is_shared:
        host = re.sub(r"[^A-Za-z0-9_-]", "_", socket.gethostname())
        return f".{host}-{os.getpid()}"
    return ""


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


def line_of(outcome: Outcome, folder: Path | None) -> dict[str, object]:
    """
    What became of one request, as JSON has it.

    `id`, `task_id`, `model` and `state` as far as they are known; then `files` (in the folder) and
    `urls`, or `error`, `message`, `money` (paid, refused, maybe paid, nothing) and `what_now`.
    """
    task = outcome.task
    line: dict[str, object] = {"id": outcome.key}
    if task is not None:
        line |= {"task_id": task.id, "model": task.model, "state": task.state.value}
    if outcome.error is None and task is not None:
        files = [path.name if folder else str(path) for path in outcome.files]
        return line | {"files": files, "urls": list(task.urls)}
    return line | {
        "error": type(outcome.error).__name__,
        "message": str(outcome.error),
        "money": money_of(outcome),
        "what_now": _what_now(outcome),
    }


def _what_now(outcome: Outcome) -> str:
    """What can be done about an error."""
    error = outcome.error
    if isinstance(error, AmbiguousCreate):
        return (
            "look for it at the service; then `liangxin ledger attach` its task, `resend` it "
            "(which may pay twice), or `abandon` it"
        )
    if isinstance(error, TaskFailed):
        return "run again with --retry-failed to create it anew, which is paid again"
    if isinstance(error, DownloadError):
        return "run the batch again: the result is fetched, not created again"
    if outcome.task is not None:
        return "run the batch again: it is waited for, not created again"
    if isinstance(error, APIError):
        return "mend what the message says and run again with --retry-failed"
    return "mend what the message says and run the batch again"
