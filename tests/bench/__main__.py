"""
`python -m tests.bench [--quick] [--out FILE] [MEASURE …]`: everything, or what is named.

A full run writes docs/benchmarks/latest.json; any other writes JSON only where `--out` says.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import liangxin
from tests.bench.children import ChildFailed
from tests.bench.ours import Absent
from tests.bench.peers import PEERS, installed, versions
from tests.bench.results import LATEST, Results, machine

MEASURES = {
    "startup": "import_ms, ready_ms, dependencies",
    "facade": "sync_overhead_us",
    "hooks": "hooks_vs_none, us_per_event",
    "schedule": "poll_cost_learned_50, _0 and _burst",
    "budget": "poll_budget_lag",
    "memory": "bytes_per_waiting_task, bytes_per_parked_wait, us_scheduling_per_look",
    "resume": "resume_vs_bare, resume_vs_bare_files, resume_peak_mib, ledger_kib_per_row",
    "shared": "ledger_creates, ledger_vs_bare",
    "singles": "us_per_create, us_per_look",
    "rates": "rps_1000_vs_…, cpu_flat",
    "ends": "e2e_…",
    "emulator": "emulator_…",
}


def _say(line: str) -> None:
    print(line, flush=True)


def _arguments() -> argparse.Namespace:
    names = "\n".join(f"  {name:<10} {about}" for name, about in MEASURES.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure liangxin beside its peers.",
        epilog=f"measures:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help="all, if none is named")
    parser.add_argument("--quick", action="store_true", help="a rough look, in two minutes")
    parser.add_argument("--out", type=Path, help="where to write the JSON")
    arguments = parser.parse_args()
    if unknown := set(arguments.measures) - set(MEASURES):
        parser.error(f"no such measure: {', '.join(sorted(unknown))}")
    return arguments


def _take(name: str, results: Results) -> None:
    measure: Callable[[Results], None] = import_module(f"tests.bench.{name}").measure
    start = time.perf_counter()
    _say(f"\n{name}: {MEASURES[name]}")
    try:
        measure(results)
    except (Absent, ChildFailed) as exc:  # the other measures can be taken all the same
        results.absent[name] = str(exc)
        _say(f"  not measured: {exc}")
    _say(f"  {time.perf_counter() - start:.0f} s")


def main() -> int:
    """Take the measures, say what came of them, and return how many targets were missed."""
    arguments = _arguments()
    results = Results(quick=arguments.quick, say=_say)
    _say(f"liangxin {liangxin.__version__}, {machine()}")
    _say(", ".join(f"{name} {number}" for name, number in versions().items()))
    for name, (package, _) in PEERS.items():
        if installed(package) is None:
            _say(f"{name} is left out: it is not installed")
    for name in arguments.measures or MEASURES:
        _take(name, results)
    _say(f"\n{results.table()}")
    out = arguments.out
    if out is None and not arguments.quick and not arguments.measures:
        out = LATEST
    if out is not None:
        results.write(out)
        _say(f"\nwritten to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
