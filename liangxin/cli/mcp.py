"""`liangxin mcp`: the Market as tools for agents, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from liangxin.cli._options import BASE_URL, EMULATOR, LedgerPlace


def _perform(**given: Any) -> None:
    from liangxin.cli._mcp import perform

    click.get_current_context().exit(perform(**given))


mcp = click.Command(
    "mcp",
    callback=_perform,
    params=[
        click.Option(
            ["--max-tasks"],
            type=click.IntRange(min=1),
            default=20,
            show_default=True,
            metavar="N",
            help="How many tasks may be created, and paid, until the server ends.",
        ),
        click.Option(
            ["--ledger"],
            type=LedgerPlace(dir_okay=False),
            metavar="FILE|URL",
            help="Where creates are on record, so that a key is paid once for good.  "
            "[default: until the server ends]",
        ),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="The folder to which results may be saved.  [default: none, and no such tool]",
        ),
        click.Option(
            ["--pictures"],
            type=click.Path(path_type=Path, file_okay=False, exists=True),
            metavar="DIR",
            help="The folder from which pictures and clips may be sent.  [default: none]",
        ),
        click.Option(
            ["--slug", "slugs"],
            multiple=True,
            metavar="MODEL=SLUG",
            help="The slug of a model for which no page states it.  May be repeated.",
        ),
        BASE_URL,
        EMULATOR,
    ],
    help="""
    Serve the Market to an agent, by the Model Context Protocol.

    An agent's host runs this command and speaks to it over standard input and output.  The agent
    may list models, create, wait, look at results, and save them; it spends at most --max-tasks
    creates, reads no files but those of --pictures, and writes to --out alone.
    """,
)
