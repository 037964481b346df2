"""
The door through which creates leave: when the service's limits allow it, and by turns.

Each stream of `run_many` and each single caller queues for itself, and they take turns: a batch of
ten thousand does not keep one picture waiting.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable

import anyio

from liangxin._owned import OwnedTasks
from liangxin._pacing import CreatePace, RateWindow


class Turn:
    """Leave to send one create; given back at the end of its block if nothing left."""

    def __init__(self, window: RateWindow | None, alarm: Callable[[], None]) -> None:
        self._window = window
        self._alarm = alarm

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        self._end(None)

    def left(self) -> None:
        """The first byte leaves now."""
        self._end(anyio.current_time())

    def _end(self, left_at: float | None) -> None:
        window, self._window = self._window, None
        if window is not None:
            window.left(left_at)
            self._alarm()


class Admission:
    """Lets creates through, one after the other, no sooner than they may leave."""

    def __init__(self, owned: OwnedTasks, window: RateWindow | None) -> None:
        self._owned = owned
        self._window = window
        self._pace = CreatePace()
        self._queues: OrderedDict[object, deque[anyio.Event]] = OrderedDict()
        self._alarm = anyio.Event()
        self._running = False

    @property
    def rate(self) -> float:
        """Creates a second that are let through now, infinite without a limit."""
        allowed = math.inf if self._window is None else self._window.count / self._window.seconds
        return min(self._pace.rate, allowed)

    async def enter(self, source: object) -> Turn:
        """Wait for the turn of `source`."""
        if not self._queues and self._pause() <= 0:
            self._let_in()
            return self._turn()
        turn = anyio.Event()
        self._queues.setdefault(source, deque()).append(turn)
        if not self._running:
            self._owned.start(self._run)
            self._running = True
        try:
            await turn.wait()
        except BaseException:  # cancelled: give back the turn, or the place in the queue
            if turn.is_set():
                self._turn().__exit__()
            else:
                self._leave_queue(source, turn)
            raise
        return self._turn()

    def _turn(self) -> Turn:
        return Turn(self._window, lambda: self._alarm.set())

    def accepted(self) -> None:
        """The service accepted a create."""
        self._pace.accepted(anyio.current_time())

    def refused(self, retry_after: float | None) -> None:
        """The service said "later"."""
        self._pace.refused(anyio.current_time(), retry_after)

    async def _run(self) -> None:
        try:
            while self._queues:
                self._alarm = anyio.Event()
                pause = self._pause()
                if pause <= 0:
                    self._admit_next()
                else:
                    with anyio.move_on_after(pause):
                        await self._alarm.wait()
        finally:
            self._running = False

    def _pause(self) -> float:
        now = anyio.current_time()
        allowed = 0.0 if self._window is None else self._window.delay(now)
        return max(allowed, self._pace.delay(now))

    def _let_in(self) -> None:
        self._pace.spend(anyio.current_time())
        if self._window is not None:
            self._window.admitted()

    def _admit_next(self) -> None:
        source, queue = next(iter(self._queues.items()))
        turn = queue.popleft()
        self._queues.move_to_end(source)
        if not queue:
            del self._queues[source]
        self._let_in()
        turn.set()

    def _leave_queue(self, source: object, turn: anyio.Event) -> None:
        queue = self._queues[source]
        queue.remove(turn)
        if not queue:
            del self._queues[source]
        self._alarm.set()
