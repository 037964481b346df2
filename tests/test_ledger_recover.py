"""What is saved of a damaged ledger, and what is said about the rest."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from attrs import evolve

from liangxin._errors import InputError, LedgerCorrupt, LedgerError, LedgerLocked, LedgerTooNew
from liangxin.ledger import (
    Ledger,
    LedgerRow,
    LedgerState,
    Move,
    Plan,
    Recovery,
    Renew,
    input_sha256,
)
from tests.test_ledger_file import HOLD, program, set_version

S = LedgerState
ROWS = 1000
PAGE = 4096


def plan(n: int) -> Plan:
    asked = {"prompt": f"{n} " + "a lighthouse in fog " * 8}
    sha256 = input_sha256("m", asked)
    return Plan(key=f"k{n}", ref=f"r{n}", model="m", input=asked, sha256=sha256, at=float(n))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, LedgerRow]]:
    """The bytes of a good ledger, and its rows."""
    path = tmp_path_factory.mktemp("whole") / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan(n) for n in range(ROWS)])
        ledger.apply([Move(ref=f"r{n}", to=S.SENDING, at=1.0) for n in range(0, ROWS, 3)])
        ledger.apply(
            [Move(ref=f"r{n}", to=S.ACCEPTED, at=2.0, task_id=f"t{n}") for n in range(0, ROWS, 3)]
        )
        ledger.apply([Move(ref="r0", to=S.FAILED, at=3.0), Renew(key="k0", ref="again", at=4.0)])
        ledger.keep_durations({"m": [1, 2, 3]})
        rows = {row.ref: row for row in ledger.rows(history=True)}
    return path.read_bytes(), rows


def recovered(damaged: Path) -> tuple[Recovery, dict[str, LedgerRow]]:
    """Recover a ledger, see that it and its folder stay as they are, and read what was saved."""
    before = {each.name: each.read_bytes() for each in damaged.parent.iterdir()}
    new = damaged.with_name("new.db")
    recovery = Ledger.recover(damaged, new)
    with Ledger(new) as ledger:
        rows = {row.ref: row for row in ledger.rows(history=True)}
        assert sum(ledger.counts().values()) == recovery.kept == len(rows)
    new.unlink()
    assert {each.name: each.read_bytes() for each in damaged.parent.iterdir()} == before
    return recovery, rows


def test_all_of_a_good_ledger_is_kept(
    tmp_path: Path, whole: tuple[bytes, dict[str, LedgerRow]]
) -> None:
    content, rows = whole
    (tmp_path / "posters.db").write_bytes(content)
    assert recovered(tmp_path / "posters.db") == (
        Recovery(kept=ROWS + 1, bare=0, lost=0, lost_keys=()),
        rows,
    )
    Ledger.recover(tmp_path / "posters.db", tmp_path / "new.db")
    with Ledger(tmp_path / "new.db") as ledger:
        assert ledger.durations() == {"m": [1, 2, 3]}
        assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600


def test_wherever_a_page_is_gone_nothing_is_invented_and_what_is_lost_is_named(
    tmp_path: Path, whole: tuple[bytes, dict[str, LedgerRow]]
) -> None:
    content, rows = whole
    path = tmp_path / "posters.db"
    count = len(content) // PAGE
    kept = []
    for page in [0, 1, 2, 3, *random.Random(1).sample(range(4, count), 12)]:
        start = page * PAGE
        path.write_bytes(content[:start] + bytes(PAGE) + content[start + PAGE :])
        recovery, saved = recovered(path)
        assert recovery.kept + recovery.lost == ROWS + 1
        assert sum(row.input is None for row in saved.values()) == recovery.bare
        for ref, row in saved.items():
            assert row == (rows[ref] if row.input else evolve(rows[ref], input=None))
        gone = {row.key for ref, row in rows.items() if ref not in saved and row.current}
        assert set(recovery.lost_keys) == gone or page in (0, 4, 5, 6, 7)
        kept.append(recovery.kept)
    assert sorted(kept)[3] > ROWS * 0.9  # all but the roots of the tables take little with them


def test_the_first_page_is_the_same_in_all_ledgers_and_can_be_done_without(
    tmp_path: Path, whole: tuple[bytes, dict[str, LedgerRow]]
) -> None:
    content, rows = whole
    noise = random.Random(2)
    for first in (bytes(PAGE), noise.randbytes(PAGE), bytes(100) + content[100:PAGE]):
        (tmp_path / "posters.db").write_bytes(first + content[PAGE:])
        recovery, saved = recovered(tmp_path / "posters.db")
        assert (recovery.lost, saved) == (0, rows)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_of_a_file_that_was_cut_its_beginning_is_kept(
    tmp_path: Path, whole: tuple[bytes, dict[str, LedgerRow]], share: float
) -> None:
    content, rows = whole
    (tmp_path / "posters.db").write_bytes(content[: int(len(content) * share)])
    recovery, saved = recovered(tmp_path / "posters.db")
    assert recovery.kept > ROWS * share / 2
    for ref, row in saved.items():
        assert row == (rows[ref] if row.input else evolve(rows[ref], input=None))


def test_an_input_that_belongs_to_another_row_is_left_out(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan(1), plan(2)])
    db = sqlite3.connect(path)
    db.execute("UPDATE rows SET input = 2 WHERE key = 'k1'")
    db.commit()
    db.close()
    recovery, saved = recovered(path)
    assert recovery == Recovery(kept=2, bare=1, lost=0, lost_keys=())
    assert saved["r1"].input is None
    assert saved["r2"].input is not None


def test_a_row_that_makes_no_sense_is_lost_by_name(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan(n) for n in range(5)])
    db = sqlite3.connect(path)
    db.execute("UPDATE rows SET state = 'elated' WHERE key = 'k3'")
    db.commit()
    db.close()
    assert recovered(path)[0] == Recovery(kept=4, bare=0, lost=1, lost_keys=("k3",))


def test_the_log_that_a_crash_left_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "posters.db"
    with program(HOLD, path) as other:
        assert other.ask() == "ready"
        other.process.kill()
        other.end()
    path.with_name("posters.db.lock").unlink()
    content = path.read_bytes()
    path.write_bytes(bytes(PAGE) + content[PAGE:])
    recovery, saved = recovered(path)
    assert (recovery.kept, recovery.lost) == (2, 0)
    assert {row.key: row.state for row in saved.values()} == {"a": S.PLANNED, "b": S.AMBIGUOUS}


def test_an_empty_ledger_is_recovered_as_one(tmp_path: Path) -> None:
    with Ledger(tmp_path / "posters.db"):
        pass
    assert recovered(tmp_path / "posters.db")[0].kept == 0


@pytest.mark.parametrize("size", [0, 1, 100, PAGE, 10 * PAGE])
def test_of_noise_nothing_is_kept_and_no_file_is_made(tmp_path: Path, size: int) -> None:
    path = tmp_path / "posters.db"
    path.write_bytes(random.Random(3).randbytes(size))
    with pytest.raises(LedgerCorrupt, match=r"nothing of .*posters.db can be read as a ledger"):
        Ledger.recover(path, tmp_path / "new.db")
    assert os.listdir(tmp_path) == ["posters.db"]


def test_what_recovering_needs_it_says(tmp_path: Path) -> None:
    path = tmp_path / "posters.db"
    with pytest.raises(InputError, match="there is no file"):
        Ledger.recover(path, tmp_path / "new.db")
    with Ledger(path) as ledger:
        ledger.apply([plan(1)])
        with pytest.raises(LedgerLocked):
            Ledger.recover(path, tmp_path / "new.db")
    with pytest.raises(InputError, match="exists already"):
        Ledger.recover(path, path)
    with pytest.raises(InputError, match="its folder does not"):
        Ledger.recover(path, tmp_path / "nowhere" / "new.db")
    set_version(path, 99)
    with pytest.raises(LedgerTooNew):
        Ledger.recover(path, tmp_path / "new.db")
    assert os.listdir(tmp_path) == ["posters.db"]


def test_what_was_being_sent_is_in_doubt_in_the_new_ledger_too(tmp_path: Path) -> None:
    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan(1), Move(ref="r1", to=S.SENDING, at=2.0)])
    _, saved = recovered(path)
    assert saved["r1"].state is S.AMBIGUOUS


def test_a_recovery_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "posters.db"
    with Ledger(path) as ledger:
        ledger.apply([plan(1)])

    class Full(Ledger):
        _steps = (("CREATE TABLE nothing (n)",),)

    with pytest.raises(LedgerError):
        Full.recover(path, tmp_path / "new.db")
    assert os.listdir(tmp_path) == ["posters.db"]
