"""
The root of the command line: which commands there are, and how an error leaves the program.

A command lives in the module of its name and is imported when it is asked for.  These modules
import click and nothing else that is slow; what a command needs, it imports when it runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import IO, Any

import click

from liangxin._errors import LiangxinError
from liangxin._version import __version__
from liangxin.cli._exits import INTERRUPTED, code_of

_COMMANDS = (
    "batch",
    "callbacks",
    "completion",
    "create",
    "demo",
    "doctor",
    "download",
    "emulator",
    "get",
    "ledger",
    "mcp",
    "models",
    "run",
    "sheet",
    "skill",
    "wait",
)

_EXTRA_OF = {
    "rich": "cli",
    "PIL": "demo",
    "jsonschema": "mcp",
    "mcp": "mcp",
    "mcp_types": "mcp",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
    "pyarrow": "parquet",
    "starlette": "demo",
    "uvicorn": "demo",
}
"""Which extra brings a package that may be missing."""


class Interrupted(click.ClickException):
    """Ctrl-C, with a sentence about what it leaves behind."""

    exit_code = INTERRUPTED

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"\nStopped: {self.format_message()}", file=file, err=file is None)


class _Cli(click.Group):
    """Imports commands late, and turns the errors that have a name into one sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"liangxin.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("nothing more was done.") from None
        except LiangxinError as error:
            if ctx.params["debug"]:
                raise
            click.echo(f"Error: {error}", err=True)
            ctx.exit(code_of(error))
        except ImportError as error:
            extra = _missing_extra(error)
            if extra is None or ctx.params["debug"]:
                raise
            raise click.ClickException(
                f'This command needs an extra: pip install "liangxin[{extra}]"'
            ) from error


def _missing_extra(error: ImportError) -> str | None:
    missing = error.name or getattr(error.__cause__, "name", None) or ""
    return _EXTRA_OF.get(missing.partition(".")[0])


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="liangxin %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Pictures and clips from the LiangXin Market."""
