"""`liangxin run`: from words to a file, in one command."""

from __future__ import annotations

from typing import Any

import click

from liangxin.cli._making import ModelCommands
from liangxin.cli._options import OUT, POLL_INTERVAL, SHOW, TIMEOUT, format_option


def _perform(asked: Any, **given: Any) -> int:
    from liangxin.cli._tasks import perform_run

    return perform_run(asked, **given)


run = ModelCommands(
    "run",
    help="""
    Create a task, wait for it, and save what it made.

    The options of a model are its fields; MODEL is a slug, or the name of a class of
    liangxin.models.  The paths of the results go to standard output.

    \b
    Exit codes: 0 saved; 1 unexpected; 2 usage, and nothing was sent; 3 the task failed,
    or nobody knows what became of the create; 4 the key or the quota was refused;
    5 timed out; 130 interrupted.
    """,
    perform=_perform,
    options=(
        OUT,
        click.Option(["--open", "opens"], is_flag=True, help="Open the first result."),
        SHOW,
        TIMEOUT,
        POLL_INTERVAL,
        format_option("the paths of the results"),
    ),
)
