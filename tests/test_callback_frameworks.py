"""
The receiver inside the frameworks that people use, each started for real, with real callbacks.

The emulator posts to a port of this machine where the framework serves the receiver.  Nobody looks
at a task by the clock, so what is found, a callback has told.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import django
import httpx
import pytest
import uvicorn
import werkzeug.serving
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import clear_url_caches, re_path
from django.views.decorators.csrf import csrf_exempt
from fastapi import FastAPI
from flask import Flask, request
from litestar import Litestar, asgi, post
from litestar.types import Receive, Scope, Send
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from liangxin import AsyncClient, Client, RawInput
from liangxin.callbacks import CallbackReceiver
from liangxin.emulator import Emulator
from tests.test_callback_receiver import free_port

TASKS = 20
NEVER = 3600.0
POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})

Options: TypeAlias = dict[str, Any]
Serving: TypeAlias = AbstractContextManager[None]
Site: TypeAlias = Callable[[CallbackReceiver, Options, socket.socket], Serving]
"""Serves an app on a socket: the receiver at /liangxin, and a page /posters that makes a poster."""


# --- ASGI ----------------------------------------------------------------------------------------


@contextmanager
def under_uvicorn(
    app: Any, listener: socket.socket, http: Literal["h11", "httptools"] = "httptools"
) -> Iterator[None]:
    # "auto" would, before uvicorn 0.36, make uvloop the policy of all tests that come after.
    config = uvicorn.Config(app, http=http, loop="asyncio", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


class Studio:
    """What an app keeps for its lifetime: a client, opened in the event loop of the app."""

    client: AsyncClient

    def __init__(self, receiver: CallbackReceiver, options: Options) -> None:
        self._options = {"callbacks": receiver, **options}

    @asynccontextmanager
    async def open(self, app: object) -> AsyncIterator[None]:
        async with AsyncClient(**self._options) as self.client:
            yield

    async def poster(self) -> str:
        return (await self.client.run(POSTER, timeout=20)).id


def fastapi_site(receiver: CallbackReceiver, options: Options, listener: socket.socket) -> Serving:
    studio = Studio(receiver, options)
    app = FastAPI(lifespan=studio.open)
    app.mount("/liangxin", receiver)

    @app.post("/posters")
    async def posters() -> str:
        return await studio.poster()

    return under_uvicorn(app, listener)


def starlette_site(
    receiver: CallbackReceiver, options: Options, listener: socket.socket
) -> Serving:
    studio = Studio(receiver, options)

    async def posters(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await studio.poster())

    routes = [Mount("/liangxin", receiver), Route("/posters", posters, methods=["POST"])]
    return under_uvicorn(Starlette(routes=routes, lifespan=studio.open), listener, "h11")


def litestar_site(receiver: CallbackReceiver, options: Options, listener: socket.socket) -> Serving:
    studio = Studio(receiver, options)

    @asgi("/liangxin", is_mount=True, copy_scope=False)
    async def callbacks(scope: Scope, receive: Receive, send: Send) -> None:
        await receiver(scope, receive, send)  # type: ignore[arg-type]  # it narrows its messages

    @post("/posters")
    async def posters() -> str:
        return await studio.poster()

    app = Litestar([callbacks, posters], lifespan=[studio.open], logging_config=None)
    return under_uvicorn(app, listener)


# --- WSGI ----------------------------------------------------------------------------------------


@contextmanager
def under_werkzeug(app: Any, listener: socket.socket) -> Iterator[None]:
    host, port = listener.getsockname()
    server = werkzeug.serving.make_server(host, port, app, threaded=True, fd=listener.fileno())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def flask_site(
    receiver: CallbackReceiver, options: Options, listener: socket.socket
) -> Iterator[None]:
    app = Flask(__name__)

    @app.post("/liangxin/<token>")
    def callbacks(token: str) -> tuple[str, int]:
        body = request.get_data()
        return "", receiver.handle(request.method, request.path, request.headers, body)

    with Client(callbacks=receiver, **options) as client:

        @app.post("/posters")
        def posters() -> str:
            return client.run(POSTER, timeout=20).id

        with under_werkzeug(app, listener):
            yield


class Urls:
    """What Django calls a module of URLs."""

    urlpatterns: list[Any]


@contextmanager
def django_site(
    receiver: CallbackReceiver, options: Options, listener: socket.socket
) -> Iterator[None]:
    def callbacks(request: HttpRequest) -> HttpResponse:
        method, body = request.method or "", request.body
        return HttpResponse(status=receiver.handle(method, request.path, request.headers, body))

    with Client(callbacks=receiver, **options) as client:

        def posters(request: HttpRequest) -> HttpResponse:
            return HttpResponse(client.run(POSTER, timeout=20).id)

        views = {"^liangxin/": callbacks, "^posters$": posters}
        Urls.urlpatterns = [re_path(path, csrf_exempt(view)) for path, view in views.items()]
        clear_url_caches()
        if not settings.configured:
            settings.configure(ROOT_URLCONF=Urls, ALLOWED_HOSTS=["127.0.0.1"], LOGGING_CONFIG=None)
            django.setup()
        with under_werkzeug(WSGIHandler(), listener):
            yield


# --- the tests -----------------------------------------------------------------------------------

SITES: dict[str, Site] = {
    "FastAPI": fastapi_site,
    "Starlette": starlette_site,
    "Litestar": litestar_site,
    "Flask": flask_site,
    "Django": django_site,
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, server: Emulator) -> Iterator[str]:
    """A framework that serves an app of ours, a client in it, and the app's address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    receiver = CallbackReceiver(f"{url}/liangxin")
    options = {"api_key": "sk-test", "base_url": server.base_url, "poll_interval": NEVER}
    with listener, ExitStack() as open_ones:
        open_ones.enter_context(SITES[request.param](receiver, options, listener))
        yield url


