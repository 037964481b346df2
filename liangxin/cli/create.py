"""`liangxin create`: a task, and its id at once."""

from __future__ import annotations

from typing import Any

from liangxin.cli._making import ModelCommands
from liangxin.cli._options import format_option


def _perform(asked: Any, **given: Any) -> int:
    from liangxin.cli._tasks import perform_create

    return perform_create(asked, **given)


create = ModelCommands(
    "create",
    help="""
    Create a task, and print its id without waiting for it.

    The options of a model are its fields, as in `liangxin run`.  `liangxin wait` and `liangxin
    download` take the id.

    \b
    Exit codes: 0 created; 1 unexpected; 2 usage, and nothing was sent; 3 nobody knows
    whether it was created; 4 the key or the quota was refused; 130 interrupted.
    """,
    perform=_perform,
    options=(format_option("the id"),),
)
