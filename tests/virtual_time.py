"""
uvloop with a clock that jumps, as `liangxin.emulator.JumpingLoop` is for asyncio.

For tests without sockets and without threads, where nothing can happen outside.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

import uvloop


class JumpingUvloop(uvloop.Loop):
    """uvloop, whose timers cannot be reached into, with timers of our own."""

    QUIET_TURNS = 3
    """So many turns of the loop without a new callback, and all there is to do is wait."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._numbers = count()
        self._activity = 0
        self._pumping = False

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]  # typeshed ties the arguments to the callback
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Any:
        self._activity += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Any:
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        if not self._pumping:
            self._pumping = True
            super().call_soon(self._pump, self._activity, 0)
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _pump(self, seen: int, quiet: int) -> None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            self._pumping = False
            return
        quiet = quiet + 1 if seen == self._activity else 0
        if quiet >= self.QUIET_TURNS:
            when, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, when)
            timer._run()  # what a loop does with a handle
            quiet = 0
        super().call_soon(self._pump, self._activity, quiet)


class _Timer(asyncio.TimerHandle):
    """A handle that tells no loop when it is cancelled: the pump finds out."""

    def __init__(
        self,
        when: float,
        callback: Callable[..., Any],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Any,
    ) -> None:
        super().__init__(when, callback, args, loop, context)

    def cancel(self) -> None:
        asyncio.Handle.cancel(self)
