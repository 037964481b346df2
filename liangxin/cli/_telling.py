"""What is told of tasks on the command line: lines for people, JSON for programs."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from datetime import datetime

import click

from liangxin import AmbiguousCreate, LiangxinError, Outcome, outcomes_to_rows
from liangxin._text import printable
from liangxin.cli._service import say

_SEEN = ("task_id", "model", "state", "error", "message", "prompt", "urls", "files")
_TIMES = ("created_at", "completed_at", "seconds")
_LONGEST = 4000
"""Characters of a line; signed addresses are long."""


def as_json(told: object, *, indent: int | None = None) -> str:
    """In ASCII, so that nothing which a service wrote is obeyed by a terminal."""
    return json.dumps(told, indent=indent, default=_plain)


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def record(outcome: Outcome, name: str | None, *, is_new: bool) -> dict[str, object]:
    """What became of a task, with the names of `outcomes_to_rows`; of a new one, also the money."""
    [row] = outcomes_to_rows([outcome])
    columns = (*_SEEN, *(("money",) if is_new else ()), *_TIMES)
    return {column: row[column] for column in columns} | {"task_id": name}


def state_lines(outcome: Outcome) -> Iterator[str]:
    """Where a task stands, and where its results are."""
    task = outcome.task
    if task is None:
        return
    [row] = outcomes_to_rows([outcome])
    took = f"{row['seconds']:.1f} s" if isinstance(row["seconds"], float) else ""
    parts = (task.id, f"{task.state.value:<10}", task.model or "", took)
    yield "  ".join(printable(part) for part in parts if part)
    yield from (f"    {printable(url, _LONGEST)}" for url in task.urls)


def path_lines(outcome: Outcome) -> Iterator[str]:
    """Where results were saved."""
    yield from (str(path) for path in outcome.files)


def id_lines(outcome: Outcome) -> Iterator[str]:
    """The id of a task."""
    if outcome.task is not None:
        yield printable(outcome.task.id)


def say_error(error: LiangxinError) -> None:
    """One sentence, or the traceback where `--debug` asks for it."""
    if click.get_current_context().find_root().params["debug"]:
        traceback.print_exception(error)
    say(f"Error: {error}")
    if isinstance(error, AmbiguousCreate) and error.task_id is not None:
        say(f"To see what it is: liangxin get {printable(error.task_id)}")
