"""
The books: what was charged, every request seen, every look, every callback and its answer.

Kept by the service's side only, so that a client's own counters can be checked against them.  An
API key never enters: its hash's first 12 digits stand for it.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_KEY_HASH = re.compile("[0-9a-f]{12}")
_CREDENTIALS = {b"authorization", b"proxy-authorization", b"cookie", b"x-api-key"}

RawHeaders = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Charge:
    """One accepted create: `amount` in made-up credits, `created_at` in Unix milliseconds."""

    task_id: str
    model: str
    key_hash: str
    amount: int
    created_at: int
    idempotency_key: str | None
    body_sha256: str


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """
    One request: `endpoint` is "create", "look", "result" or "other".

    `status` is what was answered, None if the connection went down instead; `at` is in the
    service's seconds; `body_bytes` counts the request's body; `key_hash` is None where no key came.
    """

    endpoint: str
    method: str
    path: str
    task_id: str | None
    at: float
    status: int | None
    body_bytes: int
    key_hash: str | None
    raw_headers: RawHeaders
    fault: str | None

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers in lower case, without those that carry credentials."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to post a callback; `status` is the receiver's answer, `error` why there is none."""

    task_id: str
    url: str
    attempt: int
    at: float
    status: int | None
    error: str | None = None


class Books:
    """Charges and callbacks in full, looks counted, the latest `keep_requests` requests."""

    def __init__(self, keep_requests: int) -> None:
        self.charges: list[Charge] = []
        self.requests: deque[SeenRequest] = deque(maxlen=keep_requests)
        self.callbacks: list[Delivery] = []
        self.looks: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget everything."""
        self.restore((), (), (), {})

    def restore(
        self,
        charges: Iterable[Charge],
        requests: Iterable[SeenRequest],
        callbacks: Iterable[Delivery],
        looks: Mapping[str, int],
    ) -> None:
        """Remember this, and nothing else."""
        self.charges[:] = charges
        self.requests.clear()
        self.requests.extend(requests)
        self.callbacks[:] = callbacks
        self.looks.clear()
        self.looks.update(looks)


def key_hash(key: str) -> str:
    """Return the short name under which a key appears in the books."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def key_name(key: str) -> str:
    """Return `key` as the books have it, also if it is the short name already."""
    return key if _KEY_HASH.fullmatch(key) else key_hash(key)


def without_credentials(headers: RawHeaders) -> RawHeaders:
    """Return `headers` without those that carry credentials."""
    return tuple(pair for pair in headers if pair[0] not in _CREDENTIALS)
