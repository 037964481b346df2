"""The ledger's file: who may have it open, what is refused, and what a crash or a fork leaves."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from liangxin._errors import (
    InputError,
    LedgerCorrupt,
    LedgerError,
    LedgerLocked,
    LedgerTooNew,
)
from liangxin.ledger import Change, Ledger, LedgerRow, LedgerState, Move, Plan, input_sha256
from liangxin.ledger._schema import STEPS

S = LedgerState

PRELUDE = """
import os, sys, gc, time
from liangxin._errors import *
from liangxin.ledger import *
S = LedgerState
def plan(key):
    return Plan(key=key, ref="ref of " + key, model="m", input={"prompt": key},
                sha256=input_sha256("m", {"prompt": key}), at=1.0)
def send(key):
    return Move(ref="ref of " + key, to=S.SENDING, at=2.0)
def say(word):
    print(word, flush=True)
"""


def plan(key: str) -> Plan:
    asked = {"prompt": key}
    sha256 = input_sha256("m", asked)
    return Plan(key=key, ref=f"ref of {key}", model="m", input=asked, sha256=sha256, at=1.0)


def send(key: str) -> Move:
    return Move(ref=f"ref of {key}", to=S.SENDING, at=2.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "posters.db"


def fill(path: Path, *keys: str) -> dict[str, LedgerRow]:
    with Ledger(path) as ledger:
        ledger.apply([plan(key) for key in keys])
        return ledger.find(keys)


class Program:
    """Another process; `ask` reads the next word that it says."""

    def __init__(self, script: str, *args: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(script), *map(str, args)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tell(self) -> None:
        """Let it go on, from where it reads a line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> int:
        return self.process.wait(60)


@contextlib.contextmanager
def program(script: str, *args: object) -> Iterator[Program]:
    other = Program(script, *args)
    try:
        yield other
    finally:
        other.process.kill()
        other.process.communicate()


HOLD = """
    ledger = Ledger(sys.argv[1]).open()
    ledger.apply([plan("a"), plan("b"), send("b")])
    say("ready")
    sys.stdin.readline()
    ledger.close()
    say("closed")
    sys.stdin.readline()
"""


# --- one at a time -----------------------------------------------------------------------------


def test_a_second_process_is_told_who_has_the_file(path: Path) -> None:
    with program(HOLD, path) as other:
        assert other.ask() == "ready"
        with pytest.raises(LedgerLocked) as caught:
            Ledger(path).open()
        assert caught.value.pid == other.process.pid
        assert caught.value.host == socket.gethostname()
        assert f"process {other.process.pid} on {socket.gethostname()}" in str(caught.value)
        other.tell()
        assert other.ask() == "closed"
        with Ledger(path) as ledger:
            assert len(ledger.find(["a", "b"])) == 2


