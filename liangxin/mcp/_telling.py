"""
What an agent is told: short words, and the same as values.

Whatever the service wrote is on one line, printable and clipped, and never more than a part of a
sentence of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcp_types import CallToolResult, ContentBlock, TextContent

from liangxin._errors import AmbiguousCreate, InputError, LiangxinError, WaitTimeout
from liangxin._outcomes import money_of, outcomes_to_rows
from liangxin._tasks import Outcome
from liangxin._text import printable
from liangxin.ledger import LedgerRow

Values = dict[str, object]

_COLUMNS = ("task_id", "model", "state", "prompt", "seconds")
_LONGEST = 500
_LONGEST_ADDRESS = 4000
"""Characters; signed addresses are long."""


def answer(
    text: str, values: Mapping[str, object], *more: ContentBlock, is_error: bool = False
) -> CallToolResult:
    """The result of a call."""
    content = [TextContent(text=text), *more]
    return CallToolResult(content=content, structured_content={**values}, is_error=is_error)


# --- tasks -------------------------------------------------------------------------------------


def told(outcome: Outcome, *more: ContentBlock, **values: object) -> CallToolResult:
    """What has become of one task, and what else is known of it."""
    lines = [*_lines(outcome), *(f"{name}: {_in_a_line(value)}" for name, value in values.items())]
    text, known = "\n".join(lines), _values(outcome) | values
    return answer(text, known, *more, is_error=_has_failed(outcome))


def _in_a_line(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def told_all(outcomes: Mapping[str, Outcome]) -> CallToolResult:
    """What has become of several tasks, by their ids."""
    return answer(
        "\n".join(line for outcome in outcomes.values() for line in _lines(outcome)),
        {"tasks": [{"task_id": name} | _values(each) for name, each in outcomes.items()]},
        is_error=any(map(_has_failed, outcomes.values())),
    )


def _has_failed(outcome: Outcome) -> bool:
    return outcome.error is not None and not isinstance(outcome.error, WaitTimeout)


def _lines(outcome: Outcome) -> list[str]:
    """Where a task stands, and the addresses of its results."""
    if isinstance(outcome.error, WaitTimeout):
        task = outcome.error.task
        goes_on = "goes on at the service: wait_for_tasks waits on, and pays nothing"
        return [f"{printable(task.id)} is still {task.state.value}, and {goes_on}."]
    if outcome.error is not None:
        return [_sentence(outcome.error)]
    [row] = outcomes_to_rows([outcome])
    took = f" after {row['seconds']:.1f} s" if isinstance(row["seconds"], float) else ""
    return [f"{printable(row['task_id'])}: {row['state']}{took}", *_addresses(outcome)]


def _values(outcome: Outcome) -> Values:
    """The same, with the names of `outcomes_to_rows`; only what is known."""
    [row] = outcomes_to_rows([outcome])
    known = {name: row[name] for name in _COLUMNS if row[name] is not None}
    values: Values = {
        name: printable(value, _LONGEST) if isinstance(value, str) else value
        for name, value in known.items()
    }
    if outcome.task is not None:
        values |= {"ended": outcome.task.is_final, "urls": _addresses(outcome)}
    if outcome.error is None or isinstance(outcome.error, WaitTimeout):
        return values
    return values | _error_values(outcome.error)


def _addresses(outcome: Outcome) -> list[str]:
    urls = outcome.task.urls if outcome.task else ()
    return [printable(url, _LONGEST_ADDRESS) for url in urls]


# --- what is on record -------------------------------------------------------------------------


def told_rows(rows: Iterable[LedgerRow], left: int) -> CallToolResult:
    """What was asked for, and how much more may be."""
    told = [_row_values(row) for row in rows]
    lines = ["  ".join(map(str, values.values())) for values in told]
    text = "\n".join([*lines, f"{left} more may be created."])
    return answer(text, {"tasks": told, "creates_left": left})


def _row_values(row: LedgerRow) -> Values:
    values: Values = {
        "key": printable(row.key),
        "model": printable(row.model),
        "state": row.state.value,
        "money": row.state.money,
    }
    return values if row.task_id is None else values | {"task_id": printable(row.task_id)}


# --- errors ------------------------------------------------------------------------------------


def told_error(error: LiangxinError, *, of_a_create: bool) -> CallToolResult:
    """What was refused or has failed; of a create, also what is known about the money."""
    text, values = _sentence(error), _error_values(error)
    if of_a_create:
        values["money"] = money_of(Outcome(input=None, error=error))
        text += f" Money: {values['money']}."
    if isinstance(error, AmbiguousCreate):
        text += " Nothing is sent again. Ask a person before you create it under another key."
    return answer(text, values, is_error=True)


def _error_values(error: LiangxinError) -> Values:
    """An error as values."""
    values: Values = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, InputError):
        values |= {"field": error.field, "allowed": printable(error.allowed, _LONGEST)}
    if isinstance(error, AmbiguousCreate) and error.task_id is not None:
        values["task_id"] = printable(error.task_id)
    return values


def _sentence(error: LiangxinError) -> str:
    text = f"{type(error).__name__}: {error}"
    return text if text.endswith((".", "?")) else f"{text}."
