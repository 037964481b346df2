"""
The callbacks that one client expects, and what is done when one comes.

A callback decides nothing.  Its token, which nobody but the service was told, says which create it
is about; what became of that is read with our own key.  So a callback wakes the poller, and where
the answer to a create was lost, it names a task that may turn out to be the one.
"""

from __future__ import annotations

import logging
import secrets
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import anyio
from attrs import define

from liangxin import _wire as wire
from liangxin._errors import LiangxinError
from liangxin._owned import OwnedTasks
from liangxin._pacing import CallbackShare, retry_delays
from liangxin._soon import soon_in_this_loop
from liangxin._tasks import Task
from liangxin._text import printable, quoted

if TYPE_CHECKING:
    from liangxin._recording import Recorder
    from liangxin._replicas import Replica
    from liangxin.ledger import LedgerRow
    from liangxin.ledger._hints import Channel

log = logging.getLogger("liangxin")

OPEN = 250_000
"""How many tasks may be expected to call; of more, the oldest are polled as if none would."""
REMEMBERED = 10_000
"""Of how many tasks that have ended, and of how many doubts, the tokens are still good."""
TRIES = 5
"""How often the service is asked about a task that a callback has named."""
NAME_PAUSE = 1.0
"""Seconds between one name that proved to be wrong and the next for the same create."""


class Receiver(Protocol):
    """What a client needs of a `CallbackReceiver`: to be told, by `Ticket.told`."""

    @property
    def public_url(self) -> str:
        """Where callbacks reach it; a token follows after a slash."""

    def expect(self, ticket: Ticket) -> None:
        """Take note that a callback with this ticket's token may come."""

    def forget(self, ticket: Ticket) -> None:
        """Answer this token as any unknown one from now on."""

    def ticket(self, digest: bytes) -> Ticket | None:
        """The ticket that is expected under the SHA-256 of a token."""

    def consult(self, replica: Replica) -> None:
        """Ask it about tokens that are not expected."""

    def consult_no_more(self, replica: Replica) -> None:
        """Do without it."""


@define(eq=False)
class Ticket:
    """The address that one create gave for its callback, by the SHA-256 of its token."""

    digest: bytes
    book: Callbacks
    recorder: Recorder | None = None
    """Of the ledger that has the create on record, if there is one."""
    model: str = ""
    task_id: str | None = None
    named: str | None = None
    """The task that a callback has named, about which the service has yet to be asked."""
    settle: Callable[[Task], Awaitable[None]] | None = None
    """What to do with the task of a create that is in doubt, once it is found."""
    is_out: bool = False
    """Whether a request with this address has begun to leave."""
    was_told: bool = False
    is_past: bool = False
    """Whether there is nothing more to do for it than to answer well."""
    ended_at: float | None = None
    """When its task was found ended, if it was."""
    asking: str | None = None
    """The task about which the service is being asked, to settle the doubt."""

    @property
    def wants_name(self) -> bool:
        """Whether it matters which task a callback names."""
        return self.task_id is None

    def told(self, named: str | None) -> None:
        """A callback with the token has come, in whatever thread."""
        self.book.deliver(self, named)

    def revoke(self) -> None:
        """Nothing was created with it."""
        self.book.revoke(self)

    def accepted(self, task: Task) -> None:
        """The create became this task."""
        self.book.accepted(self, task)

    def doubt(self, settle: Callable[[Task], Awaitable[None]]) -> None:
        """Nobody knows what became of the create; should a callback name a task, `settle` it."""
        self.book.doubt(self, settle)

    async def found(self) -> Task | None:
        """The task of a create whose answer was lost, if a callback has named it already."""
        return None if self.named is None else await self.book.confirmed(self, self.named)


