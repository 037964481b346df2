"""
Every exception this package raises, in one tree.

    LiangxinError
    ├── APIError(status, code, request_id)        the service answered, and said no
    │   ├── BadRequest 400 · Unauthorized 401 · Forbidden 403 · TaskNotFound 404
    │   ├── PayloadTooLarge 413 · InvalidInput 422 · RateLimited 429 (retry_after)
    │   └── ServerError 5xx
    │       └── ServiceUnavailable 503 (retry_after)
    ├── TransportError                            no usable answer; __cause__ says why
    │   ├── NotSent                               provably nothing left
    │   └── AmbiguousCreate                       may be accepted and charged
    ├── UnexpectedReply(raw)                      an answer that we cannot read
    ├── TaskFailed(task) · TaskLost(task)
    ├── WaitTimeout(task)  (also TimeoutError)    we stopped waiting; the task goes on
    ├── DownloadError
    │   └── Truncated · Corrupt · Blocked · TooLarge · ResultExpired
    ├── LedgerError                               the ledger cannot be opened, read or written so
    │   ├── LedgerLocked(pid, host) · LedgerCorrupt · LedgerTooNew
    │   └── LedgerConflict(key) · LedgerHeld(key, holder)
    ├── InputError  (also ValueError)             refused here, before anything is paid
    ├── CallbackRejected                          a callback that its verifier does not believe
    └── ClientStateError  (also RuntimeError)     closed, not opened, or carried across a fork

All of them pickle with their fields and their `__cause__`, and show at most 500 printable
characters.  The leaves say what happened; what to do about it is in the message.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from liangxin._text import printable, quoted

if TYPE_CHECKING:
    from liangxin._tasks import Task

RAW_LIMIT = 64 * 1024
"""How many bytes of an unreadable answer an exception keeps."""


class LiangxinError(Exception):
    """The root of the tree: `except LiangxinError` catches whatever this package raises."""

    def __init__(self, message: str) -> None:
        super().__init__(message)

    @property
    def message(self) -> str:
        """What happened, unclipped."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return printable(self.message, 500)

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.args, self.__dict__, _portable(self.__cause__))

    def __copy__(self) -> LiangxinError:
        # Within one process nothing has to be made fit for travel.
        return _revive(type(self), self.args, self.__dict__, self.__cause__)


def _portable(cause: BaseException | None) -> BaseException | None:
    """A cause that survives pickling: itself where it can, its words where it cannot."""
    if cause is None:
        return None
    import pickle  # 2 ms of every import of the package, for what is rarely done

    try:
        if getattr(cause, "_request", None) is not None:
            # An error of httpx may hold the request, whose headers hold the key.
            cause = copy.copy(cause)
            cause._request = None  # type: ignore[attr-defined]  # this is what just was there
        pickle.loads(pickle.dumps(cause))
    except Exception:  # whatever a foreign class does in its own pickling is not our caller's news
        return RuntimeError(quoted(cause, 200))
    return cause


def _revive(
    cls: type[LiangxinError],
    args: tuple[object, ...],
    fields: dict[str, object],
    cause: BaseException | None,
) -> LiangxinError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(fields)
    if cause is not None:  # even None, once set, would hide the context
        error.__cause__ = cause
    return error


# --- the service said no -----------------------------------------------------------------------


class APIError(LiangxinError):
    """
    The service answered, and said no.

    `status` is the HTTP status, `code` the code in the body (an integer, a string or None: the
    service's error bodies differ), `request_id` the one that the answer's headers named, if any.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id


class BadRequest(APIError):
    """400: the request, the model or one of its parameters was refused; nothing was created."""


class Unauthorized(APIError):
    """401: the API key is missing or not valid."""


class Forbidden(APIError):
    """403: the quota does not suffice, or the key has no access."""


class TaskNotFound(APIError):
    """404: the service knows nothing under this id or address."""


class PayloadTooLarge(APIError):
    """413: the body is too large; pass pictures by URL instead of as data URIs."""


class InvalidInput(APIError):
    """422: the model's own validation refused the input; nothing was created."""


class RateLimited(APIError):
    """429: too many requests; `retry_after` is what the service asked for, in seconds."""

    retry_after: float | None = None


class ServerError(APIError):
    """5xx: the service failed."""


class ServiceUnavailable(ServerError):
    """503: the service, or a channel for this model, is not available now."""

    retry_after: float | None = None


# --- no usable answer --------------------------------------------------------------------------


class TransportError(LiangxinError):
    """No usable answer came; `__cause__` is what the HTTP library said."""


class NotSent(TransportError):
    """Provably not one byte of the request left: nothing was created, sending again is safe."""


