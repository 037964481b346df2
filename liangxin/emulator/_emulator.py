"""
`Emulator`: the service with its books, its faults and its ways to run.

Puts the parts together; what the service does is in `_market.py`, how a request is handled in
`_endpoint.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio
from starlette.types import ASGIApp

from liangxin.emulator._answers import Envelope
from liangxin.emulator._app import build_app
from liangxin.emulator._books import Books, Charge, Delivery, SeenRequest
from liangxin.emulator._callbacks import Courier
from liangxin.emulator._faultbook import FaultBook
from liangxin.emulator._faults import Fault, Target
from liangxin.emulator._keys import Keys
from liangxin.emulator._market import Market
from liangxin.emulator._results import Gallery
from liangxin.emulator._server import serve_in_thread
from liangxin.emulator._snapshot import Snapshot
from liangxin.emulator._tasks import Durations, DurationSource, TaskRecord
from liangxin.emulator._time import Timeline

if TYPE_CHECKING:
    import httpx

IN_PROCESS_URL = "http://127.0.0.1:9"


class Emulator:
    """
    A LiangXin Market of your own.

    `api_keys`: the only keys accepted (401), any by default; a mapping says what each may spend,
    in credits, `quota` what one may of which it does not (403).  `rate_limit` and `look_limit`,
    such as "20/10s": how often a key may create and look (429); with `retry_after`, the refusal
    says when to come back.

    `seed` fixes durations and pictures.  `clock` (seconds; `anyio.current_time` for virtual time)
    drives every state, `speed` times as fast; at speed 0, time stands still until `advance`.
    `wall` tells the Unix time of the first request.  `durations`, in seconds: one number, a
    function of the model's slug, or numbers by slug or by "image" and "video".  `result_ttl`:
    seconds after which results are gone.  `callback_transport` posts the callbacks.  Of the
    requests seen, the latest `keep_requests` stay in the books.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        api_keys: Collection[str] | Mapping[str, int | None] | None = None,
        quota: int | None = None,
        rate_limit: str | None = None,
        look_limit: str | None = None,
        retry_after: bool = True,
        speed: float = 1.0,
        clock: Callable[[], float] | None = None,
        wall: Callable[[], float] | None = None,
        durations: Durations | None = None,
        public_url: str | None = None,
        result_ttl: float | None = None,
        body_limit: int = 32 * 1024 * 1024,
        callback_transport: httpx.AsyncBaseTransport | None = None,
        keep_requests: int = 50_000,
    ) -> None:
        self._time = Timeline(clock, wall, speed)
        self._books = Books(keep_requests)
        self._faults = FaultBook()
        self._faults.seed(seed)
        self._courier = Courier(self._time, self._books, self._faults, callback_transport)
        self._public_url = public_url.rstrip("/") if public_url else None
        self._served_url: str | None = None
        limits = {"create": rate_limit, "look": look_limit}
        self._market = Market(
            keys=Keys(self._time, api_keys, quota, limits, retry_after),
            time=self._time,
            durations=DurationSource(seed, durations),
            public_url=self._public_url,
            books=self._books,
            faults=self._faults,
            courier=self._courier,
        )
        self._courier.payload_of = self._callback_payload
        self._gallery = Gallery(self._market.tasks, self._time, seed, result_ttl)
        self.app: ASGIApp = build_app(
            market=self._market,
            gallery=self._gallery,
            time=self._time,
            body_limit=body_limit,
            lifespan=self.running,
            reset=self.reset,
            restore=self.restore,
        )

    # The books

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Every accepted create, in order."""
        return tuple(self._books.charges)

    @property
    def requests(self) -> tuple[SeenRequest, ...]:
        """Every request that arrived whole, in order."""
        return tuple(self._books.requests)

    @property
    def callbacks(self) -> tuple[Delivery, ...]:
        """Every try to post a callback, in order."""
        return tuple(self._books.callbacks)

    @property
    def tasks(self) -> Mapping[str, TaskRecord]:
        """Every task by its id."""
        return MappingProxyType(self._market.tasks)

    @property
    def looks(self) -> int:
        """How often recordInfo was asked, whatever it answered."""
        return self._books.looks.total()

    def looks_of(self, task_id: str) -> int:
        """Return how often recordInfo was asked about this id."""
        return self._books.looks[task_id]

    def state_of(self, task_id: str) -> str:
        """Return the present state of a task, without a look in the books."""
        return self._market.tasks[task_id].state_at(self._time.now())

    @property
    def takes_any_key(self) -> bool:
        """Whether it was told of no keys in particular."""
        return self._market.keys.are_any

    @property
    def spent(self) -> Mapping[str, int]:
        """What each key has spent, in credits, by the key's hash."""
        return MappingProxyType(self._market.keys.spent)

    # Memory

    def reset(self, seed: int | None = None) -> None:
        """Forget all tasks, books, faults and pictures, and draw from `seed` on; time goes on."""
        self._market.clear(seed)
        self._gallery.clear(seed)

    def snapshot(self) -> Snapshot:
        """Return all that is remembered, and what time it is."""
        return self._market.snapshot()

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot, its time included, of this emulator or another."""
        self._gallery.clear(snapshot.seed)
        self._market.restore(snapshot)

    # Time

    @property
    def now(self) -> float:
        """The service's seconds since its first request."""
        return self._time.now()

    @property
    def speed(self) -> float:
        """How many times as fast as its clock time passes; may be set at any time."""
        return self._time.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._time.speed = speed

    def advance(self, seconds: float) -> None:
        """Move time on at once: states change, callbacks fall due, results expire."""
        self._time.advance(seconds)

    # Faults

    def add_fault(self, fault: Fault) -> Fault:
        """Put a fault in force, after those that already are."""
        self._faults.add(fault)
        return fault

    def clear_faults(self) -> None:
        """Drop all faults."""
        self._faults.clear()

    def withhold_answer_to_next_create(self, count: int = 1) -> Fault:
        """Let the next creates be accepted and charged, then drop their connections."""
        return self.add_fault(Fault("create", "withhold", count=count))

    def drop_next_create(self, count: int = 1) -> Fault:
        """Drop the connections of the next creates before anything is done."""
        return self.add_fault(Fault("create", "drop_before", count=count))

    def fail_next_create(
        self,
        status: int = 500,
        *,
        envelope: Envelope = "market",
        headers: Mapping[str, str] | None = None,
        count: int = 1,
    ) -> Fault:
        """Refuse the next creates with `status`; nothing is charged."""
        return self._refuse_next("create", status, envelope, headers, count)

    def fail_next_look(
        self,
        status: int = 500,
        *,
        envelope: Envelope = "market",
        headers: Mapping[str, str] | None = None,
        count: int = 1,
    ) -> Fault:
        """Refuse the next recordInfo requests with `status`."""
        return self._refuse_next("look", status, envelope, headers, count)

    def fail_next_task(self, code: str = "500", message: str = "upstream error") -> Fault:
        """Let the next task that is created end in `fail`."""
        return self.add_fault(Fault("create", "fail", fail_code=code, message=message))

    # Ways to run

    @property
    def base_url(self) -> str:
        """Where the service is: on its port while served, else a stand-in for in-process use."""
        return self._served_url or self._public_url or IN_PROCESS_URL

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return an httpx transport that reaches the service within this event loop."""
        from liangxin.emulator._inprocess import InProcessTransport  # late: httpx is slow

        return InProcessTransport(self.app)

    @contextlib.contextmanager
    def serve(self, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
        """Serve in a daemon thread while the block runs; yields the base URL."""
        if self._served_url is not None:
            raise RuntimeError(f"this emulator is already served on {self._served_url}")
        with serve_in_thread(self.app, host, port) as url:
            self._served_url = url
            try:
                yield url
            finally:
                self._served_url = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Emulator]:
        """Post callbacks as tasks become final while the block runs; `serve` does so by itself."""
        try:
            async with self._time.heard(), anyio.create_task_group() as group:
                group.start_soon(self._courier.run)
                try:
                    yield self
                finally:
                    group.cancel_scope.cancel()
        except BaseExceptionGroup as failed:
            raise _alone(failed) from None

    async def deliver_callbacks(self) -> None:
        """Post the callbacks that are due now, once each; for clocks that are moved by hand."""
        await self._courier.deliver_due()

    # Inside

    def _refuse_next(
        self,
        target: Target,
        status: int,
        envelope: Envelope,
        headers: Mapping[str, str] | None,
        count: int,
    ) -> Fault:
        fault = Fault(
            target, status=status, envelope=envelope, headers=dict(headers or {}), count=count
        )
        return self.add_fault(fault)

    def _callback_payload(self, task: TaskRecord) -> bytes:
        return self._market.record(task, self._time.now(), task.origin)


def _alone(failed: BaseException) -> BaseException:
    """Return the one exception in groups of one: a task group wraps what its body raises."""
    while isinstance(failed, BaseExceptionGroup) and len(failed.exceptions) == 1:
        failed = failed.exceptions[0]
    return failed
