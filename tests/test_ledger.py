"""The ledger: which changes it takes, what it refuses, and what it still knows when reopened."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from attrs import evolve

from liangxin._errors import InputError, LedgerConflict, LedgerError
from liangxin._tasks import Task
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
from liangxin.ledger._verbs import Settling
from tests.databases import database

S = LedgerState
MODEL = "z-image"
INPUT: dict[str, object] = {"prompt": "a lighthouse in fog 🌫", "seed": 7}
TOKEN = b"\x01" * 32

LEGAL = {
    (S.PLANNED, S.SENDING),
    (S.SENDING, S.PLANNED),
    (S.SENDING, S.ACCEPTED),
    (S.SENDING, S.REFUSED),
    (S.SENDING, S.AMBIGUOUS),
    (S.AMBIGUOUS, S.ACCEPTED),
    (S.AMBIGUOUS, S.ABANDONED),
    (S.ACCEPTED, S.SUCCEEDED),
    (S.ACCEPTED, S.FAILED),
    (S.SUCCEEDED, S.DOWNLOADED),
    (S.DOWNLOADED, S.DOWNLOADED),
    (S.REFUSED, S.PLANNED),
}

ROUTES: dict[LedgerState, tuple[LedgerState, ...]] = {
    S.PLANNED: (),
    S.SENDING: (S.SENDING,),
    S.ACCEPTED: (S.SENDING, S.ACCEPTED),
    S.REFUSED: (S.SENDING, S.REFUSED),
    S.AMBIGUOUS: (S.SENDING, S.AMBIGUOUS),
    S.SUCCEEDED: (S.SENDING, S.ACCEPTED, S.SUCCEEDED),
    S.FAILED: (S.SENDING, S.ACCEPTED, S.FAILED),
    S.DOWNLOADED: (S.SENDING, S.ACCEPTED, S.SUCCEEDED, S.DOWNLOADED),
    S.ABANDONED: (S.SENDING, S.AMBIGUOUS, S.ABANDONED),
    S.RESENT: (S.SENDING, S.AMBIGUOUS),  # and a Renew
}


@pytest.fixture(params=["file", pytest.param("database", marks=pytest.mark.campaign)])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a ledger may be: whatever keeps it keeps the same promises."""
    return tmp_path / "posters.db" if request.param == "file" else database()


IN_A_FILE = pytest.mark.parametrize("path", ["file"], indirect=True)


@pytest.fixture
def ledger(path: Path | str) -> Iterator[Ledger]:
    with Ledger(path) as ledger:
        yield ledger


def plan(key: str = "a", ref: str | None = None, **other: object) -> Plan:
    asked = {**INPUT, **other}
    return Plan(
        key=key,
        ref=ref or f"ref of {key}",
        model=MODEL,
        input=asked,
        sha256=input_sha256(MODEL, asked),
        at=100.0,
    )


def move(to: LedgerState, ref: str = "ref of a", at: float = 200.0) -> Move:
    return Move(ref=ref, to=to, at=at, task_id=f"task of {ref}" if to is S.ACCEPTED else None)


def made(ledger: Settling, *changes: Change) -> LedgerRow:
    """Make changes, of which none may be refused, and return the last row."""
    rows = ledger.apply(changes)
    for row in rows:
        assert isinstance(row, LedgerRow), row
    last = rows[-1]
    assert isinstance(last, LedgerRow)
    return last


def refused(ledger: Settling, change: Change) -> LedgerError:
    """Make a change that is refused, and see that it changed nothing."""
    before = list(ledger.rows(history=True))
    (error,) = ledger.apply([change])
    assert isinstance(error, LedgerError)
    assert list(ledger.rows(history=True)) == before
    return error


def bring(ledger: Settling, state: LedgerState, key: str = "a") -> str:
    """Plan a row and lead it to a state; return its ref."""
    ref = f"ref of {key}"
    made(ledger, plan(key), *(move(to, ref) for to in ROUTES[state]))
    if state is S.RESENT:
        made(ledger, Renew(key=key, ref=f"second {ref}", at=300.0, reason="on purpose"))
    return ref


def by_ref(ledger: Ledger) -> dict[str, LedgerRow]:
    return {row.ref: row for row in ledger.rows(history=True)}


