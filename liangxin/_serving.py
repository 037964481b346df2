"""
A receiver of callbacks on a port of its own: uvicorn in a daemon thread.

What a proxy in front would do, it does itself: whoever keeps a connection without asking for
anything is put out, and no more are let in than a process can bear.  uvicorn's own loggers, which
may be those of another server in the process, are left as they are.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from liangxin._errors import ClientStateError

if TYPE_CHECKING:
    from liangxin.callbacks import CallbackReceiver

HEADER_TIMEOUT = 10.0
"""Seconds, about, that a connection may stay open without another request being answered."""
MAX_CONNECTIONS = 1000
"""With more than these, whoever was answered least lately makes room."""

log = logging.getLogger("liangxin.serving")
log.setLevel(logging.ERROR)  # a warning for each request that is no HTTP would be a flood


class _Protocol(H11Protocol):
    """A connection that knows when it was made, or last answered."""

    answered_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.logger = log
        self.access_log = False  # it would show the tokens
        self.answered_at = self.loop.time()
        if len(self.connections) > MAX_CONNECTIONS:
            min(_in(self.connections), key=lambda each: each.answered_at).put_out()

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except ValueError:  # h11 before 0.15, at a length of thousands of digits
            self.transport.abort()

    def on_response_complete(self) -> None:
        self.answered_at = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        # To what breaks in its body, uvicorn answers twice, and the second is an error in the log.
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        super().send_400_response(msg)
        if self.cycle is not None:
            self.cycle.disconnected = True

    def put_out(self) -> None:
        self.connections.discard(self)  # before the loop gets to tell, for the next who comes
        self.transport.abort()


class _Server(uvicorn.Server):
    """Tells when it has started or failed to, and puts out whoever asks for nothing."""

    def __init__(self, config: uvicorn.Config, settled: threading.Event) -> None:
        super().__init__(config)
        self._settled = settled

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._settled.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._put_out()
        return await super().on_tick(counter)

    def _put_out(self) -> None:
        overdue = asyncio.get_running_loop().time() - HEADER_TIMEOUT
        for each in _in(self.server_state.connections):
            if each.answered_at < overdue:
                each.put_out()


def _in(connections: Iterable[object]) -> list[_Protocol]:
    return [each for each in connections if isinstance(each, _Protocol)]


@contextmanager
def serving(receiver: CallbackReceiver, host: str, port: int) -> Iterator[int]:
    """Serve while the block runs; yields the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=2048) as listener:
        settled = threading.Event()
        server = _Server(_config(receiver), settled)

        def run() -> None:
            try:
                server.run(sockets=[listener])
            finally:
                settled.set()

        thread = threading.Thread(target=run, name="liangxin-callbacks", daemon=True)
        thread.start()
        try:
            settled.wait()
            if not server.started:
                raise ClientStateError("the receiver of callbacks did not start; its log says why")
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def _config(receiver: CallbackReceiver) -> uvicorn.Config:
    config = uvicorn.Config(
        receiver,
        http=_Protocol,  # h11, which bounds the headers; httptools does not
        h11_max_incomplete_event_size=16 * 1024,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.loaded_app = receiver  # bare: for a log at uvicorn's TRACE it wraps it, to show tokens
    return config
