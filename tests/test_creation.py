"""
createTask at most once: what each way of failing is called, and how often the server saw a POST.

Real sockets, all backends and the blocking client; judged by the server's books.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import h11
import httpx
import pytest
import trustme

import liangxin
from liangxin import RawInput
from liangxin.ledger import Change, Ledger, LedgerRow, LedgerState, Move
from tests.raw_server import Connection, RawServer, Script, serving

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
OPTIONS: dict[str, Any] = {"api_key": "sk-canary-4711", "create_timeout": 0.3, "max_retries": 0}


def created(task_id: object) -> bytes:
    return json.dumps({"code": 200, "msg": "success", "data": {"taskId": task_id}}).encode()


# --- what a server can do -------------------------------------------------------------------


def reset_at_accept(connection: Connection) -> None:
    connection.reset()


def reset_after_the_body(connection: Connection) -> None:
    connection.read_request()
    connection.reset()


def hang_up_after_the_body(connection: Connection) -> None:
    connection.read_request()


def silence(connection: Connection) -> None:
    connection.read_request()
    connection.stay_silent()


def half_an_answer(connection: Connection) -> None:
    connection.read_request()
    connection.answer(200, created("task_1"), cut=20)


def half_a_head(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")


def no_http(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"220 mail.example.com ESMTP\r\n")


def endless_answer(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        connection.send(b" " * 65536)


def answering(status: int, body: bytes, headers: bytes = b"") -> Script:
    def script(connection: Connection) -> None:
        connection.read_request()
        connection.answer(status, body, headers=headers)

    return script


REFUSAL = b'{"code":400,"msg":"input.prompt is required","data":null}'
GATEWAY = b'{"error":{"message":"no","type":"new_api_error","code":""}}'
PAGE = b"<html><head><title>502 Bad Gateway</title></head></html>"
BUSY = b'{"code":"saturated","message":"later","data":null}'
SOON = b"Date: Sun, 22 Nov 2026 12:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 12:02:00 GMT\r\n"

AMBIGUOUS = liangxin.AmbiguousCreate
CASES: dict[str, tuple[Script, type[liangxin.LiangxinError], int]] = {
    # name: (what the server does, what the user gets, how many POSTs arrived whole)
    "reset at accept": (reset_at_accept, AMBIGUOUS, 0),
    "reset after the body": (reset_after_the_body, AMBIGUOUS, 1),
    "hang-up after the body": (hang_up_after_the_body, AMBIGUOUS, 1),
    "silence until the time-out": (silence, AMBIGUOUS, 1),
    "half an answer": (half_an_answer, AMBIGUOUS, 1),
    "half a head": (half_a_head, AMBIGUOUS, 1),
    "no HTTP at all": (no_http, AMBIGUOUS, 1),
    "endless answer": (endless_answer, AMBIGUOUS, 1),
    "500 with words": (answering(500, b'{"code":500,"msg":"oops"}'), AMBIGUOUS, 1),
    "502 page": (answering(502, PAGE), AMBIGUOUS, 1),
    "504 page": (answering(504, PAGE), AMBIGUOUS, 1),
    "408": (answering(408, REFUSAL), AMBIGUOUS, 1),
    "409": (answering(409, REFUSAL), AMBIGUOUS, 1),
    "redirect": (answering(307, b"", b"Location: /elsewhere\r\n"), AMBIGUOUS, 1),
    "200 page": (answering(200, PAGE), AMBIGUOUS, 1),
    "200 empty": (answering(200, b""), AMBIGUOUS, 1),
    "200 code 500": (answering(200, b'{"code":500,"msg":"x"}'), AMBIGUOUS, 1),
    "200 id null": (answering(200, created(None)), AMBIGUOUS, 1),
    "200 id number": (answering(200, created(17)), AMBIGUOUS, 1),
    "200 id missing": (answering(200, b'{"code":200,"data":{}}'), AMBIGUOUS, 1),
    "500 beside an id": (answering(500, created("task_9")), AMBIGUOUS, 1),
    "503 page without Retry-After": (answering(503, PAGE), AMBIGUOUS, 1),
    "503 page with Retry-After": (
        answering(503, PAGE, b"Retry-After: 7\r\n"),
        liangxin.ServiceUnavailable,
        1,
    ),
    "503 in words": (answering(503, GATEWAY), liangxin.ServiceUnavailable, 1),
    "429 in seconds": (answering(429, BUSY, b"Retry-After: 7\r\n"), liangxin.RateLimited, 1),
    "429 by date": (answering(429, BUSY, SOON), liangxin.RateLimited, 1),
    "429 bare": (answering(429, BUSY), liangxin.RateLimited, 1),
    "400": (answering(400, REFUSAL), liangxin.BadRequest, 1),
    "200 code 400": (answering(200, REFUSAL), liangxin.BadRequest, 1),
    "401": (answering(401, GATEWAY), liangxin.Unauthorized, 1),
    "403": (answering(403, GATEWAY), liangxin.Forbidden, 1),
    "404": (answering(404, GATEWAY), liangxin.TaskNotFound, 1),
    "413": (answering(413, GATEWAY), liangxin.PayloadTooLarge, 1),
    "422": (answering(422, REFUSAL), liangxin.InvalidInput, 1),
}
each_case = pytest.mark.parametrize("case", CASES)


def check(case: str, server: RawServer, error: liangxin.LiangxinError) -> None:
    if case == "reset at accept" and isinstance(error, liangxin.NotSent):
        assert server.bytes_received == 0  # the reset was faster than our first byte
    else:
        assert type(error) is CASES[case][1]
    assert len(server.posts) == CASES[case][2]
    assert server.connections == 1
    assert "sk-canary" not in f"{error!r}{error}{error.__cause__!r}{vars(error)}"


@each_case
async def test_every_failure_has_its_name_and_is_sent_once(case: str) -> None:
    with serving(CASES[case][0]) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, **OPTIONS) as client:
            with pytest.raises(liangxin.LiangxinError) as caught:
                await client.create_task(POSTER)
        check(case, server, caught.value)
        assert client.unclaimed == ()


@each_case
def test_every_failure_has_the_same_name_for_blocking_callers(case: str) -> None:
    with serving(CASES[case][0]) as server:
        with liangxin.Client(base_url=server.base_url, **OPTIONS) as client:
            with pytest.raises(liangxin.LiangxinError) as caught:
                client.create_task(POSTER)
        check(case, server, caught.value)


# --- nothing left ---------------------------------------------------------------------------


def _refused() -> str:
    with serving(lambda _: None) as server:
        return server.base_url


def _unknown_host() -> str:
    return "https://no-such-host.invalid"


@pytest.mark.parametrize("address", [_refused, _unknown_host])
async def test_what_never_connected_was_not_sent(address: Callable[[], str]) -> None:
    async with liangxin.AsyncClient(base_url=address(), **OPTIONS) as client:
        with pytest.raises(liangxin.NotSent) as caught:
            await client.create_task(POSTER)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def _tls_of(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_a_certificate_that_is_not_trusted_means_not_sent(authority: trustme.CA) -> None:
    with serving(silence, tls=_tls_of(authority)) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, **OPTIONS) as client:
            with pytest.raises(liangxin.NotSent, match=r"(?i)certificate"):
                await client.create_task(POSTER)
        assert server.requests == []


async def test_a_certificate_of_another_name_means_not_sent(authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serving(silence, tls=_tls_of(authority, "example.com")) as server:
        async with liangxin.AsyncClient(
            base_url=server.base_url, verify=context, **OPTIONS
        ) as client:
            with pytest.raises(liangxin.NotSent, match=r"(?i)certificate|hostname"):
                await client.create_task(POSTER)
        assert server.requests == []


async def test_a_certificate_file_of_ones_own_is_trusted(
    authority: trustme.CA, tmp_path: Any
) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with serving(answering(200, created("task_1")), tls=_tls_of(authority)) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, verify=file, **OPTIONS) as client:
            assert (await client.create_task(POSTER)).id == "task_1"


def hang_up_on_connect(connection: Connection) -> None:
    connection.read_request()
    connection.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")


def swallow_connect(connection: Connection) -> None:
    connection.read_request()
    connection.stay_silent()


@pytest.mark.parametrize("script", [hang_up_on_connect, swallow_connect])
async def test_a_proxy_that_never_connects_means_not_sent(script: Script) -> None:
    with serving(script) as proxy:
        async with liangxin.AsyncClient(
            base_url="https://service.example.com", proxy=proxy.base_url, **OPTIONS
        ) as client:
            with pytest.raises(liangxin.NotSent):
                await client.create_task(POSTER)
        assert [each.split(b" ")[0] for each in proxy.requests] == [b"CONNECT"]
        assert b"sk-canary" not in b"".join(proxy.requests)


# --- what an ambiguous create carries -------------------------------------------------------


async def test_an_ambiguous_create_says_what_is_known() -> None:
    with serving(answering(500, created("task_9"))) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, **OPTIONS) as client:
            with pytest.raises(liangxin.AmbiguousCreate) as caught:
                await client.create_task(POSTER)
    error = caught.value
    assert (error.model, error.http_status, error.task_id) == ("z-image", 500, "task_9")
    assert error.raw == created("task_9")
    assert error.elapsed >= 0
    assert abs(error.sent_at - 1.8e9) < 1e9
    assert f"Idempotency-Key: {error.client_ref}".encode() in server.posts[0]
    assert not isinstance(error, TimeoutError)
    assert "calling again may pay twice" in str(error)
    assert "task_9" in error.message


async def test_an_answer_that_was_cut_is_kept_as_far_as_it_came() -> None:
    with serving(half_an_answer) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, **OPTIONS) as client:
            with pytest.raises(liangxin.AmbiguousCreate) as caught:
                await client.create_task(POSTER)
    assert caught.value.raw == created("task_1")[:20]
    assert caught.value.http_status == 200
    assert isinstance(caught.value.__cause__, h11.RemoteProtocolError)


async def test_after_each_failure_the_client_still_works() -> None:
    scripts = [reset_after_the_body, half_an_answer, silence, answering(200, created("task_5"))]

    def one_after_the_other(connection: Connection) -> None:
        scripts[connection.number - 1](connection)

    with serving(one_after_the_other) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, **OPTIONS) as client:
            for _ in range(3):
                with pytest.raises(liangxin.AmbiguousCreate):
                    await client.create_task(POSTER)
            assert (await client.create_task(POSTER)).id == "task_5"
        assert len(server.posts) == 4


async def test_a_create_does_not_leave_on_a_connection_that_the_server_has_closed() -> None:
    """The server closes right after its answer, without having said that it would."""
    with serving(answering(200, created("task_1"))) as server:
        async with liangxin.AsyncClient(base_url=server.base_url, **OPTIONS) as client:
            for _ in range(20):
                await client.create_task(POSTER)
                await anyio.to_thread.run_sync(server.wait_until_closed)
        assert len(server.posts) == 20


# --- the place of the ledger ----------------------------------------------------------------


class Watched(Ledger):
    """Notes what is to be written, and has room for no create that is about to leave."""

    is_full = True

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps: list[str] = []

    def apply(self, changes: Sequence[Change]) -> list[LedgerRow | liangxin.LedgerError]:
        for change in changes:
            state = change.to if isinstance(change, Move) else LedgerState.PLANNED
            self.steps.append(state.value)
            if self.is_full and state is LedgerState.SENDING:
                raise liangxin.LedgerError("the disk is full")
        return super().apply(changes)


async def test_what_cannot_be_recorded_is_not_sent(tmp_path: Path) -> None:
    """The moment before the first byte: if recording fails, the server sees not one."""
    ledger = Watched(tmp_path / "x.db")
    with serving(silence) as server:
        async with liangxin.AsyncClient(
            base_url=server.base_url, ledger=ledger, **OPTIONS
        ) as client:
            with pytest.raises(liangxin.LedgerError, match="disk is full"):
                await client.create_task(POSTER)
        assert ledger.steps[:2] == ["planned", "sending"]
        assert server.bytes_received == 0


async def test_a_transport_without_evidence_is_recorded_before_it_is_asked(tmp_path: Path) -> None:
    ledger = Watched(tmp_path / "x.db")
    ledger.is_full = False

    def answer(request: httpx.Request) -> httpx.Response:
        ledger.steps.append("asked")
        raise httpx.ReadError("lost")

    async with liangxin.AsyncClient(
        base_url="https://x.example",
        transport=httpx.MockTransport(answer),
        ledger=ledger,
        **OPTIONS,
    ) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
    assert ledger.steps == ["planned", "sending", "asked", "ambiguous"]


async def test_an_accepted_task_that_cannot_be_recorded_is_said_aloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class FullLater(Ledger):
        """Has room for an intention, and none for its result."""

        is_full = True

        def apply(self, changes: Sequence[Change]) -> list[LedgerRow | liangxin.LedgerError]:
            results = (each for each in changes if isinstance(each, Move))
            if self.is_full and any(each.to is LedgerState.ACCEPTED for each in results):
                raise liangxin.LedgerError("the disk is full")
            return super().apply(changes)

    ledger = FullLater(tmp_path / "x.db")

    def answer(connection: Connection) -> None:
        while True:
            connection.read_request()
            connection.answer(200, created(f"task_{len(connection.server.posts)}"))

    with ledger, serving(answer) as server:
        async with liangxin.AsyncClient(
            base_url=server.base_url, ledger=ledger, **OPTIONS
        ) as client:
            assert (await client.create_task(POSTER, key="a")).id == "task_1"
            assert "task_1" in capsys.readouterr().err
            with pytest.raises(liangxin.LedgerError, match="disk is full"):
                await client.create_task(POSTER, key="b")  # nothing more is created meanwhile
            assert len(server.posts) == 1
            ledger.is_full = False
            assert (await client.create_task(POSTER, key="b")).id == "task_2"
        rows = ledger.find(["a", "b"])
        assert {key: row.task_id for key, row in rows.items()} == {"a": "task_1", "b": "task_2"}


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (httpx.ConnectError("x"), liangxin.NotSent),
        (httpx.ConnectTimeout("x"), liangxin.NotSent),
        (httpx.PoolTimeout("x"), liangxin.NotSent),
        (httpx.ReadError("x"), liangxin.AmbiguousCreate),
        (httpx.WriteError("x"), liangxin.AmbiguousCreate),
        (ZeroDivisionError("a bug of the transport"), liangxin.AmbiguousCreate),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_a_transport_without_evidence_has_sent_unless_it_never_connected(
    raised: Exception, error: type[Exception]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise raised

    async with liangxin.AsyncClient(
        base_url="https://x.example", transport=httpx.MockTransport(answer), **OPTIONS
    ) as client:
        with pytest.raises(error) as caught:
            await client.create_task(POSTER)
    assert caught.value.__cause__ is raised


async def test_a_foreign_transport_that_reports_some_steps_proves_nothing_by_silence() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await request.extensions["trace"]("connection.connect_tcp.started", {})
        raise httpx.ReadError("lost")  # and it had sent the request, in a way of its own

    async with liangxin.AsyncClient(
        base_url="https://x.example", transport=httpx.MockTransport(answer), **OPTIONS
    ) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)


# --- cancellation ---------------------------------------------------------------------------


async def _cancelled(how: str, client: liangxin.AsyncClient, delay: float) -> list[str]:
    """Create, cancelled after `delay` seconds; return the id if the caller got it."""
    got: list[str] = []

    async def create() -> None:
        got.append((await client.create_task(POSTER)).id)

    if how == "scope":
        with anyio.move_on_after(delay):
            await create()
        return got
    import asyncio

    if how == "asyncio.timeout":
        try:
            async with asyncio.timeout(delay):
                await create()
        except TimeoutError:
            pass
    else:
        task = asyncio.ensure_future(create())
        await asyncio.wait([task], timeout=delay)
        task.cancel()
        await asyncio.wait([task])
    return got


@pytest.mark.parametrize("how", ["scope", "asyncio.timeout", "Task.cancel"])
async def test_whoever_is_cancelled_no_accepted_task_is_dropped(
    how: str, server: Any, options_of: dict[str, Any], anyio_backend_name: str
) -> None:
    if anyio_backend_name == "trio" and how != "scope":
        pytest.skip("asyncio's own cancellation")
    got: list[str] = []
    async with liangxin.AsyncClient(**options_of) as client:
        await client.create_task(POSTER)  # so that the delays below fall into all phases
        charged = len(server.charges)

        async def one(delay: float) -> None:
            got.extend(await _cancelled(how, client, delay))

        async with anyio.create_task_group() as group:
            for number in range(150):
                group.start_soon(partial(one, number * 0.0005))
        # The connections are usable, whatever became of those that used them.
        got.append((await client.create_task(POSTER)).id)
    kept = [outcome.task.id for outcome in client.unclaimed if outcome.task]
    assert len(kept) == len(client.unclaimed)
    assert sorted(got + kept) == sorted(charge.task_id for charge in server.charges[charged:])


async def test_a_caller_cancelled_before_the_first_byte_leaves_nothing_behind() -> None:
    with serving(silence) as server:
        async with liangxin.AsyncClient(
            base_url=server.base_url, **OPTIONS | {"max_connections": 1}
        ) as client:
            async with anyio.create_task_group() as group:
                group.start_soon(_ambiguous, client)
                await anyio.wait_all_tasks_blocked()
                with anyio.move_on_after(0.05) as scope:
                    await client.create_task(POSTER)  # waits for the one connection
            assert scope.cancelled_caught
        assert client.unclaimed == ()
        assert len(server.posts) == 1


async def _ambiguous(client: liangxin.AsyncClient) -> None:
    with pytest.raises(liangxin.AmbiguousCreate):
        await client.create_task(POSTER)
