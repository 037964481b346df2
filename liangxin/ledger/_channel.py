"""
Hints between the processes that share a ledger, by LISTEN and NOTIFY.

One thread of each process has one connection for all of it: there it finds out whose a token is,
sends hints, and hears those of others.  However many callbacks come, it goes to the database once
in `REST` seconds at most, with whatever has gathered.  What is not said while the connection is
lost is never heard: polling is there for that.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

import psycopg
from psycopg import sql

from liangxin._errors import LedgerError
from liangxin._text import in_words
from liangxin.ledger._hints import Heard, Hint, hint_of
from liangxin.ledger._postgres_table import SELECT_BARE, Connection, as_line
from liangxin.ledger._rows import LedgerRow

log = logging.getLogger("liangxin")

REST = 0.01
"""Seconds at least between two errands to the database."""
GATHERED = 10_000
"""How many tokens, and how many hints, may wait for the next errand."""
CONNECTING = 5.0
"""Seconds for which `listen` waits until somebody could be heard, and `close` for the end."""
LONGEST_PAUSE = 2.0
"""Seconds at most between two attempts to connect."""

_SESSION = (
    "SET synchronous_commit = off",  # a hint need not be on the disk
    "SET statement_timeout = '5s'",
)
# One for each ledger: the number of its table, for a schema's name may be too long for a channel.
_NAME = "SELECT 'liangxin_' || 'liangxin_rows'::regclass::oid"
_FIND = f"{SELECT_BARE} r.token_sha256 = ANY(%s) ORDER BY r.n"
_TELL = "SELECT pg_notify(%s, hint) FROM unnest(%s::text[]) AS hint"


class PostgresChannel:
    """The `Channel` of one holder, from its making until `close`."""

    def __init__(self, conninfo: str, me: int) -> None:
        self._conninfo = conninfo
        self._me = me
        self._guard = threading.Lock()
        self._heard: tuple[Heard, ...] = ()
        self._asked: dict[bytes, Future[LedgerRow | None]] = {}
        self._hints: dict[bytes, Hint] = {}
        self._bell, self._ringing = _bell()
        self._is_listening = threading.Event()
        self._ended = threading.Event()
        self._failures = 0
        """How often in a row it has failed."""
        self._thread = threading.Thread(
            target=self._run, name="liangxin-ledger-channel", daemon=True
        )
        self._thread.start()

    def listen(self, heard: Heard) -> None:
        """Tell `heard` of all hints from now on, those that it sends itself included."""
        with self._guard:
            self._heard = (*self._heard, heard)
        self._is_listening.wait(CONNECTING)

    def leave(self, heard: Heard) -> None:
        """Tell it of none any more."""
        with self._guard:
            self._heard = tuple(each for each in self._heard if each != heard)

    def ask(self, token_sha256: bytes) -> Future[LedgerRow | None]:
        """Find the create that gave this token, its input left out; or a `LedgerError`."""
        with self._guard:
            answer = self._asked.get(token_sha256)
            if answer is not None:
                return answer
            answer = Future()
            if self._ended.is_set() or len(self._asked) >= GATHERED:
                answer.set_exception(LedgerError("the ledger is closed, or asked for too much"))
                return answer
            self._asked[token_sha256] = answer
        self._ring()
        return answer

    def tell(self, hint: Hint) -> None:
        """Pass a hint on to all who listen; if that fails, it is lost."""
        with self._guard:
            is_said = hint.named is None and hint.token_sha256 in self._hints
            if is_said or len(self._hints) >= GATHERED:
                return
            self._hints[hint.token_sha256] = hint
        self._ring()

    def close(self) -> None:
        """Hear, ask and tell nothing any more."""
        self._ended.set()
        self._ring()
        self._thread.join(CONNECTING)
        self._give_up(LedgerError("the ledger is closed"))
        self._bell.close()
        self._ringing.close()

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or is closed
            self._bell.send(b"!")

    def _give_up(self, error: LedgerError) -> None:
        """Answer that nobody knows, and tell nothing of what has gathered."""
        with self._guard:
            asked, self._asked, self._hints = self._asked, {}, {}
        for answer in asked.values():
            answer.set_exception(error)

    # --- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._conninfo, autocommit=True) as db:
                    self._converse(db)
            except (psycopg.Error, LedgerError) as error:
                self._is_listening.clear()
                self._stumble(error)

    def _stumble(self, error: Exception) -> None:
        """Pause; the second time in a row, give up what has gathered: a connection may get cut."""
        if self._failures == 1:
            log.warning("callbacks of other processes are not heard for now: %s", in_words(error))
        if self._failures:
            self._give_up(LedgerError(f"the ledger cannot be read ({in_words(error)})"))
        self._ended.wait(min(0.05 * 2**self._failures, LONGEST_PAUSE))
        self._failures = min(self._failures + 1, 10)

    def _converse(self, db: Connection) -> None:
        db.add_notify_handler(lambda notify: self._hear(notify.payload))
        for statement in _SESSION:
            db.execute(statement)
        found = db.execute(_NAME).fetchone()
        assert found is not None
        name = str(found[0])
        db.execute(sql.SQL("LISTEN {}").format(sql.Identifier(name)))
        self._is_listening.set()
        with selectors.DefaultSelector() as selector:
            selector.register(db.pgconn.socket, selectors.EVENT_READ)
            selector.register(self._ringing, selectors.EVENT_READ)
            while not self._ended.is_set():
                self._go(db, name)
                self._hear_all(db)
                self._failures = 0
                selector.select()
                with suppress(BlockingIOError):
                    self._ringing.recv(4096)

    def _go(self, db: Connection, name: str) -> None:
        """Do the errands that have gathered."""
        with self._guard:
            asked, hints = list(self._asked), list(self._hints.values())
        if asked:
            self._answer(asked, self._find(db, asked))
        if hints:
            db.execute(_TELL, (name, [hint.to_text() for hint in hints]))
            with self._guard:
                for hint in hints:
                    if self._hints.get(hint.token_sha256) is hint:
                        del self._hints[hint.token_sha256]
        if asked or hints:
            self._ended.wait(REST)

    def _find(self, db: Connection, tokens: Sequence[bytes]) -> dict[bytes | None, LedgerRow]:
        found = db.execute(_FIND, (self._me, list(tokens))).fetchall()
        rows = (as_line(columns).row for columns in found)
        return {row.token_sha256: row for row in rows}

    def _answer(self, tokens: Sequence[bytes], rows: dict[bytes | None, LedgerRow]) -> None:
        with self._guard:
            answers = [(self._asked.pop(token, None), rows.get(token)) for token in tokens]
        for answer, row in answers:
            if answer is not None:  # else it was given up meanwhile
                answer.set_result(row)

    def _hear_all(self, db: Connection) -> None:
        """What has come, up to the last byte: the selector tells of what comes after that only."""
        db.pgconn.consume_input()
        while notify := db.pgconn.notifies():
            self._hear(notify.extra.decode("utf-8", "replace"))

    def _hear(self, text: str) -> None:
        hint = hint_of(text)
        if hint is not None:
            for heard in self._heard:
                heard(hint)


def _bell() -> tuple[socket.socket, socket.socket]:
    """Two ends: what is sent at the first wakes whoever selects the second."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    return ends
