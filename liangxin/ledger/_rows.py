"""
What the ledger remembers, and the changes that it takes: frozen values, no file, no clock.

`_moves.py` has the rules by which a change turns one row into the next; `Store` is what keeps them.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from attrs import Attribute, field, frozen

from liangxin._errors import InputError, LedgerError
from liangxin._text import quoted

if TYPE_CHECKING:
    from liangxin.ledger._hints import Channel

Money: TypeAlias = Literal["nothing", "paid", "refused", "maybe paid"]


class LedgerState(enum.Enum):
    """
    Where one create stands.

        planned ──▶ sending ──▶ accepted ──▶ succeeded ──▶ downloaded ─┐
          ▲  ▲        │ │ │                └▶ failed            ▲──────┘
          │  └────────┘ │ └───▶ ambiguous ──▶ accepted | abandoned
          └── refused ◀─┘                 └▶ resent  (only by `Renew`)

    `PLANNED` again, out of `SENDING`: provably not sent, or refused for now.  Out of `REFUSED`: a
    later run asks again, for nothing was paid.  `DOWNLOADED` again: the files were fetched again.
    """

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    AMBIGUOUS = "ambiguous"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DOWNLOADED = "downloaded"
    RESENT = "resent"
    ABANDONED = "abandoned"

    @property
    def money(self) -> Money:
        """What this create has cost: a doubt is never counted as paid, nor as unpaid."""
        if self is LedgerState.PLANNED:
            return "nothing"
        if self is LedgerState.REFUSED:
            return "refused"
        return "paid" if self in _PAID else "maybe paid"

    def may_become(self, other: LedgerState) -> bool:
        """Whether a `Move` may lead from here to there."""
        return other in _NEXT.get(self, ())


_PAID = frozenset(
    {
        LedgerState.ACCEPTED,
        LedgerState.SUCCEEDED,
        LedgerState.FAILED,
        LedgerState.DOWNLOADED,
    }
)

_NEXT: Mapping[LedgerState, Collection[LedgerState]] = {
    LedgerState.PLANNED: {LedgerState.SENDING},
    LedgerState.SENDING: {
        LedgerState.PLANNED,
        LedgerState.ACCEPTED,
        LedgerState.REFUSED,
        LedgerState.AMBIGUOUS,
    },
    LedgerState.AMBIGUOUS: {LedgerState.ACCEPTED, LedgerState.ABANDONED},
    LedgerState.ACCEPTED: {LedgerState.SUCCEEDED, LedgerState.FAILED},
    LedgerState.SUCCEEDED: {LedgerState.DOWNLOADED},
    LedgerState.DOWNLOADED: {LedgerState.DOWNLOADED},
    LedgerState.REFUSED: {LedgerState.PLANNED},
}


@frozen(kw_only=True)
class LedgerRow:
    """
    One create: what was asked for, what became of it, and when (Unix seconds, or None).

    `key` is the user's name for the request, `ref` the name of this very create.  A key that was
    asked for again, by the user's word, has several rows, of which one is `current`.  `input` is
    None where inputs are not stored; `sha256` is its `input_sha256` all the same.

    `answered_at` is when the answer came, or when it was clear that none would.  `reason` says in
    words why the create was refused, failed or is in doubt; `raw` is the unreadable answer, if any.

    `held_by` names the process that has work with it, if that is another one than ours and alive:
    only where a ledger is shared.
    """

    key: str
    ref: str
    model: str
    input: Mapping[str, object] | None = field(default=None, repr=False, hash=False)
    sha256: str
    state: LedgerState = LedgerState.PLANNED
    current: bool = True
    task_id: str | None = None
    token_sha256: bytes | None = field(default=None, repr=False)
    planned_at: float
    sent_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    http_status: int | None = None
    reason: str | None = None
    raw: bytes | None = field(default=None, repr=False)
    urls: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    held_by: str | None = None


@frozen(kw_only=True)
class Recovery:
    """
    What was saved of a damaged ledger: `kept` rows, `bare` of them without their inputs.

    `lost` rows could not be read; `lost_keys` names them, as far as that could be.  What they asked
    for may have been paid: asking for it again may pay twice.
    """

    kept: int
    bare: int
    lost: int
    lost_keys: tuple[str, ...]


# --- changes -----------------------------------------------------------------------------------


def _words(owner: object, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or not value or not _is_unicode(value):
        name = attribute.name
        raise InputError(f"{name} must be text, not {quoted(value)}", field=name, value=value)


def _digest(owner: object, attribute: Attribute[str], value: object) -> None:
    if not isinstance(value, str) or len(value) != 64 or not set(value) <= set("0123456789abcdef"):
        raise InputError(
            f"{attribute.name} must be a SHA-256 in lower-case hexadecimal, not {quoted(value)}",
            field=attribute.name,
            value=value,
            allowed="what input_sha256() returns",
        )


def _strings(values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@frozen(kw_only=True)
class Plan:
    """
    The intention to create `input` under `key`.

    Where the key is known with the same hash, nothing changes, and the answer is its current row.
    """

    key: str = field(validator=_words)
    ref: str = field(validator=_words)
    model: str = field(validator=_words)
    input: Mapping[str, object] = field(repr=False, hash=False)
    sha256: str = field(validator=_digest)
    at: float


@frozen(kw_only=True)
class Move:
    """
    What happened to the create `ref`; None leaves a field as it is.

    The times of the row follow from `to`.  A move to `SENDING` is a new attempt: it forgets what an
    earlier one was answered, and may bring a new token.
    """

    ref: str
    to: LedgerState
    at: float
    task_id: str | None = None
    token_sha256: bytes | None = field(default=None, repr=False)
    http_status: int | None = None
    reason: str | None = None
    raw: bytes | None = field(default=None, repr=False)
    urls: tuple[str, ...] | None = field(default=None, converter=_strings)
    files: tuple[str, ...] | None = field(default=None, converter=_strings)


@frozen(kw_only=True)
class Renew:
    """
    The user's word that `key` is to be created again, as `ref`, although it may be paid already.

    Its current row must be ambiguous, failed or abandoned.  It stays as history (ambiguous becomes
    resent), and a planned one with the same model, input and hash takes its place.  `replaces` is
    the create that the word was about, if it was about one: where another has taken its place
    meanwhile, nothing is changed.
    """

    key: str = field(validator=_words)
    ref: str = field(validator=_words)
    replaces: str | None = None
    at: float
    reason: str | None = None


Change: TypeAlias = Plan | Move | Renew


_canonical = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def input_sha256(model: str, input: Mapping[str, object]) -> str:
    """Return the hash that tells whether two requests ask for the same: of canonical JSON."""
    asked = {"model": model, "input": input}
    try:
        text = _canonical(asked).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the input of {quoted(model)} cannot be written as JSON: {error}",
            field="input",
            value=input,
            allowed="JSON values",
        ) from error
    return hashlib.sha256(text).hexdigest()


class Store(Protocol):
    """
    What keeps the rows.  Blocking, for any thread; whatever it cannot do is a `LedgerError`.

    `SqliteStore` is one; another has to keep each sentence here.
    """

    is_quick: bool
    """Whether a call takes no longer than a line of code, so that it may be made in the loop."""
    is_shared: bool
    """Whether other processes may have it open too, so that a row may be held by one of them."""

    @property
    def is_open(self) -> bool:
        """Whether what it keeps is at hand: opened, and not closed again."""

    def open(self) -> object:
        """Open it now; nothing, if it is open."""

    def channel(self) -> Channel | None:
        """The way to the other processes that have it open; None if there can be none."""

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | LedgerError]:
        """
        Make changes in order, in one transaction that is durable when this returns.

        Each result is the row after its change, or the error of that change alone: the others are
        made all the same.  If the transaction fails, none is made, and one error is raised.
        """

    def find(self, keys: Sequence[str], *, bare: bool = False) -> dict[str, LedgerRow]:
        """Return the current rows of those keys that are known; `bare` ones without `input`."""

    def history(self, key: str) -> list[LedgerRow]:
        """Return all rows of a key, in the order of planning; the last one is current."""

    def find_task(self, task_id: str) -> LedgerRow | None:
        """Return the row of a task, the newest if there are several, history included."""

    def find_token(self, token_sha256: bytes) -> LedgerRow | None:
        """Return the row of a callback token's hash, history included."""

    def rows(self, *states: LedgerState, history: bool = False) -> Iterator[LedgerRow]:
        """
        Yield the rows in these states (in all, if none is named), in the order of planning.

        A page at a time is read, so a row is as it was when its page was read.  `history` adds the
        rows that are no longer the current ones of their keys.
        """

    def counts(self) -> dict[LedgerState, int]:
        """Count the creates in each state, history included: a row that cost is never dropped."""

    def durations(self) -> Mapping[str, object] | None:
        """Return what `keep_durations` kept."""

    def keep_durations(self, durations: Mapping[str, object]) -> None:
        """Keep one JSON document: what was learned of how long the models take."""

    def close(self) -> None:
        """Let go of everything; a second time does nothing."""
