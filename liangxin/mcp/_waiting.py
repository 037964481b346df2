"""Waiting for several tasks at once, and telling of it; whoever gives up leaves the tasks going."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from attrs import define, field

from liangxin._client import AsyncClient
from liangxin._errors import LiangxinError, TaskFailed
from liangxin._tasks import Outcome, Task, final_or_raise, task_id
from liangxin._text import printable
from liangxin.mcp._news import News

_QUIET = 10.0
"""Seconds after which a host is told that the waiting goes on."""


async def ends_of(
    client: AsyncClient, tasks: Sequence[Task | str], timeout: float, news: News
) -> list[Outcome]:
    """What has become of each task when all have ended or the time is up, in their order."""
    vigil = _Vigil(client, tasks, timeout, news)
    async with anyio.create_task_group() as beside:
        beside.start_soon(vigil.beat)
        async with anyio.create_task_group() as waits:
            for task in tasks:
                waits.start_soon(vigil.follow, task)
        beside.cancel_scope.cancel()
    return [vigil.outcomes[task_id(task)] for task in tasks]


def outcome_of(task: Task) -> Outcome:
    """A task as it stands; one that has failed with its error."""
    try:
        return Outcome(input=None, task=final_or_raise(task))
    except TaskFailed as error:
        return Outcome(input=None, task=task, error=error)


@define(eq=False)
class _Vigil:
    client: AsyncClient
    tasks: Sequence[Task | str]
    timeout: float
    news: News
    outcomes: dict[str, Outcome] = field(init=False, factory=dict)

    async def follow(self, task: Task | str) -> None:
        """Wait for one task."""
        name, last = task_id(task), task if isinstance(task, Task) else None
        try:
            async for last in self.client.watch(task, timeout=self.timeout):
                await self.news.tell(f"{printable(name)}: {last.state.value}")
            assert last is not None
            self.outcomes[name] = outcome_of(last)
        except LiangxinError as error:
            self.outcomes[name] = Outcome(input=None, task=last, error=error)

    async def beat(self) -> None:
        """Say now and then that it still goes on: some hosts give up on a call that is silent."""
        while True:
            await anyio.sleep(_QUIET)
            going = len(self.tasks) - len(self.outcomes)
            await self.news.tell(f"{going} of {len(self.tasks)} still under way")
