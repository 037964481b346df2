"""`liangxin wait`: tasks that were created before, to their ends."""

from __future__ import annotations

from typing import Any

import click

from liangxin.cli._options import BASE_URL, POLL_INTERVAL, TASK_IDS, TIMEOUT, format_option

_ANY = click.Option(["--any", "any_one"], is_flag=True, help="Stop when the first has ended.")


@click.command(
    params=[
        TASK_IDS,
        _ANY,
        TIMEOUT,
        POLL_INTERVAL,
        BASE_URL,
        format_option("human on a terminal, else jsonl"),
    ]
)
@click.pass_context
def wait(ctx: click.Context, /, **given: Any) -> None:
    """
    Wait for tasks, and print each as it ends.

    \b
    Exit codes: 0 all succeeded; 1 unexpected; 2 usage; 3 some failed; 4 the key was
    refused; 5 timed out; 130 interrupted.
    """
    from liangxin.cli._tasks import perform_wait

    ctx.exit(perform_wait(**given))
