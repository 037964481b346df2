"""The tools themselves: a method each, a few lines over the client's verbs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen
from mcp_types import CallToolResult

from liangxin._client import AsyncClient
from liangxin._tasks import Task, TaskState
from liangxin._text import printable
from liangxin.mcp._inputs import input_of
from liangxin.mcp._models import model_named, models_that
from liangxin.mcp._news import News
from liangxin.mcp._pictures import pictures_of
from liangxin.mcp._spending import Spending
from liangxin.mcp._telling import answer, told, told_all, told_rows
from liangxin.mcp._tools import SECONDS
from liangxin.mcp._waiting import ends_of, outcome_of
from liangxin.models import json_schema


@frozen
class Terms:
    """What whoever runs the server has allowed."""

    client: AsyncClient
    spending: Spending
    out: Path | None
    pictures: Path | None


@frozen
class Call:
    """One call of a tool; its arguments are known to fit the tool's schema."""

    terms: Terms
    news: News

    async def list_models(
        self, makes: str | None = None, takes: str | None = None
    ) -> CallToolResult:
        """The models, or those that do what is asked for."""
        found = models_that(makes, takes)
        lines = [f"{row['model']} ({row['slug'] or 'no slug'}): {row['summary']}" for row in found]
        return answer("\n".join(lines) or "There is none.", {"models": found})

    async def show_model(self, model: str) -> CallToolResult:
        """The fields of a model."""
        schema = json_schema(model_named(model).model)
        return answer(json.dumps(schema, ensure_ascii=False), schema)

    async def create_task(self, **asked: Any) -> CallToolResult:
        """A task, and no waiting."""
        task, known = await self._create(**asked)
        return told(outcome_of(task), **known)

    async def run_task(self, *, timeout: float = SECONDS, **asked: Any) -> CallToolResult:
        """A task, and its end."""
        task, known = await self._create(**asked)
        if not task.is_final:
            # Said at once: a call that is cancelled has no result, and its task goes on.
            await self.news.tell(f"{printable(task.id)}: {task.state.value}")
        [outcome] = await ends_of(self.terms.client, [task], timeout, self.news)
        return told(outcome, **known)

    async def get_task(self, task_id: str) -> CallToolResult:
        """Where a task stands."""
        return told(outcome_of(await self.terms.client.get_task(task_id)))

    async def wait_for_tasks(self, task_ids: list[str], timeout: float = SECONDS) -> CallToolResult:
        """The ends of tasks."""
        names = [*dict.fromkeys(task_ids)]
        outcomes = await ends_of(self.terms.client, names, timeout, self.news)
        return told_all(dict(zip(names, outcomes, strict=True)))

    async def show_result(self, task_id: str) -> CallToolResult:
        """The pictures of a task that has succeeded."""
        task = await self.terms.client.get_task(task_id)
        if task.state is not TaskState.SUCCESS:
            return told(outcome_of(task))
        return told(outcome_of(task), *await pictures_of(self.terms.client, task))

    async def download_result(self, task_id: str) -> CallToolResult:
        """The files of a task that has succeeded."""
        assert self.terms.out is not None  # or there is no such tool
        task = await self.terms.client.get_task(task_id)
        if task.state is not TaskState.SUCCESS:
            return told(outcome_of(task))
        files = await self.terms.client.download(task, self.terms.out)
        return told(outcome_of(task), files=[*map(str, files)])

    async def list_tasks(self) -> CallToolResult:
        """What was asked for here."""
        return told_rows(await self.terms.spending.rows(), self.terms.spending.left)

    async def _create(
        self, model: str, input: Mapping[str, object], key: str | None = None
    ) -> tuple[Task, dict[str, object]]:
        """A task, with what its caller should know."""
        asked = input_of(model, input, self.terms.pictures)
        key, task = await self.terms.spending.create(asked, key)
        return task, {"key": key, "creates_left": self.terms.spending.left}
