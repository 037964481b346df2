"""How a command ends: its exit codes, and which of them an error stands for."""

from __future__ import annotations

from collections.abc import Iterable

from liangxin._errors import (
    AmbiguousCreate,
    Forbidden,
    InputError,
    LiangxinError,
    TaskFailed,
    TaskLost,
    Unauthorized,
    WaitTimeout,
)

OK, UNEXPECTED, USAGE, SOME, AUTH, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

_CODES: tuple[tuple[int, tuple[type[LiangxinError], ...]], ...] = (
    (USAGE, (InputError,)),
    (SOME, (AmbiguousCreate, TaskFailed, TaskLost)),
    (AUTH, (Unauthorized, Forbidden)),
    (TIMED_OUT, (WaitTimeout,)),
)
_GRAVEST_FIRST = (AUTH, SOME, UNEXPECTED, USAGE, TIMED_OUT)


def code_of(error: BaseException | None) -> int:
    """The exit code that tells a script of this error; 0 of none."""
    if error is None:
        return OK
    return next((code for code, leaves in _CODES if isinstance(error, leaves)), UNEXPECTED)


def gravest(errors: Iterable[BaseException | None]) -> int:
    """The one exit code for several ends."""
    codes = {code_of(error) for error in errors}
    return next((code for code in _GRAVEST_FIRST if code in codes), OK)
