"""What is told of a call while it runs: progress, for a host that has asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio

Report: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]

_STEP = 0.001
"""By how much a later report is more than an earlier one at least, as the protocol has it."""


class News:
    """Reports the seconds since a call began, and in words what goes on."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._began = anyio.current_time()
        self._last = 0.0

    @property
    def seconds(self) -> float:
        """How long the call runs."""
        return anyio.current_time() - self._began

    async def tell(self, text: str) -> None:
        """Report; nothing, if nobody has asked for it."""
        self._last = max(self.seconds, self._last + _STEP)
        await self._report(self._last, None, f"{text} ({self.seconds:.0f} s)")
