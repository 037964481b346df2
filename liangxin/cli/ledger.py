"""`liangxin ledger`: look into a ledger, and settle by one's own word what is in doubt."""

from __future__ import annotations

from pathlib import Path

import click

_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
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

    A ledger belongs to one process at a time: these commands wait for no batch that is running.
    """


@ledger.command()
@_FILE
@_FORMAT
def status(file: Path, form: str) -> None:
    """Count the creates by their states, and what they cost."""
    from liangxin.cli._ledger import show_status

    show_status(file, form)


@ledger.command()
@_FILE
@click.argument("key")
@_FORMAT
def show(file: Path, key: str, form: str) -> None:
    """Show all that is known of KEY, creates of the past included."""
    from liangxin.cli._ledger import show_key

    show_key(file, key, form)


@ledger.command()
@_FILE
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
def export(file: Path, states: tuple[str, ...], history: bool, form: str) -> None:
    """Write the rows to standard output, in the order of planning."""
    from liangxin.cli._ledger import export_rows

    export_rows(file, states, history, form)


@ledger.command()
@_FILE
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
@_FILE
@click.argument("key")
@click.argument("task_id")
def attach(file: Path, key: str, task_id: str) -> None:
    """
    Say that the ambiguous create of KEY became the task TASK_ID.

    The next run of the batch waits for it instead of paying again.
    """
    from liangxin.cli._ledger import settle

    settle(file, [key], lambda ledger, key: ledger.attach(key, task_id))


@ledger.command()
@_FILE
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@click.option("--accept-double-payment", is_flag=True, help="Say that you know what this may cost.")
@click.pass_context
def resend(
    ctx: click.Context, file: Path, keys: tuple[str, ...], accept_double_payment: bool
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

    settle(file, keys, lambda ledger, key: ledger.resend(key, accept_double_payment=True))


@ledger.command()
@_FILE
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
def abandon(file: Path, keys: tuple[str, ...]) -> None:
    """Say that nobody will look for the ambiguous create of KEY any more."""
    from liangxin.cli._ledger import settle

    settle(file, keys, lambda ledger, key: ledger.abandon(key))
