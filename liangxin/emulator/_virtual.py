"""
Virtual time: an asyncio loop whose clock jumps, and its counterpart of trio's.

When nothing is left to do but wait, the wait is over: the clock jumps to the moment that is next.
What a thread does and what comes over a socket takes no time by such a clock, and does not stop
it either: the clock jumps while they are at it, if anybody waits for a moment.  So a time-out
around a thread strikes at once; in process, the emulator needs neither threads nor sockets.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class JumpingLoop(asyncio.SelectorEventLoop):
    """
    asyncio's own event loop, with a clock that starts at 0 and jumps.

    A `loop_factory` for `asyncio.Runner`, `anyio.run` and test runners.
    """

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the seconds that were jumped over."""
        return self._jumping.jumped

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Wait for the threads of asyncio's own pool; a time-out would strike at once."""
        await super().shutdown_default_executor()


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a moment: notes how long it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Without a moment to wait for, only a thread or a socket can wake the loop.
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout is not None and timeout > 0:
            self.jumped += timeout
        return ready


def virtual_time(backend: str = "asyncio") -> tuple[str, dict[str, Any]]:
    """
    Return "asyncio" or "trio" as a backend for anyio, with the options by which its time jumps.

    As an `anyio_backend` of anyio's pytest plugin, or by hand:

        backend, options = virtual_time("trio")
        anyio.run(main, backend=backend, backend_options=options)

    Each call makes a clock of its own.
    """
    if backend == "asyncio":
        return backend, {"loop_factory": JumpingLoop}
    if backend != "trio":
        raise ValueError(f"time jumps on 'asyncio' and 'trio', not on {backend!r}")
    import trio.testing

    return backend, {"clock": trio.testing.MockClock(autojump_threshold=0)}
