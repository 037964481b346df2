"""
How long a batch takes on so many machines: computed from what was measured, nothing is sent.

    python -m tests.bench.scale

The tasks a second are the smallest of three: the quota, the cores' CPU for a task, and what the
network takes of results.  Writes docs/benchmarks/scale.json, of which docs/benchmarks/plots.py
makes a plot.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.bench.results import LATEST

FILE = LATEST.with_name("scale.json")
PROMPTS = (1_000_000, 100_000_000)
MACHINES = (1, 4, 16)
QUOTAS = [round(10 ** (n / 8), 4) for n in range(33)]
"""Creates a second that the service takes: 1 to 10,000."""
CORES = 2
RESULT_MB = 2.0
NETWORK_MB = 125.0
"""A second, of each machine: 1 Gbit/s."""
DURATION = 90.0
"""Seconds of one task."""


def tasks_a_second(quota: float, machines: int, cpu_ms: float) -> float:
    """What the tightest of the three limits lets through."""
    cpu = machines * CORES * 1000 / cpu_ms
    network = machines * NETWORK_MB / RESULT_MB
    return min(quota, cpu, network)


def main() -> int:
    """Compute, and write it down."""
    ends = json.loads(LATEST.read_text(encoding="utf-8"))["data"]["ends"]
    cpu_ms = ends["huge"]["clients"]["liangxin"]["cpu_ms"]
    data: dict[str, Any] = {
        "cpu_ms": cpu_ms,
        "cores": CORES,
        "result_mb": RESULT_MB,
        "network_mb": NETWORK_MB,
        "duration": DURATION,
        "quotas": QUOTAS,
        "hours": {
            str(prompts): {
                str(machines): [
                    (prompts / tasks_a_second(quota, machines, cpu_ms) + DURATION) / 3600
                    for quota in QUOTAS
                ]
                for machines in MACHINES
            }
            for prompts in PROMPTS
        },
    }
    FILE.write_text(json.dumps(data) + "\n", encoding="utf-8")
    for quota in (2, 62.5, 1000):
        print(quota, [tasks_a_second(quota, machines, cpu_ms) for machines in MACHINES])
    return 0


if __name__ == "__main__":
    sys.exit(main())
