"""What is wrong with a line, and where, in sentences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from liangxin._errors import RAW_LIMIT, InputError
from liangxin._text import quoted

_Made = TypeVar("_Made")


def refused(field: str, value: object, allowed: str) -> InputError:
    """A value that its field does not take."""
    return InputError(
        f"{field} is {quoted(value)}; it takes {allowed}", field=field, value=value, allowed=allowed
    )


def missing(field: str, allowed: str) -> InputError:
    """A field that a line must have, and has not."""
    return InputError(f"{field} is missing; it takes {allowed}", field=field, allowed=allowed)


def located(error: InputError, place: str) -> InputError:
    """
    The same error with its place, and without its traceback, which would keep the line in memory.

    Of a value of more than 64 KiB it keeps the beginning.
    """
    value = error.value
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if sum(len(part) for part in parts if isinstance(part, str)) > RAW_LIMIT:
        value = quoted(value, 200)
    return InputError(
        f"{place}: {error.message}", field=error.field, value=value, allowed=error.allowed
    )


def attempt(make: Callable[..., _Made], *args: object) -> _Made | InputError:
    """What `make` makes, or the error that it raises, as a value."""
    try:
        return make(*args)
    except InputError as error:
        return error
