"""The way to the service: addresses, proxies, headers, connections, permits, secrets."""

from __future__ import annotations

import gzip
import json
import pickle
from typing import Any

import anyio
import httpx
import pytest

import liangxin
from liangxin import RawInput
from liangxin._origin import Secret, parse_base_url
from liangxin._transport import _Permits
from liangxin.emulator import Emulator, Fault
from tests.raw_server import Connection, serving

KEY = "sk-canary-4711"
POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
CREATED = json.dumps({"code": 200, "data": {"taskId": "task_1"}}).encode()
RECORD = json.dumps({"code": 200, "data": {"taskId": "task_1", "state": "waiting"}}).encode()


# --- addresses ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/market/v1/", "https://api.example.com/market/v1"),
        ("https://API.Example.com:8443", "https://api.example.com:8443"),
        (" https://api.example.com ", "https://api.example.com"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://emulator.localhost:8787", "http://emulator.localhost:8787"),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://[::1]:8787/x", "http://[::1]:8787/x"),
    ],
)
def test_a_base_url_may_have_a_prefix_a_port_or_a_slash(base_url: str, url: str) -> None:
    assert parse_base_url(base_url).url == url


@pytest.mark.parametrize(
    "base_url",
    [
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://user:secret-4711@api.example.com",
        "https://api.example.com?key=secret-4711",
        "https://api.example.com#x",
        "https://api.example.com:99999",
        "https://[::1",
        "https://" + "a" * 64 + ".example",
        "http://api.example.com",
        "http://192.168.0.1",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
    ],
)
def test_an_address_that_will_not_do_is_refused_with_a_sentence(base_url: str) -> None:
    with pytest.raises(liangxin.InputError) as caught:
        liangxin.AsyncClient(KEY, base_url=base_url)
    assert caught.value.field == "base_url"
    assert "secret-4711" not in str(caught.value)


def test_without_an_address_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIANGXIN_BASE_URL", raising=False)
    with pytest.raises(liangxin.InputError, match=r"LIANGXIN_BASE_URL.*liangxin emulator"):
        liangxin.AsyncClient(KEY)


def test_address_and_key_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIANGXIN_BASE_URL", "https://api.example.com/x/")
    monkeypatch.setenv("LIANGXIN_API_KEY", KEY)
    assert liangxin.AsyncClient().base_url == "https://api.example.com/x"


