"""`liangxin emulator`: the service on this machine, until Ctrl-C."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from liangxin.emulator import Fault

_GO_WITH = {"--record": {"--record-to"}, "--replay": {"--speed", "--seed"}}


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
    /,
    host: str,
    port: int,
    faults_file: Path | None,
    record: str | None,
    record_to: str,
    replay: str | None,
    **options: Any,
) -> None:
    """
    Serve the Market on this machine, without a key or a cost.

    It answers both endpoints for all models, keeps books of what it charged, and makes real
    pictures and clips.  Its page, at the address it prints, shows all of it.  Ctrl-C stops it.
    """
    from liangxin.emulator import Emulator, run, run_recorder, run_replay

    _check_together(ctx)
    if record is not None:
        ctx.exit(run_recorder(record, record_to, host, port))
    if replay is not None:
        settings = {name: options[name] for name in ("speed", "seed")}
        ctx.exit(run_replay(replay, host, port, **settings))
    options["api_keys"] = options["api_keys"] or None
    faults = _faults(faults_file)
    try:
        service = Emulator(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for fault in faults:
        service.add_fault(fault)
    ctx.exit(run(service, host, port))


def _check_together(ctx: click.Context) -> None:
    """Refuse what would be passed over in silence."""
    given = {
        param.opts[0]
        for param in ctx.command.params
        if ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE
    }
    if "--record-to" in given and "--record" not in given:
        raise click.UsageError("--record-to goes with --record")
    for mode, companions in _GO_WITH.items():
        strangers = given - companions - {mode, "--host", "--port"}
        if mode in given and strangers:
            raise click.UsageError(f"{min(strangers)} does not go with {mode}")


def _faults(path: Path | None) -> list[Fault]:
    from liangxin.emulator import BadRules, read_rules_file

    try:
        return [] if path is None else read_rules_file(path)
    except BadRules as error:
        raise click.UsageError(str(error)) from None
