"""
Ways to break the shared ledger in the workers, each of which the judge has to notice.

Each name says what the library then does wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from liangxin.ledger import LedgerRow, LedgerState, _fold, _holder, _postgres, _postgres_table
from liangxin.ledger._fold import Line


def _sends_again_what_the_dead_were_sending() -> None:
    def trust(row: LedgerRow) -> LedgerRow:
        return evolve(row, state=LedgerState.PLANNED)

    _fold.doubted = trust  # type: ignore[attr-defined]
    _holder._DOUBT_THE_DEAD = _holder._DOUBT_THE_DEAD.replace("'ambiguous'", "'planned'")


def _takes_from_the_living() -> None:
    honest = _postgres_table.as_line

    def unheld(columns: tuple[Any, ...]) -> Line:
        return honest((None, *columns[1:]))

    _postgres_table.as_line = unheld
    _postgres.as_line = unheld  # type: ignore[attr-defined]


SABOTAGES: Mapping[str, Callable[[], None]] = {
    "sends again what the dead were sending": _sends_again_what_the_dead_were_sending,
    "takes from the living": _takes_from_the_living,
}
