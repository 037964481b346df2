"""
The way from threads into one event loop: what stands behind the blocking `Client`.

One daemon thread runs the loop of one client, started when first needed.  Any thread may call;
a call that is interrupted (Ctrl-C) cancels its coroutine, and the client goes on working.  What
such a call had paid for in that very moment is kept, not dropped.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from contextvars import Context, copy_context
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup
from attrs import define

from liangxin._errors import ClientStateError
from liangxin._tasks import ModelInput, Outcome, Task

log = logging.getLogger("liangxin")

P = ParamSpec("P")
T = TypeVar("T")

EXIT_GRACE = 10.0
"""Seconds that an interpreter which exits without `close()` gives to creates under way."""
CLOSED = "the client is closed; make another one"
# Without a timeout, Future.result() ignores Ctrl-C on Windows:
# https://github.com/agronholm/anyio/issues/532
FOREVER = threading.TIMEOUT_MAX
_END = object()


class Portal:
    """One loop, one thread, for one async client; `keep` takes what was paid for and not taken."""

    def __init__(
        self, client: AbstractAsyncContextManager[object], keep: Callable[[Outcome], None]
    ) -> None:
        self._client = client
        self._keep = keep
        self._pid: int | None = None
        """The process that the thread is in; until there is one, the client may cross a fork."""
        # Reentrant, for a signal handler that calls the client in the middle of its start.
        self._lock = threading.RLock()
        self._launched = False
        self._thread: threading.Thread | None = None
        self._started: Future[_Loop] = Future()
        self._ended = threading.Event()
        self._entering: set[object] = set()
        self._closed = False
        self._has_lived = False
        self._failure: BaseException | None = None

    # --- the shapes that the generated client uses -------------------------------------------

    def run(self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function in the loop, and wait for its result."""
        blocking = self._open()
        paid_for = args[0] if args and isinstance(args[0], ModelInput) else None
        call = _Call(partial(function, *args, **kwargs), partial(self._lost, paid_for))
        try:
            self._submit(blocking, call)
            return call.future.result(FOREVER)
        except BaseException as exc:
            if not call.raised(exc):
                _abandon(blocking, call)
            raise

    def iterate(
        self, function: Callable[P, AsyncIterator[T]], *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        """Draw the items of an async generator; it is closed when nobody holds it any more."""
        # By the event loop's own hook for async generators, which never blocks: a generator here
        # would be closed by whatever thread collects the garbage, maybe the loop's.
        return _Items(self, function(*args, **kwargs))

    def enter(
        self,
        function: Callable[P, AbstractAsyncContextManager[AsyncIterator[T]]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> AbstractContextManager[Iterator[T]]:
        """Hold an async context manager open in the loop while a `with` block runs here."""
        drawn = [each for each in args if isinstance(each, _Drawn)]
        return _Held(self, partial(function, *args, **kwargs), drawn)

    def drawn(self, inputs: Iterable[T]) -> Iterable[T] | AsyncIterator[T]:
        """
        Let the loop draw from an iterable of a blocking caller without being blocked by it.

        Each item of anything but a list or a tuple is drawn in a thread of its own: it may block,
        and it may call the client.
        """
        return inputs if isinstance(inputs, (list, tuple)) else _Drawn(self, iter(inputs))

    def drawn_or_file(
        self, inputs: str | os.PathLike[str] | Iterable[T]
    ) -> str | os.PathLike[str] | Iterable[T] | AsyncIterator[T]:
        """The same, unless it is a file or the path of one, which the loop reads itself."""
        if isinstance(inputs, (str, os.PathLike)) or hasattr(inputs, "is_rereadable"):
            return inputs
        return self.drawn(inputs)

    def close(self) -> None:
        """Close the client and end its thread; a second call does nothing."""
        if self._is_foreign():
            return  # a forked child has neither the thread nor the connections
        if self.is_here():
            raise ClientStateError(_OWN_THREAD)
        with self._lock:
            was_closed, self._closed = self._closed, True
        self._stop()
        if self._failure is not None and not was_closed:
            raise self._failure

    # --- calls -------------------------------------------------------------------------------

    def is_here(self) -> bool:
        """Whether the calling thread is the loop's."""
        return self._thread is not None and self._thread.ident == threading.get_ident()

    def _is_foreign(self) -> bool:
        return self._pid is not None and self._pid != os.getpid()

    def _open(self) -> _Loop:
        """The way into the loop, which is started with the first call."""
        if self._is_foreign():
            raise ClientStateError(
                f"this client was used in process {self._pid} and carried across a fork: its "
                "connections belong to that process, so make another one here"
            )
        if self.is_here():
            raise ClientStateError(_OWN_THREAD)
        if self._closed:
            raise ClientStateError(CLOSED)
        if not self._started.done():
            self._start()
        return self._started.result(FOREVER)

    def _submit(self, blocking: _Loop, call: _Call[T]) -> None:
        self._entering.add(call)
        try:
            blocking.start_task_soon(call)
        except RuntimeError as exc:
            raise ClientStateError(CLOSED) from (self._failure or exc)
        finally:
            self._entering.discard(call)

    def _lost(self, input: ModelInput | None, result: object) -> None:
        """Keep what a call ended with whose caller was interrupted, if it may have cost money."""
        if isinstance(result, Outcome):
            self._keep(result)
        elif input is None:
            return
        elif isinstance(result, Task):
            self._keep(Outcome(input=input, task=result))
        elif isinstance(result, Exception):
            task = getattr(result, "task", None)
            self._keep(Outcome(input=input, task=task, error=result))  # type: ignore[arg-type]

    # --- the thread --------------------------------------------------------------------------

    def _start(self) -> None:
        # Ctrl-C may come between any two of these lines; a second thread then finds the loop
        # taken, and ends.
        with self._lock:
            if self._closed:
                raise ClientStateError(CLOSED)
            if not self._launched:
                self._pid = os.getpid()
                _alive.add(self)
                threading.Thread(target=self._main, name="liangxin", daemon=True).start()
                self._launched = True

    def _main(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            self._thread = threading.current_thread()
        try:
            if self._closed:
                raise ClientStateError(CLOSED)
            anyio.run(self._live)
        except BaseException as exc:
            if not self._started.done():
                self._started.set_exception(exc)
            elif not self._has_lived:
                self._failure = exc  # raised by close()
            # Else the client has ended well, and only its loop could not be closed: uvloop's (as a
            # policy of the process) cannot, over a socket that anyio before 4.16 has lost.
        finally:
            _alive.discard(self)
            self._ended.set()

    async def _live(self) -> None:
        """Live in the thread: hold the client open until told to stop."""
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            blocking = _Loop(group)
            try:
                async with self._client:
                    self._started.set_result(blocking)
                    await blocking.sleep_until_stopped()
            except Exception as exc:  # raised below, or the portal's group would wrap it
                failure = exc
            blocking.stop()
            # A call that slipped in before the stop is taken by the loop, and cancelled with the
            # rest: it must not wait for an answer for ever.
            while self._entering:  # a turn or two
                await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure
        self._has_lived = True

    def _stop(self) -> None:
        if self.tell_to_stop():
            self.has_ended(FOREVER)
            assert self._thread is not None
            self._thread.join(FOREVER)

    def tell_to_stop(self) -> bool:
        """Begin to close; say whether there is a thread that has to end."""
        if self._is_foreign() or self._thread is None:
            return False
        self._closed = True
        with suppress(RuntimeError, ClientStateError):  # told already, or never started
            blocking = self._started.result(FOREVER)
            blocking.start_task_soon(blocking.stop)
        return True

    def has_ended(self, timeout: float) -> bool:
        """Wait for the end, and say whether it has come."""
        # Not by a join, which Ctrl-C makes take a running thread for a stopped one:
        # https://github.com/python/cpython/issues/90882
        return self._ended.wait(timeout)


_OWN_THREAD = (
    "the blocking client was called from its own event loop's thread, which would wait for "
    "itself; use AsyncClient there"
)
_alive: set[Portal] = set()


@atexit.register
def _stop_all() -> None:
    """Do what `close` does, for an interpreter that exits without it, and cannot wait long."""
    # No thread can be started here any more (Python 3.12), so all are told before any is awaited.
    grace = EXIT_GRACE
    with suppress(KeyboardInterrupt):  # the exit goes on
        for portal in [each for each in list(_alive) if each.tell_to_stop()]:
            if not portal.has_ended(grace):
                grace = 0.0
                log.warning(
                    "the interpreter exits while creates are under way: what became of them is "
                    "known to the service alone; close() the client to wait for them"
                )


class _Loop:
    """
    The way into a running loop, from any thread, without waiting until it takes notice.

    anyio's `BlockingPortal` waits for that, and so makes two round trips of every call, at 100 µs.
    The loop is always asyncio's, because we start it.
    """

    def __init__(self, group: TaskGroup) -> None:
        self._native = asyncio.get_running_loop()
        self._group = group
        # Its own, since a caller's may say that the running loop is trio's.
        self._context = copy_context()
        self._stopped = anyio.Event()
        self._is_open = True

    def start_task_soon(self, function: Callable[[], Awaitable[None] | None]) -> None:
        """Call in the loop, and await there if it is a coroutine; RuntimeError once stopped."""
        if not self._is_open:
            raise RuntimeError("the loop takes no more calls")
        self._native.call_soon_threadsafe(self._take, function, context=self._callers())

    def _callers(self) -> Context:
        """The caller's context, a trace for instance, but for what the loop has set itself."""
        context = self._context.copy()
        for variable, value in copy_context().items():
            if variable not in context:
                context.run(variable.set, value)
        return context

    def _take(self, function: Callable[[], Awaitable[None] | None]) -> None:
        if isinstance(function, _Call):
            self._group.start_soon(function)
        else:
            function()

    async def sleep_until_stopped(self) -> None:
        """Wait for `stop`."""
        await self._stopped.wait()

    def stop(self) -> None:
        """Take no more calls; called in the loop."""
        self._is_open = False
        self._stopped.set()


class _Call(Generic[T]):
    """One call from a thread: the coroutine in the loop, and its result or its caller's leave."""

    def __init__(
        self, function: Callable[[], Awaitable[T]], lost: Callable[[object], None]
    ) -> None:
        self.future: Future[T] = Future()
        self._function = function
        self._lost = lost
        self._scope: anyio.CancelScope | None = None

    async def __call__(self) -> None:
        with anyio.CancelScope() as self._scope:
            if self.future.cancelled():
                return
            try:
                result = await self._function()
            except Exception as exc:
                self._end(exc)
            except BaseException:  # cancelled, by the caller or by the closing of the client
                self._end(ClientStateError("the client closed during the call"))
                raise
            else:
                # The caller leaves before this line or after it: one of both keeps the result.
                if self.future.set_running_or_notify_cancel():
                    self.future.set_result(result)
                else:
                    self._lost(result)

    def _end(self, exc: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(exc)
        else:
            self._lost(exc)

    def raised(self, exc: BaseException) -> bool:
        """Whether this exception is how the coroutine ended."""
        future = self.future
        return future.done() and not future.cancelled() and future.exception() is exc

    def leave(self) -> bool:
        """The caller leaves; say whether the coroutine may be running still."""
        if self.future.cancel():
            return True
        self._lost(self.future.exception() or self.future.result())
        return False

    def stop(self) -> None:
        """End the coroutine; called in the loop."""
        if self._scope is not None:
            self._scope.cancel()


def _abandon(blocking: _Loop, call: _Call[T]) -> None:
    """Leave a call that was interrupted: its coroutine is cancelled soon."""
    if call.leave():
        with suppress(RuntimeError):  # the loop has ended, and the coroutine with it
            blocking.start_task_soon(call.stop)


class _Items(Iterator[T]):
    """The items of an async iterator, for threads, which take turns."""

    def __init__(self, portal: Portal, stream: AsyncIterator[T]) -> None:
        self._portal = portal
        self._stream = stream
        self._turn = threading.Lock()

    def __next__(self) -> T:
        with self._turn:
            item = self._portal.run(_next, self._stream)
        if item is _END:
            raise StopIteration
        return item  # type: ignore[return-value]  # not the end, so an item


async def _next(stream: AsyncIterator[T]) -> T | object:
    return await anext(stream, _END)


class _Held(AbstractContextManager[Iterator[T]]):
    """
    An async context manager, held open in the loop.

    What the body raises stays in its thread: a KeyboardInterrupt thrown into the loop would end
    the loop, and with it everybody's work.
    """

    def __init__(
        self,
        portal: Portal,
        make: Callable[[], AbstractAsyncContextManager[AsyncIterator[T]]],
        drawn: list[_Drawn[object]],
    ) -> None:
        self._portal = portal
        self._make = make
        self._drawn = drawn
        self._leave = _Leave()
        self._call: _Call[None] = _Call(self._hold, _ignore)
        self._opened: Future[AsyncIterator[T]] = Future()
        self._blocking: _Loop | None = None

    async def _hold(self) -> None:
        async with self._make() as value:
            self._opened.set_result(value)
            await self._leave.wait()

    def __enter__(self) -> Iterator[T]:
        if self._blocking is not None:
            raise ClientStateError("this block was entered before; ask the client for another one")
        self._blocking = self._portal._open()
        self._call.future.add_done_callback(self._pass_failure)
        try:
            self._portal._submit(self._blocking, self._call)
            return _Items(self._portal, self._opened.result(FOREVER))
        except BaseException:
            _abandon(self._blocking, self._call)
            raise

    def _pass_failure(self, held: Future[None]) -> None:
        if not self._opened.done() and not held.cancelled():
            self._opened.set_exception(held.exception())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._blocking is not None
        for drawn in self._drawn:
            drawn.close()
        if self._portal.is_here():  # a generator that held the block is collected as garbage
            self._leave.set()
            return
        try:
            # Closed inside the block, or carried across a fork: there is nothing left to leave.
            with suppress(ClientStateError):
                self._portal.run(self._leave.now)
                self._call.future.result(FOREVER)
        except BaseException as failure:
            if not self._call.raised(failure):
                _abandon(self._blocking, self._call)
            raise


def _ignore(_: object) -> None:
    """A block has no result that could be lost."""


class _Leave:
    """An anyio event that is made in the loop."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None
        self._is_set = False

    async def now(self) -> None:
        self.set()

    def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        if not self._is_set:
            self._event = anyio.Event()
            await self._event.wait()


@define(eq=False)
class _Wish:
    """One item that the loop waits for."""

    answered: anyio.Event
    item: object = _END
    error: Exception | None = None


class _Drawn(AsyncIterator[T]):
    """
    An iterator of a blocking caller, drawn one item at a time in a thread of its own.

    A daemon, unlike anyio's worker threads: an iterator that waits for ever must not keep the
    interpreter from its exit.
    """

    def __init__(self, portal: Portal, inputs: Iterator[T]) -> None:
        self._wishes: SimpleQueue[_Wish | None] = SimpleQueue()
        context = copy_context()
        self._thread: threading.Thread | None = threading.Thread(
            target=partial(context.run, _draw, portal, inputs, self._wishes),
            name="liangxin-inputs",
            daemon=True,
        )

    async def __anext__(self) -> T:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.start()
        wish = _Wish(anyio.Event())
        self._wishes.put(wish)
        await wish.answered.wait()
        if wish.error is not None:
            raise wish.error
        if wish.item is _END:
            raise StopAsyncIteration
        return wish.item  # type: ignore[return-value]  # not the end, so an item

    def close(self) -> None:
        """Draw no more; an item that is being drawn is the last."""
        self._wishes.put(None)

    def __del__(self) -> None:
        self.close()


def _draw(portal: Portal, inputs: Iterator[object], wishes: SimpleQueue[_Wish | None]) -> None:
    while (wish := wishes.get()) is not None:
        try:
            wish.item = next(inputs, _END)
        except Exception as exc:
            wish.error = exc
        except BaseException as exc:  # a SystemExit would end the loop that it is raised in
            wish.error = RuntimeError(f"the inputs raised {type(exc).__name__}")
            wish.error.__cause__ = exc
        is_last = wish.item is _END
        try:
            portal.run(_answer, wish)
        except ClientStateError:
            return  # it has closed
        if is_last:
            return


async def _answer(wish: _Wish) -> None:
    wish.answered.set()
