"""
What a client tells of its work, while it does it::

    def hook(event: Event) -> None:
        match event:
            case TaskEnded(error=None, seconds=seconds):
                print(f"a picture after {seconds} s")

    async with AsyncClient(hooks=hook) as client: ...

A hook is whatever can be called with one event: a function, `print`, the `append` of a list.  It is
called in the client's event loop (a blocking client's runs in a thread of its own), so it must be
quick, must not wait, and must not call the client.  What it raises is logged once for each kind of
event and goes no further.  No event is told between the moment in which a create is put on record
as sent and its first byte, and none about a create before its answer is on record.

Events are values.  They hold no header, no key, no prompt and no body; `message` is in the words of
the service, on one line, clipped, and without what follows the `?` of an address.  There may be new
events and new fields: a hook should let pass what it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from attrs import frozen

from liangxin._tasks import Kind, TaskState

__all__ = [
    "CreateFailed",
    "CreateStarted",
    "Event",
    "Hook",
    "LookScheduled",
    "RequestEnded",
    "RetryScheduled",
    "StateChanged",
    "TaskCreated",
    "TaskEnded",
    "TaskLeft",
]

Lane: TypeAlias = Literal["create", "look"]


@frozen(kw_only=True)
class Event:
    """Something has happened; `host` and `port` say at which service."""

    host: str
    port: int


@frozen(kw_only=True)
class CreateStarted(Event):
    """
    A create has begun: it is checked and planned, and waits for its turn.

    Told in the context (`contextvars`) of whoever asked for it.  `ref` is what the create's other
    events are told with, and what `AmbiguousCreate` calls `client_ref`.  A create that a ledger
    knows already does not begin.
    """

    ref: str
    model: str
    kind: Kind | None


@frozen(kw_only=True)
class RequestEnded(Event):
    """
    A request has had its answer, or will have none.

    `lane` says for what it was: a create, with its `ref` and `attempt` (from 1), or a look at the
    task `task_id`.  `status` is that of HTTP, None without an answer; `error` the name of the
    exception that the answer amounts to.  `seconds` run from the first byte to the answer, and are
    None where provably nothing left.  `size` is in bytes of the answer's body.
    """

    lane: Lane
    ref: str | None
    task_id: str | None
    attempt: int
    status: int | None
    error: str | None
    seconds: float | None
    size: int


@frozen(kw_only=True)
class RetryScheduled(Event):
    """
    What failed is tried again in `pause` seconds: a create that cost nothing, or a look.

    `attempt` is the number of attempts that have failed, of a look in a row; `error` and `message`
    are those of the last.  `retry_after` is what the service asked for, if it did.
    """

    lane: Lane
    ref: str | None
    task_id: str | None
    attempt: int
    error: str
    message: str
    pause: float
    retry_after: float | None


@frozen(kw_only=True)
class TaskCreated(Event):
    """
    A create was accepted: there is a task now, and it is paid for.

    `seconds` from the beginning of the create, the waiting for its turn included.
    """

    ref: str
    task_id: str
    model: str
    attempts: int
    seconds: float


@frozen(kw_only=True)
class CreateFailed(Event):
    """
    A create has ended without a task: refused, given up, or, if `is_ambiguous`, in doubt.

    A doubt may have cost money.  If a callback settles it later, a `TaskCreated` with the same
    `ref` follows.
    """

    ref: str
    model: str
    error: str
    message: str
    is_ambiguous: bool
    attempts: int
    seconds: float


@frozen(kw_only=True)
class LookScheduled(Event):
    """
    The next look at a task is due in `pause` seconds, unless looks are scarce or a callback comes.

    The first of a task is told in the context of whoever waits for it.
    """

    task_id: str
    model: str | None
    pause: float


@frozen(kw_only=True)
class StateChanged(Event):
    """
    A look has found a task in another state than it was known in.

    `seconds` from its creation to the look; None if this client has not created it, or has
    stopped waiting for it in between.
    """

    task_id: str
    model: str | None
    old: TaskState
    new: TaskState
    seconds: float | None


@frozen(kw_only=True)
class TaskEnded(Event):
    """
    A task was found ended; `error` is None if well, else `TaskFailed` or `TaskLost`.

    `seconds` run from its creation to the look that found the end, `lag` from the end to that
    look, and is None where neither the service nor a callback told the end.  Both are None for
    a task that this client has not created, or stopped waiting for in between.  `looks` were
    taken.
    """

    task_id: str
    model: str | None
    state: TaskState
    error: str | None
    message: str | None
    seconds: float | None
    lag: float | None
    looks: int


@frozen(kw_only=True)
class TaskLeft(Event):
    """
    Nobody waits for a task any more, or nobody ever has; it goes on at the service.

    `error` is the name of what ended the waiting if the service refused the key.  Of a task for
    which nobody has waited, this is told when the client closes, or after 10,000 others.
    """

    task_id: str
    error: str | None


Hook: TypeAlias = Callable[[Event], object]
"""What is told of events."""
