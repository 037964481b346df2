"""
One scheduler for every task that somebody waits for.

A waiting task is a row in a heap of due times, not a coroutine: memory and work grow with looks,
not with waiting.  A few workers look at what is due; whoever listens to a task is told of every
change of its state, and of its end.  It starts when first needed and stops when nothing waits.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio
from attrs import define, evolve

from liangxin._errors import (
    APIError,
    BadRequest,
    ClientStateError,
    Forbidden,
    InvalidInput,
    LiangxinError,
    RateLimited,
    TaskLost,
    TaskNotFound,
    Unauthorized,
    WaitTimeout,
)
from liangxin._owned import OwnedTasks
from liangxin._pacing import DurationModel, Durations, PollBudget, Schedule
from liangxin._tasks import Task, TaskState

if TYPE_CHECKING:
    from liangxin._observer import Observer

log = logging.getLogger("liangxin")

T = TypeVar("T")

Listener: TypeAlias = Callable[[Task | LiangxinError], None]
"""Told of each new snapshot, or of the error that ends the listening.  Must not block."""

LOST_AFTER = 60.0
"""Seconds over which a task must stay unknown before it counts as lost."""
LOST_ANSWERS = 3
"""How many answers at least must say so."""
REMEMBERED = 10_000
"""Of how many tasks that nobody waits for yet the time of creation, or of a hint, is kept."""
HINT_PAUSE = 1.0
"""Seconds at least between two looks that are due to hints."""
REFUSALS = 3
"""How many answers in a row must refuse the key before that is believed."""

_ORDER = [TaskState.WAITING, TaskState.QUEUING, TaskState.GENERATING]


@define(eq=False)
class _Row:
    """One task that somebody waits for."""

    task: Task
    since: float
    """When it was created, or when we began to wait, on the monotonic clock."""
    durations: DurationModel
    teaches: bool
    """Whether `since` is its creation, so that its duration can be learned from."""
    ticket: int = 0
    """The number of the row's valid entry in the heap; older ones are void."""
    listeners: tuple[Listener, ...] = ()
    trouble: int = 0
    refused: int = 0
    unknown: int = 0
    unknown_since: float = 0.0
    looked: bool = False
    looks: int = 0
    hinted_at: float | None = None
    """When we were first told that it had ended."""
    is_hinted: bool = False
    """Whether no look has left since we were told."""
    heeded_at: float = -math.inf
    """When the last look left because of that."""
    running_at: float = 0.0
    """The age at which it was last known to run."""
    density: float = 0.0
    """The looks a second that it wants of the budget."""

    def tell(self, news: Task | LiangxinError) -> None:
        for listener in self.listeners:
            listener(news)


