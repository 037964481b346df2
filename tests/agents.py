"""Agents of the tests: a client of the Model Context Protocol, and the server that it speaks to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client
from mcp_types import CallToolResult, TextContent

import liangxin
import liangxin.mcp
from liangxin.ledger import Store

PROMPT = {"prompt": "a lighthouse in fog"}
FOG: Mapping[str, Any] = {"model": "z-image", "input": PROMPT}


class Agent:
    """What a host does for its model: calls tools, and keeps what it was told meanwhile."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.news: list[tuple[float, str]] = []
        self.answers: list[CallToolResult] = []

    async def __call__(self, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool."""
        answer = await self.client.call_tool(tool, arguments, progress_callback=self._hear)
        self.answers.append(answer)
        return answer

    async def told(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that does what it is asked for; return what it says in values."""
        answer = await self(tool, **arguments)
        assert not answer.is_error, words(answer)
        return values(answer)

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool that does not; return what it says in values."""
        answer = await self(tool, **arguments)
        assert answer.is_error, words(answer)
        return values(answer)

    async def _hear(self, progress: float, total: float | None, message: str | None) -> None:
        self.news.append((progress, message or ""))

    def heard(self) -> str:
        """All that any answer or report has said."""
        said = [answer.model_dump_json() for answer in self.answers]
        return json.dumps(self.news) + "".join(said)


@asynccontextmanager
async def serving(
    client: liangxin.AsyncClient, ledger: Store, *, max_tasks: int = 20, **bounds: Any
) -> AsyncIterator[Agent]:
    """An agent, and in the same process the server of its tools."""
    async with client:
        tools = liangxin.mcp.server(client, ledger, max_tasks=max_tasks, **bounds)
        async with Client(tools, mode="legacy") as connected:
            yield Agent(connected)


def words(answer: CallToolResult) -> str:
    """The text of an answer."""
    return "\n".join(each.text for each in answer.content if isinstance(each, TextContent))


def values(answer: CallToolResult) -> dict[str, Any]:
    """What an answer says in values."""
    assert isinstance(answer.structured_content, dict)
    return answer.structured_content
