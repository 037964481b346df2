"""`liangxin skill`: all that an agent has to know to work with this program, on one page."""

from __future__ import annotations

import click


@click.command(short_help="Print a page for agents about this program.")
def skill() -> None:
    """
    Print a page for agents: when to use this program, its rules about money, every command.

    It is made from the commands and the models themselves.  `liangxin skill > SKILL.md` keeps it
    where an agent finds its skills.
    """
    from liangxin.cli._skill import page

    click.echo(page(), nl=False)
