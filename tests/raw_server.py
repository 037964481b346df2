"""
A TCP server that does to each connection what a script says, and keeps its own books.

For what a well-behaved server never does: reset, fall silent, cut an answer in the middle.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import Factory, define

Script = Callable[["Connection"], None]


@define(eq=False)
class Connection:
    """One accepted connection, in a thread of its own."""

    sock: socket.socket
    server: RawServer
    number: int

    def read_request(self) -> bytes:
        """Read one whole request, head and body, and enter it in the books."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, body = data.split(b"\r\n\r\n", 1)
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += self._receive()
        self.server.requests.append(head + b"\r\n\r\n" + body)
        return head

    def _receive(self) -> bytes:
        chunk = self.sock.recv(65536)
        if not chunk:
            raise ConnectionError("the client closed")
        self.server.bytes_received += len(chunk)
        return chunk

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(
        self,
        status: int,
        body: bytes,
        *,
        headers: bytes = b"",
        cut: int | None = None,
        kind: bytes = b"application/json",
    ) -> None:
        """Send an answer, or only the first `cut` bytes of its body."""
        self.send(
            b"HTTP/1.1 %d Whatever\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n"
            % (status, kind, len(body), headers)
            + body[:cut]
        )

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def stay_silent(self) -> None:
        """Read whatever comes until the client gives up."""
        while self.sock.recv(65536):
            pass


@define(eq=False)
class RawServer:
    """What the other side saw."""

    script: Script
    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[bytes] = Factory(list)
    bytes_received: int = 0
    connections: int = 0
    closed: int = 0
    _closing: threading.Condition = Factory(threading.Condition)

    @property
    def base_url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    @property
    def posts(self) -> list[bytes]:
        """The creates that arrived whole."""
        return [request for request in self.requests if request.startswith(b"POST ")]

    def _serve(self, sock: socket.socket) -> None:
        self.connections += 1
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                sock.settimeout(10)
                self.script(Connection(sock, self, self.connections))
        except OSError:
            pass  # the client left, as many tests want it to
        finally:
            with self._closing:
                self.closed += 1
                self._closing.notify_all()

    def wait_until_closed(self) -> None:
        """Return when every connection there was has been closed on this side."""
        with self._closing:
            assert self._closing.wait_for(lambda: self.closed == self.connections, 5)


@contextmanager
def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """Serve on a free port of this machine until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = RawServer(script, port=listener.getsockname()[1], tls=tls)
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=server._serve, args=(sock,), daemon=True)
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for thread in threads:
            thread.join(5)
