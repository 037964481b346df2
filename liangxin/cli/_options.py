"""Options that several commands have, with the same words and the same meaning in each."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

FORMATS = ("auto", "human", "json", "jsonl", "quiet")

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """A time: `90`, `90s`, `1.5m`, `2h`."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smh]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no time, such as 90s, 10m or 2h", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class LedgerPlace(click.Path):
    """Where a ledger is: a file, or a database that is shared."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path | str:
        from liangxin.ledger import is_address

        if is_address(value):
            return value
        return Path(os.fsdecode(super().convert(value, param, ctx)))


def format_option(auto: str) -> click.Option:
    """`--format`; `auto` says what that is for this command."""
    return click.Option(
        ["--format", "form"],
        type=click.Choice(FORMATS),
        default="auto",
        show_default=True,
        help=f"What goes to standard output; auto is {auto}.",
    )


BASE_URL = click.Option(["--base-url"], metavar="URL", help="[default: LIANGXIN_BASE_URL]")
EMULATOR = click.Option(
    ["--emulator"],
    is_flag=True,
    help="Ask the embedded service instead, for this command: no key, no cost.",
)
TIMEOUT = click.Option(
    ["--timeout"],
    type=Seconds(),
    help="How long to wait, such as 90s or 10m; the task goes on all the same.",
)
POLL_INTERVAL = click.Option(
    ["--poll-interval"],
    type=Seconds(),
    help="A fixed pause between two looks.  [default: as long as the model's tasks suggest]",
)
OUT = click.Option(
    ["--out"],
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="FILE|DIR",
    help="Where results go; a name that ends as a picture's or a clip's is a file.  "
    "[default: this folder]",
)
SHOW = click.Option(
    ["--show", "shows"], is_flag=True, help="Draw the pictures in the terminal (extra show)."
)
TASK_IDS = click.Argument(["task_ids"], nargs=-1, required=True, metavar="TASK_ID...")