@pytest.mark.parametrize("detour", ["same", "dots", "relative", "symlink", "folder"])
def test_a_second_ledger_of_this_process_is_told_so(
    path: Path, detour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    (path.parent / "link.db").symlink_to(path)
    (path.parent / "inside").symlink_to(path.parent)
    spellings = {
        "same": str(path),
        "dots": f"{path.parent}/inside/../{path.parent.name}/{path.name}",
        "relative": path.name,
        "symlink": "link.db",
        "folder": f"inside/{path.name}",
    }
    with Ledger(path) as ledger:
        ledger.apply([plan("a")])
        with pytest.raises(LedgerLocked, match="this very process") as caught:
            Ledger(spellings[detour]).open()
        assert caught.value.pid == os.getpid()
        ledger.apply([plan("b")])
    with Ledger(spellings[detour]) as ledger:
        assert len(list(ledger.rows())) == 2


def test_a_symlink_leads_to_the_file_and_its_lock(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link.db").symlink_to(real / "posters.db")
    with Ledger(tmp_path / "link.db") as ledger:
        ledger.apply([plan("a")])
        assert ledger.path == real / "posters.db"
        assert sorted(os.listdir(real)) == ["posters.db", "posters.db-wal", "posters.db.lock"]
    assert os.listdir(tmp_path) == ["link.db", "real"] or os.listdir(tmp_path) == [
        "real",
        "link.db",
    ]


@pytest.mark.parametrize("note", [b"", b"junk", b"\xff\xfe", b"99999999999999999999 \n", b"12"])
def test_a_lock_file_that_a_crash_left_is_no_lock(path: Path, note: bytes) -> None:
    path.with_name("posters.db.lock").write_bytes(note)
    with Ledger(path) as ledger:
        ledger.apply([plan("a")])
    assert os.listdir(path.parent) == ["posters.db"]


def test_a_holder_without_a_readable_note_is_somebody(path: Path) -> None:
    with Ledger(path):
        path.with_name("posters.db.lock").write_bytes(b"\xff")
        with pytest.raises(LedgerLocked, match="another process") as caught:
            Ledger(path).open()
    assert (caught.value.pid, caught.value.host) == (None, None)


def test_a_program_that_knows_no_lock_file_is_kept_out_and_keeps_us_out(path: Path) -> None:
    fill(path, "a")
    script = """
        import sqlite3
        db = sqlite3.connect(sys.argv[1], timeout=0)
        db.execute("BEGIN EXCLUSIVE")
        say("ready")
        sys.stdin.readline()
    """
    with program(script, path) as other:
        assert other.ask() == "ready"
        with pytest.raises(LedgerLocked, match="another program") as caught:
            Ledger(path).open()
        assert caught.value.pid is None
    script = """
        import sqlite3
        db = sqlite3.connect(sys.argv[1], timeout=0)
        try:
            db.execute("SELECT * FROM rows").fetchall()
        except sqlite3.OperationalError as error:
            say(error)
    """
    with Ledger(path):
        with program(script, path) as other:
            assert other.ask() == "database is locked"


def test_many_processes_take_turns_and_none_is_let_in_twice(path: Path) -> None:
    script = """
        for n in range(15):
            key = f"{os.getpid()}-{n}"
            while True:
                try:
                    with Ledger(sys.argv[1]) as ledger:
                        ledger.apply([plan(key)])
                    break
                except LedgerLocked:
                    pass
    """
    others = [Program(script, path) for _ in range(3)]
    assert [other.end() for other in others] == [0, 0, 0]
    for other in others:
        other.process.communicate()
    with Ledger(path) as ledger:
        assert ledger.counts() == {S.PLANNED: 45}
    assert os.listdir(path.parent) == ["posters.db"]


def test_a_lock_is_held_by_one_also_while_others_remove_its_file(path: Path) -> None:
    script = """
        from pathlib import Path
        from liangxin.ledger._lock import LockFile
        here = Path(sys.argv[1])
        for n in range(500):
            while True:
                try:
                    lock = LockFile.take(here.with_name("lock"))
                    break
                except LedgerLocked:
                    pass
            os.close(os.open(here, os.O_CREAT | os.O_EXCL))  # fails if there are two of us
            os.unlink(here)
            lock.release()
    """
    others = [Program(script, path) for _ in range(3)]
    assert [other.end() for other in others] == [0, 0, 0]
    for other in others:
        other.process.communicate()


def test_a_ledger_that_is_dropped_without_closing_is_free_again(path: Path) -> None:
    ledgers = [Ledger(path).open()]
    ledgers[0].apply([plan("a")])
    with pytest.warns(ResourceWarning, match="was not closed"):
        ledgers.clear()
    with Ledger(path) as ledger:
        assert ledger.counts() == {S.PLANNED: 1}


# --- crashes -----------------------------------------------------------------------------------


def test_after_a_kill_what_was_being_sent_is_in_doubt_and_the_rest_is_as_it_was(
    path: Path,
) -> None:
    with program(HOLD, path) as other:
        assert other.ask() == "ready"
        other.process.send_signal(signal.SIGKILL)
        assert other.end() == -signal.SIGKILL
    assert path.with_name("posters.db-wal").stat().st_size > 0
    with Ledger(path) as ledger:
        rows = ledger.find(["a", "b"])
    assert rows["a"].state is S.PLANNED
    assert rows["b"].state is S.AMBIGUOUS
    assert rows["b"].reason == "the process that sent it ended before the answer was recorded"
    assert rows["b"].sent_at == 2.0


class Interrupted(Sequence[Change]):
    """Changes, of which the second is a Ctrl-C."""

    def __getitem__(self, index: object) -> Change:  # type: ignore[override]  # for this test
        if index == 0:
            return plan("b")
        raise KeyboardInterrupt

    def __len__(self) -> int:
        return 2


def test_ctrl_c_leaves_no_half_of_a_group(path: Path) -> None:
    with Ledger(path) as ledger:
        ledger.apply([plan("a")])
        with pytest.raises(KeyboardInterrupt):
            ledger.apply(Interrupted())
        assert [row.key for row in ledger.rows()] == ["a"]
        ledger.apply([plan("c")])
    with Ledger(path) as ledger:
        assert [row.key for row in ledger.rows()] == ["a", "c"]


def test_ctrl_c_between_begin_and_the_block_is_made_good_by_the_next_change(path: Path) -> None:
    with Ledger(path) as ledger:
        with ledger._using() as db:
            db.execute("BEGIN IMMEDIATE")
        ledger.apply([plan("a")])
    with Ledger(path) as ledger:
        assert ledger.counts() == {S.PLANNED: 1}


# --- forks -------------------------------------------------------------------------------------

FORK = """
    ledger = Ledger(sys.argv[1]).open()
    ledger.apply([plan("a")])
    log = sys.argv[1] + "-wal"
    size = os.stat(log).st_size
    child = os.fork()
    if child == 0:
        for verb in (ledger.open, ledger.counts, lambda: ledger.apply([plan("x")]),
                     lambda: list(ledger.rows()), ledger.durations):
            try:
                verb()
            except LedgerError as error:
                assert "of which this one is a fork" in str(error), error
            else:
                raise AssertionError(verb)
        if sys.argv[2] == "closes":
            ledger.close()
            try:
                ledger.open()
            except LedgerLocked as error:
                assert error.pid == os.getppid()
            else:
                raise AssertionError("opened twice")
        if sys.argv[2] == "drops":
            del ledger, verb
            gc.collect()
        sys.exit(0)  # the interpreter takes everything down
    assert os.waitpid(child, 0)[1] == 0
    assert os.stat(log).st_size == size
    try:
        Ledger(sys.argv[1]).open()
    except LedgerLocked:
        say("still locked")
    ledger.apply([plan("b")])
    say("applied")
    sys.stdin.readline()
    os._exit(0)  # as in a crash: only what is on the disk counts
"""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@forks
@pytest.mark.parametrize("how", ["exits", "closes", "drops"])
def test_a_forked_child_cannot_use_the_ledger_nor_harm_it(path: Path, how: str) -> None:
    with program(FORK, path, how) as other:
        assert other.ask() == "still locked"
        assert other.ask() == "applied"
        with pytest.raises(LedgerLocked):
            Ledger(path).open()
        other.tell()
        assert other.end() == 0
    with Ledger(path) as ledger:
        assert [row.key for row in ledger.rows()] == ["a", "b"]


@forks
def test_a_forked_child_that_outlives_its_parent_does_not_keep_the_lock(path: Path) -> None:
    script = """
        ledger = Ledger(sys.argv[1]).open()
        ledger.apply([plan("a")])
        if os.fork():
            os._exit(0)
        while os.getppid() == int(sys.argv[2]):
            time.sleep(0.001)
        say("orphan")
        sys.stdin.readline()
    """
    script = script.replace("int(sys.argv[2])", "parent").replace(
        "ledger = Ledger", "parent = os.getpid()\n        ledger = Ledger", 1
    )
    with program(script, path) as other:
        assert other.ask() == "orphan"
        with Ledger(path) as ledger:
            assert ledger.counts() == {S.PLANNED: 1}
        other.tell()


@forks
def test_a_ledger_that_was_not_open_at_the_fork_is_the_childs_own(path: Path) -> None:
    script = """
        ledger = Ledger(sys.argv[1])
        child = os.fork()
        if child == 0:
            with ledger:
                ledger.apply([plan("a")])
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        say(sorted(ledger.find(["a"])))
        ledger.close()
    """
    with program(script, path) as other:
        assert other.ask() == "['a']"
        assert other.end() == 0


# --- what is refused ---------------------------------------------------------------------------


def refusal(path: Path) -> LedgerError:
    """Open a file that is refused, and see that it and its folder stay as they were."""
    before = contents(path.parent)
    with pytest.raises(LedgerError) as caught:
        Ledger(path).open()
    assert contents(path.parent) == before
    return caught.value


def contents(folder: Path) -> dict[str, bytes]:
    files = (each for each in folder.iterdir() if each.is_file() and each.suffix != ".lock")
    return {each.name: each.read_bytes() for each in files}


def set_version(path: Path, version: int) -> None:
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    fill(path, "a")
    set_version(path, len(STEPS) + 1)
    error = refusal(path)
    assert isinstance(error, LedgerTooNew)
    assert "upgrade liangxin" in str(error)
    set_version(path, len(STEPS))
    with Ledger(path) as ledger:
        assert ledger.counts() == {S.PLANNED: 1}


def test_another_program_s_database_is_refused(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE rows (n)")
    db.close()
    assert isinstance(refusal(path), LedgerCorrupt)
    assert "not a ledger of liangxin" in str(refusal(path))


def test_another_program_s_crash_is_not_ours_to_clean_up(path: Path) -> None:
    script = """
        import sqlite3
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        db.execute("CREATE TABLE t (x)")
        db.execute("PRAGMA cache_spill = 1")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN")
        db.executemany("INSERT INTO t VALUES (?)", [("x" * 5000,)] * 100)
        os._exit(0)
    """
    with program(script, path) as other:
        assert other.end() == 0
    assert path.with_name("posters.db-journal").stat().st_size > 0
    assert isinstance(refusal(path), LedgerCorrupt)


def test_an_empty_file_is_a_new_ledger(path: Path) -> None:
    path.touch(0o600)
    with Ledger(path) as ledger:
        ledger.apply([plan("a")])
        assert ledger.counts() == {S.PLANNED: 1}


def test_an_emptied_file_whose_log_is_still_there_is_refused(path: Path) -> None:
    with program(HOLD, path) as other:
        assert other.ask() == "ready"
        other.process.kill()
        other.end()
    os.truncate(path, 0)
    error = refusal(path)
    assert isinstance(error, LedgerCorrupt)
    assert "-wal" in str(error)


def test_what_is_no_database_is_refused(path: Path) -> None:
    noise = random.Random(1)
    for size in (1, 15, 16, 99, 100, 511, 512, 4096, 10_000):
        path.write_bytes(noise.randbytes(size))
        assert isinstance(refusal(path), LedgerCorrupt)
    path.write_bytes(b"SQLite format 3\x00" + noise.randbytes(10_000))
    assert isinstance(refusal(path), LedgerCorrupt)


def test_a_file_that_was_cut_anywhere_is_refused(path: Path) -> None:
    fill(path, *(f"key {n}" for n in range(300)))
    whole = path.read_bytes()
    cuts = [1, 2, 15, 16, 50, 99, 100, 101, 4095, 4096, 4097, len(whole) - 1, len(whole) - 4096]
    for size in {*cuts, *random.Random(2).sample(range(1, len(whole)), 40)}:
        path.write_bytes(whole[:size])
        error = refusal(path)
        assert isinstance(error, LedgerCorrupt), size
        assert "ledger recover" in str(error)
    path.write_bytes(whole)
    with Ledger(path) as ledger:
        assert ledger.counts() == {S.PLANNED: 300}


def test_a_file_with_a_bad_page_is_refused(path: Path) -> None:
    fill(path, *(f"key {n}" for n in range(300)))
    whole = path.read_bytes()
    for start in range(0, len(whole), 4096):
        path.write_bytes(whole[:start] + bytes(4096) + whole[start + 4096 :])
        assert isinstance(refusal(path), LedgerCorrupt), start // 4096


def test_a_file_that_is_damaged_while_it_is_open_is_not_written_on(path: Path) -> None:
    fill(path, *(f"key {n}" for n in range(2000)))
    with Ledger(path) as ledger:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (size - 4096))
        with ledger._using() as db:
            db.execute("PRAGMA shrink_memory")  # else it goes on from what it has in memory
        with pytest.raises(LedgerCorrupt):
            ledger.apply([plan("new")])


def test_a_row_that_makes_no_sense_is_said_to_be_damaged(path: Path) -> None:
    fill(path, "a", "b")
    db = sqlite3.connect(path)
    db.execute("UPDATE rows SET state = 'elated' WHERE key = 'a'")
    db.commit()
    db.close()
    with Ledger(path) as ledger:
        with pytest.raises(LedgerCorrupt, match="row of 'a' cannot be read"):
            ledger.find(["a"])
        assert list(ledger.find(["b"])) == ["b"]


def test_a_database_without_our_tables_is_refused(path: Path) -> None:
    fill(path)
    db = sqlite3.connect(path)
    db.execute("DROP TABLE documents")
    db.commit()
    db.close()
    assert isinstance(refusal(path), LedgerCorrupt)


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    assert "directory" in str(refusal(tmp_path))


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="create it first"):
        Ledger(tmp_path / "nowhere" / "posters.db").open()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_is_no_ledger(path: Path) -> None:
    os.mkfifo(path)
    assert "is no file" in str(refusal(path))


def test_a_lock_file_that_leads_elsewhere_is_not_followed(path: Path) -> None:
    victim = path.with_name("precious")
    victim.write_text("precious")
    path.with_name("posters.db.lock").symlink_to(victim)
    refusal(path)
    assert victim.read_text() == "precious"


def as_owner(script: str, *args: object) -> str:
    """Run Python that has no more rights than the modes of files give to their owner."""
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script), *map(str, args)]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
        try:
            subprocess.run([*command[:2], "true"], check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            pytest.skip("root may read and write everything, and setpriv cannot change that")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(os.name != "posix", reason="modes mean something else here")
@pytest.mark.parametrize(
    ("mode", "of_folder"), [(0o400, 0o700), (0o200, 0o700), (0o000, 0o700), (0o600, 0o500)]
)
def test_without_the_rights_it_says_so(path: Path, mode: int, of_folder: int) -> None:
    fill(path, "a")
    whole = path.read_bytes()
    path.chmod(mode)
    path.parent.chmod(of_folder)
    script = """
        try:
            Ledger(sys.argv[1]).open()
        except LedgerError as error:
            say(error)
    """
    said = as_owner(script, path)
    path.parent.chmod(0o700)
    assert "Permission denied" in said
    assert path.read_bytes() == whole
    assert os.listdir(path.parent) == ["posters.db"]


# --- while it is open --------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="open files cannot be moved or deleted here")
@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_nothing_is_written_to_a_file_that_is_not_there_any_more(path: Path, how: str) -> None:
    with Ledger(path) as ledger:
        ledger.apply([plan("a")])
        elsewhere = path.with_name("elsewhere")
        path.rename(elsewhere)
        if how == "deleted":
            elsewhere.unlink()
        if how == "replaced":
            path.write_bytes(b"")
        with pytest.raises(LedgerError, match=r"moved|replaced|No such file"):
            ledger.apply([plan("b")])
        with pytest.raises(LedgerError, match=r"moved|replaced|No such file"):
            ledger.keep_durations({})


# --- newer versions of the file ----------------------------------------------------------------


class Newer(Ledger):
    _steps = (*STEPS, ("ALTER TABLE rows ADD COLUMN mood TEXT", "UPDATE rows SET mood = 'calm'"))


class Broken(Ledger):
    _steps = (*STEPS, ("ALTER TABLE rows ADD COLUMN mood TEXT", "UPDATE nowhere SET mood = 1"))


def test_an_older_file_is_brought_up(path: Path) -> None:
    rows = fill(path, "a", "b")
    with Newer(path) as newer:
        assert newer.find(["a", "b"]) == rows
        newer.apply([plan("c")])
    assert isinstance(refusal(path), LedgerTooNew)
    with Newer(path) as newer:
        assert newer.counts() == {S.PLANNED: 3}


def test_a_step_that_fails_leaves_the_file_as_it_was(path: Path) -> None:
    rows = fill(path, "a", "b")
    with pytest.raises(LedgerError, match="no such table: nowhere"):
        Broken(path).open()
    with Ledger(path) as ledger:
        assert ledger.find(["a", "b"]) == rows


# --- how SQLite is used ------------------------------------------------------------------------


def test_the_switches_are_as_a_power_cut_needs_them(path: Path) -> None:
    with Ledger(path) as ledger, ledger._using() as db:
        found = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("locking_mode", "journal_mode", "synchronous", "user_version")
        }
        assert db.execute("PRAGMA mmap_size").fetchall() in ([], [(0,)])
    assert found == {
        "locking_mode": "exclusive",
        "journal_mode": "wal",
        "synchronous": 2,
        "user_version": len(STEPS),
    }
    assert path.read_bytes()[68:72] == b"lxlg"


def test_the_log_does_not_grow_without_end(path: Path) -> None:
    log = path.with_name("posters.db-wal")
    largest = 0
    with Ledger(path) as ledger:
        for start in range(0, 20_000, 400):
            ledger.apply([plan(f"key {n} {'x' * 200}") for n in range(start, start + 400)])
            largest = max(largest, log.stat().st_size)
    assert largest < 12_000_000
    assert path.stat().st_size > largest
