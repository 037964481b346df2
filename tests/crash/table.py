"""
The tables of a campaign for the documentation, from its JSON.

    python -m tests.crash.table docs/crash.json docs/_crash_table.inc
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

Row = dict[str, Any]

COUNTS = {
    "batches": "batches",
    "struck": "struck",
    "lost": "lost",
    "double": "paid or sent twice",
    "unrecorded": "sent unrecorded",
    "damaged": "damaged",
    "unfinished": "not ended",
    "restless": "sent when done",
    "silent": "not told",
    "ambiguous": "in doubt",
    "unpaid_doubts": "of these never arrived",
}
MOST = {"most_resumes": "more runs, at most"}

_WORDS = (
    "`ledger` is the database with its log and journal, `lock` the file beside it, `result` a "
    "result under any name, `lines` is `results.jsonl` or `errors.jsonl`, `folder` what holds "
    "them all, `service` a socket."
)


def render(run: Row) -> str:
    """Tables of a campaign: kills at every call, errors of the disk, kills at random moments."""
    made = run["made_with"]
    kills = [each for each in run["points"] if each["error"] == "SIGKILL"]
    errors = [each for each in run["points"] if each["error"] != "SIGKILL"]
    made_with = f"Made with Python {made['python']}, SQLite {made['sqlite']}, {made['system']}."
    parts = [
        f"{made_with} {_WORDS}",
        "SIGKILL before the n-th call of a kind, for each n (batches of 6 requests):",
        _table(kills, "call"),
        "An error of the disk in the place of the n-th call (batches of 6 requests):",
        _table(errors, "call", "error"),
        "SIGKILL at random moments, up to five times a batch (50 requests in flight):",
        _table(run["random_kills"], "client"),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[Row], *names: str) -> str:
    """Rows that differ in nothing but the client are one, but for the sums at the end."""
    merged = _merged(rows, names)
    if "client" not in names:
        merged += _merged([row | {names[0]: f"all, {row['client']}"} for row in rows], names[:1])
    merged += _merged([row | {names[0]: "**all**"} for row in rows], names[:1])
    heads = [*names, *COUNTS.values(), *MOST.values()]
    lines = [" | ".join(heads), "|".join(["---"] * len(names) + ["---:"] * (len(COUNTS) + 1))]
    lines += [
        " | ".join(_cell(row.get(name, "")) for name in (*names, *COUNTS, *MOST)) for row in merged
    ]
    return "\n".join(f"| {line} |" for line in lines)


def _merged(rows: list[Row], names: tuple[str, ...]) -> list[Row]:
    groups = defaultdict[tuple[str, ...], list[Row]](list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return [dict(zip(names, key, strict=True)) | _sum(groups[key]) for key in sorted(groups)]


def _sum(rows: list[Row]) -> Row:
    counted = {name: sum(row[name] for row in rows) for name in COUNTS}
    return counted | {name: max(row[name] for row in rows) for name in MOST}


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def main() -> None:
    """Write the tables of one file into another."""
    source, target = map(Path, sys.argv[1:])
    target.write_text(render(json.loads(source.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
