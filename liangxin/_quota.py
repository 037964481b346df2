"""
A limit that many processes keep together, over a quota in the database of their ledger.

Each reserves the moments of its next creates, a tenth of a second's worth or one at a time, and
sleeps until they come: one round trip for all of them, and no process stands before another for
longer than that.  Nothing leaves without such a moment, so nothing leaves while the database
cannot be reached.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.to_thread
from attrs import define, field, frozen

from liangxin._errors import InputError, LedgerError
from liangxin._owned import OwnedTasks
from liangxin._pacing import MAX_RETRY_AFTER, RateWindow
from liangxin._slots import LONGEST_LEAD, ServerClock, Slots, margin
from liangxin._text import quoted, without_queries

if TYPE_CHECKING:
    from liangxin.ledger import SharedLedger, Store

T = TypeVar("T")


@frozen
class RateLimit:
    """
    How many creates may leave in a time, such as "20/10s", "5/s" or "100/min".

    With a `store`, a `SharedLedger` or its `postgresql://…`, all processes that give the same
    database and the same `name` keep the limit together.  Their creates leave evenly, at 96 % of
    the limit or more, and a refusal (429) that one of them gets slows all of them down.
    """

    text: str
    store: SharedLedger | str | None = field(default=None, kw_only=True, repr=False)
    name: str = field(default="creates", kw_only=True)

    def __attrs_post_init__(self) -> None:
        _ = self.window
        if self.store is not None and not _is_store(self.store):
            allowed = "a SharedLedger, or its postgresql://user@host:port/database"
            raise _bad("store", self.store, allowed)
        if not isinstance(self.name, str) or not self.name.isprintable() or len(self.name) > 200:
            raise _bad("name", self.name, "text of 200 printable characters at most")

    @property
    def window(self) -> RateWindow:
        """The limit as one process keeps it by itself."""
        try:
            return RateWindow.parse(self.text)
        except (ValueError, AttributeError) as exc:
            allowed = 'creates per time, such as "20/10s", "5/s" or "100/min"'
            raise _bad("rate_limit", self.text, allowed) from exc


def _is_store(store: object) -> bool:
    from liangxin.ledger import is_address

    return is_address(store) or getattr(store, "is_shared", False) is True


def _shared_ledger(store: Store | str | None) -> SharedLedger:
    from liangxin.ledger import SharedLedger

    return SharedLedger(store) if isinstance(store, str) else cast("SharedLedger", store)


def _bad(field: str, value: object, allowed: str) -> InputError:
    said = f"{field} must be {allowed}, not {without_queries(quoted(value))}"
    return InputError(said, field=field, value=value, allowed=allowed)


@define(eq=False)
class _Answer:
    """What those wait for who have no moment."""

    arrived: anyio.Event = field(factory=lambda: anyio.Event())
    error: LedgerError | None = None


class SharedTurn:
    """Leave to send one create at its moment; given back at the end of its block."""

    def __init__(self, quota: SharedQuota, moment: float) -> None:
        self._quota = quota
        self._moment: float | None = moment
        self._let_in_at = anyio.current_time()

    def __enter__(self) -> SharedTurn:
        return self

    def __exit__(self, *_: object) -> None:
        moment, self._moment = self._moment, None
        if moment is not None:
            self._quota.give_back(moment)

    async def comes(self) -> None:
        """All is ready: wait for the moment, or for another one if it has passed."""
        self._moment = await self._quota.met(self._moment, self._let_in_at)

    def left(self) -> None:
        """The first byte leaves now."""
        self._moment = None


class SharedQuota:
    """This process's part in a limit that many keep; `Limits` for the door of its creates."""

    def __init__(self, limit: RateLimit, owned: OwnedTasks) -> None:
        window = limit.window
        room = margin(window.seconds)
        self.store = limit.store
        self._name = limit.name
        self._owned = owned
        self._full_gap = self._gap = (window.seconds + room) / window.count
        self._slots = Slots(grace=room / 2)
        self._clock = ServerClock()
        self._asked: SharedLedger | None = None
        self._limiter: anyio.CapacityLimiter | None = None
        self._round_trip = 0.0
        self._accepted = 0
        """How many since the database was told."""
        self._pause: float | None = None
        """What was asked for by a refusal of which the database was not told."""
        self._late = 0
        """How many are ready and have no moment."""
        self._answer = _Answer()
        self._running = False
        self._waiting: Callable[[], int] = lambda: 0
        self._heard: Callable[[LedgerError | None], None] = lambda error: None

    @asynccontextmanager
    async def asking(self, given: Store | str | None) -> AsyncIterator[None]:
        """Ask this store, which is opened, unless it is open, and left as it was found."""
        store = _shared_ledger(given)
        was_open = store.is_open
        await anyio.to_thread.run_sync(store.open)
        self._asked = store
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                if self._pause is not None:  # the others are to know, also if we end by it
                    with suppress(LedgerError):
                        await self._hold(self._pause)
                if not was_open:
                    await anyio.to_thread.run_sync(store.close)

    # --- what the door asks ---

    def attach(
        self, waiting: Callable[[], int], heard: Callable[[LedgerError | None], None]
    ) -> None:
        """Begin to be asked: `waiting` counts those at the door, `heard` is told of each answer."""
        self._waiting, self._heard = waiting, heard

    @property
    def rate(self) -> float:
        """Creates a second of all processes together, as far as is known here."""
        return 1.0 / self._gap

    def delay(self, now: float) -> float:
        """Seconds until another create may be let in; infinite until a moment is reserved."""
        if not self._running and self._wanted(now):
            self._start()
        return self._slots.delay(now)

    def admit(self, now: float) -> SharedTurn:
        """Let one in, for which `delay` was 0."""
        moment = self._slots.take(now)
        assert moment is not None
        return SharedTurn(self, moment)

    def accepted(self, now: float) -> None:
        """The service accepted a create."""
        self._accepted += 1

    def refused(self, now: float, retry_after: float | None) -> None:
        """The service said "later": to all of us."""
        pause = min(retry_after or 0.0, MAX_RETRY_AFTER)
        self._pause = max(self._pause or 0.0, pause)
        self._slots.drop(now + pause)
        if not self._running:
            self._start()

    # --- what a turn asks ---

    async def met(self, moment: float | None, let_in_at: float) -> float:
        """Return in the moment, or in a later one if that has passed."""
        self._slots.prepared(anyio.current_time() - let_in_at)
        while True:
            now = anyio.current_time()
            if moment is None:
                moment = self._slots.take(now)
                if moment is None:
                    await self._one_more()
            elif now < moment:
                await anyio.sleep(moment - now)
            elif self._slots.is_met(moment, now):
                return moment
            else:
                moment = None

    async def _one_more(self) -> None:
        self._late += 1
        try:
            if not self._running:
                self._start()
            answer = self._answer
            await answer.arrived.wait()
        finally:
            self._late -= 1
        if answer.error is not None:
            raise copy(answer.error)

    def give_back(self, moment: float) -> None:
        """Another create may have this one."""
        self._slots.give_back(moment)
        self._heard(None)

    # --- the database ---

    def _wanted(self, now: float) -> int:
        return self._slots.wanted(now, self._waiting() + self._late, self._gap)

    def _start(self) -> None:
        self._running = True
        self._owned.start(self._ask)

    async def _ask(self) -> None:
        error: LedgerError | None = None
        try:
            while self._pause is not None or self._wanted(anyio.current_time()):
                if self._pause is not None:
                    await self._hold(self._pause)
                else:
                    await self._reserve()
                self._tell(None)
        except LedgerError as exc:
            error = exc
        finally:
            self._running = False
        if error is not None:
            self._tell(error)

    def _tell(self, error: LedgerError | None) -> None:
        answer, self._answer = self._answer, _Answer()
        answer.error = error
        answer.arrived.set()
        self._heard(error)

    async def _hold(self, pause: float) -> None:
        self._accepted = 0
        held = await self._run(
            lambda store: store.hold(self._name, gap=self._full_gap, pause=pause)
        )
        if self._pause == pause:  # no other has come meanwhile
            self._pause = None
        self._slots.drop(anyio.current_time() + held)

    async def _reserve(self) -> None:
        asked = anyio.current_time()
        count = self._wanted(asked)
        accepted, self._accepted = self._accepted, 0
        ahead = self._round_trip + (0.0 if self._late else self._slots.lead)
        given = await self._run(
            lambda store: store.reserve(
                self._name, count, gap=self._full_gap, ahead=ahead, accepted=accepted
            )
        )
        answered = anyio.current_time()
        self._clock.heard(asked, answered, given.now)
        self._round_trip = min(answered - asked, LONGEST_LEAD)
        self._gap = given.gap
        self._slots.add(self._clock.ours(given.first), given.gap, count)

    async def _run(self, work: Callable[[SharedLedger], T]) -> T:
        store = self._asked
        assert store is not None
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(1)
        # What is reserved and not heard of costs its moments, and nothing else.
        return await anyio.to_thread.run_sync(
            lambda: work(store), limiter=self._limiter, abandon_on_cancel=True
        )
