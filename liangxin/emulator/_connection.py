"""Takes a connection down under a request: ASGI has no word for it, so the server is asked."""

from __future__ import annotations

from typing import Protocol, cast

from starlette.types import Receive


class Droppable(Protocol):
    """What is needed of a transport: asyncio's has both, the in-process one too."""

    def abort(self) -> None:
        """Go down at once; what is still in the buffer is lost."""

    def close(self) -> None:
        """Go down after what was written is sent."""


async def hang_up(receive: Receive, *, after_sending: bool = False) -> None:
    """
    Drop the connection that `receive` belongs to, and return once it is down.

    uvicorn's `receive` is a method of its request-response cycle, which holds the transport, in
    both its h11 and its httptools implementation since 0.11.  The in-process transport is built
    the same way.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("this ASGI server gives no way to drop a connection: run it on uvicorn")
    connection = cast(Droppable, transport)
    if after_sending:
        connection.close()
    else:
        connection.abort()
    await gone(receive)


async def gone(receive: Receive) -> None:
    """Return once the connection that `receive` belongs to is down; its request has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass
