"""
The life of `liangxin mcp`: a ledger, a client and the tools, until standard input ends or Ctrl-C.

Standard output belongs to the protocol; what is to be said to people goes to standard error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
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
    ledger: Path | None,
    out: Path | None,
    **bounds: Any,
) -> int:
    """Serve until there is nobody to serve any more; return the exit code."""
    models.configure((_emulated() if emulator else {}) | _told(slugs))
    if out is not None:
        checked_place(out, 1)
    with connection(base_url, emulator) as told:
        anyio.run(_main, told, ledger, bounds | {"out": out})
    return OK


def _told(slugs: Iterable[str]) -> dict[str, str]:
    return {name: str(slug) for name, slug in pairs(slugs, "--slug").items()}


def _emulated() -> dict[str, str]:
    from liangxin.emulator import GUESSED_SLUGS

    return dict(GUESSED_SLUGS)


async def _main(told: dict[str, Any], ledger: Path | None, bounds: dict[str, Any]) -> None:
    is_interrupted = False

    def interrupt(scope: anyio.CancelScope) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        scope.cancel()

    async def work() -> None:
        async with stdio_server() as (read, write):
            try:
                with _ledger(ledger) as store:
                    async with AsyncClient(**told, ledger=store) as client:
                        tools = server(client, store, **bounds)
                        await tools.run(read, write, tools.create_initialization_options())
            finally:
                if is_interrupted:
                    # All is put away but for a thread that reads standard input, and would go on.
                    os._exit(INTERRUPTED)

    await interruptible(work, interrupt)


@contextmanager
def _ledger(path: Path | None) -> Iterator[Ledger]:
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
