"""
Makes events of what the client does, and tells them to hooks.

The floors below the client have an `Observer` or None.  It is imported when somebody wants to be
told, so without hooks there is no class that an event could be made of.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio

from liangxin._errors import AmbiguousCreate, LiangxinError
from liangxin._origin import Origin
from liangxin._tasks import Task, TaskState, final_or_raise
from liangxin._text import quoted, without_queries
from liangxin.hooks import (
    CreateFailed,
    CreateStarted,
    Event,
    Hook,
    LookScheduled,
    RequestEnded,
    RetryScheduled,
    StateChanged,
    TaskCreated,
    TaskEnded,
    TaskLeft,
)

if TYPE_CHECKING:
    from liangxin._connection import Evidence
    from liangxin._creation import Creation

log = logging.getLogger("liangxin")


class Observer:
    """Tells of one client; a hook that raises is nobody's trouble but its own."""

    def __init__(self, hooks: Sequence[Hook], origin: Origin) -> None:
        self._hooks = hooks
        self._where: dict[str, Any] = {"host": origin.host, "port": origin.port}
        self._complained: set[tuple[int, type[Event]]] = set()

    def _tell(self, event: Event) -> None:
        for number, hook in enumerate(self._hooks):
            try:
                hook(event)
            except Exception:  # foreign code, in the middle of what costs money
                self._complain(number, event)

    def _complain(self, number: int, event: Event) -> None:
        kind = type(event)
        if (number, kind) not in self._complained:
            self._complained.add((number, kind))
            hook = quoted(self._hooks[number])
            log.exception("the hook %s raised for %s; this is said once", hook, kind.__name__)

    # --- creates ---------------------------------------------------------------------------

    def create_started(self, creation: Creation) -> None:
        """A create is about to be tried for the first time."""
        creation.started_at = anyio.current_time()
        self._tell(
            CreateStarted(
                **self._where,
                ref=creation.request.client_ref,
                model=creation.request.model,
                kind=getattr(creation.input, "kind", None),
            )
        )

    def create_retried(
        self, creation: Creation, exc: LiangxinError, pause: float, retry_after: float | None
    ) -> None:
        """An attempt has cost nothing, that is on record, and there will be another."""
        self._attempt_ended(creation, exc)
        self._tell(
            RetryScheduled(
                **self._where,
                lane="create",
                ref=creation.request.client_ref,
                task_id=None,
                attempt=creation.attempt,
                error=type(exc).__name__,
                message=without_queries(exc),
                pause=pause,
                retry_after=retry_after,
            )
        )
        creation.attempt += 1

    def create_ended(self, creation: Creation, result: Task | LiangxinError) -> None:
        """A create has ended, and that is on record."""
        if creation.started_at is None:
            return  # known to the ledger, or refused before anything was tried
        self._attempt_ended(creation, result)
        if isinstance(result, Task):
            self.create_settled(creation, result)
            return
        self._tell(
            CreateFailed(
                **self._where,
                ref=creation.request.client_ref,
                model=creation.request.model,
                error=type(result).__name__,
                message=without_queries(result),
                is_ambiguous=isinstance(result, AmbiguousCreate),
                attempts=creation.attempt,
                seconds=anyio.current_time() - creation.started_at,
            )
        )

    def create_settled(self, creation: Creation, task: Task) -> None:
        """A create was accepted, or has turned out to have been."""
        assert creation.started_at is not None
        self._tell(
            TaskCreated(
                **self._where,
                ref=creation.request.client_ref,
                task_id=task.id,
                model=creation.request.model,
                attempts=creation.attempt,
                seconds=anyio.current_time() - creation.started_at,
            )
        )

    def _attempt_ended(self, creation: Creation, result: Task | LiangxinError) -> None:
        evidence = creation.evidence
        if evidence is None:
            return  # given up before there was an attempt
        task, error = (result, None) if isinstance(result, Task) else (None, result)
        self._tell(
            RequestEnded(
                **self._where,
                lane="create",
                ref=creation.request.client_ref,
                task_id=None if task is None else task.id,
                attempt=creation.attempt,
                status=evidence.status,
                error=None if error is None else type(error).__name__,
                seconds=_between(evidence.sent_at, creation.answered_at),
                size=len(evidence.body),
            )
        )

    # --- looks -----------------------------------------------------------------------------

    def looked(self, task_id: str, evidence: Evidence, error: LiangxinError | None) -> None:
        """A look has had its answer, or none."""
        self._tell(
            RequestEnded(
                **self._where,
                lane="look",
                ref=None,
                task_id=task_id,
                attempt=1,
                status=evidence.status,
                error=None if error is None else type(error).__name__,
                seconds=_between(evidence.sent_at, anyio.current_time()),
                size=len(evidence.body),
            )
        )

    def look_scheduled(self, task: Task, pause: float) -> None:
        """The next look at a task has its time."""
        self._tell(
            LookScheduled(
                **self._where,
                task_id=task.id,
                model=task.model,
                pause=max(0.0, pause),
            )
        )

    def look_failed(self, task: Task, attempt: int, exc: LiangxinError, pause: float) -> None:
        """A look has said nothing about the task, and there will be another."""
        self._tell(
            RetryScheduled(
                **self._where,
                lane="look",
                ref=None,
                task_id=task.id,
                attempt=attempt,
                error=type(exc).__name__,
                message=without_queries(exc),
                pause=max(0.0, pause),
                retry_after=getattr(exc, "retry_after", None),
            )
        )

    # --- tasks -----------------------------------------------------------------------------

    def state_changed(self, task: Task, old: TaskState, seconds: float | None) -> None:
        """A look has found something new."""
        self._tell(
            StateChanged(
                **self._where,
                task_id=task.id,
                model=task.model,
                old=old,
                new=task.state,
                seconds=seconds,
            )
        )

    def task_ended(
        self,
        task: Task,
        *,
        error: LiangxinError | None = None,
        seconds: float | None,
        lag: float | None = None,
        looks: int,
    ) -> None:
        """A task was found ended, or lost."""
        error = _failure(task) if error is None else error
        self._tell(
            TaskEnded(
                **self._where,
                task_id=task.id,
                model=task.model,
                state=task.state,
                error=None if error is None else type(error).__name__,
                message=None if error is None else without_queries(error),
                seconds=seconds,
                lag=lag,
                looks=looks,
            )
        )

    def task_left(self, task_id: str, error: LiangxinError | None = None) -> None:
        """Nobody waits for a task any more."""
        self._tell(
            TaskLeft(
                **self._where,
                task_id=task_id,
                error=None if error is None else type(error).__name__,
            )
        )


def _between(start: float | None, end: float) -> float | None:
    return None if start is None else end - start


def _failure(task: Task) -> LiangxinError | None:
    try:
        final_or_raise(task)
    except LiangxinError as exc:
        return exc
    return None
