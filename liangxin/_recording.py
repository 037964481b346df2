"""
The ledger, from the event loop: many changes a transaction, and one create's way through its row.

A change is on the disk before whoever made it goes on.  What happened to money and could not be
written stays owed: it is tried again ahead of everything else, and said aloud.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from copy import copy
from typing import TypeVar

import anyio
import anyio.to_thread
from attrs import define, field

from liangxin._errors import (
    AmbiguousCreate,
    APIError,
    Forbidden,
    LedgerError,
    LiangxinError,
    RateLimited,
    ServiceUnavailable,
    Unauthorized,
)
from liangxin._owned import OwnedTasks
from liangxin._tasks import Task, TaskState
from liangxin._text import printable, quoted
from liangxin._wire import CreateRequest, leaf_of
from liangxin.ledger import (
    Change,
    LedgerRow,
    LedgerState,
    Move,
    Plan,
    Store,
    input_sha256,
    now,
)
from liangxin.ledger._fold import held

log = logging.getLogger("liangxin")

T = TypeVar("T")


@define(eq=False)
class _Slip:
    """One change that waits for its transaction."""

    change: Change | Task
    is_fact: bool
    """Whether it has happened already, and can only be written, not refrained from."""
    written: anyio.Event = field(factory=lambda: anyio.Event())
    result: LedgerRow | LedgerError | None = None


class Recorder:
    """Writes to one ledger for one client; whatever waits goes into one transaction."""

    def __init__(self, ledger: Store, owned: OwnedTasks) -> None:
        self.ledger = ledger
        self._owned = owned
        self._waiting: list[_Slip] = []
        self._owed: list[_Slip] = []
        self._running = False
        self._limiter: anyio.CapacityLimiter | None = None
        self._idle = anyio.Event()

    @property
    def owes(self) -> int:
        """How many things have happened that could not be written."""
        return len(self._owed)

    async def settled(self) -> None:
        """Return when all is written, or known to be impossible to write for now."""
        while self._running:
            if self._idle.is_set():
                self._idle = anyio.Event()
            await self._idle.wait()

    async def record(self, change: Change, *, is_fact: bool = False) -> LedgerRow:
        """Return the row after the change when it is on the disk, or raise the `LedgerError`."""
        slip = self._put(change, is_fact)
        await slip.written.wait()
        if isinstance(slip.result, LedgerRow):
            return slip.result
        assert slip.result is not None
        raise copy(slip.result)  # one error of the whole transaction may be many waiters' own

    def ended(self, task: Task) -> None:
        """Note that a task has ended, if it is in the ledger; nobody waits for this."""
        self._put(task, True)

    def entry(self, key: str | None) -> Entry:
        """The row of one create that is about to be planned."""
        return Entry(self, key)

    def settling(self, ref: str) -> Callable[[Task], Awaitable[None]]:
        """How to put on record that the create `ref`, which is in doubt, became a task."""

        async def settle(task: Task) -> None:
            other = await self.run(lambda: self.ledger.find_task(task.id))
            if other is not None and other.ref != ref:
                raise LedgerError(f"the task {quoted(task.id)} belongs to {quoted(other.key)}")
            move = Move(ref=ref, to=LedgerState.ACCEPTED, at=now(), task_id=task.id)
            await self.record(move, is_fact=True)

        return settle

    async def run(self, work: Callable[[], T]) -> T:
        """Do blocking work of the ledger where it blocks nobody."""
        if self.ledger.is_quick:
            return work()
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def aclose(self) -> None:
        """Return when all is written, or known to be impossible to write."""
        await self.settled()
        if self._owed:
            await self._write([])

    def _put(self, change: Change | Task, is_fact: bool) -> _Slip:
        slip = _Slip(change, is_fact)
        if not self._running:
            self._owned.start(self._run)
            self._running = True
        self._waiting.append(slip)
        return slip

    async def _run(self) -> None:
        try:
            # Whoever cancels the client's block cancels this, and what waits is not to be dropped.
            with anyio.CancelScope(shield=True):
                while self._waiting:
                    slips, self._waiting = self._waiting, []
                    await self._write(slips)
        finally:
            self._running = False
            self._idle.set()

    async def _write(self, slips: list[_Slip]) -> None:
        slips = [*self._owed, *slips]
        try:
            results = await self.run(lambda: self._apply([slip.change for slip in slips]))
        except LedgerError as exc:
            self._owed = [slip for slip in slips if slip.is_fact]
            results = [exc] * len(slips)
        else:
            self._owed = []
        for slip, result in zip(slips, results, strict=True):
            slip.result = result
            slip.written.set()

    def _apply(self, changes: list[Change | Task]) -> list[LedgerRow | LedgerError | None]:
        """In the thread: make the changes, in one transaction."""
        moves = [self._end_of(each) if isinstance(each, Task) else each for each in changes]
        known = [each for each in moves if each is not None]
        results = iter(self.ledger.apply(known) if known else [])
        return [None if each is None else next(results) for each in moves]

    def _end_of(self, task: Task) -> Move | None:
        row = self.ledger.find_task(task.id)
        if row is None or row.state is not LedgerState.ACCEPTED:
            return None
        if task.state is TaskState.SUCCESS:
            return Move(ref=row.ref, to=LedgerState.SUCCEEDED, at=now(), urls=task.urls)
        reason = ": ".join(filter(None, (task.fail_code, task.fail_message))) or None
        return Move(ref=row.ref, to=LedgerState.FAILED, at=now(), reason=reason)


NOT_ABOUT_THIS_REQUEST = (Unauthorized, Forbidden, RateLimited, ServiceUnavailable)
"""Refusals of the key, the quota or the moment: the request itself may well be made again."""


class Entry:
    """The row of one create, from the intention to the answer."""

    def __init__(self, recorder: Recorder, key: str | None) -> None:
        self.recorder = recorder
        self.key = key
        self.ref = ""
        self._is_sending = False

    async def plan(self, request: CreateRequest) -> Task | CreateRequest:
        """
        Put the intention on record, and return the request as it is to be sent.

        Where the ledger knows the key, the task that was created for it is returned instead.
        Raises `LedgerConflict` if the key stands for another input, and `AmbiguousCreate` if it
        was sent and nobody knows what became of it.  Raises `LedgerHeld` while another process is
        at work on it.
        """
        row = await self.recorder.record(
            Plan(
                key=self.key or request.client_ref,
                ref=request.client_ref,
                model=request.model,
                input=request.fields,
                sha256=input_sha256(request.model, request.fields),
                at=now(),
            )
        )
        self.ref = row.ref
        if row.held_by is not None and row.state is not LedgerState.ACCEPTED:
            raise held(row)
        if row.state is LedgerState.REFUSED:  # asked for once more, and nothing was paid
            await self._move(LedgerState.PLANNED)
        elif row.state is not LedgerState.PLANNED:
            return task_of(row)
        return request if row.ref == request.client_ref else request.with_ref(row.ref)

    async def sending(self, token_sha256: bytes | None = None) -> None:
        """Put on record that the first byte leaves; if this raises, it must not."""
        # Not left before it is known whether the row is ours: another client over the same ledger
        # may be sending this key, and must not find its row planned again by us.
        with anyio.CancelScope(shield=True):
            await self._move(LedgerState.SENDING, token_sha256=token_sha256)
        self._is_sending = True

    async def accepted(self, task: Task, status: int | None) -> None:
        """Put the task on record; if that fails, say so wherever it can be said."""
        self._is_sending = False
        try:
            await self._move(
                LedgerState.ACCEPTED, task_id=task.id, http_status=status, is_fact=True
            )
        except LedgerError as exc:
            last_resort = (
                f"task {task.id} ({printable(task.model, 60)}, key {quoted(self.key or self.ref)}) "
                f"was accepted, and cannot be recorded: {exc}"
            )
            print(last_resort, file=sys.stderr, flush=True)  # noqa: T201  # the log may go nowhere
            if log.hasHandlers():  # else it would come out on standard error once more
                log.critical(last_resort)

    async def settle(self, error: LiangxinError) -> None:
        """Put on record how a create ended that was not accepted."""
        if not self._is_sending:
            return
        self._is_sending = False
        status = error.status if isinstance(error, APIError) else None
        try:
            if isinstance(error, AmbiguousCreate):
                await self._move(
                    LedgerState.AMBIGUOUS,
                    reason=error.message,
                    raw=error.raw or None,
                    http_status=error.http_status,
                    is_fact=True,
                )
            elif isinstance(error, APIError) and not isinstance(error, NOT_ABOUT_THIS_REQUEST):
                reason, to = error.message, LedgerState.REFUSED
                await self._move(to, reason=reason, http_status=status, is_fact=True)
            else:
                reason, to = error.message, LedgerState.PLANNED
                await self._move(to, reason=reason, http_status=status, is_fact=True)
        except LedgerError as exc:
            log.error("how the create of %s ended is not recorded: %s", quoted(self.key), exc)

    async def _move(self, to: LedgerState, *, is_fact: bool = False, **news: object) -> None:
        move = Move(ref=self.ref, to=to, at=now(), **news)  # type: ignore[arg-type]
        await self.recorder.record(move, is_fact=is_fact)


def task_of(row: LedgerRow) -> Task:
    """
    The task that a row stands for, as far as the ledger knows.

    Raises `AmbiguousCreate` where nobody knows of one.
    """
    if row.task_id is None or row.state.money != "paid":
        raise doubt_of(row)
    if row.state is LedgerState.FAILED:
        return Task(id=row.task_id, model=row.model, state=TaskState.FAIL, fail_message=row.reason)
    state = TaskState.WAITING if row.state is LedgerState.ACCEPTED else TaskState.SUCCESS
    return Task(id=row.task_id, model=row.model, state=state, urls=row.urls)


def doubt_of(row: LedgerRow) -> AmbiguousCreate:
    """What a row says that was sent, and of which nobody knows."""
    sent_at = row.sent_at or row.planned_at
    given_up = " (abandoned)" if row.state is LedgerState.ABANDONED else ""
    return AmbiguousCreate(
        f"{quoted(row.key)} was sent before, and nobody can tell whether it was accepted"
        f"{given_up}: money may have been spent. It is not sent again by itself: settle it with "
        f"`liangxin ledger attach`, `resend` or `abandon`. "
        f"({printable(row.reason or 'no reason is recorded', 160)})",
        model=row.model,
        client_ref=row.ref,
        request_sha256=row.sha256,
        sent_at=sent_at,
        elapsed=max(0.0, (row.answered_at or sent_at) - sent_at),
        http_status=row.http_status,
        raw=row.raw or b"",
        task_id=row.task_id,
    )


def refusal_of(row: LedgerRow) -> APIError:
    """The refusal that a row has on record."""
    status = row.http_status or 400
    return leaf_of(status)(row.reason or f"{quoted(row.key)} was refused", status=status)
