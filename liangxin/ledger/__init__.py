"""
The ledger: what was asked for, what was paid for, and what is in doubt, in a file that survives.

    with liangxin.Ledger("posters.db") as ledger:
        print(ledger.status().money)

A create is on record before its first byte leaves, and its answer before anything else is done
with it.  This package only records: it sends nothing, knows no event loop, and decides nothing
about money by itself.  `attach`, `resend` and `abandon` are the user's words.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime

from attrs import frozen

from liangxin._errors import InputError, LedgerError
from liangxin._tasks import Task, task_id
from liangxin._text import quoted
from liangxin.ledger._rows import (
    Change,
    LedgerRow,
    LedgerState,
    Money,
    Move,
    Plan,
    Recovery,
    Renew,
    Store,
    input_sha256,
)
from liangxin.ledger._sqlite import SqliteStore

__all__ = [
    "Change",
    "Ledger",
    "LedgerRow",
    "LedgerState",
    "LedgerStatus",
    "Money",
    "Move",
    "Plan",
    "Recovery",
    "Renew",
    "SqliteStore",
    "Store",
    "input_sha256",
    "now",
]


def now() -> float:
    """Unix seconds: a ledger outlives every monotonic clock."""
    return datetime.now(UTC).timestamp()


@frozen(kw_only=True)
class LedgerStatus:
    """
    How many creates are in which state; a key that was asked for again counts each time.

    `money` adds them up by what they cost, and never mixes what is paid with what may be.
    """

    states: Mapping[LedgerState, int]

    @property
    def money(self) -> Mapping[Money, int]:
        """How many creates cost nothing, were paid, were refused, and may have been paid."""
        sums: dict[Money, int] = {"nothing": 0, "paid": 0, "refused": 0, "maybe paid": 0}
        for state, count in self.states.items():
            sums[state.money] += count
        return sums


class Ledger(SqliteStore):
    """
    A ledger in a file, and the verbs by which a person settles what is in doubt.

    The file is created when it is first needed, readable by its owner alone, and belongs to this
    object until `close`: another process gets `LedgerLocked`.  With `store_inputs=False`, prompts
    are left out and only their hashes kept.
    """

    def status(self) -> LedgerStatus:
        """Count what there is."""
        return LedgerStatus(states=self.counts())

    def attach(self, key: str, task: Task | str) -> LedgerRow:
        """Say that the ambiguous create of `key` became this task: it is waited for, not repaid."""
        name = task_id(task)
        other = self.find_task(name)
        if other is not None and other.key != key:
            raise LedgerError(f"the task {quoted(name)} belongs to {quoted(other.key)} already")
        return self._settle(key, LedgerState.ACCEPTED, name)

    def abandon(self, key: str) -> LedgerRow:
        """Say that nobody will look for the ambiguous create of `key` any more."""
        return self._settle(key, LedgerState.ABANDONED)

    def resend(self, key: str, accept_double_payment: bool = False) -> LedgerRow:
        """
        Plan `key` once more: what asks for it next pays for it, perhaps a second time.

        For a create that is ambiguous, failed or abandoned.  Nothing is sent by this call.
        """
        if accept_double_payment is not True:
            raise InputError(
                f"sending {quoted(key)} again may pay for it twice: "
                "pass accept_double_payment=True if that is what you want",
                field="accept_double_payment",
                value=accept_double_payment,
                allowed="True",
            )
        return self._made(
            Renew(
                key=key,
                ref=secrets.token_hex(16),
                at=now(),
                reason="resent by the user's word",
            )
        )

    @classmethod
    def recover(cls, path: str | os.PathLike[str], to: str | os.PathLike[str]) -> Recovery:
        """
        Copy what can be read of a damaged ledger into a new one; the damaged file stays as it is.

        Say aloud what the answer says is lost: it may be paid, and the new ledger knows nothing of
        it.
        """
        from liangxin.ledger._recover import recover

        return recover(cls(path), cls(to))

    def _settle(self, key: str, to: LedgerState, task: str | None = None) -> LedgerRow:
        row = self.find([key]).get(key)
        if row is None:
            raise LedgerError(f"there is no key {quoted(key)} in {self.path}")
        if row.state is not LedgerState.AMBIGUOUS:
            raise LedgerError(f"{quoted(key)} is {row.state.value}: there is no doubt to settle")
        return self._made(Move(ref=row.ref, to=to, at=now(), task_id=task))

    def _made(self, change: Change) -> LedgerRow:
        (outcome,) = self.apply([change])
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome
