"""What outcomes say at a glance: the prompt, the money, the time, and a table of them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from liangxin._errors import AmbiguousCreate, APIError, DownloadError, TaskFailed
from liangxin._tasks import ModelInput, Outcome, Task


def outcomes_to_rows(outcomes: Iterable[Outcome]) -> list[dict[str, object]]:
    """
    Return outcomes as flat rows with the same names in each, for pandas, polars or csv.

    `key`, `index`, `task_id`, `model`, `state` (None where no task is known), `ok`, `error` (the
    name of its class), `message`, `money` (`paid`, `refused`, `maybe paid` or `nothing`),
    `prompt`, `urls` and `files` (lists of text), `created_at` and `completed_at` (aware, in UTC,
    where the service said when), and the `seconds` between the two.
    """
    return [_row(outcome) for outcome in outcomes]


def _row(outcome: Outcome) -> dict[str, object]:
    task, error = outcome.task, outcome.error
    return {
        "key": outcome.key,
        "index": outcome.index,
        "task_id": task.id if task else None,
        "model": model_of(outcome),
        "state": task.state.value if task else None,
        "ok": outcome.ok,
        "error": type(error).__name__ if error else None,
        "message": str(error) if error else None,
        "money": money_of(outcome),
        "prompt": prompt_of(outcome),
        "urls": list(task.urls) if task else [],
        "files": [str(path) for path in outcome.files],
        "created_at": task.created_at if task else None,
        "completed_at": task.completed_at if task else None,
        "seconds": seconds_of(task),
    }


def model_of(outcome: Outcome) -> str | None:
    """The model that was asked, as the task says, or else the input."""
    if outcome.task is not None and outcome.task.model is not None:
        return outcome.task.model
    return outcome.input.slug if isinstance(outcome.input, ModelInput) else None


def money_of(outcome: Outcome) -> str:
    """What is known about money: `paid`, `refused`, `maybe paid` or `nothing`."""
    if isinstance(outcome.error, AmbiguousCreate):
        return "maybe paid"
    if outcome.task is not None or isinstance(outcome.error, (TaskFailed, DownloadError)):
        return "paid"
    return "refused" if isinstance(outcome.error, APIError) else "nothing"


def prompt_of(outcome: Outcome) -> str | None:
    """The prompt of the input, or of the request as the service kept it; None without one."""
    asked: object = None
    if isinstance(outcome.input, ModelInput):
        asked = outcome.input.payload()
    elif outcome.task is not None and outcome.task.param is not None:
        asked = outcome.task.param.get("input")
    prompt = asked.get("prompt") if isinstance(asked, Mapping) else None
    return prompt if isinstance(prompt, str) else None


def seconds_of(task: Task | None) -> float | None:
    """How long a task took, where the service said when it began and when it ended."""
    if task is None or task.created_at is None or task.completed_at is None:
        return None
    return (task.completed_at - task.created_at).total_seconds()
