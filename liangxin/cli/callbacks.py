"""`liangxin callbacks`: callbacks that come when the program that asked for them has ended."""

from __future__ import annotations

from pathlib import Path

import click

from liangxin.cli._options import LedgerPlace


@click.group(short_help="Take callbacks for a program that has ended.")
def callbacks() -> None:
    """Take the callbacks of tasks that a program created which has ended."""


@callbacks.command()
@click.option(
    "--public-url",
    required=True,
    metavar="URL",
    help="Where the service reaches this machine: the --callback-url of the batch.",
)
@click.option(
    "--ledger",
    type=LedgerPlace(exists=True, dir_okay=False),
    required=True,
    metavar="FILE|URL",
    help="The ledger that the batch, or a client, has kept.",
)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on, behind a proxy."
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8788,
    show_default=True,
    help="Port to listen on.",
)
@click.option("--base-url", metavar="URL", help="[default: LIANGXIN_BASE_URL]")
@click.pass_context
def serve(
    ctx: click.Context,
    public_url: str,
    ledger: Path | str,
    host: str,
    port: int,
    base_url: str | None,
) -> None:
    """
    Bring what is open in a ledger to its end, and settle its doubts by their callbacks.

    After a batch was killed: takes the callbacks that still come, looks at what was accepted, and
    puts on record how it ended.  A create in doubt becomes accepted when its callback comes, and
    is not paid again.  Ends when nothing is open any more; nothing is created, nor downloaded.

    \b
    Exit codes: 0 all succeeded; 2 usage; 3 some failed; 130 interrupted.
    """
    from liangxin.cli._callbacks import perform

    ctx.exit(perform(public_url, ledger, host=host, port=port, base_url=base_url))
