"""
The emulator on a socket: in a daemon thread for a test or a demo, or as a program of its own.

The port is bound before the server starts, so the address is known at once and a busy port is an
error here and now.
"""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

if TYPE_CHECKING:
    from liangxin.emulator._emulator import Emulator


class _Server(uvicorn.Server):
    """Says when it listens; drops every connection when it stops, so that it stops at once."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


def _server(app: ASGIApp, when_ready: Callable[[], None]) -> _Server:
    # Named, since "auto" may one day mean a server whose connections cannot be dropped.
    http = "httptools" if importlib.util.find_spec("httptools") else "h11"
    config = uvicorn.Config(
        app,
        http=http,
        loop="asyncio",  # uvloop cannot be closed while a connection is on its way
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=1,
    )
    return _Server(config, when_ready)


@contextlib.contextmanager
def serve_in_thread(app: ASGIApp, host: str, port: int) -> Iterator[str]:
    """Serve `app` in a daemon thread while the block runs; yields the base URL."""
    with _listen(host, port) as listener:
        url = _url(host, listener.getsockname()[1])
        settled = threading.Event()
        server = _server(app, settled.set)
        thread = threading.Thread(
            target=_run, args=(server, listener, settled), name="liangxin-emulator", daemon=True
        )
        thread.start()
        try:
            settled.wait()
            if not server.started:
                raise RuntimeError("the emulator did not start; its log says why")
            yield url
        finally:
            server.should_exit = True
            thread.join()


def _run(server: _Server, listener: socket.socket, settled: threading.Event) -> None:
    try:
        server.run(sockets=[listener])
    finally:
        settled.set()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # asyncio does this only for sockets that name their protocol, which these do not; without it,
    # an answer on a kept connection waits 40 ms for the client's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(emulator: Emulator, host: str = "127.0.0.1", port: int = 8787) -> int:
    """
    Serve until interrupted, as a program does; returns the exit code.

    Must run in the main thread: uvicorn takes care of Ctrl-C and SIGTERM while it serves.
    """
    try:
        listener = _listen(host, port)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {host}:{port}: {error.strerror or error}\n")
        return 1
    with listener, contextlib.suppress(KeyboardInterrupt):
        url = _url(host, listener.getsockname()[1])
        server = _server(emulator.app, lambda: _greet(url, emulator.takes_any_key))
        server.run(sockets=[listener])
    return 0


def _greet(url: str, takes_any_key: bool) -> None:
    key = "any-key" if takes_any_key else "<one of your keys>"
    sys.stderr.write(
        f"LiangXin emulator on {url} (Ctrl-C stops it); open that address to watch it\n"
        f"  export LIANGXIN_BASE_URL={url} LIANGXIN_API_KEY={key}\n"
    )
    sys.stderr.flush()