# --- moves -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("here", "there"), sorted(LEGAL, key=str), ids=lambda state: state.value)
def test_every_legal_move_is_made_and_kept(
    path: Path | str, here: LedgerState, there: LedgerState
) -> None:
    with Ledger(path) as ledger:
        ref = bring(ledger, here)
        row = made(ledger, move(there, ref))
        assert row.state is there
        assert ledger.find(["a"]) == {"a": row}
    if there is S.SENDING:
        return  # reopening turns it into a doubt, which has a test of its own
    with Ledger(path) as ledger:
        assert ledger.find(["a"]) == {"a": row}


@pytest.mark.parametrize(
    ("here", "there"),
    [pair for pair in product(S, S) if pair not in LEGAL],
    ids=lambda state: state.value,
)
def test_every_other_move_is_refused_and_changes_nothing(
    ledger: Ledger, here: LedgerState, there: LedgerState
) -> None:
    ref = bring(ledger, here)
    error = refused(ledger, move(there, ref))
    assert here.value in str(error)
    assert there.value in str(error)


def test_a_move_of_an_unknown_create_is_refused(ledger: Ledger) -> None:
    assert "no create 'nobody'" in str(refused(ledger, move(S.SENDING, "nobody")))


def test_nothing_is_accepted_without_the_id_of_its_task(ledger: Ledger) -> None:
    bring(ledger, S.SENDING)
    refused(ledger, Move(ref="ref of a", to=S.ACCEPTED, at=3))


def test_the_id_of_a_paid_task_is_never_written_over(ledger: Ledger) -> None:
    bring(ledger, S.ACCEPTED)
    error = refused(ledger, Move(ref="ref of a", to=S.SUCCEEDED, at=3, task_id="another"))
    assert "task of ref of a" in str(error)


def test_the_id_that_was_salvaged_from_a_doubt_may_turn_out_to_be_another(ledger: Ledger) -> None:
    bring(ledger, S.SENDING)
    doubt = Move(ref="ref of a", to=S.AMBIGUOUS, at=3, task_id="maybe", raw=b'{"taskId": "maybe')
    assert made(ledger, doubt).task_id == "maybe"
    assert made(ledger, move(S.ACCEPTED)).task_id == "task of ref of a"


def test_times_follow_from_the_moves(ledger: Ledger) -> None:
    row = made(ledger, plan(), move(S.SENDING, at=201), move(S.ACCEPTED, at=202))
    assert (row.planned_at, row.sent_at, row.answered_at, row.ended_at) == (100, 201, 202, None)
    row = made(ledger, move(S.SUCCEEDED, at=203))
    assert row.ended_at == 203
    assert made(ledger, move(S.DOWNLOADED, at=204)).ended_at == 203


@pytest.mark.parametrize("detour", [(S.PLANNED,), (S.REFUSED, S.PLANNED)], ids=["later", "refused"])
def test_planned_again_means_not_sent(ledger: Ledger, detour: tuple[LedgerState, ...]) -> None:
    bring(ledger, S.SENDING)
    row = made(ledger, *(move(to) for to in detour))
    assert (row.sent_at, row.answered_at) == (None, None)


def test_a_new_attempt_forgets_the_answer_to_the_last_one(ledger: Ledger) -> None:
    bring(ledger, S.SENDING)
    later = Move(ref="ref of a", to=S.PLANNED, at=3, http_status=429, reason="too many requests")
    row = made(ledger, later)
    assert (row.http_status, row.reason) == (429, "too many requests")
    row = made(ledger, move(S.SENDING))
    assert (row.http_status, row.reason, row.raw, row.answered_at) == (None, None, None, None)


def test_what_a_move_does_not_tell_stays_as_it_is(ledger: Ledger) -> None:
    bring(ledger, S.SENDING)
    told = Move(
        ref="ref of a", to=S.ACCEPTED, at=3, task_id="t1", http_status=200, reason="ok", raw=b"{}"
    )
    row = made(ledger, told, Move(ref="ref of a", to=S.SUCCEEDED, at=4, urls=("https://x/1",)))
    assert (row.task_id, row.http_status, row.reason, row.raw) == ("t1", 200, "ok", b"{}")
    row = made(ledger, Move(ref="ref of a", to=S.DOWNLOADED, at=5, files=["1.png", "2.png"]))
    assert (row.urls, row.files) == (("https://x/1",), ("1.png", "2.png"))
    assert ledger.find(["a"])["a"] == row


