"""The page about tools for agents: all of them are on it, and its transcript is what happens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import anyio
import pytest

import liangxin
from liangxin.cli.mcp import mcp
from liangxin.emulator import Emulator, virtual_time
from liangxin.mcp._tools import TOOLS
from tests.agents import Agent, serving, words
from tests.test_mcp import QuickLedger

PAGE = (Path(__file__).parents[1] / "docs" / "mcp.md").read_text(encoding="utf-8")


def asked(prompt: str, key: str) -> dict[str, Any]:
    """The arguments for a picture."""
    return {"model": "z-image", "input": {"prompt": prompt}, "key": key}


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("run_task", asked("a lighthouse in fog", "fog")),
    ("run_task", asked("a lighthouse in fog", "fog")),
    ("create_task", {**asked("", "sun"), "input": {"promt": "a lighthouse in the sun"}}),
    ("run_task", {**asked("a lighthouse in the sun", "sun"), "timeout": 5}),
    ("create_task", asked("a lighthouse in snow", "snow")),
    ("list_tasks", {}),
]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_every_tool_and_what_it_takes_is_on_the_page(tool: Any) -> None:
    assert f"\n| `{tool.name}` |" in PAGE


@pytest.mark.parametrize("option", [option.opts[0] for option in mcp.params])
def test_every_option_is_on_the_page(option: str) -> None:
    assert re.search(rf"^\| .*`{option}\b", PAGE, re.M)


@pytest.mark.parametrize("block", re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S))
def test_what_is_to_be_copied_starts_the_command(block: str) -> None:
    [told] = json.loads(block)["mcpServers"].values()
    assert told["command"] == "liangxin"
    assert mcp.make_context("mcp", told["args"][1:]).params["max_tasks"] == 20


@pytest.mark.virtual_time
@pytest.mark.parametrize("anyio_backend", [virtual_time()], ids=["asyncio"])
async def test_the_transcript_is_what_happens(
    tmp_path: Path, client_of: Callable[..., liangxin.AsyncClient], anyio_backend: object
) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, wall=lambda: 1_777_777_777.0)
    with QuickLedger(tmp_path / "agent.db") as ledger:
        client = client_of(transport=emulator.transport(), ledger=ledger, poll_interval=2)
        async with serving(client, ledger, max_tasks=2) as agent:
            told = "\n\n".join([await said(agent, *call) for call in CALLS])
    found = re.search(r"<!-- transcript -->\n```text\n(.*?)\n```\n", PAGE, re.S)
    assert found is not None
    assert steady(found[1]) == steady(told), f"the page should say:\n{told}"


def steady(told: str) -> str:
    """Without what depends on the moments of the looks, which are never quite the same."""
    names = [*dict.fromkeys(re.findall(r"task_z-image_\d+", told))]
    for number, name in enumerate(names):
        told = told.replace(name, f"task {number}")
    return re.sub(r"\(\d+ s\)", "(some time)", told)


async def said(agent: Agent, tool: str, arguments: dict[str, Any]) -> str:
    """One call, and all that was said of it."""
    agent.news.clear()
    answer = words(await agent(tool, **arguments))
    meanwhile = [f"  … {text}" for _, text in agent.news]
    return "\n".join([f"{tool} {json.dumps(arguments)}", *meanwhile, indent(answer, "  ")])
