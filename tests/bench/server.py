"""
The service of the benchmarks: one process, a raw asyncio protocol, the shapes of all services.

It answers as fast as Python can and keeps the books.  It parses just enough HTTP/1.1 for the
clients that are measured, and serves nobody else: no TLS, no chunked bodies.

    python -m tests.bench.server        prints its port, and ends with its standard input
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from tests.bench import shapes
from tests.bench.books import Books

LIFETIME = 1200.0
"""Seconds after which it ends by itself, whatever happens to whoever started it."""


class Service:
    """Routes, books and connections."""

    def __init__(self) -> None:
        self.books = Books()
        self.latency = 0.0
        self.connections: set[Connection] = set()
        self.most = 0

    def answer(self, method: str, target: str, host: str) -> bytes:
        """The body of the answer to one request, or an empty one for what is not known."""
        path, _, query = target.partition("?")
        if path.startswith("/_bench/"):
            return self._control(path, query)
        self.books.requests += 1
        now = time.monotonic()
        if path.startswith("/api/v1/jobs/recordInfo"):
            task = query[7:]  # taskId=
            done = self.books.look(task, now)
            return (shapes.LIANGXIN_DONE if done else shapes.LIANGXIN_PENDING)(task)
        if method == "POST":
            return self._create(path, host, now)
        return self._look(path, now)

    def _create(self, path: str, host: str, now: float) -> bytes:
        created: dict[str, Callable[[str], bytes]] = {
            "/api/v1/jobs/createTask": shapes.LIANGXIN_CREATED,
            "/v1/videos": shapes.OPENAI_CREATED,
            "/v1/predictions": shapes.REPLICATE_CREATED,
            "/v1/text_to_image": shapes.RUNWAY_CREATED,
            "/acme/lighthouse": lambda task: shapes.fal_created(task, host),
        }
        if path not in created:
            self.books.refused += 1
            return b""
        return created[path](self.books.create(now))

    def _look(self, path: str, now: float) -> bytes:
        start, _, task = path.rpartition("/")
        if task == "status":
            task = start.rpartition("/")[2]
            return (shapes.FAL_DONE if self.books.look(task, now) else shapes.FAL_PENDING)(task)
        services = {
            "/v1/videos": (shapes.OPENAI_PENDING, shapes.OPENAI_DONE),
            "/v1/predictions": (shapes.REPLICATE_PENDING, shapes.REPLICATE_DONE),
            "/v1/tasks": (shapes.RUNWAY_PENDING, shapes.RUNWAY_DONE),
            "/acme/lighthouse/requests": (shapes.FAL_RESULT, shapes.FAL_RESULT),
        }
        if start not in services:
            self.books.refused += 1
            return b""
        return services[start][self.books.look(task, now)](task)

    def _control(self, path: str, query: str) -> bytes:
        if path == "/_bench/reset":
            asked = {name: values[0] for name, values in parse_qs(query).items()}
            self.books = Books(
                int(asked.get("tasks", 0)),
                int(asked.get("seed", 1)),
                endless=asked.get("endless") == "1",
            )
            self.latency = float(asked.get("latency", 0))
            self.most = len(self.connections)
        return json.dumps(
            self.books.summary(len(self.connections), self.most, time.process_time())
        ).encode()


class Connection(asyncio.Protocol):
    """One connection; requests are answered in the order in which they come."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        connections = self._service.connections
        connections.add(self)
        self._service.most = max(self._service.most, len(connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._service.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._data = data = self._data + data if self._data else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            end += 4
            if not data.startswith(b"GET "):
                end += _content_length(data[:end])
                if len(data) < end:
                    break
            self._answer(data[:end])
            self._data = data = data[end:]

    def _answer(self, request: bytes) -> None:
        line = request[: request.find(b"\r\n")].decode("latin-1")
        method, target, _ = line.split(" ")
        host = _header(request, b"host") if method == "POST" else ""
        body = self._service.answer(method, target, host)
        status = b"200 OK" if body else b"404 Not Found"
        reply = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            status,
            len(body),
            body,
        )
        if self._service.latency:
            asyncio.get_running_loop().call_later(self._service.latency, self._write, reply)
        else:
            self._write(reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


def _header(request: bytes, name: bytes) -> str:
    start = request.lower().find(b"\r\n" + name + b":")
    if start < 0:
        return ""
    start += len(name) + 3
    return request[start : request.find(b"\r\n", start)].decode("latin-1").strip()


def _content_length(head: bytes) -> int:
    return int(_header(head, b"content-length") or 0)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    service = Service()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    # Whoever started it holds the other end of its standard input.
    loop.add_reader(sys.stdin.fileno(), over.set)
    try:
        await asyncio.wait_for(over.wait(), LIFETIME)
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(sys.stdin.fileno())
        server.close()


if __name__ == "__main__":
    asyncio.run(_serve())
