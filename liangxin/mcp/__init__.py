"""
A server of the Model Context Protocol: pictures and clips for an agent, within bounds of yours::

    with liangxin.Ledger("agent.db") as ledger:
        async with liangxin.AsyncClient(ledger=ledger) as client:
            tools = liangxin.mcp.server(client, ledger, max_tasks=5)
            async with mcp.server.stdio.stdio_server() as (read, write):
                await tools.run(read, write, tools.create_initialization_options())

`liangxin mcp` does this.  An agent is no user: it spends at most what it was given, reads files of
one folder and writes to one folder, if it was given any, and never learns the key.  Needs
`pip install "liangxin[mcp]"`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from liangxin._client import AsyncClient
from liangxin._errors import InputError, LiangxinError
from liangxin._text import quoted
from liangxin._version import __version__
from liangxin.ledger import Store

try:
    from mcp.server.lowlevel import Server
    from mcp_types import (
        CallToolRequestParams,
        CallToolResult,
        ListToolsResult,
        PaginatedRequestParams,
    )
except ImportError as error:  # also of a version before 2
    raise ImportError(
        'The server for agents needs an extra: pip install "liangxin[mcp]"'
    ) from error

from liangxin.mcp._calls import Call, Terms
from liangxin.mcp._news import News
from liangxin.mcp._spending import Spending, SpendingCapReached
from liangxin.mcp._telling import told_error
from liangxin.mcp._tools import INSTRUCTIONS, PAYING, TOOLS, checked

__all__ = ["SpendingCapReached", "server"]


def server(
    client: AsyncClient,
    ledger: Store,
    *,
    max_tasks: int,
    out: str | os.PathLike[str] | None = None,
    pictures: str | os.PathLike[str] | None = None,
) -> Server[Any]:
    """
    Return a server whose tools work through `client`.

    `client` is open while the server runs, and `ledger` is the one that it was made with: a key
    that an agent repeats is paid once.  At most `max_tasks` tasks are created in the life of the
    server; what provably cost nothing does not count.  `out` is the folder to which results may be
    saved: without it there is no tool for that.  `pictures` is the folder from which pictures and
    clips may be sent; without it, inputs take web addresses and data URIs alone.
    """
    if max_tasks < 1:
        raise InputError(
            f"max_tasks must be at least 1, not {quoted(max_tasks)}",
            field="max_tasks",
            value=max_tasks,
            allowed="1 or more",
        )
    terms = Terms(
        client=client,
        spending=Spending(client, ledger, max_tasks),
        out=None if out is None else Path(out),
        pictures=None if pictures is None else Path(pictures).resolve(),
    )
    tools = {tool.name: tool for tool in TOOLS if tool.name != "download_result" or out is not None}

    async def list_tools(_: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[*tools.values()])

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        call = Call(terms, News(context.session.report_progress))
        try:
            arguments = checked(tools, params.name, params.arguments or {})
            result: CallToolResult = await getattr(call, params.name)(**arguments)
        except LiangxinError as exc:
            return told_error(exc, of_a_create=params.name in PAYING)
        return result

    return Server(
        "liangxin",
        title="LiangXin Market",
        version=__version__,
        instructions=INSTRUCTIONS.format(max_tasks=max_tasks),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
