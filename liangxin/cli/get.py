"""`liangxin get`: where tasks stand now."""

from __future__ import annotations

from typing import Any

import click

from liangxin.cli._options import BASE_URL, TASK_IDS, format_option


@click.command(params=[TASK_IDS, BASE_URL, format_option("human on a terminal, else jsonl")])
@click.pass_context
def get(ctx: click.Context, /, **given: Any) -> None:
    """
    Look at tasks once: their states, and where their results are.

    \b
    Exit codes: 0 all are known, in whatever state; 1 unexpected, or unknown; 2 usage;
    4 the key was refused.
    """
    from liangxin.cli._tasks import perform_get

    ctx.exit(perform_get(**given))