def test_a_token_is_known_from_the_attempt_that_brings_it(ledger: Ledger) -> None:
    made(ledger, plan("a"), plan("b"))
    made(ledger, Move(ref="ref of b", to=S.SENDING, at=2, token_sha256=TOKEN))
    row = ledger.find_token(TOKEN)
    assert row is not None
    assert (row.key, row.token_sha256) == ("b", TOKEN)
    assert ledger.find_token(b"\x03" * 32) is None


def test_a_new_attempt_brings_a_new_token(ledger: Ledger) -> None:
    made(ledger, plan(), Move(ref="ref of a", to=S.SENDING, at=2, token_sha256=TOKEN))
    made(ledger, Move(ref="ref of a", to=S.PLANNED, at=3))
    made(ledger, Move(ref="ref of a", to=S.SENDING, at=4, token_sha256=b"\x02" * 32))
    assert ledger.find_token(TOKEN) is None
    assert ledger.find_token(b"\x02" * 32) is not None


def test_foreign_words_are_kept_as_far_as_they_can_be(ledger: Ledger) -> None:
    bring(ledger, S.ACCEPTED)
    words = Move(
        ref="ref of a", to=S.FAILED, at=3, reason="\ud800" + "x" * 10_000, raw=bytes(100_000)
    )
    row = made(ledger, words)
    assert row.reason is not None
    assert row.reason.startswith("?xxx")
    assert len(row.reason) == 4000
    assert row.raw == bytes(65536)
    assert ledger.find(["a"])["a"] == row


def test_every_state_says_what_it_cost() -> None:
    assert {state: state.money for state in S} == {
        S.PLANNED: "nothing",
        S.SENDING: "maybe paid",
        S.ACCEPTED: "paid",
        S.REFUSED: "refused",
        S.AMBIGUOUS: "maybe paid",
        S.SUCCEEDED: "paid",
        S.FAILED: "paid",
        S.DOWNLOADED: "paid",
        S.RESENT: "maybe paid",
        S.ABANDONED: "maybe paid",
    }


# --- plans -------------------------------------------------------------------------------------


def test_a_plan_is_kept_as_it_was_made(ledger: Ledger) -> None:
    row = made(ledger, plan())
    assert row == LedgerRow(
        key="a",
        ref="ref of a",
        model=MODEL,
        input=INPUT,
        sha256=input_sha256(MODEL, INPUT),
        planned_at=100.0,
    )
    assert ledger.find(["a"]) == {"a": row}


@pytest.mark.parametrize("state", [state for state in S if state is not S.RESENT])
def test_planning_a_known_request_again_returns_its_row(ledger: Ledger, state: LedgerState) -> None:
    bring(ledger, state)
    before = list(ledger.rows(history=True))
    row = made(ledger, plan(ref="a new one"))
    assert row.state is state
    assert [row] == before == list(ledger.rows(history=True))


def test_one_key_never_stands_for_two_inputs(ledger: Ledger) -> None:
    bring(ledger, S.DOWNLOADED)
    error = refused(ledger, plan(prompt="something else"))
    assert isinstance(error, LedgerConflict)
    assert error.key == "a"
    assert "another input" in str(error)
    assert "key of its own" in str(error)


def test_a_conflict_says_if_it_is_the_model(ledger: Ledger) -> None:
    bring(ledger, S.PLANNED)
    error = refused(ledger, evolve(plan(), model="other", sha256=input_sha256("other", INPUT)))
    assert "model 'other' instead of 'z-image'" in str(error)


def test_two_creates_cannot_share_a_ref(ledger: Ledger) -> None:
    bring(ledger, S.FAILED)
    refused(ledger, plan("b", ref="ref of a"))
    refused(ledger, Renew(key="a", ref="ref of a", at=1))


@pytest.mark.parametrize("key", ["", None, 5, "\ud800"])
def test_a_key_is_text(key: object) -> None:
    with pytest.raises(InputError, match="key must be text"):
        plan(key, ref="r")  # type: ignore[arg-type]


