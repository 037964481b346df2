"""
The ways to run a service of this package: in process, or on a port of this machine.

What the service does is its application's affair; what it prints is the program's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from liangxin.emulator._server import serve_in_thread

if TYPE_CHECKING:
    import httpx

IN_PROCESS_URL = "http://127.0.0.1:9"


class Runnable:
    """An application that can be reached within an event loop, and served by a thread."""

    app: ASGIApp
    _public_url: str | None = None
    _served_url: str | None = None

    @property
    def base_url(self) -> str:
        """Where the service is: on its port while served, else a stand-in for in-process use."""
        return self._served_url or self._public_url or IN_PROCESS_URL

    def transport(self) -> httpx.AsyncBaseTransport:
        """Return an httpx transport that reaches the service within this event loop."""
        from liangxin.emulator._inprocess import InProcessTransport  # late: httpx is slow

        return InProcessTransport(self.app)

    @contextlib.contextmanager
    def serve(self, port: int = 0, host: str = "127.0.0.1") -> Iterator[str]:
        """Serve in a daemon thread while the block runs; yields the base URL."""
        if self._served_url is not None:
            raise RuntimeError(f"this is already served on {self._served_url}")
        with serve_in_thread(self.app, host, port) as url:
            self._served_url = url
            try:
                yield url
            finally:
                self._served_url = None