@pytest.mark.parametrize("key", ["", "  ", "sk-a\r\nHost: evil", "sk-ü", "sk-a b"])
def test_a_key_that_cannot_be_one_is_refused_and_not_repeated(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIANGXIN_API_KEY", raising=False)
    with pytest.raises(liangxin.InputError) as caught:
        liangxin.AsyncClient(key, base_url="https://api.example.com")
    assert caught.value.field == "api_key"
    assert caught.value.value is None


@pytest.mark.parametrize(
    "option",
    [
        {"timeout": 0},
        {"create_timeout": -1},
        {"max_connections": 0},
        {"max_retries": -1},
        {"poll_budget": 0},
        {"min_interval": 0},
        {"max_interval": 0.1},
        {"lag_weight": 0},
        {"poll_interval": 0},
        {"verify": "/no/such/file.pem"},
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused_by_name(option: dict[str, Any]) -> None:
    with pytest.raises(liangxin.InputError) as caught:
        liangxin.AsyncClient(KEY, base_url="https://api.example.com", **option)
    assert caught.value.field == next(iter(option))


# --- the key --------------------------------------------------------------------------------


def test_the_key_shows_itself_nowhere() -> None:
    client = liangxin.AsyncClient(KEY, base_url="https://api.example.com")
    secret = Secret(KEY)
    assert KEY not in f"{secret}{secret!r}{client!r}{client._transport!r}{vars(client)!r}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


async def test_the_key_is_in_no_log(
    server: Emulator, options_of: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with liangxin.AsyncClient(**options_of) as client:
        await client.run(POSTER)
    assert "recordInfo" in caplog.text
    assert options_of["api_key"] not in caplog.text


# --- requests -------------------------------------------------------------------------------


def answer_all(connection: Connection) -> None:
    while True:
        head = connection.read_request()
        connection.answer(200, CREATED if head.startswith(b"POST") else RECORD)


async def test_a_request_says_what_it_must_and_nothing_else() -> None:
    with serving(answer_all) as server:
        base_url = server.base_url.replace("localhost", "127.0.0.1") + "/prefix/"
        async with liangxin.AsyncClient(KEY, base_url=base_url) as client:
            await client.create_task(POSTER)
            await client.get_task("task_1")
    create, look = server.requests
    lines = create.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[0] == b"POST /prefix/api/v1/jobs/createTask HTTP/1.1"
    headers = dict(line.lower().split(b": ", 1) for line in lines[1:])
    assert headers.pop(b"user-agent").startswith(b"liangxin-python/")
    assert len(headers.pop(b"idempotency-key")) == 32
    assert headers == {
        b"host": base_url.split("/")[2].encode(),
        b"accept": b"application/json",
        b"accept-encoding": b"identity",
        b"authorization": b"bearer " + KEY.encode(),
        b"content-type": b"application/json",
        b"content-length": str(len(create.split(b"\r\n\r\n", 1)[1])).encode(),
    }
    assert look.startswith(b"GET /prefix/api/v1/jobs/recordInfo?taskId=task_1 HTTP/1.1\r\n")
    assert b"idempotency-key" not in look.lower()


async def test_a_redirect_is_not_followed() -> None:
    def redirect(connection: Connection) -> None:
        while True:
            connection.read_request()
            connection.answer(302, b"", headers=b"Location: /elsewhere\r\nSet-Cookie: a=b\r\n")

    with serving(redirect) as server:
        async with liangxin.AsyncClient(KEY, base_url=server.base_url) as client:
            for _ in range(2):
                with pytest.raises(liangxin.APIError, match="302"):
                    await client.get_task("task_1")
    assert len(server.requests) == 2
    assert not [each for each in server.requests if b"elsewhere" in each or b"ookie" in each]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_an_answer_that_was_compressed_unasked_is_read(encoding: str) -> None:
    body = gzip.compress(RECORD)  # zlib's own header detection takes either

    def compressed(connection: Connection) -> None:
        connection.read_request()
        connection.answer(200, body, headers=f"Content-Encoding: {encoding}\r\n".encode())

    with serving(compressed) as server:
        async with liangxin.AsyncClient(KEY, base_url=server.base_url) as client:
            assert (await client.get_task("task_1")).id == "task_1"


async def test_a_compressed_bomb_does_not_go_off() -> None:
    body = gzip.compress(b"0" * 100_000_000)

    def bomb(connection: Connection) -> None:
        connection.read_request()
        connection.answer(200, body, headers=b"Content-Encoding: gzip\r\n")

    with serving(bomb) as server:
        async with liangxin.AsyncClient(KEY, base_url=server.base_url) as client:
            with pytest.raises(liangxin.UnexpectedReply, match="inflates"):
                await client.get_task("task_1")


async def test_an_answer_in_drips_meets_the_total_deadline() -> None:
    def drip(connection: Connection) -> None:
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.send(b" ")
            connection.sock.settimeout(0.01)
            try:
                if not connection.sock.recv(1):
                    return
            except TimeoutError:
                pass

    with serving(drip) as server:
        async with liangxin.AsyncClient(KEY, base_url=server.base_url, timeout=0.3) as client:
            with pytest.raises(liangxin.TransportError, match=r"within 0\.3 s"):
                await client.get_task("task_1")


async def test_ones_own_transport_is_used_and_closed() -> None:
    class Mine(httpx.MockTransport):
        closed = 0

        async def aclose(self) -> None:
            self.closed += 1

    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=CREATED)

    mine = Mine(answer)
    async with liangxin.AsyncClient(KEY, base_url="https://x.example", transport=mine) as client:
        assert (await client.create_task(POSTER)).id == "task_1"
    assert [request.url.path for request in seen] == ["/api/v1/jobs/createTask"]
    assert mine.closed == 1


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_answer_that_repeats_the_key_is_read_without_it(status: int) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        said = f"invalid header {request.headers['authorization']}"
        return httpx.Response(status, json={"code": status, "msg": said, "data": None})

    client = liangxin.AsyncClient(
        KEY, base_url="https://x.example", transport=httpx.MockTransport(answer)
    )
    async with client:
        with pytest.raises(liangxin.LiangxinError) as caught:
            await client.create_task(POSTER)
    assert KEY not in repr(vars(caught.value)) + str(caught.value)
    assert isinstance(caught.value, liangxin.BadRequest) is (status == 400)


# --- proxies --------------------------------------------------------------------------------


def refuse_connect(connection: Connection) -> None:
    connection.read_request()
    connection.answer(407, b"")


async def test_the_environment_names_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(refuse_connect) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with liangxin.AsyncClient(KEY, base_url="https://x.example") as client:
            with pytest.raises(liangxin.TransportError):
                await client.get_task("task_1")
        assert proxy.requests[0].startswith(b"CONNECT x.example:443 ")
        assert KEY.encode() not in proxy.requests[0]


async def test_the_environment_exempts_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(refuse_connect) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.base_url)
        monkeypatch.setenv("NO_PROXY", "x.invalid")
        async with liangxin.AsyncClient(KEY, base_url="https://x.invalid") as client:
            with pytest.raises(liangxin.TransportError):
                await client.get_task("task_1")
        assert proxy.requests == []


async def test_this_machine_is_never_reached_by_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(refuse_connect) as proxy, serving(answer_all) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        monkeypatch.setenv("ALL_PROXY", proxy.base_url)
        async with liangxin.AsyncClient(KEY, base_url=server.base_url) as client:
            await client.get_task("task_1")
        assert proxy.requests == []


# --- connections ----------------------------------------------------------------------------


async def test_connections_are_kept_and_bounded() -> None:
    with serving(answer_all) as server:
        async with liangxin.AsyncClient(KEY, base_url=server.base_url, max_connections=4) as client:
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(client.get_task, "task_1")
            assert client._transport.open_connections <= 4
        assert client._transport.open_connections == 0
    assert len(server.requests) == 100
    assert server.connections <= 4


async def test_looks_and_creates_take_turns_for_permits() -> None:
    permits = _Permits(1)
    await permits.acquire("look")
    served: list[str] = []

    async def use(lane: Any) -> None:
        await permits.acquire(lane)
        served.append(lane)
        permits.release()

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(use, "look")
        await anyio.wait_all_tasks_blocked()
        for _ in range(4):
            group.start_soon(use, "create")
        await anyio.wait_all_tasks_blocked()
        permits.release()
    assert served == ["create", "look"] * 4


async def test_a_permit_that_was_granted_to_a_cancelled_waiter_is_passed_on() -> None:
    permits = _Permits(1)
    await permits.acquire("look")

    async def use() -> None:
        await permits.acquire("look")
        permits.release()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(use)
            await anyio.wait_all_tasks_blocked()
            permits.release()
            scope.cancel()
    with anyio.fail_after(1):
        await permits.acquire("create")


# --- states of the client -------------------------------------------------------------------


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    client = liangxin.AsyncClient(KEY, base_url="https://x.example")
    for call in (client.create_task(POSTER), client.get_task("a"), client.wait("a")):
        with pytest.raises(liangxin.ClientStateError, match="async with AsyncClient"):
            await call


async def test_a_closed_client_says_so() -> None:
    async with liangxin.AsyncClient(KEY, base_url="https://x.example") as client:
        await client.aclose()
        with pytest.raises(liangxin.ClientStateError, match="closed"):
            await client.create_task(POSTER)
        await client.aclose()
    with pytest.raises(liangxin.ClientStateError, match="opened once"):
        async with client:
            pass


async def test_closing_inside_the_block_leaves_the_block_alone() -> None:
    with serving(answer_all) as server:
        async with liangxin.AsyncClient(KEY, base_url=server.base_url) as client:
            await client.create_task(POSTER)
            await client.aclose()
            await anyio.sleep(0.001)  # would raise if the block had been cancelled
        async with liangxin.AsyncClient(KEY, base_url=server.base_url) as client:
            assert (await client.create_task(POSTER)).id == "task_1"


async def test_what_the_block_raises_arrives_as_itself() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with liangxin.AsyncClient(KEY, base_url="https://x.example"):
            raise KeyError("mine")


@pytest.mark.virtual_time
async def test_closing_sees_through_what_has_left_and_gives_up_what_has_not(
    emulator: Emulator, client_of: Any
) -> None:
    emulator.add_fault(Fault("create", "delay", delay=20, prompt="slow"))
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "200"}, prompt="later"))
    results: dict[str, object] = {}

    async def create(client: liangxin.AsyncClient, prompt: str) -> None:
        try:
            results[prompt] = await client.create_task(RawInput("z-image", {"prompt": prompt}))
        except liangxin.LiangxinError as exc:
            results[prompt] = exc

    async with client_of() as client, anyio.create_task_group() as group:
        group.start_soon(create, client, "slow")
        await anyio.sleep(0.1)
        group.start_soon(create, client, "later")
        await anyio.sleep(0.9)
        await client.aclose()
        assert anyio.current_time() == pytest.approx(20, abs=0.1)
    assert isinstance(results["slow"], liangxin.Task)
    assert isinstance(results["later"], liangxin.NotSent)
    assert [charge.task_id for charge in emulator.charges] == [results["slow"].id]


@pytest.mark.virtual_time
async def test_a_block_that_is_cancelled_still_sees_through_what_has_left(
    emulator: Emulator, client_of: Any
) -> None:
    emulator.add_fault(Fault("create", "delay", delay=20, count=None))
    with anyio.move_on_after(5) as scope:
        async with client_of() as client:
            await client.create_task(POSTER)
    assert scope.cancelled_caught
    assert [outcome.task.id for outcome in client.unclaimed] == [
        charge.task_id for charge in emulator.charges
    ]
