"""
One createTask, at most once.

A creation is a job that the client owns.  Its caller may leave at any moment: what has not left
yet is then given up, what has left is seen through, and its outcome is kept for whoever asks.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.lowlevel

from liangxin import _wire as wire
from liangxin._admission import Admission, Limits, Turn
from liangxin._connection import Evidence
from liangxin._errors import (
    AmbiguousCreate,
    ClientStateError,
    LedgerHeld,
    LiangxinError,
    NotSent,
    RateLimited,
    ServiceUnavailable,
    TransportError,
    UnexpectedReply,
)
from liangxin._owned import OwnedTasks
from liangxin._pacing import MAX_RETRY_AFTER, retry_delays
from liangxin._tasks import ModelInput, Outcome, Task
from liangxin._text import printable
from liangxin._transport import Transport

if TYPE_CHECKING:
    from liangxin._callbacks import Callbacks, Ticket
    from liangxin._observer import Observer
    from liangxin._recording import Entry, Recorder  # and with it SQLite, for those who want it
    from liangxin._resolver import Resolver

log = logging.getLogger("liangxin")

Done: TypeAlias = Callable[[Task | LiangxinError], None]

HELD_PAUSE = 2.0
"""Seconds at most between two looks at a create that another process is making."""

SEARCH = 10.0
"""Seconds for which a task is looked for that a callback has named, and whose answer was lost."""


class Creation:
    """One create on its way, from the first attempt to its outcome."""

    def __init__(
        self,
        input: ModelInput,
        request: wire.CreateRequest,
        done: Done,
        source: object,
        entry: Entry | None,
        ticket: Ticket | None,
        waits_for_others: bool,
    ) -> None:
        self.entry = entry
        """Its row in the ledger, if there is one."""
        self.waits_for_others = waits_for_others
        """Whether it waits while another process makes the very same create."""
        self.ticket = ticket
        """Its address for a callback, if it has one of ours."""
        self.source = self if source is None else source
        """Whose turn it takes at the door."""
        self.input = input
        self.request = request
        self.scope = anyio.CancelScope(shield=True)
        self.is_known = False
        """Whether the ledger had the task already."""
        self.in_doubt = False
        """Whether a byte has left and no answer has settled what became of it."""
        self.given_up = False
        """Whether nothing may leave any more: no first byte, and no second attempt."""
        self.evidence: Evidence | None = None
        """Of the attempt under way."""
        self.attempt = 1
        """Its number, and the moments below: kept where somebody observes."""
        self.started_at: float | None = None
        self.answered_at = 0.0
        self._done: Done | None = done

    @property
    def is_on_record(self) -> bool:
        """Whether its caller finds it again by its key."""
        return self.entry is not None and self.entry.key is not None

    def forsake(self) -> None:
        """The caller leaves: give up what has not left, see through what has."""
        self._done = None
        self.withdraw()

    def withdraw(self) -> None:
        """Give up what has not left; the caller is told."""
        self.given_up = True
        # Not cancelled while it connects, which leaks the socket before anyio 4.16: the first
        # byte finds the door closed.
        if not self.in_doubt and not (self.evidence is not None and self.evidence.begun):
            self.scope.cancel()

    def finish(self, result: Task | LiangxinError) -> bool:
        """Hand the result to the caller, if there is one still."""
        if self._done is None:
            return False
        self._done(result)
        return True

    def outcome(self, result: Task | LiangxinError) -> Outcome:
        """The result beside its input, for whoever asks later."""
        if isinstance(result, LiangxinError):
            return Outcome(input=self.input, error=result)
        return Outcome(input=self.input, task=result)


class Creations:
    """All creates of one client."""

    def __init__(
        self,
        transport: Transport,
        owned: OwnedTasks,
        media: Callable[[], Resolver],
        *,
        timeout: float,
        max_retries: int,
        limits: Limits,
        accepted: Callable[[Task, str | None], None],
        callbacks: Callbacks | None,
        observer: Observer | None = None,
    ) -> None:
        self._transport = transport
        self._owned = owned
        self._media = media
        self._timeout = timeout
        self._max_retries = max_retries
        self._accepted = accepted
        """Told of every accepted task and its kind, in the moment of its answer."""
        self._callbacks = callbacks
        self._observer = observer
        self._keys: dict[tuple[Recorder, str], anyio.Event] = {}
        """The keys under way, and what tells those who ask for the same that it has ended."""
        self._running: set[Creation] = set()
        self.admission = Admission(owned, limits)
        self._closed = False
        self._emptied = anyio.Event()
        self.unclaimed: list[Outcome] = []
        """What became of creates whose callers had gone."""

    def start(
        self,
        input: ModelInput,
        callback_url: str | None,
        done: Done,
        *,
        source: object = None,
        recorder: Recorder | None = None,
        key: str | None = None,
        waits_for_others: bool = False,
    ) -> Creation:
        """
        Begin a create and return at once; `done` gets the task, or the error, in the end.

        With a `recorder`, nothing leaves that is not on record, and a `key` that its ledger knows
        is not created again.  One that another process is creating now is a `LedgerHeld`, with
        `waits_for_others` only when that takes longer than a create may.

        Bad input raises here, before anything is sent; of a picture on this machine, `done` gets
        the error.
        """
        if self._closed:
            raise ClientStateError("the client is closed; it creates nothing any more")
        client_ref, ticket = secrets.token_hex(16), None
        if callback_url is None and self._callbacks is not None:
            ticket, callback_url = self._callbacks.issue(recorder)
        try:
            request = wire.create_request(input, callback_url=callback_url, client_ref=client_ref)
            if ticket is not None:
                ticket.model = request.model
            entry = None if recorder is None else recorder.entry(key)
            creation = Creation(input, request, done, source, entry, ticket, waits_for_others)
            self._owned.start(lambda: self._run(creation))
        except LiangxinError:
            if ticket is not None:
                ticket.revoke()
            raise
        self._running.add(creation)
        return creation

    async def create(
        self,
        input: ModelInput,
        callback_url: str | None,
        *,
        recorder: Recorder | None = None,
        key: str | None = None,
    ) -> Task:
        """Create a task and wait for the answer."""
        answered = anyio.Event()
        results: list[Task | LiangxinError] = []

        def done(result: Task | LiangxinError) -> None:
            results.append(result)
            answered.set()

        creation = self.start(
            input, callback_url, done, recorder=recorder, key=key, waits_for_others=True
        )
        try:
            await answered.wait()
        except BaseException:  # cancelled, maybe in the very moment of the answer
            creation.forsake()
            for result in results:
                if not creation.is_on_record:
                    self.keep(creation.outcome(result))
            raise
        if isinstance(results[0], LiangxinError):
            raise results[0]
        return results[0]

    async def _run(self, creation: Creation) -> None:
        result: Task | LiangxinError
        try:
            with creation.scope:
                result = await self._recorded(creation)
            if creation.scope.cancelled_caught:
                result = NotSent(
                    f"{creation.request.model} was not created: given up before anything was sent"
                )
        except LiangxinError as exc:
            result = exc
        try:
            if isinstance(result, LiangxinError):
                with anyio.CancelScope(shield=True):
                    result = await self._settled(creation, result)
            self._leave_ticket(creation, result)
        finally:
            self._running.discard(creation)
            if not self._running:
                self._emptied.set()
        if self._observer is not None:
            self._observer.create_ended(creation, result)
        if not creation.finish(result) and not creation.is_on_record:
            self.keep(creation.outcome(result))

    async def _settled(self, creation: Creation, error: LiangxinError) -> Task | LiangxinError:
        """What became of a create that was not accepted, on record."""
        task = None
        if isinstance(error, AmbiguousCreate) and creation.ticket is not None:
            with anyio.move_on_after(SEARCH):
                task = await creation.ticket.found()  # a callback may have been quicker
        if task is not None:
            await self._accept(creation, task, None)
            return task
        if creation.entry is not None:
            await creation.entry.settle(error)
        return error

    def _leave_ticket(self, creation: Creation, result: Task | LiangxinError) -> None:
        """Say whether a callback is still expected."""
        ticket = creation.ticket
        if ticket is None or (isinstance(result, Task) and ticket.task_id is not None):
            return
        if isinstance(result, AmbiguousCreate) and ticket.is_out:
            ticket.doubt(lambda task: self._found_late(creation, task))
        else:
            ticket.revoke()

    async def _found_late(self, creation: Creation, task: Task) -> None:
        """A callback has named the task of a create that was said to be in doubt."""
        if creation.entry is not None:
            await creation.entry.recorder.settling(creation.entry.ref)(task)
        if not creation.is_on_record:
            ref = creation.request.client_ref
            doubtful = [getattr(each.error, "client_ref", None) == ref for each in self.unclaimed]
            if True in doubtful:
                del self.unclaimed[doubtful.index(True)]
            self.unclaimed.append(creation.outcome(task))
        if self._observer is not None:
            self._observer.create_settled(creation, task)

    async def _recorded(self, creation: Creation) -> Task:
        """Create what the ledger does not know; wait for whoever creates the same key now."""
        entry = creation.entry
        if creation.request.media:
            creation.request = await self._media().identified(creation.input, creation.request)
        if entry is None:
            return await self._attempts(creation)
        if entry.key is None:
            return await self._known_or_new(creation, entry)
        name = (entry.recorder, entry.key)
        while name in self._keys:
            await self._keys[name].wait()
        self._keys[name] = anyio.Event()
        try:
            return await self._known_or_new(creation, entry)
        finally:
            self._keys.pop(name).set()

    async def _known_or_new(self, creation: Creation, entry: Entry) -> Task:
        planned = await self._planned(creation, entry)
        if isinstance(planned, Task):
            creation.is_known = True
            return planned
        creation.request = planned
        return await self._attempts(creation)

    async def _planned(self, creation: Creation, entry: Entry) -> Task | wire.CreateRequest:
        """Plan it; first wait for another process that is making the same create."""
        pause, deadline = HELD_PAUSE / 16, anyio.current_time() + self._timeout
        while True:
            try:
                return await entry.plan(creation.request)
            except LedgerHeld:
                if not creation.waits_for_others or anyio.current_time() + pause > deadline:
                    raise
            await anyio.sleep(pause)
            pause = min(2 * pause, HELD_PAUSE)

    def keep(self, outcome: Outcome) -> None:
        """Keep an outcome that nobody waits for any more, unless nothing can have been paid."""
        if outcome.task is not None:
            log.warning("task %s was accepted, and its caller has gone", outcome.task.id)
            self.unclaimed.append(outcome)
        elif isinstance(outcome.error, AmbiguousCreate):
            log.warning("the caller has gone, and %s", outcome.error)
            self.unclaimed.append(outcome)

    async def _attempts(self, creation: Creation) -> Task:
        """Try with the media of the request in their places."""
        request = creation.request
        if self._observer is not None:
            self._observer.create_started(creation)
        if not request.media:
            return await self._tries(creation)
        async with self._media().filled(creation.input, request) as creation.request:
            try:
                return await self._tries(creation)
            finally:
                creation.request = request  # or it would hold the pictures for its owner

    async def _tries(self, creation: Creation) -> Task:
        """Try until there is an answer that settles it, within the retry budget."""
        delays = retry_delays()
        for retries_left in reversed(range(self._max_retries + 1)):
            try:
                with await self.admission.enter(creation.source) as turn:
                    return await self._attempt(creation, turn)
            except (NotSent, RateLimited, ServiceUnavailable) as exc:
                asked = getattr(exc, "retry_after", None)
                if not isinstance(exc, NotSent):
                    self.admission.refused(asked)
                if not retries_left or creation.given_up or (asked or 0.0) > MAX_RETRY_AFTER:
                    raise  # given up: the client closed, or nobody waits for it any more
                if creation.entry is not None:
                    await creation.entry.settle(exc)
                wait = max(next(delays), asked or 0.0)
                if self._observer is not None:
                    self._observer.create_retried(creation, exc, wait, asked)
                creation.evidence = None
                await anyio.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _attempt(self, creation: Creation, turn: Turn) -> Task:
        request = creation.request

        async def leaving() -> None:
            ticket = creation.ticket
            if creation.entry is not None:
                await creation.entry.sending(None if ticket is None else ticket.digest)
            await turn.comes()
            await anyio.lowlevel.checkpoint_if_cancelled()
            if creation.given_up:
                raise NotSent(f"{request.model} was not created: given up before anything was sent")
            creation.in_doubt = True
            if ticket is not None:
                ticket.is_out = True
            turn.left()

        evidence = creation.evidence = Evidence(leaving)
        try:
            reply = await self._transport.exchange(
                request, lane="create", timeout=self._timeout, evidence=evidence
            )
        except NotSent:
            creation.in_doubt = False
            raise
        except (TransportError, UnexpectedReply) as exc:
            raise _ambiguous(request, evidence, str(exc)) from exc.__cause__
        except anyio.get_cancelled_exc_class() as exc:
            if not creation.in_doubt:
                raise
            raise _ambiguous(request, evidence, "the client closed before the answer") from exc
        finally:
            if self._observer is not None:
                creation.answered_at = anyio.current_time()
        verdict = wire.judge_create(reply, request)
        if isinstance(verdict, wire.Doubt):
            raise _ambiguous(request, evidence, verdict.reason, task_id=verdict.task_id)
        if isinstance(verdict, Task):
            self.admission.accepted()
            await self._accept(creation, verdict, reply.status)
            return verdict
        creation.in_doubt = False
        raise verdict

    async def _accept(self, creation: Creation, task: Task, status: int | None) -> None:
        if creation.entry is not None:
            await creation.entry.accepted(task, status)
        creation.in_doubt = False  # not before it is on record: nothing cancels what is in doubt
        if creation.ticket is not None:
            creation.ticket.accepted(task)
        self._accepted(task, getattr(creation.input, "kind", None))

    async def aclose(self) -> None:
        """
        End all creates: those that have not left at once, the others with their answer.

        Returns within the time-out of a create.
        """
        self._closed = True
        for creation in self._running:
            creation.given_up = True
            if not creation.in_doubt:
                creation.scope.cancel()
        while self._running:
            self._emptied = anyio.Event()
            await self._emptied.wait()


def _ambiguous(
    request: wire.CreateRequest, evidence: Evidence, why: str, *, task_id: str | None = None
) -> AmbiguousCreate:
    now = anyio.current_time()
    elapsed = now - (evidence.sent_at if evidence.sent_at is not None else now)
    known = f" The answer names task {task_id}." if task_id else ""
    return AmbiguousCreate(
        f"a create of {printable(request.model, 60)} was sent, and nobody can tell whether it was "
        f"accepted ({printable(why, 160)}): money may have been spent, and calling again may pay "
        f"twice. Look for it at the service (client_ref {request.client_ref}) before you do."
        + known,
        model=request.model,
        client_ref=request.client_ref,
        request_sha256=request.sha256,
        sent_at=datetime.now(UTC).timestamp() - elapsed,
        elapsed=elapsed,
        http_status=evidence.status,
        raw=evidence.body,
        task_id=task_id,
    )
