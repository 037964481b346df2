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
@click.option(
    "--record",
    metavar="URL",
    help="Pass requests on to the real service at https://host, and record what it answers.",
)
@click.option(
    "--record-to",
    metavar="FILE",
    default="recording.jsonl",
    show_default=True,
    help="Where to record; a recording of the same service is continued.",
)
@click.option("--replay", metavar="FILE", help="Serve a recording again.")
@click.pass_context
def emulator(
    ctx: click.Context,
    host: str,
    port: int,
    seed: int,
    speed: float,
    keys: tuple[str, ...],
    record: str | None,
    record_to: str,
    replay: str | None,
) -> None:
    """
    Serve the Market on this machine, without a key or a cost.

    It answers both endpoints for all models, keeps books of what it charged, and makes real
    pictures and clips.  Ctrl-C stops it.
    """
    from liangxin.emulator import run
    from liangxin.emulator._programs import complaint, run_recorder, run_replay

    if wrong := complaint(_given(ctx)):
        raise click.UsageError(wrong)
    if record is not None:
        ctx.exit(run_recorder(host, port, record, record_to))
    if replay is not None:
        ctx.exit(run_replay(host, port, replay, speed=speed, seed=seed))
    ctx.exit(run(host, port, seed=seed, speed=speed, keys=keys))


def _given(ctx: click.Context) -> set[str]:
    """Return the options on the command line."""
    return {
        param.opts[0]
        for param in ctx.command.params
        if ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE
    }
