"""
How much an agent may spend: so many creates, each under a key, and a key once.

The ledger says whether a key was sent before.  What provably cost nothing is given back; what is in
doubt, or was cancelled on its way, counts.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from functools import partial

import anyio
import anyio.to_thread
from attrs import define, field

from liangxin._client import AsyncClient
from liangxin._errors import AmbiguousCreate, LiangxinError
from liangxin._tasks import ModelInput, Task
from liangxin.ledger import LedgerRow, Store

_MAY_HAVE_COST = ("paid", "maybe paid")


class SpendingCapReached(LiangxinError):
    """A server for agents has created as many tasks as it may; nothing was sent."""


@define(eq=False)
class Spending:
    """The creates of one server, in the order of their keys."""

    _client: AsyncClient
    _ledger: Store
    max_tasks: int
    _asked: dict[str, None] = field(init=False, factory=dict)
    """Every key that was asked for."""
    _counted: set[str] = field(init=False, factory=set)
    """Those that count: paid, maybe paid, or on their way."""
    _locks: defaultdict[str, anyio.Lock] = field(
        init=False, factory=lambda: defaultdict(anyio.Lock)
    )

    @property
    def left(self) -> int:
        """How many more tasks may be created."""
        return self.max_tasks - len(self._counted)

    async def create(self, asked: ModelInput, key: str | None) -> tuple[str, Task]:
        """Create a task, or find the one that the key stands for; return the key with it."""
        key = key or secrets.token_hex(8)
        async with self._locks[key]:
            self._asked[key] = None
            if await self._was_sent(key):
                return key, await self._client.create_task(asked, key=key)
            self._count(key)
            try:
                return key, await self._client.create_task(asked, key=key)
            except AmbiguousCreate:
                raise
            except LiangxinError:  # refused, or not sent: nothing was paid
                self._counted.discard(key)
                raise

    async def rows(self) -> list[LedgerRow]:
        """What the ledger says of all that was asked for here, in that order."""
        found = await self._find([*self._asked])
        return [found[key] for key in self._asked if key in found]

    async def _was_sent(self, key: str) -> bool:
        found = await self._find([key])
        return key in found and found[key].state.money in _MAY_HAVE_COST

    async def _find(self, keys: list[str]) -> dict[str, LedgerRow]:
        find = partial(self._ledger.find, keys, bare=True)
        return find() if self._ledger.is_quick else await anyio.to_thread.run_sync(find)

    def _count(self, key: str) -> None:
        if self.left < 1 and key not in self._counted:
            raise SpendingCapReached(
                f"this server has created all the {self.max_tasks} tasks that it may, and sent "
                "nothing now. Whoever runs it can allow more: liangxin mcp --max-tasks N"
            )
        self._counted.add(key)
