"""The ways to run: in process, in a thread, as a program."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from liangxin.emulator import Emulator, Fault
from tests.emulator.service import KEY, client_of, create, order

CREATE = "/api/v1/jobs/createTask"


@pytest.mark.anyio
async def test_the_trace_hook_is_called_before_the_service_sees_anything(
    emulator: Emulator,
) -> None:
    seen: list[Any] = []

    async def hook(name: str, info: dict[str, Any]) -> None:
        seen.append((name, info["request"].method, info["request"].url.target))
        assert not emulator.requests

    async with client_of(emulator) as client:
        request = client.build_request("POST", f"{CREATE}?a=b", json=order())
        request.extensions["trace"] = hook
        await client.send(request)
    name = "http11.send_request_headers.started"
    assert seen == [(name, b"POST", f"{CREATE}?a=b".encode())]
    assert len(emulator.requests) == 1


@pytest.mark.anyio
async def test_a_hook_that_raises_keeps_the_request_from_the_service(
    emulator: Emulator,
) -> None:
    async def hook(name: str, info: dict[str, Any]) -> None:
        raise OSError("disk full")

    async with client_of(emulator) as client:
        request = client.build_request("POST", CREATE, json=order())
        request.extensions["trace"] = hook
        with pytest.raises(OSError, match="disk full"):
            await client.send(request)
    assert not emulator.requests
    assert not emulator.charges


@pytest.mark.anyio
async def test_a_cancelled_caller_leaves_the_service_in_order(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", "delay", delay=60))
    async with client_of(emulator) as client:
        with anyio.move_on_after(0.01):
            await client.post(CREATE, json=order())
    assert len(emulator.charges) == len(emulator.tasks) == 1
    await create(emulator, order())


def test_serving_sets_the_base_url_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    emulator = Emulator()
    with emulator.serve() as url:
        assert emulator.base_url == url
        assert set(threading.enumerate()) != before
        headers = {"Authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=url, headers=headers) as client:
            assert client.post(CREATE, json=order()).status_code == 200
            # The client's connection is still open when the block ends.
            parts = urlsplit(url)
            held = socket.create_connection((parts.hostname, parts.port))
    held.close()
    assert set(threading.enumerate()) == before
    assert emulator.base_url != url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_an_emulator_can_be_served_again_and_keeps_its_books() -> None:
    emulator = Emulator()
    for expected in (1, 2):
        with emulator.serve() as url:
            httpx.post(f"{url}{CREATE}", json=order(), headers={"Authorization": "Bearer k"})
        assert len(emulator.charges) == expected


def test_serving_twice_at_once_is_refused() -> None:
    emulator = Emulator()
    with (
        emulator.serve(),
        pytest.raises(RuntimeError, match="already served"),
        emulator.serve(),
    ):
        pass


def test_stopping_does_not_wait_for_an_answer_that_is_held_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    emulator = Emulator()
    emulator.add_fault(Fault("look", "delay", delay=3600))
    with emulator.serve() as url:
        parts = urlsplit(url)
        held = socket.create_connection((parts.hostname, parts.port), timeout=10)
        held.sendall(b"GET /api/v1/jobs/recordInfo?taskId=x HTTP/1.1\r\nHost: h\r\n\r\n")
        while not emulator.requests:
            httpx.get(f"{url}/_emulator/ledger")
    with held:
        assert held.recv(100) == b""
    assert not caplog.records


def test_a_busy_port_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(OSError, match="in use"), Emulator().serve(port=port):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_as_a_program_it_greets_serves_and_stops_on_ctrl_c() -> None:
    command = [sys.executable, "-m", "liangxin.emulator", "--port", "0", "--key", KEY]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        greeting = program.stderr.readline()
        url = greeting.split()[3]
        hint = program.stderr.readline()
        assert httpx.get(f"{url}/_emulator/ledger").json()["totals"]["created"] == 0
        reply = httpx.post(f"{url}{CREATE}", json=order(), headers={"Authorization": "Bearer no"})
        assert reply.status_code == 401
        os.kill(program.pid, signal.SIGINT)
        rest = program.stderr.read()
        assert program.wait(10) == 0
    assert f"LIANGXIN_BASE_URL={url}" in hint
    assert rest == ""
    assert KEY not in greeting + hint


def test_as_a_program_a_busy_port_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        command = [sys.executable, "-m", "liangxin.emulator", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot listen on 127.0.0.1:{port}")
    assert len(done.stderr.splitlines()) == 1


def test_without_the_extra_one_sentence_says_what_to_install() -> None:
    code = "import sys; sys.modules['starlette'] = None; import liangxin.emulator"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert 'pip install "liangxin[emulator]"' in done.stderr


def test_the_emulator_shares_no_code_with_the_client() -> None:
    code = (
        "import sys, types, pathlib;"
        "package = types.ModuleType('liangxin');"
        "package.__path__ = [str(pathlib.Path('liangxin').absolute())];"
        "sys.modules['liangxin'] = package;"
        "import liangxin.emulator, liangxin.emulator._pictures;"
        "mine = [name for name in sys.modules if name.startswith('liangxin.')];"
        "sys.exit(any(not name.startswith('liangxin.emulator') for name in mine))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
