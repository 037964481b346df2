"""
Between an event loop and threads, without either waiting for the other: what anyio does not offer.

anyio's portal waits until the loop has taken notice, and the loop may be waiting for the very
thread that calls; its threads are one for each that waits.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import anyio

T = TypeVar("T")


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


async def result_of(future: Future[T], timeout: float) -> T:
    """Wait for what a thread will answer; a TimeoutError if it takes longer than that."""
    answered, soon = anyio.Event(), soon_in_this_loop()

    def tell(future: object) -> None:
        with suppress(RuntimeError):  # the loop has ended
            soon(lambda: answered.set())

    future.add_done_callback(tell)
    with anyio.fail_after(timeout):
        await answered.wait()
    return future.result()
