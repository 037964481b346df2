"""
A receiver of callbacks on a port of its own: uvicorn in a daemon thread.

What a proxy in front would do, it does itself: whoever keeps a connection without asking for
anything is put out, and no more are let in than a process can bear.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import uvicorn

from liangxin._errors import ClientStateError

if TYPE_CHECKING:
    from liangxin.callbacks import CallbackReceiver

HEADER_TIMEOUT = 10.0
"""Seconds, about, that a connection may stay open without a whole request."""
MAX_CONNECTIONS = 1000


class _Server(uvicorn.Server):
    """Tells when it has started or failed to, and puts out whoever asks for nothing."""

    def __init__(self, config: uvicorn.Config, settled: threading.Event) -> None:
        super().__init__(config)
        self._settled = settled
        self._idle: dict[object, float] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._settled.set()

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            self._put_out()
        return await super().on_tick(counter)

    def _put_out(self) -> None:
        now = anyio.current_time()
        idle = [each for each in self.server_state.connections if getattr(each, "cycle", 0) is None]
        self._idle = {each: self._idle.get(each, now) for each in idle}
        for connection, since in self._idle.items():
            if now - since > HEADER_TIMEOUT:
                connection.transport.abort()  # type: ignore[attr-defined]  # every protocol has it


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
    return uvicorn.Config(
        receiver,
        http="h11",  # which bounds the headers; httptools does not
        h11_max_incomplete_event_size=16 * 1024,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,  # it would show the tokens
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
