"""`liangxin sheet`: a folder of results as one page to look at."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--ledger",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The ledger of the batch.  [default: ledger.db in FOLDER, if it is there]",
)
def sheet(folder: Path, ledger: Path | None) -> None:
    """
    Write FOLDER/index.html, which shows all results in FOLDER.

    Pictures, clips and failures, with filters, for any browser, without a network.  `liangxin
    batch` writes the same page at the end of each run.
    """
    from liangxin import contact_sheet

    try:
        click.echo(contact_sheet(folder, ledger=ledger))
    except OSError as error:
        raise click.ClickException(
            f"the sheet of {folder} cannot be written: {error.strerror or error}"
        ) from error
