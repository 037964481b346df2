"""
What PostgreSQL reads to answer the shared ledger: rows in proportion to what was asked for.

By its own plans, not by the clock.  `LIANGXIN_ROWS=1000000` for as many rows as `nox -s shared`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

import psycopg
import pytest

from liangxin.ledger import Change, LedgerState, Move, Plan, SharedLedger
from liangxin.ledger._fold import Page
from liangxin.ledger._holder import Holder
from liangxin.ledger._postgres import PAGE
from liangxin.ledger._postgres_table import load, write
from tests.databases import database

pytestmark = pytest.mark.campaign

ROWS = int(os.environ.get("LIANGXIN_ROWS", "50000"))
BIG = ("liangxin_rows", "liangxin_inputs")

FILL = """
WITH numbers AS (SELECT generate_series(1, %(rows)s) AS i),
inputs AS (
    INSERT INTO liangxin_inputs
    SELECT 'ref' || i, '{"prompt":"' || repeat(md5(i::text), 4) || '"}' FROM numbers RETURNING ref
)
INSERT INTO liangxin_rows
    (key, ref, current, state, holder, model, sha256, input, task_id, token_sha256, planned_at)
SELECT
    'key' || i, 'ref' || i, i %% 50 > 0, state,
    CASE WHEN state IN ('sending', 'accepted') THEN i %% 8 END,
    'z-image', sha256(i::text::bytea), 'ref' || i,
    CASE WHEN state NOT IN ('planned', 'sending') THEN 'task' || i END,
    CASE WHEN i %% 3 = 0 THEN sha256(('token' || i)::bytea) END, i
