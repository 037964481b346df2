"""`liangxin ledger`: look into a ledger, and settle by one's own word what is in doubt."""

from __future__ import annotations

from pathlib import Path

import click

from liangxin.cli._options import LedgerPlace

_LEDGER = click.argument("place", type=LedgerPlace(exists=True, dir_okay=False), metavar="FILE|URL")
_FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["human", "json"]),
    default="human",
    show_default=True,
    help="What goes to standard output.",
)
_STATES = (
    "planned",
    "sending",
    "accepted",
    "refused",
    "ambiguous",
    "succeeded",
    "failed",
    "downloaded",
    "resent",
    "abandoned",
)


@click.group()
def ledger() -> None:
    """
    Look into a ledger, and settle what is in doubt.

    A file belongs to one process at a time: these commands wait for no batch that is running.  A
    database, named by its postgresql:// address, may be looked into at any time.
    """


@ledger.command()
@click.argument("url", metavar="URL")
def migrate(url: str) -> None:
    """
    Make the tables of a shared ledger in the PostgreSQL database at URL.

    Again after an upgrade of liangxin, which may need more of them; otherwise it does nothing.
    """
    from liangxin.cli._ledger import migrate_ledger

    migrate_ledger(url)


@ledger.command()
@_LEDGER
@_FORMAT
def status(place: Path | str, form: str) -> None:
    """Count the creates by their states, and what they cost."""
    from liangxin.cli._ledger import show_status

    show_status(place, form)


@ledger.command()
@_LEDGER
@click.argument("key")
@_FORMAT
def show(place: Path | str, key: str, form: str) -> None:
    """Show all that is known of KEY, creates of the past included."""
    from liangxin.cli._ledger import show_key

    show_key(place, key, form)


@ledger.command()
@_LEDGER
@click.option(
    "--state",
    "states",
    type=click.Choice(_STATES),
    multiple=True,
    help="Only rows in this state; may be repeated.",
)
@click.option("--history", is_flag=True, help="Also rows that later ones replaced.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="JSON lines, or a table for spreadsheets.",
)
def export(place: Path | str, states: tuple[str, ...], history: bool, form: str) -> None:
    """Write the rows to standard output, in the order of planning."""
    from liangxin.cli._ledger import export_rows

    export_rows(place, states, history, form)


@ledger.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--to",
    "new",
    type=click.Path(path_type=Path),
    required=True,
    metavar="NEW",
    help="The ledger that is made; it may not exist yet.",
)
def recover(file: Path, new: Path) -> None:
    """
    Copy what can be read of a damaged ledger into a new one.

    The damaged file stays as it is.  Rows that are lost may have been paid: asking again for what
    they stood for may pay twice.
    """
    from liangxin.cli._ledger import recover_rows

    recover_rows(file, new)


@ledger.command()
@_LEDGER
@click.argument("key")
@click.argument("task_id")
def attach(place: Path | str, key: str, task_id: str) -> None:
    """
    Say that the ambiguous create of KEY became the task TASK_ID.

    The next run of the batch waits for it instead of paying again.
    """
    from liangxin.cli._ledger import settle

    settle(place, [key], lambda ledger, key: ledger.attach(key, task_id))


@ledger.command()
@_LEDGER
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--accept-double-payment", is_flag=True, help="Say that you know what this may cost.")
@click.pass_context
def resend(
    ctx: click.Context, place: Path | str, keys: tuple[str, ...], accept_double_payment: bool
) -> None:
    """
    Let the next run create KEY once more, although it may be paid already.

    For creates that are ambiguous, failed or abandoned.  Nothing is sent by this command.
    """
    if not accept_double_payment:
        raise click.UsageError(
            "what is sent again may be paid for twice: "
            "add --accept-double-payment if that is what you want",
            ctx,
        )
    from liangxin.cli._ledger import settle

    settle(place, keys, lambda ledger, key: ledger.resend(key, accept_double_payment=True))


@ledger.command()
@_LEDGER
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def abandon(place: Path | str, keys: tuple[str, ...]) -> None:
    """Say that nobody will look for the ambiguous create of KEY any more."""
    from liangxin.cli._ledger import settle

    settle(place, keys, lambda ledger, key: ledger.abandon(key))