class Poller:
    """Looks at tasks until they end, under one budget of looks a second."""

    def __init__(
        self,
        look: Callable[[Task], Awaitable[Task]],
        owned: OwnedTasks,
        *,
        schedule: Schedule,
        budget: PollBudget,
        durations: Durations,
        max_workers: int,
        ended: Callable[[Task], None] = lambda task: None,
        callback_share: Callable[[str], float] = lambda task_id: 0.0,
        observer: Observer | None = None,
    ) -> None:
        self._look = look
        self._owned = owned
        self._schedule = schedule
        self._budget = budget
        self._durations = durations
        self._ended = ended
        """Told of every task that was found ended, before its listeners are."""
        self._callback_share = callback_share
        """Tells how likely a callback will tell of a task's end."""
        self._observer = observer
        self._max_workers = max_workers
        self._rows: dict[str, _Row] = {}
        self._created: dict[str, tuple[float, str | None]] = {}
        """When our own tasks were created, and their kind, until somebody waits for them."""
        self._hints: dict[str, float] = {}
        """When we were told of tasks for which nobody waits yet."""
        self._due: list[tuple[float, int, _Row]] = []
        self._deadlines: list[tuple[float, int, _Row, Listener, float]] = []
        self._numbers = count(1)
        self._alarm = anyio.Event()
        self._running = False
        self._workers = 0
        self._closed = False
        self.looks = 0
        """Looks that were taken."""
        self.found = 0
        """Tasks that were found ended."""
        self._lag = 0.0
        self._lags = 0

    @property
    def waiting(self) -> int:
        """How many tasks somebody waits for."""
        return len(self._rows)

    @property
    def mean_lag(self) -> float | None:
        """Seconds from the end of a task to its discovery, where the service told durations."""
        return self._lag / self._lags if self._lags else None

    def created(self, task: Task, kind: str | None) -> None:
        """Remember when a task of our own was created; it will be waited for, or not."""
        forgotten = _remember(self._created, task.id, (anyio.current_time(), kind))
        if forgotten is not None and self._observer is not None:
            self._observer.task_left(forgotten)

    def add(self, task: Task, listener: Listener, *, timeout: float | None = None) -> None:
        """Tell `listener` of a task's states until it ends, or for `timeout` seconds."""
        if self._closed:
            raise ClientStateError("the client is closed; it waits for nothing any more")
        now = anyio.current_time()
        row = self._rows.get(task.id)
        if row is None:
            self._start()
            row = self._rows[task.id] = self._new_row(task, now)
            self._plan(row, self._first_look(row, now))
        elif row.looked:
            listener(row.task)
        row.listeners += (listener,)
        if timeout is not None:
            number = next(self._numbers)
            heapq.heappush(self._deadlines, (now + timeout, number, row, listener, timeout))
            self._alarm.set()
            self._forget_past_deadlines()

    def _new_row(self, task: Task, now: float) -> _Row:
        since, kind = self._created.pop(task.id, (None, None))
        durations = self._durations.of(task.model, kind)
        row = _Row(task, now if since is None else since, durations, teaches=since is not None)
        row.hinted_at = self._hints.pop(task.id, None)
        return row

    def _first_look(self, row: _Row, now: float) -> float:
        """At once at a task that may have ended, or whose age nobody knows."""
        if row.hinted_at is not None or not row.teaches:
            return now
        return max(now, row.since + self._pause_of(row, 0.0))

    def hint(self, task_id: str) -> bool:
        """
        Look soon, and before others, for we were told that a task has ended.

        Returns whether somebody waits for it; if not, the first look of whoever does comes at once.
        """
        now = anyio.current_time()
        row = self._rows.get(task_id)
        if row is None:
            _remember(self._hints, task_id, now)
            return False
        if row.hinted_at is None:
            row.hinted_at = now
        row.is_hinted = True
        if row.ticket != 0:  # else in the middle of a look, which may have left too early
            self._plan(row, _due_by_hint(row, now))
        return True

    def remove(self, task_id: str, listener: Listener) -> None:
        """Stop telling; the task itself goes on at the service."""
        row = self._rows.get(task_id)
        if row is not None and listener in row.listeners:
            row.listeners = tuple(each for each in row.listeners if each is not listener)
            if not row.listeners:
                self._drop(row)
                if self._observer is not None:
                    self._observer.task_left(task_id)

    def close(self) -> None:
        """Tell everybody that nobody looks any more."""
        self._closed = True
        if self._observer is not None:
            for task_id in [*self._rows, *self._created]:
                self._observer.task_left(task_id)
        for row in list(self._rows.values()):
            self._drop(row)
            row.tell(ClientStateError(f"the client closed while {row.task.id} was waited for"))

    # --- the scheduler ---------------------------------------------------------------------

    def _start(self) -> None:
        if not self._running:
            self._owned.start(self._run)
            self._running = True

    async def _run(self) -> None:
        try:
            while self._rows:
                self._alarm = anyio.Event()
                pause = self._dispatch(anyio.current_time())
                with anyio.move_on_after(pause):
                    await self._alarm.wait()
        finally:
            self._running = False

    def _dispatch(self, now: float) -> float:
        """Start what is due, and say in how many seconds something may be due again."""
        next_deadline = self._expire(now)
        while self._workers < self._max_workers:
            pause = self._pause(now)
            if pause > 0:
                return min(pause, next_deadline - now)
            row = self._take(now)
            self._workers += 1
            self._owned.start(lambda row=row: self._work(row))  # type: ignore[misc]
        return next_deadline - now

    def _pause(self, now: float) -> float:
        """Seconds until the next look may leave."""
        while self._due and self._due[0][1] != self._due[0][2].ticket:
            heapq.heappop(self._due)
        if not self._due:
            return math.inf
        return max(self._due[0][0] - now, self._budget.delay(now))

    def _take(self, now: float) -> _Row:
        self._budget.spend(now)
        row = heapq.heappop(self._due)[2]
        row.ticket = 0
        if row.is_hinted:
            row.is_hinted, row.heeded_at = False, now
        return row

    def _plan(self, row: _Row, due: float) -> None:
        row.ticket = next(self._numbers)
        heapq.heappush(self._due, (due, row.ticket, row))
        if self._due[0][2] is row:
            self._alarm.set()
        if self._observer is not None:
            self._observer.look_scheduled(row.task, due - anyio.current_time())

    def _drop(self, row: _Row) -> None:
        row.ticket = -1
        self._budget.want(-row.density)
        row.density = 0.0
        self._rows.pop(row.task.id, None)
        if not self._rows:
            self._alarm.set()

    def _forget_past_deadlines(self) -> None:
        """Drop the deadlines of those who wait no more, when they are the most: they hold tasks."""
        if len(self._deadlines) > 2 * len(self._rows) + 64:
            self._deadlines = [
                entry for entry in self._deadlines if self._is_waiting(entry[2], entry[3])
            ]
            heapq.heapify(self._deadlines)

    def _is_waiting(self, row: _Row, listener: Listener) -> bool:
        return self._rows.get(row.task.id) is row and listener in row.listeners

    def _expire(self, now: float) -> float:
        """Tell the listeners whose time is up; say when the next one's will be."""
        while self._deadlines:
            moment, _, row, listener, timeout = self._deadlines[0]
            is_waiting = self._is_waiting(row, listener)
            if is_waiting and moment > now:
                return moment
            heapq.heappop(self._deadlines)
            if is_waiting:
                self.remove(row.task.id, listener)
                listener(_too_late(row.task, timeout))
        return math.inf

    # --- the workers -----------------------------------------------------------------------

    async def _work(self, row: _Row) -> None:
        """Look at one task, then at whatever else is due by then."""
        try:
            while True:
                await self._visit(row)
                now = anyio.current_time()
                if self._pause(now) > 0:
                    return
                row = self._take(now)
        finally:
            self._workers -= 1
            self._alarm.set()

    async def _visit(self, row: _Row) -> None:
        self.looks += 1
        row.looks += 1
        try:
            task = await self._look(row.task)
        except LiangxinError as exc:
            if row.ticket == 0:
                self._stumble(row, exc)
        else:
            self._budget.answered()
            if row.ticket == 0:  # else nobody has waited any more since the look began
                self._progress(row, task)

    def _progress(self, row: _Row, task: Task) -> None:
        """Take in a good answer."""
        row.trouble = row.refused = row.unknown = 0
        self._learn(row, task)
        if task.state is TaskState.UNRECOGNIZED and row.task.state is not task.state:
            log.warning("%s is in a state of a new name: %r", task.id, task.raw.get("state"))
        if _goes_back(row.task.state, task.state):
            task = evolve(task, state=row.task.state)
        is_news = not row.looked or task.state is not row.task.state
        old, row.task = row.task.state, task
        row.looked = True
        if task.is_final:
            self._drop(row)
            self._ended(task)
        else:
            self._again(row)
        if self._observer is not None and task.state is not old:
            self._observe(self._observer, row, old)
        if is_news:
            row.tell(task)

    def _observe(self, observer: Observer, row: _Row, old: TaskState) -> None:
        """Tell of a new state, which may be the end."""
        age = _known_age(row)
        observer.state_changed(row.task, old, age)
        if row.task.is_final:
            end = None if age is None else _ended_at(row.task, row, age)
            lag = None if age is None or end is None else age - end
            observer.task_ended(row.task, seconds=age, lag=lag, looks=row.looks)

    def _stumble(self, row: _Row, exc: LiangxinError) -> None:
        """Take in an answer that says nothing about the task, or that it is unknown."""
        now = anyio.current_time()
        row.trouble += 1
        row.refused = row.refused + 1 if isinstance(exc, (Unauthorized, Forbidden)) else 0
        if isinstance(exc, RateLimited):
            self._budget.throttled(now, exc.retry_after)
        if isinstance(exc, (TaskNotFound, BadRequest, InvalidInput)):
            row.unknown += 1
            row.unknown_since = row.unknown_since if row.unknown > 1 else now
        elif isinstance(exc, APIError) and row.refused == 0:
            row.unknown = 0
        if row.refused >= REFUSALS:
            if self._observer is not None:
                self._observer.task_left(row.task.id, exc)
            self._end(row, exc)
        elif row.unknown >= LOST_ANSWERS and now - row.unknown_since >= LOST_AFTER:
            lost = _lost(row.task, exc)
            if self._observer is not None:
                age = _known_age(row)
                self._observer.task_ended(row.task, error=lost, seconds=age, looks=row.looks)
            self._end(row, lost)
        else:
            pause = self._again(row)
            if self._observer is not None:
                self._observer.look_failed(row.task, row.trouble, exc, pause)

    def _end(self, row: _Row, exc: LiangxinError) -> None:
        self._drop(row)
        row.tell(exc)

    def _again(self, row: _Row) -> float:
        """Plan another look, and say in how many seconds it is due."""
        now = anyio.current_time()
        pause = self._pause_of(row, now - row.since)
        due = _due_by_hint(row, now) if row.is_hinted else now + pause
        self._plan(row, due)
        return due - now

    def _pause_of(self, row: _Row, age: float) -> float:
        price = self._budget.price
        pause = self._schedule.next_delay(
            age,
            row.durations,
            price=price,
            callback_share=self._callback_share(row.task.id),
            trouble=row.trouble,
        )
        density = price / pause
        self._budget.want(density - row.density)
        row.density = density
        return pause

    def _learn(self, row: _Row, task: Task) -> None:
        """Take in how long the task has run, or took."""
        self.found += task.is_final
        if not row.teaches:
            return
        age = anyio.current_time() - row.since
        if task.is_final:
            end = _ended_at(task, row, age)
            if end is None:
                row.durations.ended_between(row.running_at, age)
            else:
                row.durations.ended(row.running_at, end)
                self._lag += age - end
                self._lags += 1
        else:
            row.durations.survived(row.running_at, age)
            row.running_at = age


