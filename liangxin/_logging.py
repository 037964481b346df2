"""
A line for what happens, by the logger `liangxin`: a hook like any other, for whoever wants lines.

It configures no logging, but where `LIANGXIN_LOG` asks for it: then lines go to standard error.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import TextIO

from liangxin._text import printable, quoted, without_queries
from liangxin.hooks import (
    CreateFailed,
    CreateStarted,
    Event,
    LookScheduled,
    RequestEnded,
    RetryScheduled,
    StateChanged,
    TaskCreated,
    TaskEnded,
    TaskLeft,
)

log = logging.getLogger("liangxin")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is now: progress on a terminal takes its place."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Formatter(logging.Formatter):
    """One line, from which nobody learns a signature or a password."""

    def format(self, record: logging.LogRecord) -> str:
        return without_queries(super().format(record))


def log_to_stderr(wanted: str) -> None:
    """Do what the environment's `LIANGXIN_LOG` says."""
    level = _LEVELS.get(wanted.strip().lower())
    if level is None:
        _complain(wanted)
        return
    log.setLevel(level)
    if not any(isinstance(each, _StandardError) for each in log.handlers):
        handler = _StandardError()
        handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s"))
        log.addHandler(handler)


@cache
def _complain(wanted: str) -> None:
    log.warning("LIANGXIN_LOG can be debug or info, not %s: nothing is changed", quoted(wanted, 40))


def log_event(event: Event) -> None:
    """Log an event: at info what costs or ends something, at debug the rest, doubts as warnings."""
    level = _level_of(event)
    if log.isEnabledFor(level):
        log.log(level, "%s", _in_words(event))


def _level_of(event: Event) -> int:
    match event:
        case CreateFailed(is_ambiguous=True):
            return logging.WARNING
        case RequestEnded() | LookScheduled() | StateChanged() | CreateStarted():
            return logging.DEBUG
        case _:
            return logging.INFO


def _in_words(event: Event) -> str:
    match event:
        case CreateStarted():
            return f"creating a task of {_name(event.model)} ({event.ref})"
        case RequestEnded():
            return f"{_request(event)}: {_answer(event)}"
        case RetryScheduled(lane="create"):
            return f"{event.message}; trying again in {event.pause:.1f} s"
        case RetryScheduled():
            return (
                f"looking at {_name(event.task_id)} again in {event.pause:.1f} s: {event.message}"
            )
        case TaskCreated():
            return (
                f"created {_name(event.task_id)} of {_name(event.model)} in {event.seconds:.2f} s"
            )
        case CreateFailed():
            return event.message
        case LookScheduled():
            return f"looking at {_name(event.task_id)} in {event.pause:.1f} s"
        case StateChanged():
            return f"{_name(event.task_id)}: {event.old.value} → {event.new.value}"
        case TaskEnded():
            return _ended(event)
        case TaskLeft():
            return f"nobody waits for {_name(event.task_id)} any more; it goes on at the service"
        case _:
            return repr(event)


def _request(event: RequestEnded) -> str:
    if event.lane == "create":
        return f"createTask, attempt {event.attempt} ({event.ref})"
    return f"recordInfo of {_name(event.task_id)}"


def _answer(event: RequestEnded) -> str:
    status = "no answer" if event.status is None else f"{event.status}, {event.size} bytes"
    took = "" if event.seconds is None else f", {event.seconds:.3f} s"
    return f"{status}{took}" if event.error is None else f"{status}{took}, {event.error}"


def _ended(event: TaskEnded) -> str:
    how = event.message or f"{_name(event.task_id)}: {event.state.value}"
    after = "" if event.seconds is None else f" after {event.seconds:.1f} s"
    late = "" if event.lag is None else f", found {event.lag:.1f} s late"
    looks = "1 look" if event.looks == 1 else f"{event.looks} looks"
    return f"{how}{after}, {looks}{late}"


def _name(text: str | None) -> str:
    return printable(text, 80)