@pytest.mark.parametrize("sha256", ["", "ab", "G" * 64, "AB" * 32, None])
def test_a_hash_is_a_hash(sha256: object) -> None:
    with pytest.raises(InputError, match="sha256 must be a SHA-256"):
        evolve(plan(), sha256=sha256)  # type: ignore[arg-type]


STRANGE_KEYS = ["a'; DROP TABLE rows; --", "a\0b", "雨", " ", "a" * 100_000, "%_*?", "=1+1"]


def test_any_text_is_a_key(ledger: Ledger) -> None:
    not_shared = {"a\0b", "a" * 100_000} if ledger.is_shared else set()
    keys = [key for key in STRANGE_KEYS if key not in not_shared]
    made(ledger, *(plan(key, ref=str(n)) for n, key in enumerate(keys)))
    assert ledger.find(STRANGE_KEYS).keys() == set(keys)
    for key in not_shared:
        assert "key" in str(refused(ledger, plan(key, ref="other")))


@pytest.mark.parametrize(
    "input",
    [
        {},
        {"prompt": "雨\0\u2028"},
        {"seed": 2**80, "strength": 0.1, "on": True, "off": None},
        {"images": [{"url": "data:image/png;base64," + "A" * 1_000_000}]},
    ],
    ids=["empty", "odd characters", "numbers", "a picture"],
)
def test_an_input_comes_back_as_it_was(ledger: Ledger, input: dict[str, object]) -> None:
    row = made(ledger, evolve(plan(), input=input, sha256=input_sha256(MODEL, input)))
    assert ledger.find(["a"])["a"].input == input
    assert ledger.find(["a"], bare=True) == {"a": evolve(row, input=None)}


def test_what_no_request_can_carry_has_no_hash() -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        input_sha256(MODEL, {"prompt": "\ud800"})


def test_the_hash_is_that_of_canonical_json() -> None:
    assert input_sha256("m", {"b": 1, "a": "é"}) == input_sha256("m", {"a": "é", "b": 1})
    assert input_sha256("m", {"b": 1}) != input_sha256("n", {"b": 1})
    assert input_sha256("m", {"b": 1}) != input_sha256("m", {"b": True})
    # printf '{"input":{"a":"é","b":1},"model":"m"}' | sha256sum
    assert input_sha256("m", {"b": 1, "a": "é"}) == (
        "4c32193f85586f6e999f76b31886a6955a0887850756ac7f35502236d1d18ae6"
    )


@pytest.mark.parametrize("value", [float("nan"), object(), {1: object()}, b"x"])
def test_what_is_not_json_has_no_hash(value: object) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        input_sha256("m", {"x": value})


def test_inputs_may_be_left_out(path: Path | str) -> None:
    with Ledger(path, store_inputs=False) as ledger:
        row = made(ledger, plan())
        assert row.input is None
        assert row.sha256 == input_sha256(MODEL, INPUT)
        made(ledger, move(S.SENDING), move(S.AMBIGUOUS))
        assert ledger.resend("a", accept_double_payment=True).input is None
        assert isinstance(refused(ledger, plan(prompt="else")), LedgerConflict)
    if isinstance(path, Path):
        assert b"lighthouse" not in path.read_bytes()


# --- the user's word ---------------------------------------------------------------------------


@pytest.mark.parametrize("state", [S.AMBIGUOUS, S.FAILED, S.ABANDONED])
def test_a_renewed_row_takes_the_place_of_the_old_one(ledger: Ledger, state: LedgerState) -> None:
    bring(ledger, state)
    row = made(ledger, Renew(key="a", ref="second", at=300.0, reason="on purpose"))
    assert row == LedgerRow(
        key="a",
        ref="second",
        model=MODEL,
        input=INPUT,
        sha256=input_sha256(MODEL, INPUT),
        planned_at=300.0,
    )
    assert ledger.find(["a"]) == {"a": row}
    assert list(ledger.rows()) == [row]
    old = by_ref(ledger)["ref of a"]
    assert not old.current
    assert old.state is (S.RESENT if state is S.AMBIGUOUS else state)
    assert old.reason == "on purpose"


