"""
What a crash did, by the ledger's file, the results on disk and the service's books.

The library is not asked: the ledger is read with plain SQLite, from a copy.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.crash.service import Books, Service

FINDINGS = ("lost", "double", "unrecorded", "damaged", "unfinished", "restless", "silent")
"""
The ways to fail:

lost: charged, in no row, and its row is not in doubt;
double: a key that was charged twice, or a create that was sent twice;
unrecorded: a create, or a look at its task, that the service saw and the ledger had not allowed;
damaged: the ledger, or a result that is not the service's, byte for byte;
unfinished: a row in no final class, or in doubt without a reason;
restless: a finished batch that sends something when it is run again;
silent: an error of the disk that nobody was told of.
"""


@dataclass(frozen=True)
class Row:
    """A row of the ledger."""

    key: str
    ref: str
    state: str
    task_id: str | None
    files: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """The rows of a ledger at one moment, and what is wrong with its file."""

    rows: tuple[Row, ...]
    damage: str | None = None

    @property
    def states(self) -> Mapping[str, str]:
        """The state of each create, by the name that it was sent with."""
        return {row.ref: row.state for row in self.rows}

    @property
    def task_ids(self) -> set[str]:
        """The tasks that are on record."""
        return {row.task_id for row in self.rows if row.task_id is not None}


def snapshot(ledger: Path, copy: Path) -> Snapshot:
    """Read a ledger that nobody has open, from a copy of its files."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for suffix in ("", "-wal", "-journal"):
        file = Path(f"{ledger}{suffix}")
        if file.exists():
            shutil.copyfile(file, copy / file.name)
    if not (copy / ledger.name).exists() or not (copy / ledger.name).stat().st_size:
        return Snapshot(())
    try:
        with closing(sqlite3.connect(copy / ledger.name)) as db:
            return _read(db)
    except sqlite3.Error as error:
        return Snapshot((), f"the ledger cannot be read: {error}")


def _read(db: sqlite3.Connection) -> Snapshot:
    (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        return Snapshot((), f"the ledger is not intact: {verdict}")
    if not db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        return Snapshot(())  # it was killed before there was anything in it
    lines = db.execute("SELECT key, ref, state, task_id, files FROM rows ORDER BY n").fetchall()
    return Snapshot(tuple(_row(*line) for line in lines))


def _row(key: str, ref: str, state: str, task_id: str | None, files: str | None) -> Row:
    return Row(key, ref, state, task_id, tuple(json.loads(files or "[]")))


Findings = dict[str, list[str]]


def after_strike(
    seen: Snapshot, books: Books, out: Path, service: Service, *, was_killed: bool
) -> Findings:
    """
    What is wrong right after the child has died, before anything is run again.

    Whoever `was_killed` had a ledger that worked: it may not have looked at a task that is not on
    record.
    """
    findings: Findings = defaultdict(list)
    if seen.damage:
        findings["damaged"].append(seen.damage)
        return findings
    _compare_sends(seen, books, findings)
    if was_killed:
        _compare_looks(seen, books, findings)
    _compare_charges(seen, books, findings, in_doubt=("sending", "ambiguous"))
    _compare_tasks(seen, books, findings)
    for file in sorted(out.glob("*.mp4")):
        originals = [service.result(each, "mp4") for each in books.charged.get(file.stem, ())]
        if file.read_bytes() not in originals:
            findings["damaged"].append(f"{file.name} is not what the service made")
    for row in seen.rows:
        if row.state == "downloaded" and not (out / f"{row.key}.mp4").is_file():
            findings["damaged"].append(f"{row.key} is downloaded, and its file is not there")
    return findings


def while_it_runs(seen: Snapshot, books: Books) -> Findings:
    """What is wrong with rows that are newer than the books: whoever is at work has gone on."""
    findings: Findings = defaultdict(list)
    _compare_sends(seen, books, findings)
    _compare_looks(seen, books, findings)
    _compare_charges(seen, books, findings, in_doubt=("sending", "ambiguous"))
    return findings


def at_the_end(
    seen: Snapshot, books: Books, keys: list[str], out: Path, service: Service
) -> Findings:
    """What is wrong when the batch has been run to its end."""
    findings: Findings = defaultdict(list)
    if seen.damage:
        findings["damaged"].append(seen.damage)
        return findings
    _compare_charges(seen, books, findings, in_doubt=("ambiguous",))
    _compare_tasks(seen, books, findings)
    for ref, count in books.posts.items():
        if count > 1:
            findings["double"].append(f"{ref} was sent {count} times")
        if ref not in seen.states:
            findings["unrecorded"].append(f"{ref} was sent and is in no row")
    if sorted(row.key for row in seen.rows) != sorted(keys):
        findings["unfinished"].append(f"the rows are {sorted(row.key for row in seen.rows)}")
    for row in seen.rows:
        _check_end(row, books, out, service, findings)
    findings["unfinished"] += [f"{each.name} was left behind" for each in out.glob(".*.part")]
    return {name: found for name, found in findings.items() if found}


def _compare_sends(seen: Snapshot, books: Books, findings: Findings) -> None:
    for ref, count in books.posts.items():
        state = seen.states.get(ref)
        if state is None or state == "planned":
            findings["unrecorded"].append(f"{ref} was sent and is {state or 'in no row'}")
        if count > 1:
            findings["double"].append(f"{ref} was sent {count} times")


def _compare_looks(seen: Snapshot, books: Books, findings: Findings) -> None:
    for task_id in books.looked_at - seen.task_ids:
        findings["unrecorded"].append(f"{task_id} was looked at and is not on record")


def _compare_charges(
    seen: Snapshot, books: Books, findings: Findings, *, in_doubt: tuple[str, ...]
) -> None:
    doubtful = {row.key for row in seen.rows if row.state in in_doubt}
    for key, task_ids in books.charged.items():
        if len(task_ids) > 1:
            findings["double"].append(f"{key} was charged {len(task_ids)} times")
        if not set(task_ids) <= seen.task_ids and key not in doubtful:
            findings["lost"].append(f"{key} was charged and is not on record")


def _compare_tasks(seen: Snapshot, books: Books, findings: Findings) -> None:
    for row in seen.rows:
        if row.task_id is not None and row.task_id not in books.charged.get(row.key, ()):
            findings["damaged"].append(f"{row.key} has the task of another")


def _check_end(row: Row, books: Books, out: Path, service: Service, findings: Findings) -> None:
    if row.state == "ambiguous":
        return
    if row.state != "downloaded" or row.task_id is None:
        findings["unfinished"].append(f"{row.key} is {row.state}")
    elif len(row.files) != 1 or not (out / row.files[0]).is_file():
        findings["damaged"].append(f"{row.key} is downloaded, and its file is not there")
    elif (out / row.files[0]).read_bytes() != _original(row, service):
        findings["damaged"].append(f"{row.files[0]} is not what the service made")


def _original(row: Row, service: Service) -> bytes:
    assert row.task_id is not None
    return service.result(row.task_id, row.files[0].rpartition(".")[2])
