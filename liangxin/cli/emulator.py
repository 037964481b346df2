"""`liangxin emulator`: the service on this machine, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from liangxin.emulator import Fault


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Fixes durations and pictures."
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="How many times as fast as life; at 0, only `POST /_emulator/clock` moves time.",
)
@click.option(
    "--key",
    "api_keys",
    multiple=True,
    metavar="KEY",
    help="An API key that is accepted; may be repeated.  Any key is, unless one is given.",
)
@click.option(
    "--quota", type=click.IntRange(min=0), metavar="CREDITS", help="What each key may spend."
)
@click.option("--rate-limit", metavar="RATE", help="How often a key may create, such as 20/10s.")
@click.option("--look-limit", metavar="RATE", help="How often a key may look, such as 100/s.")
@click.option(
    "--retry-after/--no-retry-after",
    default=True,
    show_default=True,
    help="Whether a refusal for haste says when to come back.",
)
@click.option(
    "--result-ttl",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long results stay; for ever, unless given.",
)
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A TOML file of rules, each a table [[fault]].",
)
@click.pass_context
def emulator(
    ctx: click.Context, /, host: str, port: int, faults_file: Path | None, **options: Any
) -> None:
    """
    Serve the Market on this machine, without a key or a cost.

    It answers both endpoints for all models, keeps books of what it charged, and makes real
    pictures and clips.  Its page, at the address it prints, shows all of it.  Ctrl-C stops it.
    """
    from liangxin.emulator import Emulator, run

    options["api_keys"] = options["api_keys"] or None
    faults = _faults(faults_file)
    try:
        service = Emulator(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for fault in faults:
        service.add_fault(fault)
    ctx.exit(run(service, host, port))


def _faults(path: Path | None) -> list[Fault]:
    from liangxin.emulator import BadRules, read_rules_file

    try:
        return [] if path is None else read_rules_file(path)
    except BadRules as error:
        raise click.UsageError(str(error)) from None