class AmbiguousCreate(TransportError):
    """
    A create left, and no answer says what became of it: it may be accepted and charged.

    Calling again may pay twice, so nothing in this package ever does that by itself.  It is not a
    `TimeoutError`, even when a time-out caused it: predicates that retry time-outs must not catch
    it.

    Fields: `client_ref` (sent as `Idempotency-Key`), `request_sha256` of the body, `model`,
    `sent_at` (Unix seconds), `elapsed` (seconds from the first byte), `http_status` of the answer
    if one came, `raw` (its first 64 KiB), `task_id` if the answer names one that reads as valid.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str,
        client_ref: str,
        request_sha256: str,
        sent_at: float,
        elapsed: float,
        http_status: int | None = None,
        raw: bytes = b"",
        task_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.client_ref = client_ref
        self.request_sha256 = request_sha256
        self.sent_at = sent_at
        self.elapsed = elapsed
        self.http_status = http_status
        self.raw = raw[:RAW_LIMIT]
        self.task_id = task_id


class UnexpectedReply(LiangxinError):
    """An answer that cannot be read as what was asked for; `raw` is its first 64 KiB."""

    def __init__(self, message: str, *, raw: bytes = b"", status: int | None = None) -> None:
        super().__init__(message)
        self.raw = raw[:RAW_LIMIT]
        self.status = status


# --- how a task can end, other than well -------------------------------------------------------


class _AboutTask(LiangxinError):
    """An error about one task, whose last known snapshot is `task`."""

    def __init__(self, task: Task, message: str) -> None:
        super().__init__(message)
        self.task = task


class TaskFailed(_AboutTask):
    """The task ended with `fail`; `task.fail_code` and `task.fail_message` say why."""


class TaskLost(_AboutTask):
    """The service stopped knowing the task: several answers over at least a minute said so."""


class WaitTimeout(_AboutTask, TimeoutError):
    """We stopped waiting; the task goes on at the service: wait for it again to pick it up."""


# --- results -----------------------------------------------------------------------------------


class DownloadError(LiangxinError):
    """A result could not be fetched; no partial file was left under its final name."""


class Truncated(DownloadError):
    """The host ended the transfer early, or stalled."""


class Corrupt(DownloadError):
    """The bytes are not the kind of file that was promised."""


class Blocked(DownloadError):
    """The URL leads to an address or a scheme that downloads must not touch."""


class TooLarge(DownloadError):
    """The result is larger than the limit."""


class ResultExpired(DownloadError):
    """The URL no longer serves the result, and neither does a fresh one."""


# --- the ledger --------------------------------------------------------------------------------


class LedgerError(LiangxinError):
    """
    The ledger did not do what was asked of it, and nothing of it is half done.

    A create whose record could not be written was not sent.
    """


class LedgerLocked(LedgerError):
    """
    Another process, or another `Ledger` of this one, has the file open.

    `pid` and `host` are those of the holder, None where it left no readable note.
    """

    def __init__(self, message: str, *, pid: int | None = None, host: str | None = None) -> None:
        super().__init__(message)
        self.pid = pid
        self.host = host


class LedgerCorrupt(LedgerError):
    """The file is not a ledger, or is damaged; it was left as it is."""


class LedgerTooNew(LedgerError):
    """The file was written by a newer version of this package; it was left as it is."""


class LedgerConflict(LedgerError):
    """The row `key` stands for another request: nothing was changed, and nothing is sent for it."""

    def __init__(self, message: str, *, key: str) -> None:
        super().__init__(message)
        self.key = key


class LedgerHeld(LedgerError):
    """
    Another process, `holder`, is at work on the row `key` of a shared ledger: nothing was sent.

    Ask again later: what it became is told then, and it is never paid for twice.
    """

    def __init__(self, message: str, *, key: str, holder: str) -> None:
        super().__init__(message)
        self.key = key
        self.holder = holder


# --- ours --------------------------------------------------------------------------------------


class InputError(LiangxinError, ValueError):
    """
    Refused here, before anything is sent or paid.

    `field` is the input's field, `value` what it got, `allowed` what it takes, in words.
    """

    def __init__(
        self, message: str, *, field: str | None = None, value: object = None, allowed: str = ""
    ) -> None:
        super().__init__(message)
        self.field = field
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple[object, ...]:
        # The value is the user's and may be anything, an open file for instance.
        fields = {**self.__dict__, "value": quoted(self.value, 200)}
        return _revive, (type(self), self.args, fields, _portable(self.__cause__))


class CallbackRejected(LiangxinError):
    """A callback does not bear the signature that a verifier asks for; it was not heeded."""


class ClientStateError(LiangxinError, RuntimeError):
    """The client is closed, was never opened, or was carried into a forked process."""


class InferredLimitWarning(UserWarning):
    """
    A value breaks a limit that the service does not document; it is sent all the same.

    Said once for each model and field.
    """
