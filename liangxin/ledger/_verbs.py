"""The verbs by which a person looks into a ledger, and settles what is in doubt there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from attrs import frozen

from liangxin._errors import InputError, LedgerError
from liangxin._tasks import Task, task_id
from liangxin._text import quoted
from liangxin.ledger._rows import Change, LedgerRow, LedgerState, Money, Move, Renew, Store


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


class Settling(Store, Protocol):
    """The verbs by which a person settles what is in doubt, in whatever keeps the rows."""

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

    def _settle(self, key: str, to: LedgerState, task: str | None = None) -> LedgerRow:
        row = self.find([key]).get(key)
        if row is None:
            raise LedgerError(f"there is no key {quoted(key)} in this ledger")
        if row.state is not LedgerState.AMBIGUOUS:
            raise LedgerError(f"{quoted(key)} is {row.state.value}: there is no doubt to settle")
        return self._made(Move(ref=row.ref, to=to, at=now(), task_id=task))

    def _made(self, change: Change) -> LedgerRow:
        (outcome,) = self.apply([change])
        if isinstance(outcome, LedgerError):
            raise outcome
        return outcome