def test_callbacks_find_every_task_with_one_look_each(site: str, server: Emulator) -> None:
    with httpx.Client(trust_env=False, timeout=30) as browser, ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: browser.post(f"{site}/posters").text, range(TASKS)))
    assert {each.strip('"') for each in made} == set(server.tasks)
    assert len(server.charges) == len(server.callbacks) == TASKS
    assert {(each.status, each.attempt) for each in server.callbacks} == {(200, 1)}
    assert server.looks == TASKS


def test_a_stranger_is_refused_by_the_receiver_wherever_it_lives(
    site: str, server: Emulator
) -> None:
    with httpx.Client(trust_env=False, timeout=30) as stranger:
        stranger.post(f"{site}/posters").raise_for_status()
        [url] = [each.callback_url for each in server.tasks.values()]
        assert url is not None
        body = {"data": {"taskId": "task_z-image_1", "state": "fail"}}
        assert stranger.post(url, json=body).status_code == 200  # once more, as services do
        assert stranger.post(url[:-1] + "_", json=body).status_code == 404
        assert stranger.get(url).status_code == 405
        gzipped = {"Content-Encoding": "gzip"}
        assert stranger.post(url, content=b"x", headers=gzipped).status_code == 415
        assert stranger.post(url, content=b" " * (256 * 1024 + 1)).status_code == 413
    assert server.looks == 1


# --- the documentation ---------------------------------------------------------------------------

PAGE = Path(__file__).parents[1] / "docs" / "callbacks.md"
COMMANDS = {
    "FastAPI": ["uvicorn", "posters:app", "--no-access-log", "--port"],
    "Flask": ["flask", "--app", "posters", "run", "--port"],
}


@pytest.mark.parametrize("framework", COMMANDS)
def test_the_services_of_the_documentation_run_as_they_are_written(
    framework: str, tmp_path: Path
) -> None:
    page = PAGE.read_text(encoding="utf-8")
    _, block = page.split(f"<!-- run: {framework} -->\n```python\n")
    (tmp_path / "posters.py").write_text(block.partition("```")[0], encoding="utf-8")
    port, emulator = free_port(), Emulator(durations=0.5)
    site = f"http://127.0.0.1:{port}"
    with emulator.serve() as url, (tmp_path / "words").open("w+") as words:
        told = {"LIANGXIN_API_KEY": "sk-canary-4711", "LIANGXIN_BASE_URL": url}
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[framework], str(port)],
            cwd=tmp_path,
            env={**os.environ, **told, "PUBLIC_URL": f"{site}/liangxin"},
            stderr=words,
        )
        # It connects again while the program starts.
        transport = httpx.HTTPTransport(retries=7)
        try:
            with httpx.Client(transport=transport, timeout=30) as browser:
                made = browser.post(f"{site}/posters", params={"prompt": "a lighthouse in fog"})
                assert made.status_code == 200
                assert browser.get(made.json()[0]).headers["content-type"].startswith("image/")
        finally:
            process.terminate()
            process.wait(20)
        words.seek(0)
        said = words.read()
    [task_id] = emulator.tasks
    assert [(each.task_id, each.status) for each in emulator.callbacks] == [(task_id, 200)]
    assert emulator.looks_of(task_id) == 1
    assert "sk-canary-4711" not in said
    assert "Traceback" not in said
