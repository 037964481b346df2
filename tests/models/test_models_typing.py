"""The typing samples: what users write passes, and every mistake in the list is found."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "tests" / "typing" / "good_models.py"
BAD = ROOT / "tests" / "typing" / "bad_models.py"


def test_mypy_accepts_the_good_sample_and_finds_every_mistake_in_the_bad_one() -> None:
    pytest.importorskip("mypy", reason="mypy is not installed: run nox -s types")
    command = [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores"]
    checked = subprocess.run(
        [*command, GOOD, BAD], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_good_sample_runs() -> None:
    assert len(runpy.run_path(str(GOOD))["made"]) == 29
