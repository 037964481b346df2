"""
A program that takes callbacks, in a process of its own: for tests that are rough with it.

    python -m tests.callback_service serving|h11|httptools BASE_URL

It never looks at a task by itself, so what it finds, a callback has told it.  Each line that it
reads is a list of prompts in JSON; it creates a task for each, waits for all, and answers with a
line: the ids of those that it found.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from liangxin import Client, RawInput
from liangxin.callbacks import CallbackReceiver

NEVER = 3600.0


@contextmanager
def mounted(receiver: CallbackReceiver, http: str, listener: socket.socket) -> Iterator[None]:
    """Serve it as a service does that has mounted it, without a proxy in front."""
    app = Starlette(routes=[Mount("/liangxin", receiver)])
    config = uvicorn.Config(
        app,
        http="h11" if http == "h11" else "httptools",
        ws="none",
        log_level="error",
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def served(mode: str) -> Iterator[tuple[CallbackReceiver, int]]:
    """A receiver that is served in one of the ways there are, and its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    port = listener.getsockname()[1]
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/liangxin")
    if mode == "serving":
        listener.close()
        with receiver.serving(port=port):
            yield receiver, port
    else:
        with mounted(receiver, mode, listener):
            yield receiver, port


def main(mode: str, base_url: str) -> None:
    """Do what each line asks for, until there are no more."""
    with (
        served(mode) as (receiver, port),
        Client("sk-test", base_url=base_url, callbacks=receiver, poll_interval=NEVER) as client,
    ):
        print(port, flush=True)
        for line in sys.stdin:
            inputs = [RawInput("z-image", {"prompt": prompt}) for prompt in json.loads(line)]
            with client.run_many(inputs, timeout=30) as outcomes:
                found = [outcome.task.id for outcome in outcomes if outcome.task is not None]
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
