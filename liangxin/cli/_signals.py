"""Ctrl-C for a command that runs an event loop: what is under way is cancelled, and cleans up."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

import anyio


async def interruptible(
    work: Callable[[], Awaitable[None]], interrupted: Callable[[anyio.CancelScope], None]
) -> None:
    """Do the work; at each SIGINT or SIGTERM, call `interrupted` with the scope around it."""
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()
        if os.name == "posix":  # elsewhere the interrupt ends the program as it always does
            group.start_soon(_listen, scope, interrupted)
        try:
            with scope:
                await work()
        except Exception as exc:  # raised below, where it does not come out in a group
            failure = exc
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _listen(
    scope: anyio.CancelScope, interrupted: Callable[[anyio.CancelScope], None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            interrupted(scope)
