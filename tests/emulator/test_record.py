"""Recording: what passes is passed on once, as it is, and written down without its secrets."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import ssl
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme

from liangxin.emulator import Emulator, Fault, Recorder
from tests.emulator.service import EPOCH, KEY, HandClock, order
from tests.raw_server import Connection, serving

CREATE = "/api/v1/jobs/createTask"
LOOK = "/api/v1/jobs/recordInfo"
CANARY = "c4n4ry0123456789"
PICTURE = "data:image/png;base64," + "QUJD" * 40

pytestmark = pytest.mark.anyio


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Where to record."""
    return tmp_path / "recording.jsonl"


@pytest.fixture
def recorder(served: Emulator, tape: Path, clock: HandClock) -> Recorder:
    """A recorder of the emulator, over a real socket."""
    return Recorder(served.base_url, tape, clock=clock, wall=lambda: EPOCH)


def client_of(recorder: Recorder, key: str = KEY, **options: Any) -> httpx.AsyncClient:
    """Return a client of the recorder in process."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(
        transport=recorder.transport(), base_url=recorder.base_url, headers=headers, **options
    )


def exchanges(tape: Path) -> list[dict[str, Any]]:
    """Return what is on the tape, without its first line."""
    return [json.loads(line) for line in tape.read_text().splitlines()[1:]]


async def test_an_exchange_is_passed_on_and_written_down(
    recorder: Recorder, served: Emulator, tape: Path, clock: HandClock
) -> None:
    async with client_of(recorder) as client:
        created = await client.post(CREATE, content=json.dumps(order(), separators=(",", ":")))
        task_id = created.json()["data"]["taskId"]
        clock.now = 42.5
        looked = await client.get(LOOK, params={"taskId": task_id})
    assert looked.json()["data"]["state"] == served.state_of(task_id) == "generating"
    create, look = exchanges(tape)
    assert (create["at"], look["at"]) == (0.0, 42.5)
    assert (create["method"], create["path"], create["status"]) == ("POST", CREATE, 200)
    assert (look["method"], look["path"], look["query"]) == ("GET", LOOK, f"taskId={task_id}")
    assert json.loads(create["request_body"]) == order()
    assert json.loads(create["response_body"]) == created.json()
    assert json.loads(look["response_body"]) == looked.json()
    assert create["key"] == hashlib.sha256(KEY.encode()).hexdigest()[:12]
    assert create["response_headers"] == {"content-type": "application/json"}


async def test_the_first_line_says_what_is_recorded_since_when(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    async with client_of(recorder) as client:
        await client.post(CREATE, json=order())
    head = json.loads(tape.read_text().splitlines()[0])
    assert head == {"recording": 1, "upstream": served.base_url, "started": EPOCH}


async def test_no_secret_reaches_the_disk_and_the_client_gets_everything(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    signed = f"https://cdn.example/1.png?X-Amz-Signature={CANARY}"
    served.add_fault(
        Fault(
            "create",
            "replace",
            body=json.dumps({"msg": f"sk-{CANARY} and {KEY} of {signed}", "data": None}),
            headers={"Set-Cookie": f"session={CANARY}", "X-Odd": CANARY},
        )
    )
    body = order("nano-banana-pro", image_input=[PICTURE, f"https://a.example/b.png?{CANARY}"])
    body["callBackUrl"] = f"https://hooks.example/{CANARY}"
    headers = {"Cookie": f"a={CANARY}", "X-Api-Key": CANARY, "X-Odd": CANARY}
    async with client_of(recorder) as client:
        reply = await client.post(f"{CREATE}?token={CANARY}", json=body, headers=headers)
    assert reply.json()["msg"] == f"sk-{CANARY} and {KEY} of {signed}"
    written = tape.read_text()
    for secret in (CANARY, KEY, KEY.removeprefix("sk-"), "QUJDQUJD", "session"):
        assert secret not in written
    assert "https://hooks.example/***" in written


async def test_a_record_that_repeats_the_order_repeats_no_secret_of_it(
    recorder: Recorder, tape: Path, clock: HandClock
) -> None:
    body = order("nano-banana-pro", image_input=[PICTURE])
    body["callBackUrl"] = f"http://127.0.0.1:9/hooks/{CANARY}"
    async with client_of(recorder) as client:
        task_id = (await client.post(CREATE, json=body)).json()["data"]["taskId"]
        clock.now = 200
        reply = await client.get(LOOK, params={"taskId": task_id})
    assert json.loads(reply.json()["data"]["param"]) == body
    written = tape.read_text()
    assert CANARY not in written
    assert "QUJDQUJD" not in written


async def test_a_callback_url_that_an_answer_mentions_is_masked_too(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    body = order() | {"callBackUrl": f"http://127.0.0.1:9/hooks/{CANARY}"}
    message = f"http://127.0.0.1:9/hooks/{CANARY} did not answer"
    served.add_fault(Fault("look", "replace", body=json.dumps({"msg": message})))
    async with client_of(recorder) as client:
        await client.post(CREATE, json=body)
        assert (await client.get(LOOK)).json()["msg"] == message
    assert CANARY not in tape.read_text()
    assert "http://127.0.0.1:9/*** did not answer" in tape.read_text()


async def test_a_lost_answer_is_lost_to_the_client_too_and_the_create_was_sent_once(
    recorder: Recorder, served: Emulator, tape: Path, caplog: pytest.LogCaptureFixture
) -> None:
    served.withhold_answer_to_next_create()
    async with client_of(recorder) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(CREATE, json=order())
    assert len(served.charges) == len(served.requests) == 1
    (lost,) = exchanges(tape)
    assert lost["status"] is None
    assert lost["lost"].startswith("RemoteProtocolError")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_a_connection_that_is_reset_after_the_create_is_not_tried_again(
    tape: Path,
) -> None:
    def reset(connection: Connection) -> None:
        connection.read_request()
        connection.reset()

    with serving(reset) as server:
        recorder = Recorder(f"http://127.0.0.1:{server.port}", tape)
        async with client_of(recorder) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post(CREATE, json=order())
        assert len(server.requests) == 1
    assert exchanges(tape)[0]["status"] is None


async def test_of_an_answer_that_is_cut_the_client_gets_nothing(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    served.add_fault(Fault("create", "cut"))
    async with client_of(recorder) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(CREATE, json=order())
    assert len(served.charges) == 1
    assert exchanges(tape)[0]["response_body"] == ""


async def test_a_service_that_is_not_there_is_a_lost_answer(tape: Path) -> None:
    recorder = Recorder("http://127.0.0.1:1", tape)
    async with client_of(recorder) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(CREATE, json=order())
    assert exchanges(tape)[0]["lost"].startswith("ConnectError")


async def test_a_service_that_falls_silent_is_a_lost_answer(emulator: Emulator, tape: Path) -> None:
    emulator.add_fault(Fault("create", "delay", delay=3600))
    recorder = Recorder(
        emulator.base_url, tape, timeout=0.01, upstream_transport=emulator.transport()
    )
    async with client_of(recorder) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(CREATE, json=order())
    assert exchanges(tape)[0]["lost"].startswith("ReadTimeout")


async def test_an_answer_that_is_too_large_is_a_lost_one(tape: Path) -> None:
    large = httpx.Response(200, content=b" " * (32 * 1024 * 1024 + 1))
    service = httpx.MockTransport(lambda request: large)
    recorder = Recorder("https://host.example", tape, upstream_transport=service)
    async with client_of(recorder) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(CREATE, json=order())
    assert exchanges(tape)[0]["lost"].startswith("the answer is larger than")


@pytest.mark.parametrize(("method", "path", "lines"), [("POST", CREATE, 1), ("GET", LOOK, 0)])
async def test_a_create_whose_caller_leaves_is_on_record_a_look_is_not(
    emulator: Emulator, tape: Path, method: str, path: str, lines: int
) -> None:
    for endpoint in ("create", "look"):
        emulator.add_fault(Fault(endpoint, "delay", delay=3600))
    recorder = Recorder(emulator.base_url, tape, upstream_transport=emulator.transport())
    async with client_of(recorder, timeout=0.05) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.request(method, path)
    assert tape.read_text().count("the client left before the answer") == lines


async def test_refusals_are_passed_on_with_their_headers(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    served.fail_next_create(429, envelope="gateway", headers={"Retry-After": "7"})
    async with client_of(recorder) as client:
        reply = await client.post(CREATE, json=order())
    assert (reply.status_code, reply.headers["retry-after"]) == (429, "7")
    (refused,) = exchanges(tape)
    assert (refused["status"], refused["response_headers"]["retry-after"]) == (429, "7")


async def test_a_redirect_is_the_clients_to_follow(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    place = f"https://other.example/?sig={CANARY}"
    served.fail_next_look(307, headers={"Location": place})
    async with client_of(recorder) as client:
        reply = await client.get(LOOK, params={"taskId": "x"})
    assert (reply.status_code, reply.headers["location"]) == (307, place)
    assert served.looks == 1
    assert exchanges(tape)[0]["response_headers"]["location"] == "https://other.example/?***"


async def test_what_belongs_to_one_connection_does_not_travel(
    recorder: Recorder, served: Emulator
) -> None:
    headers = {
        "Connection": "keep-alive, X-Mine",
        "X-Mine": "1",
        "X-Theirs": "2",
        "TE": "trailers",
        "Proxy-Authorization": "Basic eA==",
        "Cookie": "a=b",
        "Accept-Encoding": "gzip",
    }
    async with client_of(recorder) as client:
        await client.post(CREATE, json=order(), headers=headers)
    seen = served.requests[0].headers
    assert seen["x-theirs"] == "2"
    assert seen["accept-encoding"] == "identity"
    assert seen["host"] == served.base_url.removeprefix("http://")
    assert not {"x-mine", "te", "proxy-authorization", "cookie"} & seen.keys()


async def test_an_answer_that_is_compressed_all_the_same_is_read_and_masked(tape: Path) -> None:
    packed = gzip.compress(json.dumps({"msg": f"https://a.example/?sig={CANARY}"}).encode())

    def answer(connection: Connection) -> None:
        connection.read_request()
        connection.answer(200, packed, headers=b"Content-Encoding: gzip\r\n")

    with serving(answer) as server:
        recorder = Recorder(f"http://127.0.0.1:{server.port}", tape)
        async with client_of(recorder) as client:
            reply = await client.post(CREATE, json=order())
    assert reply.json()["msg"].endswith(CANARY)
    assert json.loads(exchanges(tape)[0]["response_body"]) == {"msg": "https://a.example/?***"}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", CREATE), ("POST", LOOK), ("GET", "/_emulator/ledger")],
)
async def test_what_is_none_of_the_two_endpoints_stays_here(
    recorder: Recorder, served: Emulator, tape: Path, method: str, path: str
) -> None:
    async with client_of(recorder) as client:
        reply = await client.request(method, path)
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == f"Invalid URL ({method} {path})"
    assert not served.requests
    assert tape.read_bytes() == b""


async def test_a_body_that_is_too_large_stays_here(recorder: Recorder, served: Emulator) -> None:
    async with client_of(recorder) as client:
        reply = await client.post(CREATE, content=b" " * (32 * 1024 * 1024 + 1))
    assert reply.status_code == 413
    assert not served.requests


async def test_the_proxies_of_the_environment_are_not_for_this_machine(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with client_of(recorder) as client:
        assert (await client.post(CREATE, json=order())).status_code == 200


async def test_a_recording_is_continued_in_its_own_time(served: Emulator, tape: Path) -> None:
    for hour in range(2):
        began = EPOCH + 3600 * hour
        recorder = Recorder(served.base_url, tape, clock=HandClock(), wall=lambda: began)  # noqa: B023
        async with client_of(recorder) as client:
            await client.post(CREATE, json=order())
    assert [exchange["at"] for exchange in exchanges(tape)] == [0.0, 3600.0]


async def test_a_clock_that_was_set_back_does_not_turn_the_order_around(
    served: Emulator, tape: Path
) -> None:
    for began in (EPOCH, EPOCH - 3600):
        clock = HandClock()
        recorder = Recorder(served.base_url, tape, clock=clock, wall=lambda: began)  # noqa: B023
        clock.now = 5.0
        async with client_of(recorder) as client:
            await client.get(LOOK)
            clock.now = 10.0
            await client.get(LOOK)
    assert [exchange["at"] for exchange in exchanges(tape)] == [0.0, 5.0, 5.0, 10.0]


async def test_a_recording_of_another_service_is_left_alone(recorder: Recorder, tape: Path) -> None:
    async with client_of(recorder) as client:
        await client.post(CREATE, json=order())
    before = tape.read_bytes()
    with pytest.raises(ValueError, match=r"is a recording of http://127\.0\.0\.1:\d+"):
        Recorder("https://other.example", tape)
    assert tape.read_bytes() == before


def test_a_file_that_is_no_recording_is_left_alone(tape: Path) -> None:
    tape.write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="is no recording"):
        Recorder("https://host.example", tape)
    assert tape.read_text() == '{"a": 1}\n'


def test_a_folder_is_no_place_to_record_to_and_stays_as_it_is(tmp_path: Path) -> None:
    mode = tmp_path.stat().st_mode
    with pytest.raises(ValueError, match="is no regular file"):
        Recorder("https://host.example", tmp_path)
    assert tmp_path.stat().st_mode == mode


def test_a_place_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recorder("https://host.example", tmp_path / "nowhere" / "recording.jsonl")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX file modes")
@pytest.mark.parametrize("existed", [False, True])
def test_the_file_is_its_owners_only(tape: Path, existed: bool) -> None:
    if existed:
        tape.touch(mode=0o644)
    Recorder("https://host.example", tape)
    assert stat.S_IMODE(tape.stat().st_mode) == 0o600


async def test_an_exchange_that_cannot_be_written_still_reaches_the_client(
    recorder: Recorder, tape: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tape.unlink()
    async with client_of(recorder) as client:
        assert (await client.post(CREATE, json=order())).status_code == 200
    assert "could not be recorded" in caplog.text


@pytest.mark.parametrize(
    "upstream",
    [
        "http://host.example",
        "host.example",
        "ftp://host.example",
        "https://",
        "https://host.example:port",
        f"https://user:{CANARY}@host.example",
        f"https://user:{CANARY}/@host.example",
        f"https://host.example/?key={CANARY}",
    ],
)
def test_an_address_that_cannot_be_is_an_error_without_its_secrets(
    tape: Path, upstream: str
) -> None:
    with pytest.raises(ValueError, match="https://") as wrong:
        Recorder(upstream, tape)
    assert CANARY not in str(wrong.value)
    assert not tape.exists()


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_over_tls_only_who_can_prove_it_is_the_service(
    tape: Path, monkeypatch: pytest.MonkeyPatch, is_trusted: bool
) -> None:
    authority, here = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(here)
    pem = tape.with_name("authority.pem")
    (authority if is_trusted else trustme.CA()).cert_pem.write_to_path(str(pem))
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))

    def answer(connection: Connection) -> None:
        connection.read_request()
        connection.answer(200, b"{}")

    with serving(answer, tls=here) as server:
        recorder = Recorder(f"https://localhost:{server.port}", tape)
        async with client_of(recorder) as client:
            if is_trusted:
                assert (await client.post(CREATE, json=order())).json() == {}
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.post(CREATE, json=order())
        assert len(server.requests) == is_trusted


async def test_a_prefix_of_the_service_is_kept(tape: Path) -> None:
    def answer(connection: Connection) -> None:
        connection.read_request()
        connection.answer(200, b"{}")

    with serving(answer) as server:
        recorder = Recorder(f"http://127.0.0.1:{server.port}/market/", tape)
        async with client_of(recorder) as client:
            await client.get(LOOK, params={"taskId": "a-b"})
        head = server.requests[0].split(b"\r\n")[0]
    assert head == f"GET /market{LOOK}?taskId=a-b HTTP/1.1".encode()


@pytest.fixture
def on_a_port(recorder: Recorder) -> Iterator[str]:
    """The recorder itself on a socket."""
    with recorder.serve() as url:
        yield url


def test_on_a_socket_a_lost_answer_is_not_one_byte(on_a_port: str, served: Emulator) -> None:
    served.withhold_answer_to_next_create()
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        httpx.post(on_a_port + CREATE, json=order(), headers={"Authorization": f"Bearer {KEY}"})
    assert len(served.charges) == 1


async def test_many_exchanges_at_once_are_whole_lines(
    recorder: Recorder, served: Emulator, tape: Path
) -> None:
    async with client_of(recorder) as client, anyio.create_task_group() as group:
        for number in range(20):
            body = order(prompt=f"cat {number} " + "x" * 2000)
            group.start_soon(lambda body: client.post(CREATE, json=body), body)
    assert len(exchanges(tape)) == len(served.charges) == 20
