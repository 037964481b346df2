"""The tables of a shared ledger, and which database they are in; `liangxin ledger migrate`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from liangxin._errors import InputError, LedgerError, LedgerTooNew
from liangxin._text import in_words, printable
from liangxin.ledger._postgres_table import Connection

STEPS: Sequence[Sequence[str]] = (
    (
        # Who has the ledger open, until when that is believed, and the last transaction of theirs.
        """
        CREATE TABLE liangxin_holders (
            n bigint PRIMARY KEY,
            name text NOT NULL,
            expires timestamptz NOT NULL,
            applied bigint NOT NULL
        )
        """,
        # Apart, so that a change of state does not write a long input once more; `ref` is the
        # first create that was planned with it.
        "CREATE TABLE liangxin_inputs (ref text PRIMARY KEY, body text NOT NULL)",
        # One line for each create that was ever planned; n is the order of planning.
        """
        CREATE TABLE liangxin_rows (
            n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            key text NOT NULL,
            ref text NOT NULL UNIQUE,
            current boolean NOT NULL,
            state text NOT NULL,
            holder bigint,
            model text NOT NULL,
            sha256 bytea NOT NULL,
            input text REFERENCES liangxin_inputs (ref),
            task_id text,
            token_sha256 bytea,
            planned_at double precision NOT NULL,
            sent_at double precision,
            answered_at double precision,
            ended_at double precision,
            http_status bigint,
            reason text,
            raw bytea,
            urls text,
            files text
        ) WITH (fillfactor = 70)
        """,
        "CREATE TABLE liangxin_documents (name text PRIMARY KEY, body text NOT NULL)",
        "CREATE UNIQUE INDEX liangxin_by_key ON liangxin_rows (key) WHERE current",
        "CREATE INDEX liangxin_by_history ON liangxin_rows (key)",
        "CREATE INDEX liangxin_by_state ON liangxin_rows (state, n)",
        "CREATE INDEX liangxin_by_task ON liangxin_rows (task_id) WHERE task_id IS NOT NULL",
        """
        CREATE INDEX liangxin_by_token ON liangxin_rows (token_sha256)
        WHERE token_sha256 IS NOT NULL
        """,
    ),
    (
        # One line for each quota that processes share: when its next create may leave, which
        # share of its rate is used, and what was accepted and refused of late.
        """
        CREATE TABLE liangxin_quotas (
            name text PRIMARY KEY,
            next timestamptz NOT NULL,
            share double precision NOT NULL DEFAULT 1,
            accepted bigint NOT NULL DEFAULT 0,
            refusals bigint NOT NULL DEFAULT 0,
            held_until timestamptz NOT NULL DEFAULT '-infinity'
        ) WITH (fillfactor = 50)
        """,
    ),
)
"""Step i leads from version i of the tables to i + 1; version 0 has none."""

_LOCK = 0x6C786C67
"""`lxlg`: of two that migrate at once, the second finds all done."""

_CONNECTING = {
    "application_name": "liangxin",
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "target_session_attrs": "read-write",
    "tcp_user_timeout": "20000",
}
"""What a connection string says nothing about: a host that vanishes is noticed within 30 s."""

_SESSION = (
    # What was acknowledged is on the disk, whatever the database's own default says.
    """
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') IN ('off', 'local')
    """,
    # The session of a client that has gone holds its locks no longer than this.
    "SET idle_in_transaction_session_timeout = '30s'",
    "SET lock_timeout = '30s'",
    # Every statement has its index.  Of a table that has grown from nothing and was not analyzed
    # since, the planner believes that reading all of it is quicker.
    "SET enable_seqscan = off",
)


def conninfo(url: str) -> str:
    """The connection string, completed; `InputError` if it is none."""
    try:
        told: dict[str, Any] = {**_CONNECTING, **conninfo_to_dict(url)}
        return make_conninfo(**told)
    except psycopg.Error as error:
        raise InputError(
            # libpq repeats the address, and with it the password
            f"the ledger's address cannot be read: {in_words(error).replace(url, 'it')}",
            field="path",
            allowed="postgresql://user@host:port/database",
        ) from None


def place(conninfo: str) -> str:
    """Which database that is, for people; without the password."""
    told = conninfo_to_dict(conninfo)
    host, port = told.get("host"), told.get("port")
    where = ":".join(str(each) for each in (host, port) if each is not None)
    return printable(f"postgresql://{where}/{told.get('dbname') or ''}", 200)


def configure(db: Connection) -> None:
    """Make a new connection keep what the ledger promises."""
    for statement in _SESSION:
        db.execute(statement)


def migrate(db: Connection, place: str) -> None:
    """Run the steps that are missing, in one transaction."""
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = _version(db)
        _refuse_newer(found, place)
        for step in STEPS[found:]:
            for statement in step:
                db.execute(statement)
        if found == 0:
            db.execute("CREATE TABLE liangxin_version (version integer NOT NULL)")
            db.execute("INSERT INTO liangxin_version VALUES (0)")
        db.execute("UPDATE liangxin_version SET version = %s", (len(STEPS),))


def check(db: Connection, place: str) -> None:
    """Refuse a database whose tables are missing, too old or too new."""
    found = _version(db)
    _refuse_newer(found, place)
    if found < len(STEPS):
        lacks = "has no ledger in it yet" if not found else "has the ledger of an older version"
        raise LedgerError(f"{place} {lacks}: run `liangxin ledger migrate` with its address, once")


def _version(db: Connection) -> int:
    found = db.execute("SELECT to_regclass('liangxin_version')").fetchone()
    if found is None or found[0] is None:
        return 0
    version = db.execute("SELECT version FROM liangxin_version").fetchone()
    return 0 if version is None else int(version[0])


def _refuse_newer(found: int, place: str) -> None:
    if found > len(STEPS):
        raise LedgerTooNew(
            f"the ledger in {place} was migrated by a newer liangxin (its version is {found}, this "
            f"one knows up to {len(STEPS)}): upgrade liangxin"
        )
