"""
The door through which creates leave: when the service's limits allow it, and by turns.

Each stream of `run_many` and each single caller queues for itself, and they take turns: a batch of
ten thousand does not keep one picture waiting.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from copy import copy
from typing import Protocol, Self

import anyio
from attrs import define, field

from liangxin._errors import LiangxinError
from liangxin._owned import OwnedTasks
from liangxin._pacing import CreatePace, RateWindow


class Turn(Protocol):
    """Leave to send one create; given back at the end of its block if nothing left."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, *_: object) -> None:
        """End."""

    async def comes(self) -> None:
        """All is ready: wait for the moment in which the first byte may leave."""

    def left(self) -> None:
        """The first byte leaves now."""


class Limits(Protocol):
    """When the next create may be let in: by what this process knows, or with many others."""

    @property
    def rate(self) -> float:
        """Creates a second that are let through now, infinite without a limit."""

    def attach(
        self, waiting: Callable[[], int], heard: Callable[[LiangxinError | None], None]
    ) -> None:
        """
        Begin to be asked.

        `waiting` counts those at the door; `heard` is to be called when `delay` may have changed,
        or with the error for which none of them can be let in.
        """

    def delay(self, now: float) -> float:
        """Seconds until another create may be let in; infinite until something is heard."""

    def admit(self, now: float) -> Turn:
        """Let one in, for which `delay` was 0."""

    def accepted(self, now: float) -> None:
        """The service accepted a create."""

    def refused(self, now: float, retry_after: float | None) -> None:
        """The service said "later"."""


class LocalTurn:
    """A turn whose moment has come when it is given."""

    def __init__(self, window: RateWindow | None, alarm: Callable[[None], None]) -> None:
        self._window = window
        self._alarm = alarm

    def __enter__(self) -> LocalTurn:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(None)

    async def comes(self) -> None:
        """It has come."""

    def left(self) -> None:
        """The first byte leaves now."""
        self._end(anyio.current_time())

    def _end(self, left_at: float | None) -> None:
        window, self._window = self._window, None
        if window is not None:
            window.left(left_at)
            self._alarm(None)


class LocalLimits:
    """What this process was told, and what it finds out from refusals."""

    def __init__(self, window: RateWindow | None) -> None:
        self._window = window
        self._pace = CreatePace()
        self._heard: Callable[[None], None] = lambda error: None

    @property
    def rate(self) -> float:
        """Creates a second that are let through now, infinite without a limit."""
        allowed = math.inf if self._window is None else self._window.count / self._window.seconds
        return min(self._pace.rate, allowed)

    def attach(
        self, waiting: Callable[[], int], heard: Callable[[LiangxinError | None], None]
    ) -> None:
        """Begin to be asked."""
        self._heard = heard

    def delay(self, now: float) -> float:
        """Seconds until another create may be let in; infinite until one of those leaves."""
        allowed = 0.0 if self._window is None else self._window.delay(now)
        return max(allowed, self._pace.delay(now))

    def admit(self, now: float) -> LocalTurn:
        """Let one in, for which `delay` was 0."""
        self._pace.spend(now)
        if self._window is not None:
            self._window.admitted()
        return LocalTurn(self._window, self._heard)

    def accepted(self, now: float) -> None:
        """The service accepted a create."""
        self._pace.accepted(now)

    def refused(self, now: float, retry_after: float | None) -> None:
        """The service said "later"."""
        self._pace.refused(now, retry_after)


@define(eq=False)
class _Place:
    """One that waits at the door."""

    called: anyio.Event = field(factory=lambda: anyio.Event())
    turn: Turn | None = None
    error: LiangxinError | None = None


class Admission:
    """Lets creates through, one after the other, no sooner than they may leave."""

    def __init__(self, owned: OwnedTasks, limits: Limits) -> None:
        self._owned = owned
        self._limits = limits
        self._queues: OrderedDict[object, deque[_Place]] = OrderedDict()
        self._waiting = 0
        self._alarm = anyio.Event()
        self._running = False
        limits.attach(lambda: self._waiting, self._heard)

    @property
    def rate(self) -> float:
        """Creates a second that are let through now, infinite without a limit."""
        return self._limits.rate

    async def enter(self, source: object) -> Turn:
        """Wait for the turn of `source`."""
        now = anyio.current_time()
        if not self._queues and self._limits.delay(now) <= 0:
            return self._limits.admit(now)
        place = _Place()
        self._queues.setdefault(source, deque()).append(place)
        self._waiting += 1
        if not self._running:
            self._owned.start(self._run)
            self._running = True
        try:
            await place.called.wait()
        except BaseException:  # cancelled: give back the turn, or the place in the queue
            if place.turn is not None:
                place.turn.__exit__()
            elif not place.called.is_set():
                self._leave_queue(source, place)
            raise
        if place.error is not None:
            raise copy(place.error)  # one error may be that of many
        assert place.turn is not None
        return place.turn

    def accepted(self) -> None:
        """The service accepted a create."""
        self._limits.accepted(anyio.current_time())

    def refused(self, retry_after: float | None) -> None:
        """The service said "later"."""
        self._limits.refused(anyio.current_time(), retry_after)

    def _heard(self, error: LiangxinError | None) -> None:
        if error is not None:
            for queue in self._queues.values():
                for place in queue:
                    place.error = error
                    place.called.set()
            self._queues.clear()
            self._waiting = 0
        self._alarm.set()

    async def _run(self) -> None:
        try:
            while self._queues:
                self._alarm = anyio.Event()
                now = anyio.current_time()
                pause = self._limits.delay(now)
                if pause <= 0:
                    self._admit_next(now)
                else:
                    with anyio.move_on_after(pause):
                        await self._alarm.wait()
        finally:
            self._running = False

    def _admit_next(self, now: float) -> None:
        source, queue = next(iter(self._queues.items()))
        place = queue.popleft()
        self._waiting -= 1
        self._queues.move_to_end(source)
        if not queue:
            del self._queues[source]
        place.turn = self._limits.admit(now)
        place.called.set()

    def _leave_queue(self, source: object, place: _Place) -> None:
        queue = self._queues[source]
        queue.remove(place)
        self._waiting -= 1
        if not queue:
            del self._queues[source]
        self._alarm.set()
