"""
The emulator's time: seconds since it was first asked, and their Unix milliseconds.

The only module that may look at a real clock, and only when it was given none; and the only one
that waits for a moment, since time may be moved by hand.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Callable

import anyio
from anyio.from_thread import BlockingPortal

_MOST = 10**9


class Timeline:
    """
    Time as the emulated service sees it: `speed` of its seconds pass in one second of `clock`.

    At `speed` 0 time stands still until `advance` moves it.  The clock is first read by the first
    request, so one that needs an event loop (`anyio.current_time`) will do.  `wall` gives the Unix
    time of that moment, once.
    """

    def __init__(
        self, clock: Callable[[], float] | None, wall: Callable[[], float] | None, speed: float
    ) -> None:
        self.is_real = clock is None
        self._clock = clock or time.monotonic
        self._wall = wall or time.time
        self._speed = _checked(speed)
        self._read_at: float | None = None
        self._now = 0.0
        self._epoch = 0.0
        self._waiting: set[anyio.Event] = set()
        self._portal: BlockingPortal | None = None
        self._thread = 0

    # What time it is

    def now(self) -> float:
        """Return the service's seconds since the first call."""
        if self._read_at is None:
            self._read_at, self._epoch = self._clock(), self._wall()
        if not self._speed:
            return self._now
        return self._now + (self._clock() - self._read_at) * self._speed

    def unix_ms(self, at: float) -> int:
        """Return the moment `at` in milliseconds since 1970."""
        return round((self._epoch + at) * 1000)

    def outside(self, seconds: float) -> float:
        """Return how long `seconds` of the service last for those who wait for them."""
        return seconds / self._speed if self._speed else math.inf

    # Moved by hand

    @property
    def speed(self) -> float:
        """How many times as fast as its clock; 0 while it stands still."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        _checked(speed)
        self._settle()
        self._speed = speed
        self.nudge()

    def advance(self, seconds: float) -> None:
        """Move time on at once, whether it stands still or not."""
        if not 0 <= seconds <= _MOST:
            raise ValueError(f"time moves on by 0 to {_MOST} seconds, not {seconds!r:.60}")
        self._settle()
        self._now += seconds
        self.nudge()

    def set(self, now: float, epoch: float) -> None:
        """Make it `now` o'clock, counted from the Unix time `epoch`."""
        self._settle()
        self._now, self._epoch = now, epoch
        self.nudge()

    @property
    def epoch(self) -> float:
        """The Unix time of second 0."""
        self.now()
        return self._epoch

    def _settle(self) -> None:
        self._now = self.now()
        self._read_at = self._clock()

    # Waiting

    async def until(self, at: float) -> None:
        """Return at the moment `at`, however time comes to be that late."""
        while (left := at - self.now()) > 0:
            await self.moved(left)

    async def moved(self, at_most: float = math.inf) -> None:
        """Return at the next `nudge`, or when `at_most` seconds have passed."""
        bell = anyio.Event()
        self._waiting.add(bell)
        try:
            # A floor, since adding a tiny wait to a large clock reading may not move it at all.
            with anyio.move_on_after(max(self.outside(at_most), 0.001)):
                await bell.wait()
        finally:
            self._waiting.discard(bell)

    @contextlib.asynccontextmanager
    async def heard(self) -> AsyncIterator[None]:
        """While the block runs, those who wait in its event loop hear of moves in other threads."""
        async with BlockingPortal() as self._portal:
            self._thread = threading.get_ident()
            try:
                yield
            finally:
                self._portal = None

    def nudge(self) -> None:
        """Let everyone who waits look at the time again."""
        portal = self._portal
        if portal is None or threading.get_ident() == self._thread:
            self._tell()
        else:
            portal.start_task_soon(self._tell)

    def _tell(self) -> None:
        for bell in tuple(self._waiting):
            bell.set()


def _checked(speed: float) -> float:
    if not 0 <= speed <= _MOST:
        raise ValueError(f"speed must be from 0 (time stands still) to {_MOST}, not {speed!r:.60}")
    return speed
