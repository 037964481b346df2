"""The Python of the page about the emulator: every block runs, in order, where blocks can await."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from liangxin.cli.emulator import emulator
from liangxin.emulator import read_rules
from liangxin.emulator._faults import APPLIES

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.anyio
async def test_the_python_blocks_run_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    for number, block in enumerate(blocks("python"), 1):
        code = compile(block, f"block {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        done = eval(code, known)
        if inspect.isawaitable(done):
            await done
    assert {"kept", "replay", "GUESSED_SLUGS"} <= set(known)


def test_the_toml_is_a_file_of_rules() -> None:
    (rules,) = map(tomllib.loads, blocks("toml"))
    assert len(read_rules(rules)) == 2


def test_every_action_is_in_the_table() -> None:
    named = set(
        re.findall("`([a-z_]+)`", PAGE[PAGE.index("| `action` |") : PAGE.index("As a file")])
    )
    assert set(APPLIES) <= named


def test_every_option_that_the_page_names_is_there() -> None:
    there = {option for param in emulator.params for option in (*param.opts, *param.secondary_opts)}
    lines = [line for line in PAGE.splitlines() if "liangxin emulator" in line or "`--" in line]
    named = {option for line in lines for option in re.findall(r"(?<![\w-])--[a-z-]+", line)}
    assert named
    assert named <= there
