"""
Into an event loop, from any thread, without waiting for it: what anyio does not offer.

anyio's portal waits until the loop has taken notice, and the loop may be waiting for the very
thread that calls.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable


def soon_in_this_loop() -> Callable[[Callable[[], object]], object]:
    """
    Return how any thread has a function called in the loop that runs here now, and goes on.

    What is returned raises a RuntimeError when the loop has ended.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        soon: Callable[[Callable[[], object]], object]
        soon = trio.lowlevel.current_trio_token().run_sync_soon
        return soon
    return asyncio.get_running_loop().call_soon_threadsafe
