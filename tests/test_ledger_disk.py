"""Full and failing disks: what was acknowledged stays, what was refused is not half there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from liangxin._errors import LedgerError
from liangxin.ledger import Ledger, LedgerRow, LedgerState, Plan, input_sha256

GROUPS = 5
IN_GROUP = 2

PROGRAM = """
import json, os, resource, sys, tempfile
from pathlib import Path
from liangxin._errors import LedgerError
from liangxin.ledger import *

ASKED = {"prompt": "a lighthouse in fog " * 100}

def plan(key):
    return Plan(key=key, ref=key, model="m", input=ASKED, sha256=input_sha256("m", ASKED), at=1.0)

def run(folder):
    '''Make groups of changes, and go on after each that fails; note what became of each.'''
    ledger = Ledger(folder / "posters.db")
    told = []
    for group in range(GROUPS):
        keys = [f"{group}-{n}" for n in range(IN_GROUP)]
        try:
            with ledger._using() as db:
                db.execute("PRAGMA wal_autocheckpoint = 10")
            ledger.apply([plan(key) for key in keys])
        except LedgerError as error:
            told.append([str(error), type(error.__cause__).__name__])
        else:
            told.append(None)
    return ledger, told

def in_child(name, before, after, closes):
    '''In a process of its own: limits and counters are its own, and it may end like a crash.'''
    folder = Path(sys.argv[1], f"{name:06}")
    folder.mkdir()
    if os.fork() == 0:
        status = 1
        try:
            before()
            ledger, told = run(folder)
            if closes:
                try:
                    ledger.close()
                except LedgerError:
                    pass
            after()
            Path(f"{folder}.json").write_text(json.dumps(told))
            status = 0
        finally:
            os._exit(status)
    assert os.wait()[1] == 0, folder
"""


def check(folder: Path) -> list[list[str] | None]:
    """What was acknowledged is there, and of each group all or nothing."""
    told: list[list[str] | None] = json.loads(folder.with_suffix(".json").read_text())
    with Ledger(folder / "posters.db") as ledger:
        there = {row.key for row in ledger.rows()}
        for group, error in enumerate(told):
            keys = {f"{group}-{n}" for n in range(IN_GROUP)}
            assert keys & there in ([keys] if error is None else [set(), keys]), (folder, group)
        if not any(told):
            assert len(there) == GROUPS * IN_GROUP
    return told


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where syncing takes no time, if there is such a place: none of these disks is real."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def outcomes(folder: Path, script: str, *watch: str) -> list[list[list[str] | None]]:
    """Run the program as often as the script says; see what each run acknowledged and left."""
    constants = f"GROUPS, IN_GROUP = {GROUPS}, {IN_GROUP}"
    command = [*watch, sys.executable, "-c", f"{constants}\n{PROGRAM}\n{script}", str(folder)]
    subprocess.run(command, check=True)
    return [check(each) for each in sorted(folder.iterdir()) if each.is_dir()]


pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork and limits of POSIX"),
]


# --- full --------------------------------------------------------------------------------------


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "crashed"])
def test_wherever_a_file_cannot_grow_any_more_nothing_is_half_there(
    folder: Path, closes: bool
) -> None:
    script = f"""
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
for size in range(0, 130_000, 1700):
    in_child(size, lambda: limit(size), lambda: limit(resource.RLIM_INFINITY), {closes})
"""
    told = outcomes(folder, script)
    assert all(told[0])  # no room at all
    assert not any(told[-1])  # room enough
    assert any(any(each) and not all(each) for each in told)


def plan(key: str) -> Plan:
    asked = {"prompt": "a lighthouse in fog " * 100}
    sha256 = input_sha256("m", asked)
    return Plan(key=key, ref=key, model="m", input=asked, sha256=sha256, at=1.0)


def test_a_full_disk_is_one_error_and_no_change_and_room_makes_it_good(tmp_path: Path) -> None:
    with Ledger(tmp_path / "posters.db") as ledger:
        ledger.apply([plan("first")])
        with ledger._using() as db:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LedgerError, match="SQLITE_FULL") as caught:
            ledger.apply([plan(f"more {n}") for n in range(20)])
        assert caught.value.__cause__ is not None
        assert ledger.counts() == {LedgerState.PLANNED: 1}
        with ledger._using() as db:
            db.execute("PRAGMA max_page_count = 1000")
        results = ledger.apply([plan(f"more {n}") for n in range(20)])
        assert all(isinstance(each, LedgerRow) for each in results)


# --- failing -----------------------------------------------------------------------------------

WASTES = {
    "pwrite64": "os.pwrite(file.fileno(), b'x', 0)",
    "fdatasync": "os.fdatasync(file.fileno())",
    "fsync": "os.fsync(file.fileno())",
    "ftruncate": "os.ftruncate(file.fileno(), 0)",
}
"""How to make a call that does not matter."""

FAILURES = [
    ("pwrite64", "EIO", "once", 125),
    ("pwrite64", "ENOSPC", "for good", 125),
    ("fdatasync", "EIO", "once", 40),
    ("fdatasync", "EIO", "for good", 40),
    ("fsync", "EIO", "once", 5),
    ("ftruncate", "EIO", "for good", 12),
]
"""The call, how and how long it fails, and more than the program makes of it."""


@pytest.mark.parametrize(("call", "error", "lasts", "most"), FAILURES)
def test_whichever_call_fails_nothing_is_half_there(
    folder: Path, call: str, error: str, lasts: str, most: int
) -> None:
    # strace counts the calls of each process, so the n-th of a child fails once it has made all
    # the others on a file that does not matter.
    script = f"""
def waste(count):
    with tempfile.TemporaryFile() as file:
        for _ in range(count):
            {WASTES[call]}
for n in range({most}):
    in_child(n, lambda: waste({most} - 1 - n), lambda: None, n % 2)
"""
    inject = f"inject={call}:error={error}:when={most}{'+' if lasts == 'for good' else ''}"
    watch = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject)
    skip_without_strace(*watch)
    told = outcomes(folder, script, *watch)
    assert not any(told[-1])
    if call in ("pwrite64", "fdatasync"):
        assert any(any(each) and not all(each) for each in told)
        assert lasts == "for good" or any(
            each[0] and not each[-1] for each in told
        )  # it goes on afterwards


def skip_without_strace(*command: str) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not watch processes here (ptrace is not permitted)")
