"""
Callbacks of creates that other processes made, over the ledger that they share.

A receiver whose client does not know a token asks the ledger.  Whoever takes such a callback tells
the others, and the process that waits for the task hears it as if it had come there.  Only
what nobody else has work with is seen to here: a task whose process has ended, and a doubt.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

import anyio
from attrs import frozen

from liangxin._errors import LedgerError
from liangxin._owned import OwnedTasks
from liangxin.ledger import LedgerRow, LedgerState
from liangxin.ledger._hints import Channel, Hint

if TYPE_CHECKING:
    from liangxin._callbacks import Callbacks, Receiver, Ticket
    from liangxin._recording import Recorder

DOUBTS = 10_000
"""How many doubts of others are kept in mind at a time."""
FIRST_PAUSE = 2.0
"""Seconds that the process which made a create has to settle its doubt by itself."""
LONGEST_PAUSE = 30.0
"""Seconds at most between two looks whether a create that was being sent is in doubt by now."""

_OPEN = (LedgerState.SENDING, LedgerState.AMBIGUOUS)


class Replica:
    """What one client has to do with the other processes that share one ledger."""

    def __init__(
        self,
        book: Callbacks,
        receiver: Receiver,
        recorder: Recorder,
        channel: Channel,
        *,
        hint: Callable[[str], bool],
        owned: OwnedTasks,
    ) -> None:
        self.channel = channel
        self._book = book
        self._receiver = receiver
        self._recorder = recorder
        self._hint = hint
        self._owned = owned
        self._name = secrets.token_hex(8)
        self._doubts: dict[bytes, Ticket] = {}
        """The creates that may turn out to be in doubt, and of which a callback has come here."""

    async def open(self) -> None:
        """Begin to hear others, and to take callbacks for them."""
        await self._recorder.run(lambda: self.channel.listen(self._hear))
        self._receiver.consult(self)

    def close(self) -> None:
        """Leave it to others."""
        self._receiver.consult_no_more(self)
        self.channel.leave(self._hear)

    def ask(self, digest: bytes) -> Future[LedgerRow | None]:
        """Find the create that gave a token."""
        return self.channel.ask(digest)

    def addressee(self, digest: bytes, row: LedgerRow) -> Addressee:
        """Whom a callback with the token of this create is for."""
        return Addressee(digest, row, self)

    def _hear(self, hint: Hint) -> None:
        """In the thread of the channel: another one has taken a callback."""
        if hint.sender == self._name:
            return
        ticket, task_id = self._receiver.ticket(hint.token_sha256), hint.task_id
        if ticket is not None and ticket.book is self._book:
            self._book.soon(lambda: self._book.take(ticket, hint.named))
        elif task_id is not None:
            self._book.soon(lambda: self._hint(task_id))

    def tell(self, digest: bytes, task_id: str | None, named: str | None = None) -> None:
        """Tell the others that a callback has come here, in whatever thread."""
        hint = Hint(token_sha256=digest, sender=self._name, task_id=task_id, named=named)
        self.channel.tell(hint)

    # --- a callback that came here, and is another's -----------------------------------------

    def told(self, digest: bytes, row: LedgerRow, named: str | None) -> None:
        """A callback with the token of somebody's create has come, in whatever thread."""
        self.tell(digest, row.task_id, named)
        self._book.soon(lambda: self._take(digest, row, named))

    def _take(self, digest: bytes, row: LedgerRow, named: str | None) -> None:
        if row.state is LedgerState.ACCEPTED and row.held_by is None:
            self._book.wake(self._book.ticket_of(row, self._recorder))
        elif row.task_id is not None:
            self._hint(row.task_id)
        elif row.state in _OPEN and named is not None:
            self._keep_in_mind(digest, row, named)

    def _keep_in_mind(self, digest: bytes, row: LedgerRow, named: str) -> None:
        ticket = self._doubts.get(digest)
        if ticket is None:
            if len(self._doubts) >= DOUBTS:
                return
            ticket = self._doubts[digest] = self._book.ticket_of(row, self._recorder)
            ticket.was_told = True
            self._owned.start(lambda: self._see_to(ticket))
        if named != ticket.asking:
            ticket.named = named

    async def _see_to(self, ticket: Ticket) -> None:
        """Settle a doubt, if there is one in the end, and nobody else does."""
        try:
            if await self._is_left_in_doubt(ticket.digest):
                await self._book.settle(ticket)
        finally:
            del self._doubts[ticket.digest]

    async def _is_left_in_doubt(self, digest: bytes) -> bool:
        """Wait until it is known what became of a create; its process may have ended meanwhile."""
        pause, ledger = FIRST_PAUSE, self._recorder.ledger
        while True:
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                row = await self._recorder.run(lambda: ledger.find_token(digest))
            except LedgerError:
                continue
            if row is None or row.state is not LedgerState.SENDING:
                return row is not None and row.state is LedgerState.AMBIGUOUS


@frozen
class Addressee:
    """Whom a callback is for that came to another process: what a `Ticket` is at home."""

    digest: bytes
    row: LedgerRow
    replica: Replica

    @property
    def wants_name(self) -> bool:
        """Whether it matters which task the callback names."""
        return self.row.task_id is None

    def told(self, named: str | None) -> None:
        """Such a callback has come, in whatever thread."""
        self.replica.told(self.digest, self.row, named)
