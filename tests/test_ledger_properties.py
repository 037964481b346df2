"""The ledger against a plain dictionary: any changes, in any groups, across any reopening."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from liangxin._errors import LedgerConflict, LedgerError
from liangxin.ledger import (
    Change,
    Ledger,
    LedgerRow,
    LedgerState,
    Move,
    Plan,
    Renew,
    input_sha256,
)
from tests.databases import database
from tests.test_ledger import LEGAL


class Quick(Ledger):
    """Only what is read matters here, not what a power cut leaves."""

    _synchronous = "OFF"


S = LedgerState
PAID = {S.ACCEPTED, S.SUCCEEDED, S.FAILED, S.DOWNLOADED}


@define
class Row:
    """What the model knows of a row."""

    key: str
    ref: str
    prompt: str
    state: LedgerState = S.PLANNED
    current: bool = True
    task_id: str | None = None


@define
class Model:
    """The rules once more, without a file."""

    rows: list[Row] = field(factory=list)

    def current(self, key: str) -> Row | None:
        return next((row for row in self.rows if row.key == key and row.current), None)

    def by_ref(self, ref: str) -> Row | None:
        return next((row for row in self.rows if row.ref == ref), None)

    def make(self, change: Change) -> Row | None:
        """Make a change; None if it is refused."""
        match change:
            case Plan():
                return self.plan(change)
            case Move():
                return self.move(change)
            case Renew():
                return self.renew(change)

    def plan(self, plan: Plan) -> Row | None:
        prompt = str(plan.input["prompt"])
        known = self.current(plan.key)
        if known is not None:
            return known if known.prompt == prompt else None
        if self.by_ref(plan.ref):
            return None
        self.rows.append(Row(plan.key, plan.ref, prompt))
        return self.rows[-1]

    def move(self, move: Move) -> Row | None:
        row = self.by_ref(move.ref)
        if row is None or (row.state, move.to) not in LEGAL:
            return None
        if row.state in PAID and move.task_id not in (None, row.task_id):
            return None
        task_id = move.task_id or row.task_id
        if move.to is S.ACCEPTED and task_id is None:
            return None
        row.state, row.task_id = move.to, task_id
        return row

    def renew(self, renew: Renew) -> Row | None:
        row = self.current(renew.key)
        if row is None or row.state not in (S.AMBIGUOUS, S.FAILED, S.ABANDONED):
            return None
        if self.by_ref(renew.ref):
            return None
        row.current = False
        if row.state is S.AMBIGUOUS:
            row.state = S.RESENT
        self.rows.append(Row(row.key, renew.ref, row.prompt))
        return self.rows[-1]

    def crash(self) -> None:
        for row in self.rows:
            if row.state is S.SENDING:
                row.state = S.AMBIGUOUS


def seen(row: LedgerRow) -> Row:
    assert row.input is not None
    prompt = str(row.input["prompt"])
    return Row(row.key, row.ref, prompt, row.state, row.current, row.task_id)


KEYS = st.sampled_from(["a", "b", "c"])
REFS = st.sampled_from([f"r{n}" for n in range(6)])


def plan(key: str, ref: str, prompt: str) -> Plan:
    sha256 = input_sha256("m", {"prompt": prompt})
    return Plan(key=key, ref=ref, model="m", input={"prompt": prompt}, sha256=sha256, at=1.0)


def move(ref: str, to: LedgerState, task_id: str | None) -> Move:
    return Move(ref=ref, to=to, at=2.0, task_id=task_id)


PLANS = st.builds(plan, KEYS, REFS, st.sampled_from(["x", "x", "x", "y"]))
MOVES = st.builds(move, REFS, st.sampled_from(S), st.sampled_from([None, "t1", "t2"]))
RENEWALS = st.builds(lambda key, ref: Renew(key=key, ref=ref, at=3.0), KEYS, REFS)
LIKELY = st.builds(
    lambda ref, steps: [move(ref, to, "t1" if to is S.ACCEPTED else None) for to in steps],
    REFS,
    st.sampled_from(
        [
            [S.SENDING],
            [S.SENDING, S.AMBIGUOUS],
            [S.SENDING, S.ACCEPTED, S.FAILED],
            [S.SENDING, S.ACCEPTED, S.SUCCEEDED, S.DOWNLOADED],
            [S.SENDING, S.REFUSED, S.PLANNED],
        ]
    ),
)
GROUPS: st.SearchStrategy[list[Change]] = st.one_of(
    st.lists(st.one_of(PLANS, MOVES, RENEWALS), max_size=6), LIKELY
)


STORIES = st.lists(st.tuples(GROUPS, st.booleans()), max_size=12)


@settings(deadline=None, max_examples=100)
@given(STORIES)
def test_a_ledger_is_a_dictionary_that_lasts(groups: list[tuple[list[Change], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Quick(Path(folder, "posters.db")), groups)


@pytest.mark.campaign
@settings(deadline=None, max_examples=30)
@given(STORIES)
def test_a_shared_ledger_is_one_too(groups: list[tuple[list[Change], bool]]) -> None:
    play(Ledger(database()), groups)


def play(ledger: Ledger, groups: list[tuple[list[Change], bool]]) -> None:
    """Make the changes in the ledger and in the model, and compare them after each group."""
    model = Model()
    start: list[Change] = [plan("a", "r0", "x"), plan("b", "r1", "x")]
    for group, reopens in [(start, False), *groups]:
        for change, result in zip(group, ledger.apply(group), strict=True):
            wanted = model.make(change)
            assert isinstance(result, LedgerError) == (wanted is None), (change, result)
            if isinstance(result, LedgerRow):
                assert seen(result).ref == wanted.ref  # type: ignore[union-attr]
        if reopens:
            ledger.close()
            ledger.open()
            model.crash()
        agree(ledger, model)
    ledger.close()


def agree(ledger: Ledger, model: Model) -> None:
    """Every way of reading tells what the model knows."""
    assert [seen(row) for row in ledger.rows(history=True)] == model.rows
    current = [row for row in model.rows if row.current]
    assert [seen(row) for row in ledger.rows()] == current
    assert {key: seen(row) for key, row in ledger.find(["a", "b", "c", "d"]).items()} == {
        row.key: row for row in current
    }
    for state in S:
        of_state = [row for row in current if row.state is state]
        assert [seen(row) for row in ledger.rows(state)] == of_state
    assert sum(ledger.counts().values()) == len(model.rows)
    for task in ("t1", "t2"):
        found = ledger.find_task(task)
        tasks = [row for row in model.rows if row.task_id == task]
        assert (None if found is None else seen(found)) == (tasks[-1] if tasks else None)


def test_the_model_knows_a_conflict() -> None:
    model = Model()
    assert model.make(plan("a", "r1", "x"))
    assert model.make(plan("a", "r2", "y")) is None
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "x.db")) as ledger:
        _, conflict = ledger.apply([plan("a", "r1", "x"), plan("a", "r2", "y")])
        assert isinstance(conflict, LedgerConflict)


@pytest.mark.parametrize("seed", range(3))
def test_keys_are_hashed_the_same_in_any_order(seed: int) -> None:
    fields = [("prompt", "x"), ("seed", seed), ("size", "1K")]
    turned = fields[seed:] + fields[:seed]
    assert input_sha256("m", dict(fields)) == input_sha256("m", dict(turned))
