"""
The targets, and how what was measured is told: a table, lines `ratio NAME VALUE`, and JSON.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import liangxin
from tests.bench.peers import versions

LATEST = Path("docs/benchmarks/latest.json")


@dataclass(frozen=True)
class Target:
    """What a figure should be: at least, or at most."""

    sense: Literal["≥", "≤"]
    bound: float
    unit: str
    about: str

    def met(self, value: float) -> bool:
        """Whether a value is on the right side, as it is printed."""
        return value >= self.bound if self.sense == "≥" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g} {self.unit}".strip()


TARGETS: dict[str, Target] = {
    "rps_1000_vs_httpx": Target("≥", 20, "×", "looks a second, 1,000 tasks waiting, over httpx"),
    "rps_1000_vs_httpx2": Target("≥", 1.3, "×", "the same over httpx2"),
    "rps_1000_vs_aiohttp": Target("≥", 0.3, "×", "the same over bare aiohttp"),
    "cpu_flat": Target("≤", 1.25, "×", "CPU per look with 10,000 tasks in flight over 10"),
    "e2e_cpu_per_task": Target("≤", 0.25, "×", "CPU per task of 1,000 at once over the best peer"),
    "e2e_found": Target("≥", 1, "", "share of these tasks found, 0 if there was an error"),
    "e2e_lag": Target("≤", 1, "×", "mean lag at a peer's number of looks over the peer's, worst"),
    "e2e_lag_p95": Target("≤", 1, "×", "the same for the 95th percentile"),
    "e2e_10000": Target("≤", 1.3, "×", "CPU per task of 10,000 at once over that of 1,000"),
    "e2e_10000_lag": Target("≤", 1.3, "×", "their mean lag over that of 1,000"),
    "e2e_10000_found": Target("≥", 1, "", "share of them found, 0 if there was an error"),
    "poll_cost_learned_50": Target("≤", 1.05, "×", "cost over the optimum after 50 completions"),
    "poll_cost_learned_0": Target("≤", 1.25, "×", "the same after none"),
    "poll_cost_learned_burst": Target("≤", 1.12, "×", "the same for 200 at once, from nothing"),
    "poll_budget_lag": Target("≤", 0.95, "×", "mean lag under a binding budget over round robin"),
    "poll_budget_lag_p95": Target("≤", 1.1, "×", "the same for the 95th percentile"),
    "poll_budget_lag_at_once": Target("≤", 1.1, "×", "the mean for 500 at once; 1 is the best"),
    "resume_vs_bare": Target("≤", 8, "×", "a finished batch again, CPU over read and look up"),
    "resume_vs_bare_files": Target("≤", 10, "×", "the same where the results are on disk"),
    "resume_peak_mib": Target("≤", 200, "MiB", "the most memory while 100,000 are told again"),
    "ledger_kib_per_row": Target("≤", 2, "KiB", "of the ledger's file"),
    "ledger_creates": Target("≥", 2000, "/s", "recorded in PostgreSQL by four processes"),
    "ledger_vs_bare": Target("≥", 0.5, "×", "that over bare inserts and updates"),
    "us_per_create": Target("≤", 0.6, "×", "CPU per create, one connection, over the best peer"),
    "us_per_look": Target("≤", 0.6, "×", "the same for a look"),
    "bytes_per_waiting_task_asyncio": Target("≤", 0.6, "KiB", "beside the Task, in run_many"),
    "bytes_per_waiting_task_trio": Target("≤", 0.6, "KiB", "the same on trio"),
    "bytes_per_parked_wait": Target("≤", 5, "KiB", "a parked wait(), on asyncio"),
    "us_scheduling_per_look": Target("≤", 25, "µs", "with 100,000 tasks in flight"),
    "sync_overhead_us": Target("≤", 120, "µs", "a blocking call over the async one"),
    "hooks_vs_none": Target("≤", 1.15, "×", "CPU of a create and a look with a hook over without"),
    "us_per_event": Target("≤", 25, "µs", "to make an event and call a hook that does nothing"),
    "import_ms": Target("≤", 45, "ms", "import liangxin over an empty process"),
    "ready_ms": Target("≤", 110, "ms", "from nothing to a client ready to send"),
    "emulator_inside_rps": Target("≥", 3000, "/s", "requests to the emulator in process, one core"),
    "emulator_server_rps": Target("≥", 1500, "/s", "the same over a socket, its server's core"),
    "emulator_vs_bare": Target("≥", 0.5, "×", "that over a bare starlette application's"),
    "emulator_mib_100k": Target(
        "≤", 300, "MiB", "its whole process with 100,000 tasks in the books"
    ),
    "emulator_start_s": Target("≤", 0.7, "s", "from nothing to its greeting"),
    "dependencies": Target("≤", 10, "", "packages installed with the core"),
}


@dataclass
class Results:
    """What one run has measured so far."""

    quick: bool
    say: Callable[[str], None]
    values: dict[str, float] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    """What the plots and a curious reader need, by measure."""
    absent: dict[str, str] = field(default_factory=dict)
    """Measures that could not be taken, and why."""

    def add(self, name: str, value: float) -> None:
        """Take in one figure, and print its line."""
        self.values[name] = value
        self.say(f"ratio {name} {value:.4g}")

    def table(self) -> str:
        """All figures beside their targets, for a terminal."""
        lines = [f"{'name':<32}{'value':>10}  {'target':<12}{'':<8}what"]
        for name, target in TARGETS.items():
            if name in self.values:
                value = self.values[name]
                said = "met" if target.met(value) else "MISSED"
                lines.append(f"{name:<32}{value:>10.4g}  {target!s:<12}{said:<8}{target.about}")
        lines += [f"{name:<32}{'-':>10}  {why}" for name, why in self.absent.items()]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything, with what is needed to judge it."""
        return {
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "quick": self.quick,
            "machine": machine(),
            "versions": {"liangxin": liangxin.__version__, **versions()},
            "results": {
                name: {
                    "value": value,
                    "target": str(TARGETS[name]),
                    "met": TARGETS[name].met(value),
                    "about": TARGETS[name].about,
                }
                for name, value in self.values.items()
            },
            "absent": self.absent,
            "data": self.data,
        }

    def write(self, path: Path) -> None:
        """Write the JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False)
        path.write_text(text + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What it was measured on, without a name."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
