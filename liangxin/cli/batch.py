"""`liangxin batch`: a file of requests, each paid once, in as many runs as it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import click

from liangxin.cli._options import FORMATS, LedgerPlace

ReadAs = Literal["jsonl", "csv", "tsv", "parquet"]


class Shard(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click alone
    """`i/n`: the i-th of n parts, counted from 0."""

    name = "i/n"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        index, _, count = str(value).partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            self.fail(f"{value!r} is not i/n with 0 <= i < n, such as 0/4", param, ctx)
        return int(index), int(count)


@click.command(short_help="Create a file of requests, each once, and save the results.")
@click.argument("file")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the results, results.jsonl, errors.jsonl and index.html to look at.",
)
@click.option(
    "--ledger",
    type=LedgerPlace(dir_okay=False),
    metavar="FILE|URL",
    help="What is paid is on record here: a file, or the postgresql:// address of a ledger that "
    "many machines share.  [default: ledger.db in --out]",
)
@click.option("--model", metavar="NAME", help="The model of requests that name none.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of requests that do not say; a prompt may hold {column}. May be repeated.",
)
@click.option("--read-as", type=click.Choice(get_args(ReadAs)), help="[default: by the ending]")
@click.option("--dry-run", is_flag=True, help="Check every request, count, and send nothing.")
@click.option("--max-in-flight", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--rate",
    metavar="N/TIME",
    help='Creates that may leave in a time, "20/10s": of all processes that share the ledger.',
)
@click.option("--timeout", type=click.FloatRange(0), help="Seconds to wait for each task.")
@click.option("--max-tasks", type=click.IntRange(0), help="Creates in this run, at the most.")
@click.option(
    "--max-ambiguous",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Lost answers after which nothing more is created.",
)
@click.option("--shard", type=Shard(), help="The i-th of n parts of the file, from 0.")
@click.option("--retry-failed", is_flag=True, help="Create failed tasks anew: they are paid again.")
@click.option("--skip-bad-lines", is_flag=True, help="Go on without the lines that are wrong.")
@click.option(
    "--callback-url",
    metavar="URL",
    help="Where the service reaches this machine, if it does: tasks call back there.",
)
@click.option(
    "--callback-host",
    default="127.0.0.1",
    show_default=True,
    help="Address on which callbacks are taken, behind a proxy.",
)
@click.option(
    "--callback-port",
    type=click.IntRange(1, 65535),
    default=8788,
    show_default=True,
    help="Port on which callbacks are taken.",
)
@click.option("--base-url", metavar="URL", help="[default: LIANGXIN_BASE_URL]")
@click.option(
    "--emulator",
    is_flag=True,
    help="Ask the embedded service instead: no key, no cost.  Give it a folder of its own.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="What goes to standard output; auto is human.",
)
@click.pass_context
def batch(ctx: click.Context, /, file: str, **options: object) -> None:
    """
    Create every request of FILE once, wait for all, and save what they made.

    FILE is JSON lines (id, model, input), CSV, TSV or Parquet; - is standard input.  All of it is
    checked before anything is created.  Run the same command again after a stop, a crash or a
    failed download: what was paid is not paid again.

    \b
    Exit codes: 0 all succeeded; 2 usage, or a bad line; 3 some failed, were refused,
    are in doubt or are left; 4 the key or the quota was refused; 130 interrupted.
    """
    from liangxin.cli._batch import perform

    ctx.exit(perform(file, **options))  # type: ignore[arg-type]  # click's own conversions
