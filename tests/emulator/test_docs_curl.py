"""
The curl lines of the docs, run as they stand: by bash, against an emulator on a free port.

Every console block of the page that has a curl line is run as one script, top to bottom, so that a
variable set in one line is there in the next.  A line fails if the service refuses it, or if what
it prints is no JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from liangxin.emulator import Emulator

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"
ADDRESS = "http://127.0.0.1:8787"


def blocks() -> list[str]:
    """Return the console blocks with curl lines."""
    found = re.findall(r"^```console\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    return [block for block in found if re.search(r"^\s*curl\b", block, re.M)]


# Stands before the command in every script: a refusal ends it, and what each one prints is kept.
PROLOGUE = """
set -euo pipefail
curl() {
    local printed; printed=$(mktemp "$PRINTED/XXXXXX")
    command curl --fail --max-time 30 "$@" | tee "$printed"
    case " $* " in *" -o "*|*" --output "*) rm "$printed";; esac
}
"""


@pytest.fixture(autouse=True)
def _tools() -> None:
    for tool in ("bash", "curl"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")


@pytest.fixture
def address() -> Iterator[str]:
    """Where an emulator is that nobody has used yet."""
    with Emulator().serve() as url:
        yield url


def run(block: str, address: str, folder: Path) -> list[object]:
    """Run a console block; returns what its curl lines printed, in no order."""
    printed = folder / "printed"
    printed.mkdir()
    script = PROLOGUE + block.replace(ADDRESS, address)
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PRINTED": str(printed)},
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return [json.loads(file.read_text("utf-8")) for file in printed.iterdir()]


def test_the_page_has_curl_lines_for_the_address_that_is_tested() -> None:
    assert blocks()
    assert all(ADDRESS in block for block in blocks())


@pytest.mark.parametrize("block", blocks())
def test_the_curl_lines_work_and_print_json(block: str, address: str, tmp_path: Path) -> None:
    assert run(block, address, tmp_path)


def test_a_line_that_is_refused_would_be_noticed(address: str, tmp_path: Path) -> None:
    block = f"curl -s {ADDRESS}/nowhere\ncurl -s {ADDRESS}/_emulator/ledger\n"
    with pytest.raises(AssertionError, match="nowhere"):
        run(block, address, tmp_path)


def test_a_line_that_prints_no_json_would_be_noticed(address: str, tmp_path: Path) -> None:
    with pytest.raises(json.JSONDecodeError):
        run(f"curl -s {ADDRESS}/_emulator/ledger\ncurl -s {ADDRESS}/\n", address, tmp_path)


def test_a_variable_of_one_line_is_there_in_the_next(address: str, tmp_path: Path) -> None:
    block = f"""
books=$(curl -s {ADDRESS}/_emulator/ledger)
curl -s {ADDRESS}/_emulator/ledger -o books.json
echo "$books" > books.txt
"""
    assert len(run(block, address, tmp_path)) == 1
    assert json.loads((tmp_path / "books.txt").read_text())["charges"] == []
    assert json.loads((tmp_path / "books.json").read_text())["charges"] == []
