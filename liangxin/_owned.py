"""
Tasks that the client owns.

Whoever asked for something may be cancelled at any moment; what was begun goes on here, in tasks
of the client's own group.  (A shield would not do: it does not hold against asyncio's own
cancellation, by which `asyncio.timeout` and web frameworks end a handler.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from liangxin._errors import ClientStateError


class OwnedTasks:
    """A task group that can be emptied while its owner's block goes on."""

    def __init__(self) -> None:
        self._group: TaskGroup | None = None
        self._scopes: set[anyio.CancelScope] = set()
        self._emptied = anyio.Event()

    async def __aenter__(self) -> OwnedTasks:
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._group is not None
        group, self._group = self._group, None
        # The body's exception is not the group's business, or it would come back in a group.
        await group.__aexit__(None, None, None)

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` in a task of its own; it must not raise."""
        if self._group is None:
            raise ClientStateError(
                "the client is not open: use it inside `async with AsyncClient(...) as client:`"
            )
        scope = anyio.CancelScope()
        self._scopes.add(scope)
        self._group.start_soon(self._run, work, scope)

    async def _run(self, work: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        # On asyncio, whoever begins under a scope that was cancelled before is not told, and spins
        # at its first checkpoint; leaving any scope has anyio (up to 4.16 at least) tell it again.
        with anyio.CancelScope():  # noqa: ASYNC100  # it is the leaving that counts
            pass
        try:
            with scope:
                await work()
        finally:
            self._scopes.discard(scope)
            if not self._scopes:
                self._emptied.set()

    async def cancel(self) -> None:
        """Cancel all that runs, and return when it has ended."""
        while self._scopes:
            for scope in self._scopes:
                scope.cancel()
            self._emptied = anyio.Event()
            await self._emptied.wait()
