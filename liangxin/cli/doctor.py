"""`liangxin doctor`: whether this machine can work with the service, and what to mend if not."""

from __future__ import annotations

from typing import Any

import click

from liangxin.cli._options import BASE_URL, EMULATOR, LedgerPlace, format_option

_LEDGER = click.Option(
    ["--ledger"],
    type=LedgerPlace(dir_okay=False),
    metavar="FILE|URL",
    help="A ledger to look into.  [default: ledger.db in this folder, if it is there]",
)


@click.command(
    params=[BASE_URL, EMULATOR, _LEDGER, format_option("human")],
    short_help="Check the key, the network and the ledger.",
)
@click.pass_context
def doctor(ctx: click.Context, /, **given: Any) -> None:
    """
    Check the key, the address, the network and the ledger; say how to mend what is wrong.

    Costs nothing: the service is asked once, about a task that does not exist.  What fails would
    stop other commands; a warning would not.

    \b
    Exit codes: 0 nothing fails; 1 something fails; 2 usage; 4 the key is missing or was
    refused; 130 interrupted.
    """
    from liangxin.cli._doctor import perform

    ctx.exit(perform(**given))
