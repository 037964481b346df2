"""
Schemathesis against the emulator, by its own OpenAPI document: `nox -s schemathesis`.

First the Market's addresses, then the emulator's own, each on an emulator of its own: what the
second does (faults, moved clocks, resets) would be found again as failures of the first.
Arguments go to `schemathesis run`, so `--max-examples 5` makes it short.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from liangxin.emulator import Emulator

HERE = Path(__file__).parent
KEY = "sk-described"


def main(arguments: list[str]) -> int:
    """Run both, and return how many found something."""
    return sum(run(tag, arguments) != 0 for tag in ("Market", "Emulator"))


def run(tag: str, arguments: list[str]) -> int:
    """Run over the operations of one tag, and return the exit code."""
    emulator = Emulator(seed=1, api_keys={KEY}, speed=1000)
    with emulator.serve() as url, tempfile.TemporaryDirectory() as folder:
        command = [
            "schemathesis",
            f"--config-file={HERE / 'schemathesis.toml'}",
            "run",
            f"{url}/_emulator/openapi.json",
            f"--include-tag={tag}",
            *arguments,
        ]
        known = {"KEY": KEY, "TASK_ID": a_task(url), "SCHEMATHESIS_HOOKS": f"{__package__}.hooks"}
        path = os.pathsep.join(filter(None, (os.getcwd(), os.environ.get("PYTHONPATH"))))
        environment = os.environ | known | {"PYTHONPATH": path}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def a_task(url: str) -> str:
    """Create a task, for the requests that need one."""
    body = {"model": "z-image", "input": {"prompt": "a lighthouse"}}
    headers = {"Authorization": f"Bearer {KEY}"}
    reply = httpx.post(f"{url}/api/v1/jobs/createTask", json=body, headers=headers)
    task_id = reply.json()["data"]["taskId"]
    assert isinstance(task_id, str)
    return task_id


raise SystemExit(main(sys.argv[1:]))
