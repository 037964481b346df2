"""A ledger that many processes share, with the verbs for people."""

from __future__ import annotations

from liangxin.ledger._postgres import PostgresStore
from liangxin.ledger._verbs import Settling


class SharedLedger(PostgresStore, Settling):
    """
    A ledger in a PostgreSQL database, shared by any number of processes, each with one of these.

    `url` is a connection string of libpq, `postgresql://user@host:port/database`; the tables are in
    the first schema of its search path, made by `liangxin ledger migrate` or `migrate()`.  What one
    process has not ended, another leaves alone until the first is closed, or has given no sign of
    life for `lease` seconds.  A lost connection is made anew for `patience` seconds; meanwhile
    nothing is sent, and what was answered stays owed.
    """
