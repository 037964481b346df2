"""
The work of `run`, `create`, `get`, `wait` and `download`: tasks, brought as far as is asked for.

Results go to standard output as they come.  What goes on, what went wrong and how to go on from
there goes to standard error.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import anyio
import click
from attrs import define, field

from liangxin import (
    AsyncClient,
    LiangxinError,
    ModelInput,
    Outcome,
    Task,
    TaskFailed,
    TaskNotFound,
)
from liangxin._tasks import final_or_raise, task_id
from liangxin._text import printable
from liangxin.cli._exits import INTERRUPTED, OK, gravest
from liangxin.cli._live import LiveLine
from liangxin.cli._saving import checked_place, saved
from liangxin.cli._service import connection, say
from liangxin.cli._showing import require_show, show
from liangxin.cli._signals import interruptible
from liangxin.cli._telling import as_json, id_lines, path_lines, record, say_error, state_lines


def perform_run(asked: ModelInput, *, out: Path, opens: bool, shows: bool, **how: Any) -> int:
    """Create a task, wait, save; return the exit code."""
    if shows:
        require_show(how["form"])
    errand = Errand(path_lines, out=checked_place(out, 1), **how)

    async def steps(client: AsyncClient) -> None:
        task = await errand.make(client, asked)
        if task is not None:
            await errand.follow(client, task)

    code = errand.perform(steps)
    if shows:
        show(errand.files)
    if opens and code == OK:
        click.launch(str(errand.files[0]))
    return code


def perform_create(asked: ModelInput, **how: Any) -> int:
    """Create a task; return the exit code."""
    errand = Errand(id_lines, **how)

    async def steps(client: AsyncClient) -> None:
        task = await errand.make(client, asked)
        if task is not None:
            errand.end(task.id, Outcome(input=asked, task=task))

    return errand.perform(steps)


def perform_get(task_ids: Iterable[str], **how: Any) -> int:
    """Look at tasks once; return the exit code."""
    errand = Errand(state_lines, tasks=_checked(task_ids), **_for_the_place(how))
    return errand.perform(lambda client: errand.each(client, errand.look))


def perform_wait(task_ids: Iterable[str], *, any_one: bool, **how: Any) -> int:
    """Wait for tasks, or for one of them; return the exit code."""
    errand = Errand(state_lines, tasks=_checked(task_ids), **_for_the_place(how))
    return errand.perform(lambda client: errand.each(client, errand.follow, any_one=any_one))


def perform_download(task_ids: Iterable[str], *, out: Path, shows: bool, **how: Any) -> int:
    """Wait for tasks and save their results; return the exit code."""
    if shows:
        require_show(how["form"])
    tasks = _checked(task_ids)
    errand = Errand(path_lines, tasks=tasks, out=checked_place(out, len(tasks)), **how)
    code = errand.perform(lambda client: errand.each(client, errand.follow))
    if shows:
        show(errand.files)
    return code


def _checked(task_ids: Iterable[str]) -> list[str]:
    """The ids, each once."""
    return list(dict.fromkeys(map(task_id, task_ids)))


def _for_the_place(how: dict[str, Any]) -> dict[str, Any]:
    """People at a terminal get words, and programs behind a pipe JSON lines."""
    is_for_programs = how["form"] == "auto" and not sys.stdout.isatty()
    return how | {"form": "jsonl"} if is_for_programs else how


@define(eq=False)
class Errand:
    """
    One command's way with its tasks: those it was given, or the one that it makes.

    `told` says in lines what a task has come to.  With `out`, results are saved there.
    """

    told: Callable[[Outcome], Iterator[str]]
    form: str = field(kw_only=True)
    base_url: str | None = field(kw_only=True)
    emulator: bool = field(default=False, kw_only=True)
    timeout: float | None = field(default=None, kw_only=True)
    poll_interval: float | None = field(default=None, kw_only=True)
    out: Path | None = field(default=None, kw_only=True)
    tasks: list[str] = field(factory=list, kw_only=True)
    outcomes: list[Outcome] = field(init=False, factory=list)
    _records: list[dict[str, object]] = field(init=False, factory=list)
    _open: list[str] = field(init=False, factory=list)
    """The ids of tasks that have not ended, as far as is known."""
    _is_new: bool = field(init=False)
    _is_interrupted: bool = field(init=False, default=False)
    _line: LiveLine = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_new = not self.tasks
        self._line = LiveLine(is_quiet=self.form == "quiet")

    @property
    def files(self) -> list[Path]:
        """What was saved, in the order in which it came."""
        return [file for outcome in self.outcomes for file in outcome.files]

    def perform(self, steps: Callable[[AsyncClient], Awaitable[None]]) -> int:
        """Take the steps, until Ctrl-C at most; say how it went, and return the exit code."""
        with connection(self.base_url, self.emulator) as told, self._line.shown():
            pace = {} if self.poll_interval is None else {"poll_interval": self.poll_interval}
            anyio.run(self._main, steps, told | pace)
        if self.form == "json" and self._records:
            print(as_json(self._records if self.tasks else self._records[0], indent=2))
        if self._open:
            say(self._how_to_go_on())
        elif self._is_interrupted and self._is_new and not self.outcomes:
            say("Stopped: nothing was created.")
        if self._is_interrupted:
            return INTERRUPTED
        return gravest(outcome.error for outcome in self.outcomes)

    async def _main(
        self, steps: Callable[[AsyncClient], Awaitable[None]], told: dict[str, Any]
    ) -> None:
        async def work() -> None:
            client = AsyncClient(**told)
            try:
                async with client:
                    await steps(client)
            finally:
                for outcome in client.unclaimed:  # what an interrupted create has come to
                    self._claim(outcome)

        await interruptible(work, self._interrupt)

    def _interrupt(self, scope: anyio.CancelScope) -> None:
        if self._is_interrupted:
            say("\nStopped at once.")
            os._exit(INTERRUPTED)
        self._is_interrupted = True
        if self._is_new and not self._open:
            say(
                "\nStopping: what has left may be paid, so its answer is waited for. "
                "Ctrl-C again stops at once."
            )
        scope.cancel()

    def _claim(self, outcome: Outcome) -> None:
        if outcome.task is not None:
            self._open.append(outcome.task.id)
        else:
            self.end(None, outcome)

    def _how_to_go_on(self) -> str:
        if self.emulator:
            return "The embedded service has ended, and with it the task; nothing was paid."
        words = ["liangxin", "wait" if self.out is None else "download", *self._open]
        if self.out is not None:
            words += ["--out", str(self.out)]
        if self.base_url is not None:
            words += ["--base-url", self.base_url]
        where = "Stopped here, not at the service. " if self._is_interrupted else ""
        return f"{where}To go on, without paying again: {shlex.join(words)}"

    # --- steps -----------------------------------------------------------------------------

    async def make(self, client: AsyncClient, asked: ModelInput) -> Task | None:
        """Create a task; None if that failed."""
        self._line.tell(f"{printable(asked.slug, 60)}  creating")
        try:
            task = await client.create_task(asked)
        except LiangxinError as error:
            self.end(None, Outcome(input=asked, error=error))
            return None
        self._open.append(task.id)
        return task

    async def each(
        self,
        client: AsyncClient,
        step: Callable[[AsyncClient, str], Awaitable[None]],
        *,
        any_one: bool = False,
    ) -> None:
        """Take the step with every task at once; end with the first end, if `any_one` will do."""
        async with anyio.create_task_group() as group:

            async def take(task: str) -> None:
                await step(client, task)
                if any_one:
                    group.cancel_scope.cancel()

            for task in self.tasks:
                group.start_soon(take, task)

    async def look(self, client: AsyncClient, task: str) -> None:
        """See where the task stands."""
        try:
            self.end(task, Outcome(input=None, task=await client.get_task(task)))
        except LiangxinError as error:
            self.end(task, Outcome(input=None, error=error))

    async def follow(self, client: AsyncClient, task: Task | str) -> None:
        """Wait for the task, and save its results if they are wanted."""
        name, last = task_id(task), task if isinstance(task, Task) else None
        if name not in self._open:
            self._open.append(name)
        try:
            async for last in client.watch(task, timeout=self.timeout):
                self._tell(name, last.state.value)
            assert last is not None
            final_or_raise(last)
            self._tell(name, "saving")
            files = () if self.out is None else await saved(client, last, self.out)
        except LiangxinError as error:
            self.end(name, Outcome(input=None, task=last, error=error))
        else:
            self.end(name, Outcome(input=None, task=last, files=files))

    def _tell(self, task: str, state: str) -> None:
        if len(self.tasks) > 1:
            self._line.tell(f"{len(self.outcomes)} of {len(self.tasks)} ended")
        elif state != "saving" or self.out is not None:
            self._line.tell(f"{printable(task)}  {state}")

    def end(self, task: str | None, outcome: Outcome) -> None:
        """Tell what became of a task."""
        self.outcomes.append(outcome)
        is_over = outcome.error is None or isinstance(outcome.error, (TaskFailed, TaskNotFound))
        if task in self._open and is_over:
            self._open.remove(task)
        self._records.append(record(outcome, task, is_new=self._is_new))
        with self._line.paused():
            self._print(outcome)

    def _print(self, outcome: Outcome) -> None:
        if self.form == "jsonl":
            print(as_json(self._records[-1]), flush=True)
        elif self.form in ("auto", "human"):
            for line in self.told(outcome):
                print(line, flush=True)
        if outcome.error is not None:
            say_error(outcome.error)
