"""The work of `liangxin doctor`: all checks at once, then a line for each, in a fixed order."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.to_thread
import attrs

from liangxin._origin import proxy_for
from liangxin.cli._doctor import _answer, _here, _network
from liangxin.cli._doctor._findings import Finding, State
from liangxin.cli._exits import AUTH, OK, UNEXPECTED
from liangxin.cli._live import LiveLine
from liangxin.cli._service import say, service
from liangxin.cli._telling import as_json

if TYPE_CHECKING:
    from rich.table import Table

Check: TypeAlias = Callable[[], Awaitable[Finding | Sequence[Finding]]]

_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "fails": "red", "skipped": "dim"}


def perform(*, base_url: str | None, emulator: bool, ledger: Path | str | None, form: str) -> int:
    """Check everything, tell of it, and return the exit code."""
    line = LiveLine(is_quiet=form == "quiet")
    with service(base_url, emulator) as told, line.shown():
        line.tell("checking this machine, the network and the service")
        findings = anyio.run(examine, told["base_url"], told.get("api_key"), ledger)
    _tell(findings, form)
    failing = {each.check for each in findings if each.state == "fails"}
    return AUTH if "key" in failing else UNEXPECTED if failing else OK


async def examine(
    base_url: str | None, api_key: str | None, ledger: Path | str | None
) -> list[Finding]:
    """Run all checks; those that wait for others, at the same time."""
    origin, address = _here.address(base_url, emulated=api_key is not None)
    secret, key = _here.key(api_key)
    checks: list[Check] = []
    if origin is not None:
        proxy = proxy_for(origin)
        checks += [partial(each, origin, proxy) for each in _network.CHECKS]
    if origin is not None and secret is not None:
        checks += [partial(_answer.answer, origin, secret, key)]
    else:
        checks += [partial(_done, key)]
    checks += [partial(anyio.to_thread.run_sync, _here.ledger, ledger)]
    return [_here.versions(), _here.extras(), address, *await _together(checks)]


async def _done(finding: Finding) -> Finding:
    return finding


async def _together(checks: Sequence[Check]) -> Iterator[Finding]:
    """What the checks have found, in the order of the checks."""
    found: dict[int, Sequence[Finding]] = {}

    async def run(number: int, check: Check) -> None:
        said = await check()
        found[number] = [said] if isinstance(said, Finding) else said

    async with anyio.create_task_group() as group:
        for number, check in enumerate(checks):
            group.start_soon(run, number, check)
    return (finding for number in range(len(checks)) for finding in found[number])


# --- how it is told ------------------------------------------------------------------------------


def _tell(findings: Sequence[Finding], form: str) -> None:
    if form in ("json", "jsonl"):
        records = [attrs.asdict(each) for each in findings]
        lines = [as_json(records, indent=2)] if form == "json" else map(as_json, records)
        print("\n".join(lines))
    elif form != "quiet":
        _print_lines(findings)


def _print_lines(findings: Sequence[Finding]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(rich_lines(findings))
    else:
        for each in findings:
            mend = f" -- {each.mend}" if each.mend else ""
            print(f"{each.state:<8} {each.check:<9} {each.found}{mend}")
    counts = Counter(each.state for each in findings)
    wrong = [f"{state}: {counts[state]}" for state in ("fails", "warning") if counts[state]]
    say(", ".join(wrong) or "Nothing is wrong.")


def rich_lines(findings: Sequence[Finding]) -> Table:
    """The findings as a terminal shows them, and below each how to mend it."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for each in findings:
        told = Text(each.found)
        if each.mend:
            told.append(f"\n{each.mend}", style="dim" if each.state == "ok" else "bold")
        table.add_row(Text(each.state, style=_STYLES[each.state]), each.check, told)
    return table
