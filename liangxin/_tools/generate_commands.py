"""
Writes `docs/commands.md` from the command tree, or checks that it is up to date.

    python -m liangxin._tools.generate_commands [--check]

What a command is for, and how it is used with others, is told by a person in `command-line.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from liangxin.cli._tree import reference

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"

HEAD = """\
<!-- Generated from liangxin/cli. Do not edit; run: nox -s generate -->

# Every command

What `--help` says, on one page. [The command line](command-line.md) tells how they go together; the
fields of each model, which are options of `run` and `create`, are on [its page](models/index.md).
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *reference(2)]).rstrip() + "\n"


def main(arguments: list[str], path: Path = PAGE) -> int:
    """Write the page, or compare; the exit code says whether it is up to date."""
    if arguments not in ([], ["--check"]):
        raise SystemExit("usage: python -m liangxin._tools.generate_commands [--check]")
    wanted = page()
    if path.exists() and path.read_text(encoding="utf-8") == wanted:
        return 0
    if arguments:
        print(f"{path} is stale; run: nox -s generate")
        return 1
    path.write_text(wanted, encoding="utf-8")
    print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
