"""`python -m tests.crash`: the campaign, or a share of it; exit code 1 if anything was found."""

# ruff: noqa: T201  # a program that prints

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path

from tests.crash.campaign import (
    CLIENTS,
    LANES,
    campaign,
    error_points,
    kill_points,
    share,
    summary,
)
from tests.crash.lane import Kills
from tests.crash.table import render
from tests.crash.tracer import why_not


def main() -> int:
    """Run what the command line asks for."""
    asked = _asked()
    if (reason := why_not()) is not None:
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and clean up
    clients = CLIENTS if asked.client == "both" else (asked.client,)
    with campaign(_progress, asked.lanes) as lanes:
        calls = lanes.calls(clients)
        groups = [kill_points(calls), error_points(calls)]
        wanted = [asked.points, asked.points // 4 if asked.errors is None else asked.errors]
        struck = []
        for each, count in zip(groups, wanted, strict=True):
            points = [p for group in each for p in group] if asked.all else share(each, count)
            struck += lanes.crash(points)
        killed = lanes.kill([Kills(clients[n % len(clients)], n) for n in range(asked.kills)])
    run = summary(struck, killed)
    if asked.json is not None:
        asked.json.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    print(render(run))
    for failure in run["failures"]:
        print(failure, file=sys.stderr)
    return 1 if run["failures"] else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--points", type=int, default=150, help="kills at system calls")
    parser.add_argument("--errors", type=int, help="errors of the disk (a quarter of the points)")
    parser.add_argument("--all", action="store_true", help="every call, every error")
    parser.add_argument("--kills", type=int, default=50, help="batches killed at random moments")
    parser.add_argument("--client", choices=[*CLIENTS, "both"], default="both")
    parser.add_argument("--lanes", type=int, default=LANES, help="batches at the same time")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write what came of it here")
    return parser.parse_args()


def _progress(done: int, total: int) -> None:
    if done % max(1, total // 20) == 0 or done == total:
        print(f"{done} of {total}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
