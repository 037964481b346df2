"""`python -m tests.crew`: stories until enough were killed; exit code 1 if anything was found."""

# ruff: noqa: T201  # a program that prints

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from tests.crash.service import service
from tests.crew.judge import FINDINGS
from tests.crew.story import Story, Verdict, told
from tests.databases import server


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up
    verdicts: list[Verdict] = []
    with service() as url:
        while (killed := sum(each.kills for each in verdicts)) < asked.kills:
            print(f"{killed} of {asked.kills}", file=sys.stderr, flush=True)
            verdicts.append(told(Story(seed=len(verdicts)), url))
            print(_without_findings(verdicts[-1]), verdicts[-1].findings, file=sys.stderr)
        run = summary(verdicts)
    if asked.json is not None:
        asked.json.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    if asked.table is not None:
        asked.table.write_text(render(run), encoding="utf-8")
    print(render(run))
    for failure in run["failures"]:
        print(failure, file=sys.stderr)
    return 1 if run["failures"] else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crew", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many, over all stories")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what came of it here")
    parser.add_argument("--table", type=Path, metavar="OUT", help="and for the documentation here")
    return parser.parse_args()


def summary(verdicts: list[Verdict]) -> dict[str, Any]:
    """What came of all stories, as JSON."""
    with psycopg.connect(server().get_uri()) as db:
        postgres = db.info.server_version // 10_000
    return {
        "made_with": {
            "python": platform.python_version(),
            "postgresql": postgres,
            "system": f"{platform.system()} {platform.machine()}",
        },
        "stories": [
            _without_findings(each) | {name: len(each.findings.get(name, ())) for name in FINDINGS}
            for each in verdicts
        ],
        "failures": [
            f"story {number}: {name}: {'; '.join(found)[:2000]}"
            for number, each in enumerate(verdicts)
            for name, found in each.findings.items()
        ],
    }


def _without_findings(verdict: Verdict) -> dict[str, int]:
    return {name: count for name, count in asdict(verdict).items() if name != "findings"}


ROWS = {
    "requests": "requests, each once in a file that four processes run",
    "kills": "processes killed (SIGKILL) and started again",
    "stalls": "processes stopped for longer than their lease, then continued",
    "restarts": "PostgreSQL killed (SIGQUIT) and started again",
    "cuts": "all connections to PostgreSQL cut",
    "charged": "charged by the service",
    "ambiguous": "in doubt in the end",
    "unanswered": "of these, the service had withheld the answer",
    "unpaid_doubts": "of these, never arrived at the service",
    "lost": "**lost**: charged, neither on record nor in doubt",
    "double": "**paid or sent twice**",
    "unrecorded": "sent, or looked at, unrecorded",
    "stolen": "taken from a process that was alive and well",
    "damaged": "results damaged",
    "unfinished": "not ended, or in doubt without a reason",
    "restless": "sent something when all was done",
}


def render(run: dict[str, Any]) -> str:
    """The table for the documentation: sums over all stories."""
    made = run["made_with"]
    lines = [
        f"Made with Python {made['python']}, PostgreSQL {made['postgresql']}, {made['system']}.",
        "",
        f"| over {len(run['stories'])} batches | |",
        "|---|---:|",
    ]
    for name, words in ROWS.items():
        lines.append(f"| {words} | {sum(each[name] for each in run['stories']):,} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
