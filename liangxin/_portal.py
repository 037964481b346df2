"""
The way from threads into one event loop: what stands behind the blocking `Client`.

One daemon thread runs the loop of one client, started when first needed.  Any thread may call;
a call that is interrupted (Ctrl-C) cancels its coroutine, and the client goes on working.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread
from anyio.from_thread import BlockingPortal

from liangxin._errors import ClientStateError

log = logging.getLogger("liangxin")

P = ParamSpec("P")
T = TypeVar("T")

EXIT_GRACE = 10.0
"""Seconds that an interpreter which exits without `close()` gives to creates under way."""
_END = object()


class Portal:
    """One loop, one thread, for one async client."""

    def __init__(self, client: AbstractAsyncContextManager[object]) -> None:
        self._client = client
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._blocking: BlockingPortal | None = None
        self._closed = False

    # --- the shapes that the generated client uses -------------------------------------------

    def run(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function in the loop, and wait for its result."""
        return _wait(self._submit(partial(function, *args, **kwargs)))

    def iterate(
        self, function: Callable[P, AsyncIterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        """Draw the items of an async generator; leaving the loop early closes it."""
        stream = function(*args, **kwargs)
        try:
            yield from self._items(stream)
        finally:
            self.run(_close, stream)

    @contextmanager
    def enter(
        self,
        function: Callable[P, AbstractAsyncContextManager[AsyncIterator[T]]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Iterator[Iterator[T]]:
        """Hold an async context manager open in the loop while a `with` block runs here."""
        opened: Future[AsyncIterator[T]] = Future()
        leave = _Leave()
        held = self._submit(partial(_hold, partial(function, *args, **kwargs), opened, leave))
        held.add_done_callback(partial(_pass_failure, opened))
        try:
            stream = _wait(opened)
        except BaseException:
            held.cancel()
            raise
        try:
            # What the body raises stays in this thread: a KeyboardInterrupt thrown into the
            # loop would end the loop, and with it everybody's work.
            yield self._items(stream)
        finally:
            try:
                self.run(leave.set)
                _wait(held)
            except ClientStateError:
                pass  # closed inside the block: there is nothing left to leave

    def close(self) -> None:
        """Close the client and end its thread; a second call does nothing."""
        if self._pid != os.getpid():
            return  # a forked child has neither the thread nor the connections
        self._check_thread()
        with self._lock:
            self._closed = True
        self._stop(None)

    # --- how ---------------------------------------------------------------------------------

    def _items(self, stream: AsyncIterator[T]) -> Iterator[T]:
        while (item := self.run(_next, stream)) is not _END:
            yield item  # type: ignore[misc]  # not the end, so an item

    def _submit(self, function: Callable[[], Awaitable[T]]) -> Future[T]:
        """Start a coroutine in the loop, which is started with the first one."""
        if self._pid != os.getpid():
            raise ClientStateError(
                f"this client was made in process {self._pid} and carried across a fork: its "
                "connections belong to that process, so make another one here"
            )
        self._check_thread()
        with self._lock:
            if self._closed:
                raise ClientStateError("the client is closed; make another one")
            blocking = self._blocking or self._start()
        try:
            return blocking.start_task_soon(function)
        except RuntimeError as exc:
            raise ClientStateError("the client is closed; make another one") from exc

    def _check_thread(self) -> None:
        if self._thread is not None and self._thread.ident == threading.get_ident():
            raise ClientStateError(
                "the blocking client was called from its own event loop's thread, which would "
                "wait for itself; use AsyncClient there"
            )

    def _start(self) -> BlockingPortal:
        started: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(
            target=self._main, args=(started,), name="liangxin", daemon=True
        )
        self._thread.start()
        self._blocking = started.result()
        _alive.add(self)
        return self._blocking

    def _main(self, started: Future[BlockingPortal]) -> None:
        try:
            anyio.run(self._live, started)
        except BaseException as exc:
            if started.done():
                raise  # nobody to tell but the thread's own hook
            started.set_exception(exc)

    async def _live(self, started: Future[BlockingPortal]) -> None:
        """Live in the thread: hold the client open until told to stop."""
        async with BlockingPortal() as blocking, self._client:
            started.set_result(blocking)
            await blocking.sleep_until_stopped()

    def _stop(self, timeout: float | None) -> bool:
        """Stop the loop, and say whether its thread has ended within `timeout` seconds."""
        _alive.discard(self)
        if self._thread is None or self._blocking is None:
            return True
        with suppress(RuntimeError):  # told already
            self._blocking.start_task_soon(self._blocking.stop)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def stop_at_exit(self) -> None:
        """Do what `close` does, for an interpreter that exits without it, and cannot wait long."""
        if self._pid == os.getpid() and not self._stop(EXIT_GRACE):
            log.warning("the interpreter exited while creates were under way: see `unclaimed`")


_alive: weakref.WeakSet[Portal] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    for portal in list(_alive):
        portal.stop_at_exit()


def _wait(future: Future[T]) -> T:
    try:
        # Without a timeout, Future.result() ignores Ctrl-C on Windows:
        # https://github.com/agronholm/anyio/issues/532
        return future.result(threading.TIMEOUT_MAX)
    except CancelledError:
        raise ClientStateError("the client closed during the call") from None
    except BaseException:
        future.cancel()  # no effect on one that has ended; on another, Ctrl-C ends its coroutine
        raise


class _Leave:
    """An anyio event that is made in the loop."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._is_set = False

    async def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        if not self._is_set:
            self._event = anyio.Event()
            await self._event.wait()


async def _hold(
    make: Callable[[], AbstractAsyncContextManager[T]], opened: Future[T], leave: _Leave
) -> None:
    async with make() as value:
        opened.set_result(value)
        await leave.wait()


def _pass_failure(opened: Future[T], held: Future[None]) -> None:
    if opened.done():
        return
    if held.cancelled():
        opened.cancel()
    else:
        opened.set_exception(held.exception())


async def _next(stream: AsyncIterator[T]) -> T | object:
    return await anext(stream, _END)


async def _close(stream: AsyncIterator[object]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()


def drawn_in_thread(inputs: Iterable[T]) -> Iterable[T] | AsyncIterator[T]:
    """
    Let the loop draw from an iterable of a blocking caller without being blocked by it.

    Each item of a generator (or of any iterable that is not a sequence) is drawn in a worker
    thread: it may block, and it may call the client.
    """
    return inputs if isinstance(inputs, Sequence) else _Drawn(iter(inputs))


class _Drawn(AsyncIterator[T]):
    def __init__(self, inputs: Iterator[T]) -> None:
        self._inputs = inputs

    async def __anext__(self) -> T:
        # Abandoned when the block is left early, or a generator that waits would keep it open.
        item = await anyio.to_thread.run_sync(next, self._inputs, _END, abandon_on_cancel=True)
        if item is _END:
            raise StopAsyncIteration
        return item  # type: ignore[return-value]  # not the end, so an item
