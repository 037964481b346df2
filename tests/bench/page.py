"""
Writes the tables of docs/performance.md, between their markers, from latest.json; and that of
docs/emulator.md from emulator.json, which `python -m tests.bench emulator --out FILE` writes.

    python -m tests.bench.page
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.bench.results import LATEST

PAGE = Path("docs/performance.md")
EMULATOR = Path("docs/emulator.md")


def main() -> None:
    """Replace what stands between each pair of markers."""
    run = json.loads(LATEST.read_text(encoding="utf-8"))
    splice(PAGE, {"targets": _targets(run), "run": _run(run), "ends": _ends(run)})
    run = json.loads(LATEST.with_name("emulator.json").read_text(encoding="utf-8"))
    splice(EMULATOR, {"figures": f"{_targets(run)}\n\n{_run(run)}"})


def splice(page: Path, tables: dict[str, str]) -> None:
    """Put each table between its markers."""
    text = page.read_text(encoding="utf-8")
    for name, table in tables.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text, found = marked.subn(lambda match, table=table: f"{match[1]}{table}\n{match[2]}", text)  # type: ignore[misc]
        assert found == 1, f"{page} has no place for {name}"
    page.write_text(text, encoding="utf-8")


def _targets(run: dict[str, Any]) -> str:
    rows = ["| name | value | target | | what |", "|---|---:|---:|---|---|"]
    for name, each in run["results"].items():
        said = "met" if each["met"] else "**missed**"
        value, target, about = _figure(each["value"]), each["target"], each["about"]
        rows.append(f"| `{name}` | {value} | {target} | {said} | {about} |")
    rows += [f"| `{name}` | – | | not measured | {why} |" for name, why in run["absent"].items()]
    return "\n".join(rows)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _run(run: dict[str, Any]) -> str:
    machine = run["machine"]
    found = {name: each for name, each in run["versions"].items() if each != "not installed"}
    named = ", ".join(f"{name} {number}" for name, number in found.items())
    computer = f"{machine['cores']} cores ({machine['cpu']}), {machine['system']}"
    lines = [f"{run['date']}, {computer}, {machine['python']}. {named}."]
    if run["quick"]:
        lines.insert(0, "**A rough run**, on a busy machine and with fewer tasks: not the figures.")
    if "server" in run["data"]:
        server = run["data"]["server"]
        lines.append(
            f"The server answered {server['per_second']:,.0f} requests a second at "
            f"{100 * server['server_busy']:.0f} % of its core, and could answer about "
            f"{server['limit']:,.0f}: it is not what limits anybody here."
        )
    return "\n\n".join(lines)


def _ends(run: dict[str, Any]) -> str:
    ends = run["data"].get("ends", {})
    groups = [ends[size] for size in ("small", "large", "huge") if size in ends]
    head = "| client | tasks | CPU ms a task | looks a task | mean lag s | p95 | found | errors |"
    rows = [head, "|---|---:|---:|---:|---:|---:|---:|---|"]
    for group in groups:
        for name, each in group["clients"].items():
            rows.append(_row(name, group["count"], each))
    for name, each in ends.get("matched", {}).items():
        count = ends["large"]["count"]
        rows.append(_row(f"liangxin, as often as {name}", count, each))
    if "second run" in ends:
        rows.append(_row("liangxin, a second run", ends["large"]["count"], ends["second run"]))
    return "\n".join(rows)


def _row(name: str, count: int, each: dict[str, Any]) -> str:
    books = each["books"]
    errors = ", ".join(f"{number} {kind}" for kind, number in each["errors"].items())
    return (
        f"| {name} | {count:,} | {each['cpu_ms']:.1f} | {books['looks_per_task']:.1f} "
        f"| {books['lag_mean']:.2f} | {books['lag_p95']:.2f} | {books['found']:,} | {errors} |"
    )


if __name__ == "__main__":
    main()
