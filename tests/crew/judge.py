"""
What happened to the rows, by PostgreSQL itself: no line here asks the library.

A trigger notes every move of a row and of its holder, so that also what was wrong for a moment
only is found.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.crash.judge import Findings, Row, Snapshot, at_the_end, while_it_runs
from tests.crash.service import Service
from tests.crew.worker import Job

FINDINGS = ("lost", "double", "unrecorded", "damaged", "unfinished", "restless", "stolen")
"""
The ways to fail: those of `tests.crash.judge`, and

stolen: a create that was taken from a process that was alive and well.
"""

_WATCH = """
CREATE TABLE moves (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at float8 NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    ref text, was text, became text, had bigint, has bigint, had_lease boolean
);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO moves (ref, was, became, had, has, had_lease)
    SELECT OLD.ref, OLD.state, NEW.state, OLD.holder, NEW.holder, EXISTS (
        SELECT FROM liangxin_holders h WHERE h.n = OLD.holder AND h.expires > clock_timestamp()
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER UPDATE ON liangxin_rows FOR EACH ROW
WHEN (OLD.state <> NEW.state OR OLD.holder IS DISTINCT FROM NEW.holder) EXECUTE FUNCTION note();
"""


@dataclass(frozen=True)
class Move:
    """What was done to a row: its state and its holder, before and after."""

    at: float
    ref: str
    was: str
    became: str
    had: int | None
    has: int | None
    had_lease: bool


def watch(url: str) -> None:
    """Begin to note the moves in a ledger."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(_WATCH)


def snapshot(url: str) -> Snapshot:
    """Read the rows."""
    with psycopg.connect(url) as db:
        lines = db.execute(
            "SELECT key, ref, state, task_id, files FROM liangxin_rows ORDER BY n"
        ).fetchall()
    return Snapshot(
        tuple(
            Row(key, ref, state, task_id, tuple(json.loads(files or "[]")))
            for key, ref, state, task_id, files in lines
        )
    )


def is_sending(url: str) -> bool:
    """Whether a create is under way."""
    with psycopg.connect(url) as db:
        found = db.execute("SELECT FROM liangxin_rows WHERE state = 'sending' LIMIT 1").fetchone()
    return found is not None


def meanwhile(job: Job, service: Service) -> Findings:
    """What is wrong while they are at work: the books are read first, so the rows know more."""
    books = service.books()
    return while_it_runs(snapshot(job.ledger), books)


def in_the_end(
    job: Job, service: Service, killed: set[int], unrest: Sequence[tuple[float, float]]
) -> Findings:
    """
    What is wrong when all have come to their ends.

    `killed` has their process ids; in times of `unrest` a lease may have lapsed, and a row been
    taken, in the moment in which its holder came back.
    """
    seen, books = snapshot(job.ledger), service.books()
    findings: Findings = defaultdict(list)
    for name, found in at_the_end(seen, books, job.keys, job.out, service).items():
        findings[name] += found
    moves, dead = _moves(job.ledger), _dead(job.ledger, killed)
    for row in seen.rows:
        if row.state == "ambiguous" and row.ref not in books.unanswered:
            doubted = [each for each in moves if (each.ref, each.became) == (row.ref, row.state)]
            if doubted[-1].had not in dead:
                findings["unfinished"].append(f"{row.key} is in doubt, and nobody was killed")
    for move in moves:
        is_calm = not any(begun <= move.at <= ended for begun, ended in unrest)
        if is_calm and _is_theft(move, books.unanswered):
            findings["stolen"].append(f"{move}")
    return findings


def _is_theft(move: Move, unanswered: frozenset[str]) -> bool:
    """Whether it took a create from somebody whose lease was good."""
    if not move.had_lease or move.was not in ("planned", "sending", "accepted"):
        return False
    if move.became == "ambiguous":
        return move.ref not in unanswered  # by its own holder
    return move.has not in (None, move.had)


def _moves(url: str) -> list[Move]:
    with psycopg.connect(url) as db:
        found = db.execute("SELECT at, ref, was, became, had, has, had_lease FROM moves ORDER BY n")
        return [Move(*line) for line in found]


def _dead(url: str, killed: set[int]) -> set[int]:
    """The numbers of the holders that were killed; whoever ends well takes its own away."""
    with psycopg.connect(url) as db:
        found = db.execute("SELECT n, name FROM liangxin_holders").fetchall()
    return {n for n, name in found if int(name.split()[1]) in killed}


def ends(url: str) -> dict[str, str]:
    """What the caller of a batch has to be told of each key."""
    return {
        row.key: "AmbiguousCreate" if row.state == "ambiguous" else "ok"
        for row in snapshot(url).rows
    }


def last_words(words: Path) -> str:
    """The end of what was printed."""
    return words.read_text(errors="replace")[-1000:]
