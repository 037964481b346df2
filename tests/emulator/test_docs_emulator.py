"""The page about the emulator: its file of rules, its table of faults, its options."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from liangxin.cli.emulator import emulator
from liangxin.emulator import read_rules
from liangxin.emulator._faults import APPLIES

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """Return the page's blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


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
