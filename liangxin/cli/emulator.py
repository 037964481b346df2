"""`liangxin emulator`: the service on this machine, until Ctrl-C."""

from __future__ import annotations

import click


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
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="How many times as fast as life.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="An API key that is accepted; may be repeated.  Any key is, unless one is given.",
)
@click.pass_context
def emulator(
    ctx: click.Context, host: str, port: int, seed: int, speed: float, keys: tuple[str, ...]
) -> None:
    """
    Serve the Market on this machine, without a key or a cost.

    It answers both endpoints for all models, keeps books of what it charged, and makes real
    pictures and clips.  Ctrl-C stops it.
    """
    from liangxin.emulator import run

    ctx.exit(run(host, port, seed=seed, speed=speed, keys=keys))
