"""
Many inputs, a bounded number of tasks in flight, one stream of outcomes.

Inputs are drawn one at a time when there is room.  A task in flight is a row in the poller, not a
coroutine, and its slot is free again when its outcome has been taken: a slow consumer slows down
the creating, and memory is bounded by `max_in_flight`, not by the number of inputs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.lowlevel
from attrs import define

from liangxin._creation import Creation, Done
from liangxin._errors import ClientStateError, InputError, LiangxinError, WaitTimeout
from liangxin._poller import Poller
from liangxin._tasks import ModelInput, Outcome, Task, final_or_raise

T = TypeVar("T")

Inputs: TypeAlias = Iterable[ModelInput] | AsyncIterable[ModelInput]
Start: TypeAlias = Callable[[Any, Done, object], Creation]
"""Begins the create of one input: what to tell of it, and whose turn it takes."""


@define(eq=False)
class _Flight:
    """One input on its way to its outcome; listens to its task, as few bytes as can be."""

    stream: OutcomeStream
    index: int
    input: object
    creation: Creation | None = None
    task: Task | None = None

    def __call__(self, news: Task | LiangxinError) -> None:
        self.stream.heard(self, news)


class OutcomeStream(AsyncIterator[Outcome]):
    """The outcomes of many inputs, in the order in which they come."""

    def __init__(
        self,
        inputs: Iterable[object] | AsyncIterable[object],
        *,
        max_in_flight: int,
        max_creating: int,
        timeout: float | None,
        start: Start,
        keep: Callable[[Outcome], None],
        poller: Poller,
    ) -> None:
        self._inputs = inputs
        self._max_in_flight = max_in_flight
        self._max_creating = max_creating
        self._timeout = timeout
        self._start = start
        self._keep = keep
        self._poller = poller
        self._flights: set[_Flight] = set()
        self._creating = 0
        self._ready: deque[Outcome] = deque()
        self._drawn_all = False
        self._input_error: BaseException | None = None
        self._closed = False
        self._room = anyio.Event()
        self._news = anyio.Event()

    # --- the consumer's side ---------------------------------------------------------------

    def __aiter__(self) -> OutcomeStream:
        return self

    async def __anext__(self) -> Outcome:
        while not self._ready:
            if self._closed:
                raise StopAsyncIteration
            if self._drawn_all and not self._flights:
                self._closed = True
                if self._input_error is not None:
                    raise self._input_error
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        outcome = self._ready.popleft()
        self._room.set()
        return outcome

    def close(self) -> None:
        """Stop: what was accepted and not delivered goes to the client's `unclaimed`."""
        self._closed = True
        for flight in self._flights:
            if flight.creation is not None:
                flight.creation.forsake()
            elif flight.task is not None:
                self._poller.remove(flight.task.id, flight)
                self._keep(Outcome(index=flight.index, input=flight.input, task=flight.task))
        self._flights.clear()
        for outcome in self._ready:
            self._keep(outcome)
        self._ready.clear()
        self._news.set()

    # --- the feeding side ------------------------------------------------------------------

    async def feed(self) -> None:
        """Draw the inputs and start their flights, one at a time, while there is room."""
        try:
            if isinstance(self._inputs, AsyncIterable):
                await self._feed_from(aiter(self._inputs))
            else:
                await self._feed_from(Drawn(self._inputs))
        except Exception as exc:  # of the caller's own iterable: raised where its outcomes end
            self._input_error = exc
        finally:
            self._drawn_all = True
            self._news.set()

    async def _feed_from(self, inputs: AsyncIterator[object]) -> None:
        index = 0
        while True:
            while self._is_full():
                self._room = anyio.Event()
                await self._room.wait()
            try:
                drawn = await anext(inputs)
            except StopAsyncIteration:
                return
            if self._closed:  # the block was left in the moment of the drawing
                return
            self._launch(_Flight(self, index, drawn))
            index += 1

    def _is_full(self) -> bool:
        in_flight = len(self._flights) + len(self._ready)
        return in_flight >= self._max_in_flight or self._creating >= self._max_creating

    def _launch(self, flight: _Flight) -> None:
        self._flights.add(flight)
        self._creating += 1
        try:
            flight.creation = self._start(
                flight.input, lambda result: self._created(flight, result), self
            )
        except (InputError, ClientStateError) as exc:
            self._created(flight, exc)

    def _created(self, flight: _Flight, result: Task | LiangxinError) -> None:
        self._creating -= 1
        self._room.set()
        flight.creation = None
        if isinstance(result, LiangxinError):
            self._land(flight, result)
            return
        flight.task = result
        try:
            self._poller.add(result, flight, timeout=self._timeout)
        except ClientStateError as exc:
            self._land(flight, exc)

    def heard(self, flight: _Flight, news: Task | LiangxinError) -> None:
        """Take in what a flight has heard of its task."""
        if isinstance(news, LiangxinError):
            self._land(flight, news)
            return
        flight.task = news
        if news.is_final:
            try:
                final_or_raise(news)
            except LiangxinError as exc:
                self._land(flight, exc)
            else:
                self._land(flight, None)

    def _land(self, flight: _Flight, error: LiangxinError | None) -> None:
        self._flights.discard(flight)
        if isinstance(error, WaitTimeout):
            flight.task = error.task
        self._ready.append(
            Outcome(index=flight.index, input=flight.input, task=flight.task, error=error)
        )
        self._news.set()


class Drawn(AsyncIterator[T]):
    """A plain iterator, drawn on the event loop, which gets a turn after each."""

    def __init__(self, inputs: Iterable[T]) -> None:
        self._inputs = iter(inputs)

    async def __anext__(self) -> T:
        await anyio.lowlevel.checkpoint()
        for drawn in self._inputs:
            return drawn
        raise StopAsyncIteration
