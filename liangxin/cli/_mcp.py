"""
The life of `liangxin mcp`: a ledger, a client and the tools, until standard input ends or Ctrl-C.

Standard output belongs to the protocol; what is to be said to people goes to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import anyio
import anyio.to_thread
from attrs import define
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from liangxin import AsyncClient, Ledger, models
from liangxin._text import printable
from liangxin.cli._exits import INTERRUPTED, OK
from liangxin.cli._fields import pairs
from liangxin.cli._saving import checked_place
from liangxin.cli._service import connection, say
from liangxin.cli._signals import interruptible
from liangxin.ledger import LedgerState
from liangxin.mcp import server


def perform(
    *,
    base_url: str | None,
    emulator: bool,
    slugs: Iterable[str],
    ledger: Path | str | None,
    out: Path | None,
    **bounds: Any,
) -> int:
    """Serve until there is nobody to serve any more; return the exit code."""
    models.configure((_emulated() if emulator else {}) | _told(slugs))
    if out is not None:
        checked_place(out, 1)
    with connection(base_url, emulator) as told, _ledger(ledger) as store:
        client = AsyncClient(**told, ledger=store)
        vigil = _Vigil(client, server(client, store, out=out, **bounds))
        anyio.run(vigil.main)
    if vigil.is_interrupted:
        os._exit(INTERRUPTED)  # a thread still reads standard input, and would be waited for
    return OK


def _told(slugs: Iterable[str]) -> dict[str, str]:
    return {name: str(slug) for name, slug in pairs(slugs, "--slug").items()}


def _emulated() -> dict[str, str]:
    from liangxin.emulator import GUESSED_SLUGS

    return dict(GUESSED_SLUGS)


@define(eq=False)
class _Vigil:
    """Serves what comes in on standard input."""

    client: AsyncClient
    tools: Server[Any]
    is_interrupted: bool = False

    async def main(self) -> None:
        """Serve until the input ends, or until Ctrl-C."""
        await interruptible(self._serve, self._interrupt)

    async def _serve(self) -> None:
        lines = cast("anyio.AsyncFile[str]", _lines())  # all that is asked of the file
        async with stdio_server(stdin=lines) as (read, write), self.client:
            await self.tools.run(read, write, self.tools.create_initialization_options())

    def _interrupt(self, scope: anyio.CancelScope) -> None:
        self.is_interrupted = True
        scope.cancel()


async def _lines() -> AsyncIterator[str]:
    """Standard input; whoever is cancelled does not wait for the end of a line."""
    read = sys.stdin.buffer.readline
    while line := await anyio.to_thread.run_sync(read, abandon_on_cancel=True):
        yield line.decode("utf-8", "replace")


@contextmanager
def _ledger(path: Path | str | None) -> Iterator[Ledger]:
    """The ledger of that path, or one for now, which says in the end what it will not know."""
    if path is not None:
        with Ledger(path) as ledger:
            yield ledger
        return
    with (
        TemporaryDirectory(prefix="liangxin-mcp-") as folder,
        _ledger(Path(folder, "db")) as ledger,
    ):
        try:
            yield ledger
        finally:
            for row in ledger.rows(LedgerState.ACCEPTED, LedgerState.AMBIGUOUS):
                named = row.task_id or f"client_ref {row.ref}"
                say(f"Not seen to its end: {printable(named)} ({printable(row.model)})")
