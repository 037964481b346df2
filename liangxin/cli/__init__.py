"""The command line: `liangxin`.  Nothing heavier than click is imported before a command runs."""

import sys


def main() -> None:
    """Run the command line; the entry point of the `liangxin` program."""
    try:
        from liangxin.cli._app import cli
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit('The command line needs an extra: pip install "liangxin[cli]"')
    cli.main(prog_name="liangxin")