FROM numbers, LATERAL (
    SELECT CASE
        WHEN i > 0.8 * %(rows)s THEN 'planned'
        WHEN i %% 5000 = 1 THEN 'sending'
        WHEN i %% 1000 = 2 THEN 'ambiguous'
        WHEN i %% 200 = 3 THEN 'accepted'
        ELSE 'downloaded'
    END AS state
) AS states
"""
"""Four in five rows are at their ends; each fiftieth is history."""
HOLDERS = """
INSERT INTO liangxin_holders
SELECT i, 'process ' || i, clock_timestamp() + i % 2 * interval '1 day', 0
FROM generate_series(0, 7) AS i
"""

Plans = list[dict[str, Any]]


class Explained:
    """A connection that has each statement explained: as it is run, and as it is once prepared."""

    def __init__(self, db: psycopg.Connection[Any]) -> None:
        self._db = db
        self.ran: Plans = []
        self.prepared: Plans = []

    def execute(self, sql: str | bytes, values: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        text = sql.decode() if isinstance(sql, bytes) else sql
        with self._db.transaction(force_rollback=True):
            self.ran.append(self._plan("ANALYZE, BUFFERS", text, values))
        numbers = iter(range(1, 100))
        numbered = re.sub("%s", lambda _: f"${next(numbers)}", text)
        self.prepared.append(self._plan("GENERIC_PLAN", numbered))
        return self._db.execute(text.encode(), values)

    def _plan(self, options: str, sql: str, *values: Sequence[object]) -> dict[str, Any]:
        found = self._db.execute(f"EXPLAIN ({options}, FORMAT JSON) {sql}".encode(), *values)
        ((plans,),) = found.fetchall()
        plan: dict[str, Any] = plans[0]["Plan"]
        return plan


class ExplainedLedger(SharedLedger):
    """Reads through a connection that explains."""

    explained: Explained

    def _run(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self.explained.execute(sql, values).fetchall()


@pytest.fixture(scope="module")
def url() -> str:
    url = database()
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SET session_replication_role = replica")  # which checks no references
        db.execute(FILL.encode(), {"rows": ROWS})
        db.execute(HOLDERS)
        db.execute("VACUUM ANALYZE liangxin_rows, liangxin_inputs")
    return url


@pytest.fixture
def explained(url: str) -> Iterator[Explained]:
    with psycopg.connect(url, autocommit=True) as db:
        yield Explained(db)


@pytest.fixture
def ledger(url: str, explained: Explained) -> Iterator[SharedLedger]:
    with ExplainedLedger(url) as ledger:
        ledger.explained = explained
        yield ledger


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


def scanned_whole(plans: Plans) -> list[str]:
    """The big tables of which a plan reads everything."""
    return [
        node["Relation Name"]
        for plan in plans
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in BIG
    ]


def rows_read(plans: Plans) -> int:
    """How many rows of the ledger were looked at, those that were not wanted included."""
    return sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
        for plan in plans
        for node in nodes(plan)
        if node.get("Relation Name") == "liangxin_rows"
    )


def blocks(plans: Plans) -> int:
    """How many blocks were looked at, in memory or not."""
    return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)


def spread(count: int) -> list[int]:
    return [1 + number * (ROWS - 1) // count for number in range(count)]


KEYS = [f"key{number}" for number in spread(PAGE)]

READS: dict[str, Callable[[SharedLedger], object]] = {
    "find": lambda ledger: ledger.find(KEYS),
    "find, bare": lambda ledger: ledger.find(KEYS, bare=True),
    "history": lambda ledger: ledger.history("key77"),
    "find_task": lambda ledger: ledger.find_task("task77"),
    "find_token": lambda ledger: ledger.find_token(b"0" * 32),
    "rows": lambda ledger: list(islice(ledger.rows(), 3 * PAGE)),
    "rows, with history": lambda ledger: list(islice(ledger.rows(history=True), 3 * PAGE)),
    "rows of a rare state": lambda ledger: list(ledger.rows(LedgerState.SENDING)),
    "rows of a common state": lambda ledger: list(
        islice(ledger.rows(LedgerState.DOWNLOADED), 3 * PAGE)
    ),
    "rows of two states": lambda ledger: list(
        islice(ledger.rows(LedgerState.ACCEPTED, LedgerState.SENDING), 10)
    ),
}


@pytest.mark.parametrize("name", READS)
def test_no_read_scans_the_table(ledger: SharedLedger, explained: Explained, name: str) -> None:
    READS[name](ledger)
    assert explained.ran
    assert scanned_whole(explained.ran) == []
    assert scanned_whole(explained.prepared) == []


def test_a_chunk_of_known_keys_reads_a_chunk(ledger: SharedLedger, explained: Explained) -> None:
    found = ledger.find(KEYS)
    assert len(found) > 0.8 * PAGE  # but for the history
    assert rows_read(explained.ran) <= 1.1 * PAGE
    assert blocks(explained.ran) <= 16 * PAGE  # two trees, a row and an input for each key


def test_a_page_of_rows_reads_a_page(ledger: SharedLedger, explained: Explained) -> None:
    assert len(list(islice(ledger.rows(), 3 * PAGE))) == 3 * PAGE
    assert rows_read(explained.ran) <= 3.3 * PAGE


def test_a_transaction_locks_and_writes_what_it_is_about(explained: Explained) -> None:
    numbers = spread(PAGE // 2)
    changes: list[Change] = [
        *(plan(f"key{number}", f"other{number}") for number in numbers),
        *(Move(ref=f"ref{number + 1}", to=LedgerState.SENDING, at=2.0) for number in numbers),
        *(plan(f"new{number}", f"new{number}") for number in numbers),
    ]
    page = Page(me=99, stores_input=True)
    load(explained, page, changes)  # type: ignore[arg-type]
    made = [page.make(each) for each in changes]
    write(explained, page)  # type: ignore[arg-type]
    assert len(made) == 3 * len(numbers)
    assert len(explained.ran) == 4
    assert scanned_whole(explained.ran) == []
    assert scanned_whole(explained.prepared) == []
    assert rows_read(explained.ran[:1]) <= 1.1 * 2 * len(numbers)
    assert blocks(explained.ran) <= 64 * len(changes)


def test_a_table_that_grew_from_nothing_and_was_never_analyzed_is_not_scanned() -> None:
    url = database()
    with SharedLedger(url) as ledger:
        for number in range(30):
            refs = [f"{number}-{each}" for each in range(20)]
            ledger.apply([plan(ref, ref) for ref in refs])
            ledger.apply([Move(ref=ref, to=LedgerState.SENDING, at=2.0) for ref in refs])
    # A session tells what it has read when it ends, which it does a moment after its client.
    with psycopg.connect(url, autocommit=True) as db:
        count = "SELECT n_tup_ins, seq_tup_read FROM pg_stat_user_tables WHERE relid = %s::regclass"
        told = (0, 0)
        while told[0] < 600:
            (told,) = db.execute(count.encode(), ("liangxin_rows",)).fetchall()
    assert told == (600, 0)


def plan(key: str, ref: str) -> Plan:
    digest = sha256(re.sub(r"\D", "", key).encode()).hexdigest()
    return Plan(key=key, ref=ref, model="z-image", input={"prompt": key}, sha256=digest, at=1.0)


def test_the_dead_are_looked_for_among_what_is_being_sent(url: str, explained: Explained) -> None:
    holder = Holder(url, lease=60, patience=60)
    holder._beat(explained)  # type: ignore[arg-type]
    assert scanned_whole(explained.ran) == []
    assert scanned_whole(explained.prepared) == []
    assert rows_read(explained.ran) <= ROWS / 1000