def _remember(memory: dict[str, T], task_id: str, value: T) -> str | None:
    """Keep a value, and return the task whose value had to go for it."""
    memory[task_id] = value
    if len(memory) <= REMEMBERED:
        return None
    oldest = next(iter(memory))
    del memory[oldest]
    return oldest


def _known_age(row: _Row) -> float | None:
    return anyio.current_time() - row.since if row.teaches else None


def _due_by_hint(row: _Row, now: float) -> float:
    """When to look at a task of which we were told: ahead of all others, but not too often."""
    soonest = row.heeded_at + HINT_PAUSE
    return soonest if soonest > now else -math.inf


def _ended_at(task: Task, row: _Row, found_at: float) -> float | None:
    """The age at which a task ended, where the service or a callback told it."""
    if task.created_at is not None and task.completed_at is not None:
        took = (task.completed_at - task.created_at).total_seconds()
    elif row.hinted_at is not None:
        took = row.hinted_at - row.since
    else:
        return None
    return min(max(took, row.running_at), found_at)


def _goes_back(old: TaskState, new: TaskState) -> bool:
    return old in _ORDER and new in _ORDER and _ORDER.index(new) < _ORDER.index(old)


def _too_late(task: Task, timeout: float) -> WaitTimeout:
    return WaitTimeout(
        task,
        f"{task.id} was still {task.state.value} after {timeout:g} s; it goes on at the service: "
        "wait() again to pick it up",
    )


def _lost(task: Task, cause: LiangxinError) -> TaskLost:
    lost = TaskLost(
        task,
        f"the service has not known {task.id} for {LOST_AFTER:g} s and more; it was accepted, so "
        "ask the service about it before you pay for another",
    )
    lost.__cause__ = cause
    return lost
