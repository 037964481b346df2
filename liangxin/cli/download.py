"""`liangxin download`: the results of tasks that were created before."""

from __future__ import annotations

from typing import Any

import click

from liangxin.cli._options import (
    BASE_URL,
    OUT,
    POLL_INTERVAL,
    SHOW,
    TASK_IDS,
    TIMEOUT,
    format_option,
)


@click.command(
    short_help="Save the results of tasks.",
    params=[
        TASK_IDS,
        OUT,
        SHOW,
        TIMEOUT,
        POLL_INTERVAL,
        BASE_URL,
        format_option("the paths of the results"),
    ],
)
@click.pass_context
def download(ctx: click.Context, /, **given: Any) -> None:
    """
    Save the results of tasks, each as soon as it has ended; nothing is created.

    \b
    Exit codes: 0 all saved; 1 unexpected; 2 usage; 3 some failed; 4 the key was
    refused; 5 timed out; 130 interrupted.
    """
    from liangxin.cli._tasks import perform_download

    ctx.exit(perform_download(**given))
