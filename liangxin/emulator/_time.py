"""
The emulator's time: seconds since it was first asked, and their Unix milliseconds.

The only module that may look at a real clock, and only when it was given none.
"""

import time
from collections.abc import Callable


class Timeline:
    """
    Time as the emulated service sees it: `speed` of its seconds pass in one second of `clock`.

    The clock is first read by the first request, so one that needs an event loop
    (`anyio.current_time`) will do.  `wall` gives the Unix time of that moment, once.
    """

    def __init__(
        self, clock: Callable[[], float] | None, wall: Callable[[], float] | None, speed: float
    ) -> None:
        if not speed > 0:
            raise ValueError(f"speed must be above 0, not {speed!r}")
        self.is_real = clock is None
        self.speed = speed
        self._clock = clock or time.monotonic
        self._wall = wall or time.time
        self._start: float | None = None
        self._epoch = 0.0

    def now(self) -> float:
        """Return the service's seconds since the first call."""
        reading = self._clock()
        if self._start is None:
            self._start, self._epoch = reading, self._wall()
        return (reading - self._start) * self.speed

    def unix_ms(self, at: float) -> int:
        """Return the moment `at` in milliseconds since 1970."""
        return round((self._epoch + at) * 1000)

    def outside(self, seconds: float) -> float:
        """Return how long `seconds` of the service last for those who wait for them."""
        return seconds / self.speed