@pytest.mark.parametrize(
    "state", [s for s in S if s not in (S.AMBIGUOUS, S.FAILED, S.ABANDONED, S.RESENT)]
)
def test_nothing_else_can_be_renewed(ledger: Ledger, state: LedgerState) -> None:
    bring(ledger, state)
    assert state.value in str(refused(ledger, Renew(key="a", ref="second", at=3)))


def test_an_unknown_key_cannot_be_renewed(ledger: Ledger) -> None:
    refused(ledger, Renew(key="nobody", ref="second", at=3))


def test_the_reason_of_a_doubt_outlives_its_resending(ledger: Ledger) -> None:
    bring(ledger, S.SENDING)
    made(ledger, Move(ref="ref of a", to=S.AMBIGUOUS, at=2, reason="HTTP 502", raw=b"<html>"))
    made(ledger, Renew(key="a", ref="second", at=3, reason="on purpose"))
    old = by_ref(ledger)["ref of a"]
    assert (old.reason, old.raw) == ("HTTP 502; on purpose", b"<html>")


def test_a_key_may_be_renewed_again_and_again(ledger: Ledger) -> None:
    bring(ledger, S.AMBIGUOUS)
    for n in range(3):
        made(ledger, Renew(key="a", ref=f"r{n}", at=3))
        made(ledger, move(S.SENDING, f"r{n}"), move(S.AMBIGUOUS, f"r{n}"))
    assert ledger.counts() == {S.RESENT: 3, S.AMBIGUOUS: 1}
    assert [row.ref for row in ledger.rows()] == ["r2"]


def test_resending_needs_the_words(ledger: Ledger) -> None:
    bring(ledger, S.AMBIGUOUS)
    with pytest.raises(InputError, match="may pay for it twice"):
        ledger.resend("a")
    assert ledger.counts() == {S.AMBIGUOUS: 1}
    row = ledger.resend("a", accept_double_payment=True)
    assert row.state is S.PLANNED
    assert ledger.counts() == {S.RESENT: 1, S.PLANNED: 1}


@pytest.mark.parametrize("task", ["task_9", Task(id="task_9")])
def test_a_task_that_the_user_found_settles_the_doubt(ledger: Ledger, task: Task | str) -> None:
    bring(ledger, S.AMBIGUOUS)
    row = ledger.attach("a", task)
    assert (row.state, row.task_id) == (S.ACCEPTED, "task_9")
    assert ledger.find_task("task_9") == row


def test_one_task_is_not_attached_twice(ledger: Ledger) -> None:
    bring(ledger, S.AMBIGUOUS, "a")
    bring(ledger, S.AMBIGUOUS, "b")
    ledger.attach("a", "task_9")
    with pytest.raises(LedgerError, match="'task_9' belongs to 'a'"):
        ledger.attach("b", "task_9")


def test_a_doubt_may_be_abandoned(ledger: Ledger) -> None:
    bring(ledger, S.AMBIGUOUS)
    assert ledger.abandon("a").state is S.ABANDONED


@pytest.mark.parametrize("state", [s for s in S if s not in (S.AMBIGUOUS, S.RESENT)])
def test_where_there_is_no_doubt_there_is_nothing_to_settle(
    ledger: Ledger, state: LedgerState
) -> None:
    bring(ledger, state)
    with pytest.raises(LedgerError, match=f"{state.value}: there is no doubt"):
        ledger.attach("a", "task_9")
    with pytest.raises(LedgerError, match=f"{state.value}: there is no doubt"):
        ledger.abandon("a")


