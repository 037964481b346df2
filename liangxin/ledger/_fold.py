"""
Changes folded over the rows that they are about, where those are shared: pure, nothing is read.

To the rules of `_moves.py` it adds whose a create is.  One that has not ended belongs to a holder,
and while that is alive nobody else sends it.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, evolve, field

from liangxin._errors import LedgerError, LedgerHeld
from liangxin._text import quoted
from liangxin.ledger._moves import doubted, moved, planned, refuse_conflict, renewed
from liangxin.ledger._rows import Change, LedgerRow, LedgerState, Move, Plan, Renew
from liangxin.ledger._table import as_json

UNENDED = (LedgerState.PLANNED, LedgerState.SENDING, LedgerState.ACCEPTED)
"""The states in which somebody has work with a create."""

LONGEST = 2000
"""Bytes of a key, a ref, a model or the id of a task; an index takes hardly more."""

_LARGEST = 2**63


@define(eq=False)
class Line:
    """
    A row, its number in the table (None: not there yet), and whose it is.

    `holder` is the number of the holder, and the row's `held_by` names it, if it is another one
    than ours and alive.  `input` is the name under which its input is stored.
    """

    row: LedgerRow
    n: int | None = None
    holder: int | None = None
    input: str | None = None
    new_input: str | None = None
    """The input as JSON, if it is not stored yet."""
    is_changed: bool = False


@define(eq=False)
class Page:
    """The lines that some changes are about, and after `make` those that are to be written."""

    me: int
    """The number of our holder."""
    stores_input: bool
    lines: list[Line] = field(factory=list)
    """In the order of planning."""
    _by_ref: dict[str, Line] = field(init=False, factory=dict)
    _current: dict[str, Line] = field(init=False, factory=dict)

    def add(self, lines: Iterable[Line]) -> None:
        """Take in lines that are in the table, or will be."""
        for line in lines:
            self.lines.append(line)
            self._by_ref[line.row.ref] = line
            if line.row.current:
                self._current[line.row.key] = line

    def make(self, change: Change) -> LedgerRow | LedgerError:
        """Make one change; the row after it, or its error, which leaves all as it was."""
        try:
            match change:
                case Plan():
                    return self._plan(change)
                case Move():
                    return self._move(change)
                case Renew():
                    return self._renew(change)
        except LedgerError as error:
            return error

    def _plan(self, plan: Plan) -> LedgerRow:
        line = self._current.get(plan.key)
        if line is None:
            self._refuse_second(plan.ref)
            row = _storable(planned(plan, stores_input=self.stores_input))
            line = Line(row, holder=self.me, is_changed=True)
            if row.input is not None:
                line.input, line.new_input = row.ref, as_json(row.input)
            self.add([line])
            return row
        refuse_conflict(line.row, plan)
        if line.row.held_by is None and line.row.state in UNENDED and line.holder != self.me:
            if line.row.state is LedgerState.SENDING:
                self._become(line, doubted(line.row))
            else:  # taken over: nobody has work with it any more
                self._become(line, line.row)
        return line.row

    def _move(self, move: Move) -> LedgerRow:
        line = self._by_ref.get(move.ref)
        if line is None:
            raise LedgerError(f"there is no create {quoted(move.ref)} in this ledger")
        if line.row.held_by is not None and line.row.state is not LedgerState.ACCEPTED:
            raise held(line.row)  # taken over, while we gave no sign of life
        try:
            row = moved(line.row, move)
        except LedgerError as error:
            if move.to is LedgerState.SENDING and line.holder != self.me:
                # Taken over, and brought further: that is of one create, and no ledger that fails.
                holder = line.row.held_by or "another process"
                raise LedgerHeld(str(error), key=line.row.key, holder=holder) from error
            raise
        self._become(line, _storable(row))
        return line.row

    def _renew(self, renew: Renew) -> LedgerRow:
        line = self._current.get(renew.key)
        if line is None:
            raise LedgerError(f"there is no key {quoted(renew.key)} in this ledger")
        history, successor = renewed(line.row, renew)
        self._refuse_second(renew.ref)
        self._become(line, _storable(history))
        self.add([Line(_storable(successor), input=line.input, is_changed=True)])
        return successor

    def _become(self, line: Line, row: LedgerRow) -> None:
        line.row = row if row.held_by is None else evolve(row, held_by=None)
        line.holder = self.me if row.state in UNENDED else None
        line.is_changed = True

    def _refuse_second(self, ref: str) -> None:
        if ref in self._by_ref:
            raise LedgerError(f"another create is called {quoted(ref)} already: a ref is used once")


def held(row: LedgerRow) -> LedgerHeld:
    """What is said of a create that another process is at work on."""
    holder = row.held_by or "nobody"
    return LedgerHeld(
        f"{quoted(row.key)} is {row.state.value} by {holder}: nothing is sent for it from here",
        key=row.key,
        holder=holder,
    )


def _storable(row: LedgerRow) -> LedgerRow:
    """The row as the database can take it; a value that no column takes is an error of its own."""
    for name in ("key", "ref", "model", "task_id"):
        text = getattr(row, name)
        if text is not None and not is_storable(text):
            raise LedgerError(
                f"{name} {quoted(text)} cannot be recorded: PostgreSQL takes text without NUL and "
                f"lone surrogates, and the ledger no more than {LONGEST:,} bytes of it"
            )
    for name in ("planned_at", "sent_at", "answered_at", "ended_at", "http_status"):
        number = getattr(row, name)
        if number is not None and not abs(number) < _LARGEST:
            raise LedgerError(f"{name} {quoted(number)} cannot be recorded")
    if row.reason is not None and "\0" in row.reason:
        row = evolve(row, reason=row.reason.replace("\0", "\N{REPLACEMENT CHARACTER}"))
    return row


def is_storable(text: object) -> bool:
    """Whether it can be looked up in PostgreSQL: short, with neither a NUL nor a lone surrogate."""
    if not isinstance(text, str) or "\0" in text:
        return False
    try:
        return len(text.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False