class Callbacks:
    """All callbacks that one client expects."""

    def __init__(
        self,
        receiver: Receiver,
        owned: OwnedTasks,
        *,
        look: Callable[[str], Awaitable[Task]],
        hint: Callable[[str], bool],
        follow: Callable[[Task], None],
    ) -> None:
        self._receiver = receiver
        self._owned = owned
        self._look = look
        self._hint = hint
        """Looks at a task soon, if somebody waits for it; says whether somebody does."""
        self._follow = follow
        """Waits for a task until it has ended, for the ledger's sake."""
        self._by_task: dict[str, Ticket] = {}
        self._doubts: dict[bytes, Ticket] = {}
        self._past: deque[Ticket] = deque()
        self._share = CallbackShare()
        self._replicas: dict[Recorder, Replica] = {}
        self._arrived: deque[Callable[[], object]] = deque()
        self._news = anyio.Event()
        self._soon: Callable[[Callable[[], object]], object] = lambda work: None
        """Has something done in the client's loop, which is not there before it is opened."""
        self._closed = False

    def open(self) -> None:
        """Begin to take in what arrives, in the loop that runs now."""
        self._soon = soon_in_this_loop()
        self._owned.start(self._run)

    def close(self) -> None:
        """Expect nothing any more."""
        self._closed = True
        for ticket in [*self._by_task.values(), *self._doubts.values(), *self._past]:
            self._receiver.forget(ticket)

    @property
    def share(self) -> float:
        """Which share of the ends a callback has told of lately."""
        return self._share.value

    def share_of(self, task_id: str) -> float:
        """How likely a callback will tell of this task's end: for when to look."""
        ticket = self._by_task.get(task_id)
        return 0.0 if ticket is None or ticket.was_told else self._share.value

    # --- the way of one create -------------------------------------------------------------

    def issue(self, recorder: Recorder | None) -> tuple[Ticket, str]:
        """A token of its own for a create, and the address to give for it."""
        token = secrets.token_urlsafe(32)
        ticket = Ticket(_digest(token), self, recorder=recorder)
        self._receiver.expect(ticket)
        return ticket, f"{self._receiver.public_url}/{token}"

    def revoke(self, ticket: Ticket) -> None:
        """A create has ended that became no task."""
        self._receiver.forget(ticket)

    def accepted(self, ticket: Ticket, task: Task) -> None:
        """A create became this task."""
        ticket.task_id = task.id
        self._by_task[task.id] = ticket
        if len(self._by_task) > OPEN:  # tasks that nobody waits for, and whose callbacks were lost
            self.revoke(self._by_task.pop(next(iter(self._by_task))))
        if ticket.was_told:  # before the answer to the create had come
            self.wake(ticket)

    def doubt(self, ticket: Ticket, settle: Callable[[Task], Awaitable[None]]) -> None:
        """Nobody knows what became of a create; should a callback name a task, `settle` it."""
        if self._closed:
            self.revoke(ticket)
            return
        ticket.settle = settle
        self._doubts[ticket.digest] = ticket
        if len(self._doubts) > REMEMBERED:
            self.revoke(self._doubts.pop(next(iter(self._doubts))))
        self._ask(ticket)  # a callback may have named it before, and no second one need come

    def ended(self, task: Task) -> None:
        """A task was found ended."""
        ticket = self._by_task.pop(task.id, None)
        if ticket is not None:
            self._share.ended(ticket.was_told)
            ticket.ended_at = anyio.current_time()
            self._keep_for_a_while(ticket)

    def _keep_for_a_while(self, ticket: Ticket) -> None:
        """A callback that comes again, or late, is answered well, or it would be tried again."""
        ticket.is_past = True
        self._past.append(ticket)
        if len(self._past) > REMEMBERED:
            self.revoke(self._past.popleft())

    async def load(self, recorder: Recorder) -> None:
        """Expect the callbacks that creates of other processes gave addresses for."""
        from liangxin.ledger import LedgerState

        channel = await recorder.run(recorder.ledger.channel)
        if channel is not None:
            await self._open_replica(recorder, channel)
            return

        def read() -> list[Ticket]:
            rows = recorder.ledger.rows(LedgerState.ACCEPTED, LedgerState.AMBIGUOUS)
            return [self.ticket_of(row, recorder) for row in rows if row.token_sha256 is not None]

        for ticket in await recorder.run(read):
            self._receiver.expect(ticket)
            if ticket.task_id is None:
                self._doubts[ticket.digest] = ticket
            else:
                self._by_task[ticket.task_id] = ticket

    async def _open_replica(self, recorder: Recorder, channel: Channel) -> None:
        """Of a shared ledger, which may be large, nothing is read before a callback comes."""
        from liangxin._replicas import Replica

        replica = Replica(
            self, self._receiver, recorder, channel, hint=self._hint, owned=self._owned
        )
        self._replicas[recorder] = replica
        await replica.open()

    def ticket_of(self, row: LedgerRow, recorder: Recorder) -> Ticket:
        """The ticket of a create that another process made."""
        assert row.token_sha256 is not None
        return Ticket(
            row.token_sha256,
            self,
            recorder=recorder,
            model=row.model,
            task_id=row.task_id if row.state.money == "paid" else None,
            settle=recorder.settling(row.ref),
            is_out=True,
        )

    def unload(self, recorder: Recorder) -> None:
        """A ledger is closed: what is on record there is no longer ours to follow."""
        replica = self._replicas.pop(recorder, None)
        if replica is not None:
            replica.close()
        for ticket in [*self._by_task.values(), *self._doubts.values()]:
            if ticket.recorder is recorder:
                self._by_task.pop(ticket.task_id or "", None)
                self._doubts.pop(ticket.digest, None)
                self.revoke(ticket)

    # --- a callback ------------------------------------------------------------------------

    def deliver(self, ticket: Ticket, named: str | None) -> None:
        """Hand a callback to the client's loop, from wherever it came."""
        replica = None if ticket.recorder is None else self._replicas.get(ticket.recorder)
        if replica is not None and ticket.task_id is not None:  # others may wait for it too
            replica.tell(ticket.digest, ticket.task_id)
        self.soon(lambda: self.take(ticket, named))

    def soon(self, work: Callable[[], object]) -> None:
        """Have something done in the client's loop, after whatever arrived before."""
        self._arrived.append(work)
        with suppress(RuntimeError):  # the client's loop has ended
            self._soon(lambda: self._news.set())

    async def _run(self) -> None:
        while True:
            self._news = anyio.Event()
            while self._arrived:
                self._arrived.popleft()()
            await self._news.wait()

    def take(self, ticket: Ticket, named: str | None) -> None:
        """Heed a callback, in the client's loop."""
        was_told, ticket.was_told = ticket.was_told, True
        if ticket.is_past:
            if ticket.ended_at is not None and not was_told:
                self._share.told_late(anyio.current_time() - ticket.ended_at)
        elif ticket.task_id is not None:
            self.wake(ticket)
        elif named is not None and named != ticket.asking:
            ticket.named = named
            self._ask(ticket)

    def wake(self, ticket: Ticket) -> None:
        """Have its task looked at; where nobody waits for that, for the ledger's sake."""
        assert ticket.task_id is not None
        if self._hint(ticket.task_id):
            return
        if ticket.recorder is not None:
            self._follow(Task(id=ticket.task_id, model=ticket.model))
        else:  # nobody waits yet, and there is nothing to write the end down in
            self._by_task.pop(ticket.task_id, None)
            self._keep_for_a_while(ticket)

    # --- doubts ----------------------------------------------------------------------------

    def _ask(self, ticket: Ticket) -> None:
        if ticket.settle is not None and ticket.named is not None and ticket.asking is None:
            ticket.asking = ticket.named
            self._owned.start(lambda: self.settle(ticket))

    async def settle(self, ticket: Ticket) -> None:
        """Ask about what callbacks name, one name at a time, until it is the task of the create."""
        try:
            while ticket.named is not None:
                ticket.asking, ticket.named = ticket.named, None
                if await self._is_settled(ticket, ticket.asking):
                    return
                await anyio.sleep(NAME_PAUSE)
        finally:
            ticket.asking = None

    async def _is_settled(self, ticket: Ticket, named: str) -> bool:
        assert ticket.settle is not None
        task = await self.confirmed(ticket, named)
        if task is None:
            return False
        try:
            await ticket.settle(task)
        except LiangxinError as exc:  # it stays a doubt
            log.warning("the task %s of a callback could not be put down: %s", quoted(named), exc)
            return False
        log.warning("task %s was accepted: its callback came, the answer never had", task.id)
        self._doubts.pop(ticket.digest, None)
        self.accepted(ticket, task)
        return True

    async def confirmed(self, ticket: Ticket, named: str) -> Task | None:
        """The task that a callback has named, if the service says that it is of this create."""
        delays = retry_delays(1.0)
        for tries_left in reversed(range(TRIES)):
            try:
                task = await self._look(named)
            except LiangxinError as exc:
                if not tries_left:
                    log.warning("a callback named the task %s: %s", quoted(named), exc)
                    return None
                await anyio.sleep(max(1.0, next(delays)))
            else:
                return task if self._is_ours(ticket, task) else None
        raise AssertionError("unreachable: the last try returns")

    def _is_ours(self, ticket: Ticket, task: Task) -> bool:
        """Whether the record has our token, or at least nothing that speaks against it."""
        url = wire.callback_url_of(task)
        if url is None:
            is_ours = task.model in (None, ticket.model) and task.id not in self._by_task
        else:
            is_ours = _digest(url.rpartition("/")[2]) == ticket.digest
        if not is_ours:
            log.warning(
                "a callback named the task %s (%s), which is not of that create: not heeded",
                quoted(task.id),
                printable(task.model, 60),
            )
        return is_ours


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "replace")).digest()