def test_verbs_about_unknown_keys_say_so(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no key 'x'"):
        ledger.attach("x", "t")
    with pytest.raises(LedgerError, match="no key 'x'"):
        ledger.abandon("x")
    with pytest.raises(LedgerError, match="no key 'x'"):
        ledger.resend("x", accept_double_payment=True)


# --- many at once ------------------------------------------------------------------------------


def test_one_bad_change_does_not_stop_the_others(ledger: Ledger) -> None:
    bring(ledger, S.FAILED, "old")
    results = ledger.apply(
        [
            plan("a"),
            plan("old", prompt="else"),
            move(S.DOWNLOADED),
            plan("b", ref="ref of a"),
            Renew(key="old", ref="ref of a", at=1),
            Move(ref="ref of a", to=S.SENDING, at=2, http_status=2**70),
            Move(ref="\ud800", to=S.SENDING, at=2),
            evolve(plan("nan"), at=float("nan")),
            evolve(plan("c"), input={"x": object()}),
            move(S.SENDING),
        ]
    )
    kinds = "".join("." if isinstance(each, LedgerRow) else "E" for each in results)
    assert kinds == ".EEEE" + "EEEE."
    assert ledger.counts() == {S.FAILED: 1, S.SENDING: 1}
    assert all(row.current for row in ledger.rows(history=True))


def test_changes_see_those_before_them(ledger: Ledger) -> None:
    results = ledger.apply([plan(), move(S.SENDING), plan(), move(S.ACCEPTED)])
    states = [row.state for row in results if isinstance(row, LedgerRow)]
    assert states == [S.PLANNED, S.SENDING, S.SENDING, S.ACCEPTED]


def test_no_changes_are_fine(ledger: Ledger) -> None:
    assert ledger.apply([]) == []


def test_threads_take_turns(ledger: Ledger) -> None:
    def work(name: str) -> None:
        for n in range(20):
            key = f"{name}{n}"
            made(ledger, plan(key))
            made(ledger, move(S.SENDING, f"ref of {key}"), move(S.ACCEPTED, f"ref of {key}"))
            assert ledger.find([key])[key].state is S.ACCEPTED

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.counts() == {S.ACCEPTED: 80}


# --- reading -----------------------------------------------------------------------------------


def test_rows_come_in_the_order_of_planning(ledger: Ledger) -> None:
    keys = [f"{n * 7919 % 1000}" for n in range(1000)]
    made(ledger, *(plan(key) for key in keys))
    made(ledger, *(move(S.SENDING, f"ref of {key}") for key in keys[::3]))
    made(ledger, *(move(S.AMBIGUOUS, f"ref of {key}") for key in keys[::6]))
    assert [row.key for row in ledger.rows()] == keys
    assert [row.key for row in ledger.rows(S.AMBIGUOUS)] == keys[::6]
    assert [row.key for row in ledger.rows(S.AMBIGUOUS, S.SENDING)] == keys[::3]
    assert list(ledger.rows(S.FAILED)) == []
    assert ledger.find(keys).keys() == set(keys)


def test_rows_may_change_while_they_are_read(ledger: Ledger) -> None:
    made(ledger, *(plan(f"{n}") for n in range(600)))
    seen = []
    for row in ledger.rows(S.PLANNED):
        seen.append(row.key)
        made(ledger, move(S.SENDING, row.ref))
    assert seen == [f"{n}" for n in range(600)]
    assert ledger.counts() == {S.SENDING: 600}


def test_history_is_read_on_request(ledger: Ledger) -> None:
    bring(ledger, S.RESENT)
    assert [row.state for row in ledger.rows()] == [S.PLANNED]
    assert [row.state for row in ledger.rows(history=True)] == [S.RESENT, S.PLANNED]
    assert list(ledger.rows(S.RESENT)) == []
    assert len(list(ledger.rows(S.RESENT, history=True))) == 1


def test_what_is_unknown_is_not_found(ledger: Ledger) -> None:
    made(ledger, plan())
    assert ledger.find([]) == {}
    assert ledger.find(["a", "b", "a"]).keys() == {"a"}
    assert ledger.find_task("t") is None


def test_a_task_is_found_in_history_too(ledger: Ledger) -> None:
    bring(ledger, S.FAILED)
    made(ledger, Renew(key="a", ref="second", at=3))
    row = ledger.find_task("task of ref of a")
    assert row is not None
    assert not row.current


def test_the_status_never_mixes_what_is_paid_with_what_may_be(ledger: Ledger) -> None:
    for state in S:
        bring(ledger, state, state.value)
    status = ledger.status()
    assert status.states == {**dict.fromkeys(S, 1), S.PLANNED: 2}
    assert status.money == {"nothing": 2, "paid": 4, "refused": 1, "maybe paid": 4}


def test_an_empty_ledger_has_a_status(ledger: Ledger) -> None:
    assert ledger.status().money == {"nothing": 0, "paid": 0, "refused": 0, "maybe paid": 0}


def test_durations_are_kept(path: Path | str) -> None:
    learned = {"z-image": {"bins": [1, 2.5], "name": "雨"}}
    with Ledger(path) as ledger:
        assert ledger.durations() is None
        ledger.keep_durations({"old": 1})
        ledger.keep_durations(learned)
    with Ledger(path) as ledger:
        assert ledger.durations() == learned
        with pytest.raises(LedgerError, match="cannot be written as JSON"):
            ledger.keep_durations({"x": object()})


# --- opening and closing -----------------------------------------------------------------------


@IN_A_FILE
def test_nothing_is_touched_before_the_first_use(path: Path) -> None:
    ledger = Ledger(path)
    assert not path.exists()
    assert ledger.counts() == {}
    assert path.exists()
    ledger.close()


@IN_A_FILE
def test_opening_and_closing_twice_is_opening_and_closing_once(path: Path) -> None:
    ledger = Ledger(path)
    ledger.close()
    assert ledger.open() is ledger
    assert ledger.open() is ledger
    ledger.close()
    ledger.close()
    assert os.listdir(path.parent) == [path.name]


def test_a_closed_ledger_says_so_and_can_be_opened_again(path: Path | str) -> None:
    with Ledger(path) as ledger:
        made(ledger, plan())
    with pytest.raises(LedgerError, match="is closed"):
        ledger.counts()
    with ledger:
        assert ledger.counts() == {S.PLANNED: 1}


@IN_A_FILE
def test_a_closed_ledger_is_one_file_that_only_its_owner_reads(path: Path) -> None:
    old = os.umask(0)
    try:
        with Ledger(path) as ledger:
            made(ledger, plan())
            modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    finally:
        os.umask(old)
    assert modes == dict.fromkeys(("posters.db", "posters.db-wal", "posters.db.lock"), 0o600)
    assert os.listdir(path.parent) == ["posters.db"]


def test_a_row_that_was_being_sent_when_the_ledger_closed_is_in_doubt(path: Path | str) -> None:
    with Ledger(path) as ledger:
        for state in S:
            bring(ledger, state, state.value)
        before = by_ref(ledger)
    with Ledger(path) as ledger:
        after = by_ref(ledger)
    doubt = after.pop("ref of sending")
    sent = before.pop("ref of sending")
    assert after == before
    assert doubt.reason == "the process that sent it ended before the answer was recorded"
    assert doubt == evolve(sent, state=S.AMBIGUOUS, reason=doubt.reason)


@IN_A_FILE
def test_an_input_is_written_once_and_not_with_every_move(path: Path) -> None:
    with Ledger(path) as ledger:
        bring(ledger, S.PLANNED)
        made(ledger, plan("b", images=["A" * 1_000_000]))
        for _ in range(40):
            made(ledger, move(S.SENDING, "ref of b"), move(S.PLANNED, "ref of b"))
        made(ledger, move(S.SENDING, "ref of b"), move(S.AMBIGUOUS, "ref of b"))
        ledger.resend("b", accept_double_payment=True)
        assert path.with_name("posters.db-wal").stat().st_size < 9_000_000
    assert path.stat().st_size < 1_100_000


@pytest.mark.parametrize("name", ["", ":memory:", "a\0b", b"posters.db"])
def test_a_ledger_is_a_file(name: object) -> None:
    with pytest.raises(InputError, match="a ledger is a file"):
        Ledger(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a b.db", "100%?#&.db", "雨.db", "file:x.db", "-x", "posters"])
def test_any_name_is_a_name(tmp_path: Path | str, name: str) -> None:
    with Ledger(os.path.join(tmp_path, name)) as ledger:
        made(ledger, plan())
    assert os.listdir(tmp_path) == [name]


@IN_A_FILE
def test_rows_are_readable_with_any_sqlite(path: Path) -> None:
    import sqlite3

    with Ledger(path) as ledger:
        bring(ledger, S.ACCEPTED)
    db = sqlite3.connect(path)
    found = db.execute("SELECT key, state, task_id, body FROM rows JOIN inputs ON inputs.n = input")
    assert found.fetchall() == [
        (
            "a",
            "accepted",
            "task of ref of a",
            json.dumps(INPUT, ensure_ascii=False, separators=(",", ":")),
        )
    ]
    db.close()
