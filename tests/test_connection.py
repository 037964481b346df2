"""One connection of our own: HTTP/1.1 as servers really speak it, and when it may be used again."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading

import anyio
import anyio.lowlevel
import pytest
import trustme

import liangxin
from liangxin import RawInput
from tests.raw_server import Connection, Script, serving

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
CREATED = json.dumps({"code": 200, "data": {"taskId": "task_1"}}).encode()
RECORD = json.dumps({"code": 200, "data": {"taskId": "task_1", "state": "waiting"}}).encode()


def saying(answer: bytes) -> Script:
    """Answer a request with these bytes, and hang up."""

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(answer)

    return script


def whole(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(line + b"\r\n" for line in (*headers, b"Content-Length: %d" % len(body)))
    return b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + body


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"1;note=x\r\n%c\r\n" % byte for byte in RECORD)
    + b"0\r\nX-Trailer: yes\r\n\r\n"
)


@pytest.mark.parametrize(
    "answer",
    [
        whole(RECORD),
        whole(RECORD, b"content-TYPE: application/json", b"X-A: 1", b"X-A: 2"),
        CHUNKED,
        b"HTTP/1.1 200 OK\r\n\r\n" + RECORD,
        b"HTTP/1.0 200 OK\r\n\r\n" + RECORD,
        b"HTTP/1.1 200 \r\nContent-Length: %d\r\n\r\n" % len(RECORD) + RECORD,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        + whole(RECORD),
        b"HTTP/1.1 200 OK\nContent-Length: %d\n\n" % len(RECORD) + RECORD,
    ],
    ids=["length", "headers", "chunked", "until-close", "1.0", "no-reason", "1xx", "bare-newlines"],
)
async def test_every_way_of_framing_an_answer_is_read(answer: bytes) -> None:
    with serving(saying(answer)) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url) as client:
            assert (await client.get_task("task_1")).id == "task_1"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        b"HTTP/2 200\r\n\r\n",
    ],
    ids=lambda answer: repr(answer[:40]),
)
async def test_what_is_not_http_is_an_answer_lost(answer: bytes) -> None:
    with serving(saying(answer)) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url, timeout=5) as client:
            with pytest.raises(liangxin.TransportError) as look:
                await client.get_task("task_1")
            with pytest.raises(liangxin.AmbiguousCreate):
                await client.create_task(POSTER)
            assert not isinstance(look.value, liangxin.NotSent)
            assert client._transport.open_connections == 0
    assert len(server.posts) == 1


@pytest.mark.parametrize(
    "last",
    [
        whole(RECORD, b"Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(RECORD) + RECORD,
        whole(RECORD) + b"HTTP/1.1 200 OK\r\n",
    ],
    ids=["close", "1.0", "bytes-nobody-asked-for"],
)
async def test_a_connection_that_is_done_for_carries_nothing_more(last: bytes) -> None:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.send(last)
        connection.stay_silent()

    with serving(script) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url) as client:
            for _ in range(3):
                await client.get_task("task_1")
            assert client._transport.open_connections == 0
    assert server.connections == 3


@pytest.mark.parametrize("parting", ["hangs up", "says something unasked"])
async def test_a_connection_gone_stale_is_found_before_a_create_leaves_on_it(parting: str) -> None:
    answered = threading.Event()

    def script(connection: Connection) -> None:
        connection.read_request()
        connection.answer(200, RECORD if connection.number == 1 else CREATED)
        if connection.number == 1 and answered.wait(5) and parting == "hangs up":
            return
        if connection.number == 1:
            connection.send(whole(CREATED))
        connection.stay_silent()

    with serving(script) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url) as client:
            await client.get_task("task_1")
            (kept,) = client._transport._idle
            answered.set()
            with anyio.fail_after(5):
                while not kept.is_stale:
                    await anyio.lowlevel.checkpoint()
            assert (await client.create_task(POSTER)).id == "task_1"
    assert len(server.posts) == 1
    assert server.connections == 2


async def test_an_answer_that_comes_before_all_was_read_counts() -> None:
    too_large = json.dumps({"code": 413, "msg": "too large"}).encode()

    def refuse_early(connection: Connection) -> None:
        connection.sock.recv(1000)
        connection.answer(413, too_large, headers=b"Connection: close\r\n")
        connection.sock.shutdown(1)
        while connection.sock.recv(65536):
            pass

    huge = RawInput("z-image", {"prompt": "x" * 8_000_000})
    with serving(refuse_early) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url) as client:
            with pytest.raises(liangxin.PayloadTooLarge):
                await client.create_task(huge)


async def test_a_request_leaves_in_one_piece() -> None:
    # In two, the second waits for the other side's delayed acknowledgement of the first.
    pieces: list[bytes] = []

    def script(connection: Connection) -> None:
        pieces.append(connection.sock.recv(65536))
        connection.answer(200, CREATED)

    with serving(script) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url) as client:
            await client.create_task(POSTER)
    assert pieces[0].endswith(b'"a lighthouse in fog"\n  }\n}')


async def test_looks_go_over_tls_by_http_1_1_alone() -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    spoken: list[str | None] = []

    def script(connection: Connection) -> None:
        assert isinstance(connection.sock, ssl.SSLSocket)
        spoken.append(connection.sock.selected_alpn_protocol())
        while True:
            connection.read_request()
            connection.answer(200, RECORD)

    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with serving(script, tls=tls) as server:
        async with liangxin.AsyncClient("k", base_url=server.base_url, verify=trusting) as client:
            for _ in range(3):
                await client.get_task("task_1")
    assert spoken == ["http/1.1"]


def test_a_client_that_needs_no_proxy_does_not_import_httpx() -> None:
    program = (
        "import sys, anyio, liangxin\n"
        "async def main():\n"
        "    async with liangxin.AsyncClient('k', base_url='http://127.0.0.1:9') as client:\n"
        "        try:\n"
        "            await client.get_task('a')\n"
        "        except liangxin.NotSent:\n"
        "            sys.exit('httpx' in sys.modules)\n"
        "anyio.run(main)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
