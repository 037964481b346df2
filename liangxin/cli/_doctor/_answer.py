"""
The checks that need an answer of the service: one look at a task that does not exist.

It is free, and tells three things: whether the service is there, what it thinks of the key, and
how far its clock is from ours.
"""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime

from attrs import evolve

from liangxin import (
    BadRequest,
    Forbidden,
    InvalidInput,
    LiangxinError,
    RateLimited,
    ServerError,
    TaskNotFound,
    Unauthorized,
)
from liangxin._origin import API_KEY, Origin, Secret
from liangxin._transport import Transport
from liangxin._wire import Reply, decipher_record, record_request
from liangxin.cli._doctor._findings import PATIENCE, Finding, since

_NO_TASK = "no-such-task-says-liangxin-doctor"
_HEARD_US = (BadRequest, Forbidden, InvalidInput, TaskNotFound, Unauthorized)
"""What the service says of such a task; which of them is not documented."""
_MOST_SKEW = 60.0
"""Seconds between two clocks that nobody needs to mind."""


async def answer(origin: Origin, secret: Secret, key: Finding) -> list[Finding]:
    """Ask once; `key` is what is known of the key so far."""
    transport = Transport(origin.url, secret, max_connections=1)
    began = time.monotonic()
    try:
        reply = await transport.exchange(record_request(_NO_TASK), lane="look", timeout=PATIENCE)
    except LiangxinError as error:
        return [
            Finding("service", "fails", str(error), "see the lines above"),
            evolve(key, found=f"{key.found}; not tried"),
            Finding("clock", "skipped", "the service did not answer"),
        ]
    finally:
        await transport.aclose()
    said = _error_of(reply)
    service = evolve(_service(said), found=f"answered in {since(began)}, HTTP {reply.status}")
    return [service, _key(said, key), _clock(reply)]


def _error_of(reply: Reply) -> LiangxinError | None:
    """What the service says; None for an answer that is not the Market's."""
    try:
        decipher_record(reply, _NO_TASK)
    except LiangxinError as error:
        # Any web server says 404 of a page that it does not have, but not in JSON.
        return error if isinstance(error, ServerError) or _is_json(reply.body) else None
    return None


def _is_json(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _service(error: LiangxinError | None) -> Finding:
    if isinstance(error, RateLimited):
        return Finding("service", "warning", "", f"wait, and ask again: {error}")
    if isinstance(error, _HEARD_US):
        return Finding("service", "ok", "")
    if isinstance(error, ServerError):
        return Finding("service", "fails", "", f"try again later: {error}")
    return Finding("service", "fails", "", "look at the base URL: this is no answer of the Market")


def _key(error: LiangxinError | None, key: Finding) -> Finding:
    if isinstance(error, (Unauthorized, Forbidden)):
        mend = f"set {API_KEY} to a key that works: {error}"
        return evolve(key, state="fails", found=f"{key.found}, refused", mend=mend)
    if isinstance(error, _HEARD_US):
        return evolve(key, state="ok", found=f"{key.found}, accepted")
    return evolve(key, found=f"{key.found}; the answer says nothing of it")


def _clock(reply: Reply) -> Finding:
    """Only a warning: pauses go by another clock, but addresses of results expire by this one."""
    try:
        theirs = parsedate_to_datetime(reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return Finding("clock", "skipped", "the service does not say what time it has")
    ahead = time.time() - theirs
    if abs(ahead) < _MOST_SKEW:
        return Finding("clock", "ok", "as the service's, to a minute")
    said = f"{abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
    return Finding("clock", "warning", said, "set it: results expire by the service's clock")
