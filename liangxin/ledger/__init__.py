"""
The ledger: what was asked for, what was paid for, and what is in doubt, where it survives.

    with liangxin.Ledger("posters.db") as ledger:
        print(ledger.status().money)

A file belongs to one process at a time; `Ledger("postgresql://…")` is shared by any number.

A create is on record before its first byte leaves, and its answer before anything else is done
with it.  This package only records: it sends nothing, knows no event loop, and decides nothing
about money by itself.  `attach`, `resend` and `abandon` are the user's words.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self, TypeGuard

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
from liangxin.ledger._verbs import LedgerStatus, Settling, now

if TYPE_CHECKING:
    from liangxin.ledger._shared import SharedLedger

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
    "SharedLedger",
    "SqliteStore",
    "Store",
    "input_sha256",
    "now",
]


class Ledger(SqliteStore, Settling):
    """
    A ledger in a file, and the verbs by which a person settles what is in doubt.

    The file is created when it is first needed, readable by its owner alone, and belongs to this
    object until `close`: another process gets `LedgerLocked`.  With `store_inputs=False`, prompts
    are left out and only their hashes kept.

    `Ledger("postgresql://…")` is a `SharedLedger`.
    """

    def __new__(cls, path: str | os.PathLike[str], *more: object, **options: Any) -> Self:
        if cls is Ledger and is_address(path):
            return _shared_ledger()(path, **options)  # type: ignore[return-value]  # it has the same verbs
        return super().__new__(cls)

    @classmethod
    def recover(cls, path: str | os.PathLike[str], to: str | os.PathLike[str]) -> Recovery:
        """
        Copy what can be read of a damaged ledger into a new one; the damaged file stays as it is.

        Say aloud what the answer says is lost: it may be paid, and the new ledger knows nothing of
        it.
        """
        from liangxin.ledger._recover import recover

        return recover(cls(path), cls(to))


def is_address(path: object) -> TypeGuard[str]:
    """Whether it names a database instead of a file."""
    return isinstance(path, str) and path.startswith(("postgresql://", "postgres://"))


def __getattr__(name: str) -> object:
    if name == "SharedLedger":
        return _shared_ledger()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _shared_ledger() -> type[SharedLedger]:
    try:
        from liangxin.ledger._shared import SharedLedger
    except ImportError as error:
        raise ImportError(
            'A ledger in PostgreSQL needs an extra: pip install "liangxin[postgres]"'
        ) from error
    return SharedLedger
