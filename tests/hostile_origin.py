"""
An origin that answers as it is told to, byte for byte, and remembers what it was asked.

Raw sockets in threads: what no HTTP server would send, this one does.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

Script: TypeAlias = Callable[[str], Iterable[bytes]]
"""From the head of a request to what is sent, piece by piece, before hanging up."""

HANG = b"\0hang"
"""Instead of a piece: send nothing more, and wait for the client to hang up."""


def reply(
    body: bytes = b"", *, status: int = 200, length: int | None = None, **headers: object
) -> bytes:
    """
    An answer.

    `length` is what it claims (`-1`: claims nothing), `a_b=` the header `a-b`, None leaves it out.
    """
    claimed = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} Whatever"]
    lines += [] if claimed < 0 else [f"Content-Length: {claimed}"]
    lines += [
        f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value is not None
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(body: bytes, *, is_ended: bool = True) -> bytes:
    """An answer in one chunk, with or without the one that ends it."""
    head = reply(length=-1, Transfer_Encoding="chunked")
    return head + b"%x\r\n%b\r\n" % (len(body), body) + (b"0\r\n\r\n" if is_ended else b"")


def serving(body: bytes, etag: str, *, cuts: tuple[int, ...] = ()) -> Script:
    """A host that knows ranges, and hangs up at each of these places of the file once."""
    places = list(cuts)

    def script(head: str) -> Iterable[bytes]:
        asked = re.search(r"^Range: bytes=(\d+)-\r$", head, re.M)
        start = int(asked[1]) if asked and f"If-Range: {etag}\r" in head else 0
        until = places.pop(0) if places else len(body)
        rest = len(body) - start
        if start:
            place = f"bytes {start}-{len(body) - 1}/{len(body)}"
            yield reply(body[start:until], status=206, length=rest, ETag=etag, Content_Range=place)
        else:
            yield reply(body[:until], length=rest, ETag=etag)

    return script


class HostileOrigin:
    """
    Answers the n-th request with the n-th of `answers`, and the last one ever after.

    `heads` are the requests' heads as they came, `connections` how many were accepted.
    """

    def __init__(self, *answers: bytes | Script, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.heads: list[str] = []
        self.connections = 0
        self.hangs = threading.Semaphore(0)
        """Released whenever a connection has fallen silent."""
        self._tls = tls
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def url(self, path: str = "", *, host: str = "127.0.0.1") -> str:
        """The address of a path, under this name of the host."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    @contextmanager
    def serve(self) -> Iterator[HostileOrigin]:
        """Answer until the block ends."""
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield self
        finally:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            accepting.join(5)

    def _accept(self) -> None:
        handlers = []
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(10)
                self.connections += 1
                handlers.append(threading.Thread(target=self._handle, args=(connection,)))
                handlers[-1].start()
        for handler in handlers:
            handler.join(5)

    def _handle(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            if self._tls is None:
                self._answer(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                    self._answer(encrypted)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                return
            head += received
        with self._lock:
            self.heads.append(head.decode("latin-1"))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        for piece in [answer] if isinstance(answer, bytes) else answer(self.heads[-1]):
            if piece == HANG:
                self.hangs.release()
                connection.recv(1)
            else:
                connection.sendall(piece)
