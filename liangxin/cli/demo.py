"""`liangxin demo`: twelve models at once, on a service of its own."""

from __future__ import annotations

from pathlib import Path

import click

from liangxin.cli._app import Interrupted


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("liangxin-demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for the pictures, the clip and index.html.",
)
@click.option("--open", "opens", is_flag=True, help="Open index.html in a browser.")
@click.option(
    "--seed", type=int, default=0, show_default=True, help="The same seed, the same pictures."
)
def demo(out: Path, opens: bool, seed: int) -> None:
    """
    Put twelve models to work for ten seconds, at no cost.

    Starts an emulator of the Market, creates one task for each model, waits for all of them at
    once, downloads what they made, and compares what was created with what the books say was
    charged.  A later run replaces the files of an earlier one and no others.
    """
    from liangxin.cli._demo import perform

    try:
        perform(out, seed=seed, opens=opens)
    except KeyboardInterrupt:
        raise Interrupted(
            f"the emulator and its tasks are gone; {out} is as it was before."
        ) from None
