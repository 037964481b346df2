"""
The receiver of callbacks by itself: which requests get which answer, and what is read for it.

`handle`, and the bare ASGI app in process, on virtual time; the tokens are those of a real client
of the emulator, whose books say whether a callback was heeded.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any, cast

import anyio
import pytest

import liangxin
from liangxin import CallbackRejected, InputError, RawInput
from liangxin._callbacks import Callbacks, Ticket
from liangxin._serving import MAX_CONNECTIONS, _config, _Protocol, _Server
from liangxin.callbacks import BODY_TIMEOUT, MAX_BODIES, MAX_BODY, CallbackReceiver, HmacVerifier
from liangxin.emulator import Emulator, JumpingLoop

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
PUBLIC = "https://example.com/liangxin"
BODY = b'{"code":200,"msg":"success","data":{}}'
ClientOf = Callable[..., liangxin.AsyncClient]
Message = MutableMapping[str, Any]


@pytest.fixture
def receiver() -> CallbackReceiver:
    return CallbackReceiver(PUBLIC)


def token_of(emulator: Emulator, task_id: str) -> str:
    """The token that the service was told for a task."""
    url = emulator.tasks[task_id].callback_url
    assert url is not None
    return url.rpartition("/")[2]


@asynccontextmanager
async def expected(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> AsyncIterator[str]:
    """The token of a task that a client has created, while the client is open."""
    async with client_of(callbacks=receiver) as client:
        task = await client.create_task(POSTER)
        yield token_of(emulator, task.id)


class Exchange:
    """One request as a server hands it to an app, and what the app made of it."""

    def __init__(
        self,
        path: str,
        *pieces: bytes,
        method: str = "POST",
        headers: list[tuple[bytes, bytes]] | None = None,
        every: float = 0.0,
        then: str | None = None,
        **scope: Any,
    ) -> None:
        self.scope: Message = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": headers or [],
            **scope,
        }
        self.messages: deque[Message] = deque(
            {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            for number, piece in enumerate(pieces, 1)
        )
        if then is not None:
            self.messages.append({"type": then})
        self.every = every
        self.read = 0
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        self.read += 1
        if not self.messages:
            await anyio.sleep_forever()
        await anyio.sleep(self.every)
        return self.messages.popleft()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def through(self, receiver: CallbackReceiver) -> Exchange:
        await receiver(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        assert [message["type"] for message in self.sent] == [
            "http.response.start",
            "http.response.body",
        ]
        return int(self.sent[0]["status"])


async def posted(receiver: CallbackReceiver, token: str, *pieces: bytes, **options: Any) -> int:
    """The status of a POST with this token."""
    exchange = Exchange(f"/liangxin/{token}", *(pieces or (BODY,)), **options)
    return (await exchange.through(receiver)).status


# --- which requests are callbacks --------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_post_with_the_token_of_a_create_is_taken_wherever_the_app_is_mounted(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        for prefix in ("/liangxin/", "/", "", "/a/b/c/", "//", "/%2e%2e/", "/täg/"):
            assert receiver.handle("POST", prefix + token, {}, BODY) == 200
            exchange = Exchange(prefix + token, BODY, root_path="/api", query_string=b"x=/y")
            assert (await exchange.through(receiver)).status == 200
        assert receiver.handle("POST", f"/liangxin/{token}/", {}, BODY) == 200  # as Litestar says


@pytest.mark.virtual_time
async def test_a_callback_makes_the_client_look_at_once_and_its_body_decides_nothing(
    client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    emulator = Emulator(clock=anyio.current_time, durations=10.0)
    lie = b'{"code":501,"data":{"taskId":"task_x_1","state":"fail"}}'
    async with (
        client_of(transport=emulator.transport(), callbacks=receiver, poll_interval=60) as client,
        anyio.create_task_group() as group,
    ):
        task = await client.create_task(POSTER)

        async def call_back() -> None:
            await anyio.sleep(12)
            assert await posted(receiver, token_of(emulator, task.id), lie) == 200

        group.start_soon(call_back)
        found = await client.wait(task)
        assert found.state is liangxin.TaskState.SUCCESS
        assert anyio.current_time() == pytest.approx(12, abs=0.1)
    assert emulator.looks_of(task.id) == emulator.looks == 1


OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "", "P"]


@pytest.mark.virtual_time
@pytest.mark.parametrize("method", OTHER_METHODS)
async def test_another_method_is_refused_in_the_same_way_with_any_token(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver, method: str
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        answers = []
        for path in (f"/liangxin/{token}", f"/liangxin/{secrets.token_urlsafe(32)}", "/", "*"):
            exchange = await Exchange(path, BODY, method=method).through(receiver)
            assert exchange.read == 0
            answers.append(exchange.sent)
            assert receiver.handle(method, path, {}, BODY) == 405
        assert answers[0][0]["status"] == 405
        assert (b"allow", b"POST") in answers[0][0]["headers"]
        assert all(answer == answers[0] for answer in answers)


def altered(token: str) -> list[str]:
    """What is nearly the token, or no token at all."""
    first, last = ("A" if token[end] != "A" else "B" for end in (0, -1))
    return [
        token[:-1] + last,
        first + token[1:],
        token.swapcase(),
        token[:-1],
        token + "A",
        token + "//",
        token + "\n",
        token + "?",
        token + "\0",
        token + "\u200b",
        " " + token,
        token + token,
        token[:-1] + "%41",
        token[:-1] + "é",
        "".join(chr(ord(char) + 0xFEE0) for char in token),  # the same letters, full width
        secrets.token_urlsafe(32),
        hashlib.sha256(token.encode()).hexdigest(),
        "A" * 43,
        "A" * 100_000,
        "..",
        "",
    ]


@pytest.mark.virtual_time
async def test_unknown_expired_and_misspelt_tokens_get_one_answer_before_a_byte_is_read(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as expired:
        pass  # with the client, its tokens have gone
    async with expected(emulator, client_of, receiver) as token:
        answers = []
        for wrong in [expired, *altered(token)]:
            exchange = await Exchange(f"/liangxin/{wrong}", b"x" * 99).through(receiver)
            assert exchange.read == 0
            answers.append(exchange.sent)
            assert receiver.handle("POST", f"/liangxin/{wrong}", {}, BODY) == 404
        assert answers[0][0]["status"] == 404
        assert answers[0][1]["body"] == b""
        assert all(answer == answers[0] for answer in answers)
        assert receiver.handle("POST", f"/liangxin/{token}", {}, BODY) == 200


@pytest.mark.virtual_time
async def test_no_header_changes_the_answer_to_a_wrong_token(receiver: CallbackReceiver) -> None:
    path = f"/liangxin/{secrets.token_urlsafe(32)}"
    plain = await Exchange(path, BODY).through(receiver)
    for header in (
        (b"content-length", b"999999999"),
        (b"content-encoding", b"gzip"),
        (b"x-webhook-signature", b"AAAA"),
        (b"expect", b"100-continue"),
    ):
        exchange = await Exchange(path, BODY, headers=[header]).through(receiver)
        assert (exchange.sent, exchange.read) == (plain.sent, 0)


# --- the body ----------------------------------------------------------------------------------


@pytest.mark.virtual_time
@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**12, 10**19, 10**60])
async def test_a_body_that_is_said_to_be_too_long_is_not_read(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver, length: int
) -> None:
    headers = [(b"Content-Length", b"%d" % length)]
    async with expected(emulator, client_of, receiver) as token:
        exchange = await Exchange(f"/{token}", BODY, headers=headers).through(receiver)
        assert (exchange.status, exchange.read) == (413, 0)
        assert receiver.handle("POST", token, headers, BODY) == 413


@pytest.mark.virtual_time
async def test_a_body_is_counted_while_it_comes_whatever_was_said_of_it(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    pieces = [b" " * 65536] * 4
    async with expected(emulator, client_of, receiver) as token:
        for said in (b"17", b"-1", b"many", b"", b"\xb2"):
            headers = [(b"content-length", said)]
            assert await posted(receiver, token, *pieces, headers=headers) == 200
            endless = Exchange(f"/{token}", *pieces, *[b"x"] * 1000, headers=headers)
            assert (await endless.through(receiver)).status == 413
            assert endless.read == 5
        assert receiver.handle("POST", token, {}, b" " * MAX_BODY) == 200
        assert receiver.handle("POST", token, {}, b" " * (MAX_BODY + 1)) == 413


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip", "x", "GZIP", "identity;q=1"]
)
async def test_an_encoded_body_is_refused_unread(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver, encoding: str
) -> None:
    headers = [(b"content-encoding", encoding.encode())]
    async with expected(emulator, client_of, receiver) as token:
        exchange = await Exchange(f"/{token}", BODY, headers=headers).through(receiver)
        assert (exchange.status, exchange.read) == (415, 0)
        assert receiver.handle("POST", token, headers, BODY) == 415
        for plain in (b"identity", b" Identity ", b""):
            headers = [(b"content-encoding", plain)]
            assert await posted(receiver, token, headers=headers) == 200


@pytest.mark.virtual_time
async def test_a_body_has_five_seconds_to_arrive(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        began = anyio.current_time()
        assert await posted(receiver, token, *[b" "] * 49, every=0.1) == 200
        assert anyio.current_time() - began == pytest.approx(4.9)
        began = anyio.current_time()
        assert await posted(receiver, token, *[b" "] * 51, every=0.1) == 408
        assert anyio.current_time() - began == pytest.approx(BODY_TIMEOUT) == 5


@pytest.mark.virtual_time
async def test_only_so_many_bodies_are_read_at_a_time_and_others_are_asked_to_come_again(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        slow = [Exchange(f"/{token}", b" ", b" ", every=2.0) for _ in range(MAX_BODIES)]
        async with anyio.create_task_group() as group:
            for exchange in slow:
                group.start_soon(exchange.through, receiver)
            await anyio.sleep(1)
            refused = await Exchange(f"/{token}", BODY).through(receiver)
            assert (refused.status, refused.read) == (503, 0)
            assert await posted(receiver, "x" * 43) == 404
            assert receiver.handle("POST", token, {}, BODY) == 200  # it has been read already
        assert {exchange.status for exchange in slow} == {200}
        assert await posted(receiver, token) == 200


@pytest.mark.virtual_time
async def test_who_hangs_up_or_is_cancelled_leaves_room_for_others(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        for _ in range(MAX_BODIES + 1):
            gone = Exchange(f"/{token}", then="http.disconnect")
            assert (await gone.through(receiver)).sent == []
            with anyio.move_on_after(1) as scope:
                await Exchange(f"/{token}").through(receiver)
            assert scope.cancelled_caught
        assert await posted(receiver, token) == 200


# --- what a body may hold ----------------------------------------------------------------------


def naming(task_id: str, depth: int) -> bytes:
    """A callback's body of so many levels that names a task."""
    filler = b"[" * (depth - 2) + b"]" * (depth - 2)
    return b'{"data":{"taskId":%s,"more":%s}}' % (json.dumps(task_id).encode(), filler)


@pytest.mark.virtual_time
@pytest.mark.parametrize(("depth", "looks"), [(3, 1), (32, 1), (33, 0), (100_000, 0)])
async def test_a_task_is_believed_to_be_named_only_by_a_flat_body(
    emulator: Emulator,
    client_of: ClientOf,
    receiver: CallbackReceiver,
    depth: int,
    looks: int,
) -> None:
    emulator.withhold_answer_to_next_create()
    async with client_of(callbacks=receiver) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
        [task_id] = emulator.tasks
        assert await posted(receiver, token_of(emulator, task_id), naming(task_id, depth)) == 200
        await anyio.sleep(1)
    assert emulator.looks_of(task_id) == emulator.looks == looks


HOSTILE_BODIES = {
    "nothing": b"",
    "no JSON": b"\xff\xfe\x00",
    "a list": b"[]",
    "null": b"null",
    "no record": b'{"data":null}',
    "null for a task": b'{"data":{"taskId":null}}',
    "a number for a task": b'{"data":{"taskId":17}}',
    "an empty task": b'{"data":{"taskId":""}}',
    "a task of spaces": b'{"data":{"taskId":"   "}}',
    "a path for a task": b'{"data":{"taskId":"../../x"}}',
    "a query for a task": b'{"data":{"taskId":"x&admin=1"}}',
    "a line break in a task": b'{"data":{"taskId":"x\\r\\nX-Evil: 1"}}',
    "a long task": b'{"data":{"taskId":"' + b"x" * 10_000 + b'"}}',
    "nested lists": b"[" * MAX_BODY,
    "nested objects": b'{"a":' * (MAX_BODY // 5),
    "nested both ways": b'[{"a":' * (MAX_BODY // 6),
    "closing only": b"]" * MAX_BODY,
    "quotes": b'"' * MAX_BODY,
    "a string without an end": b'"' + b'\\"' * (MAX_BODY // 2 - 1),
    "backslashes": b"\\" * MAX_BODY,
    "long numbers": b'{"data":{"taskId":"x","n":' + b"9" * 200_000 + b"}}",
    "an exponent": b'{"data":1e999999}',
    "NaN": b'{"data":NaN}',
    "many keys": b'{"a":1,' * 30_000,
    "a lone surrogate": b'{"data":{"taskId":"\\ud800"}}',
    "UTF-16": '{"data":{"taskId":"x"}}'.encode("utf-16"),
}
STRANGE = ("x", "../../x", "x&admin=1")
"""What may be asked for, since ids are opaque: as one id, and nothing around it."""


@pytest.mark.virtual_time
@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
async def test_a_hostile_body_with_a_good_token_is_answered_and_changes_no_request(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver, body: bytes
) -> None:
    emulator.withhold_answer_to_next_create()
    async with client_of(callbacks=receiver) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
        [task_id] = emulator.tasks
        token = token_of(emulator, task_id)
        assert await posted(receiver, token, body) == 200
        assert receiver.handle("POST", token, {}, body) == 200
        await anyio.sleep(60)
        looks = [seen for seen in emulator.requests if seen.endpoint != "create"]
        assert {(seen.endpoint, seen.task_id) for seen in looks} <= {
            ("look", name) for name in STRANGE
        }
        assert await posted(receiver, token, naming(task_id, 3)) == 200
        await anyio.sleep(1)
    assert emulator.looks_of(task_id) == 1


# --- what else a server says -------------------------------------------------------------------


async def test_the_lifespan_of_a_server_is_followed(receiver: CallbackReceiver) -> None:
    exchange = Exchange("", then="lifespan.startup", type="lifespan")
    exchange.messages.append({"type": "lifespan.shutdown"})
    await exchange.through(receiver)
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_a_websocket_is_closed(receiver: CallbackReceiver) -> None:
    exchange = Exchange("/x", then="websocket.connect", type="websocket")
    await exchange.through(receiver)
    assert exchange.sent == [{"type": "websocket.close", "code": 1000}]


class Names(Mapping[str, str]):
    """Headers as a framework has them: a mapping of its own kind."""

    def __getitem__(self, name: str) -> str:
        return {"Content-Encoding": "gzip"}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["Content-Encoding"])

    def __len__(self) -> int:
        return 1


@pytest.mark.virtual_time
async def test_headers_come_as_a_mapping_as_pairs_or_as_bytes(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        for headers in (
            Names(),
            {"content-ENCODING": "gzip"},
            [("Content-Encoding", "gzip")],
            iter([("Content-Encoding", "gzip")]),
            [(b"Content-Encoding", b"gzip")],
            ((b"X-\xff", b"\xfe"), (b"content-encoding", b"gzip")),
        ):
            assert receiver.handle("POST", token, cast(Any, headers), BODY) == 415
        for empty in (dict[str, str](), list[tuple[str, str]](), iter(list[tuple[str, str]]())):
            assert receiver.handle("post", token, empty, BODY) == 200


@pytest.mark.parametrize(
    "public_url",
    [
        "http://example.com/liangxin",
        "https://",
        "https://example.com/x?token=1",
        "https://example.com/x#y",
        "ftp://example.com",
        "example.com",
        "",
        7,
    ],
)
def test_an_address_that_no_callback_can_reach_is_refused(public_url: str) -> None:
    with pytest.raises(InputError, match="public https URL") as told:
        CallbackReceiver(public_url)
    assert told.value.field == "public_url"


def test_a_slash_at_the_end_of_the_address_is_one_too_many() -> None:
    assert CallbackReceiver("https://example.com/a//").public_url == "https://example.com/a"
    assert repr(CallbackReceiver(PUBLIC)) == f"CallbackReceiver({PUBLIC!r})"


# --- signatures --------------------------------------------------------------------------------

SECRET = b"a shared secret \xff"
SIGNED = b'{"code":200,"data":{"taskId":"task_1"}}'


SIGNATURE = "x-webhook-signature"


def signature(
    *, task_id: str = "task_1", ago: float = 0, timestamp: str | None = None, secret: bytes = SECRET
) -> dict[str, str]:
    """The headers that the look-alike sends."""
    timestamp = timestamp or str(int(datetime.now(UTC).timestamp() - ago))
    signed = hmac.digest(secret, f"{task_id}.{timestamp}".encode(), "sha256")
    return {
        "x-webhook-timestamp": timestamp,
        "x-webhook-signature": base64.b64encode(signed).decode("ascii"),
    }


@pytest.mark.parametrize("ago", [0, 270, -270])
@pytest.mark.parametrize("body", [SIGNED, SIGNED.replace(b"taskId", b"task_id")])
def test_a_right_signature_is_accepted_from_clocks_that_go_fast_or_slow(
    ago: float, body: bytes
) -> None:
    HmacVerifier(SECRET)(signature(ago=ago), body)


@pytest.mark.parametrize("ago", [330, -330])
def test_a_right_signature_of_another_time_is_not(ago: float) -> None:
    with pytest.raises(CallbackRejected):
        HmacVerifier(SECRET)(signature(ago=ago), SIGNED)


WRONG_SIGNATURES: dict[str, tuple[Mapping[str, str], bytes]] = {
    "none": ({}, SIGNED),
    "too old": (signature(ago=36_000), SIGNED),
    "of the future": (signature(ago=-36_000), SIGNED),
    "by another secret": (signature(secret=b"another"), SIGNED),
    "about another task": (signature(), SIGNED.replace(b"task_1", b"task_2")),
    "about no task": (signature(), b"{}"),
    "about what is no JSON": (signature(), b"\xff"),
    "another time": (
        signature(ago=60) | {"x-webhook-timestamp": signature()["x-webhook-timestamp"]},
        SIGNED,
    ),
    "a time in words": (signature(timestamp="now"), SIGNED),
    "a negative time": (signature(timestamp="-1"), SIGNED),
    "a time with a fraction": (signature(timestamp="1777600000.5"), SIGNED),
    "a time of other digits": (signature(timestamp="١٧٧٧٦٠٠٠٠٠"), SIGNED),
    "a time without an end": (signature(timestamp="9" * 5000), SIGNED),
    "a time and a line break": (signature(timestamp="1777600000\n"), SIGNED),
    "cut": (
        {**signature(), "x-webhook-signature": signature()["x-webhook-signature"][:-4]},
        SIGNED,
    ),
    "empty": ({**signature(), "x-webhook-signature": ""}, SIGNED),
    "padded": (signature() | {SIGNATURE: signature()[SIGNATURE] + " \n"}, SIGNED),
    "in hex": ({**signature(), "x-webhook-signature": "ab" * 32}, SIGNED),
    "not ASCII": ({**signature(), "x-webhook-signature": "é" * 44}, SIGNED),
    "a lone surrogate": ({**signature(), "x-webhook-signature": "\ud800" * 44}, SIGNED),
    "not Base64": ({**signature(), "x-webhook-signature": "!" * 44}, SIGNED),
}


@pytest.mark.parametrize(
    ("headers", "body"), WRONG_SIGNATURES.values(), ids=WRONG_SIGNATURES.keys()
)
def test_every_wrong_signature_is_one_and_the_same_rejection(
    headers: Mapping[str, str], body: bytes
) -> None:
    # They are as old as the run of the tests, and must be wrong for what they are called.
    with pytest.raises(CallbackRejected) as told:
        HmacVerifier(SECRET, tolerance=7200)(headers, body)
    assert str(told.value) == (
        "the callback's signature is missing, wrong or too old; it was not heeded"
    )


def test_the_tolerance_is_the_users_and_one_that_is_no_number_believes_nothing() -> None:
    HmacVerifier(SECRET, tolerance=1000)(signature(ago=970), SIGNED)
    HmacVerifier(SECRET, tolerance=1000)(signature(ago=-970), SIGNED)
    for tolerance in (900.0, float("nan")):
        with pytest.raises(CallbackRejected):
            HmacVerifier(SECRET, tolerance=tolerance)(signature(ago=970), SIGNED)


@pytest.mark.parametrize("secret", ["text", b"", None, 7])
def test_a_secret_is_bytes_and_never_shown(secret: object) -> None:
    with pytest.raises(InputError, match="secret must be bytes") as told:
        HmacVerifier(cast(bytes, secret))
    assert repr(secret) not in str(told.value)
    assert "shared" not in repr(HmacVerifier(SECRET))


@pytest.mark.virtual_time
async def test_what_is_not_signed_is_refused_and_wakes_nobody(
    emulator: Emulator, client_of: ClientOf
) -> None:
    receiver = CallbackReceiver(PUBLIC, verifier=HmacVerifier(SECRET))
    emulator.withhold_answer_to_next_create()
    async with client_of(callbacks=receiver) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
        [task_id] = emulator.tasks
        token, body = token_of(emulator, task_id), naming(task_id, 3)
        assert await posted(receiver, token, body) == 403
        forged = signature(task_id=task_id, secret=b"another")
        assert receiver.handle("POST", token, forged, body) == 403
        await anyio.sleep(60)
        assert emulator.looks == 0
        # Names of headers as a sender may write them.
        good = {name.title(): value for name, value in signature(task_id=task_id).items()}
        assert receiver.handle("POST", token, good, body) == 200
        await anyio.sleep(1)
    assert emulator.looks_of(task_id) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    "error",
    [CallbackRejected("no"), ValueError("no"), KeyError("x"), RecursionError(), AssertionError()],
    ids=repr,
)
async def test_whatever_a_verifier_raises_is_a_refusal_and_one_line_without_the_token(
    emulator: Emulator,
    client_of: ClientOf,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    asked: list[tuple[Mapping[str, str], bytes]] = []

    def verifier(headers: Mapping[str, str], body: bytes) -> None:
        asked.append((headers, body))
        error.args = (*error.args, headers.get("x-original-uri"))
        raise error

    receiver = CallbackReceiver(PUBLIC, verifier=verifier)
    async with expected(emulator, client_of, receiver) as token:
        await posted(receiver, "x" * 43)
        assert asked == []
        caplog.set_level(logging.DEBUG)
        headers = [(b"X-Original-URI", b"/liangxin/" + token.encode())]
        assert await posted(receiver, token, b"as it came", headers=headers) == 403
    assert asked == [({"x-original-uri": f"/liangxin/{token}"}, b"as it came")]
    [line] = [each for each in caplog.messages if "not believed" in each]
    assert type(error).__name__ in line
    assert not any(token[start : start + 24] in caplog.text for start in range(20))


# --- the secret --------------------------------------------------------------------------------


class Book:
    """What a client does with callbacks, reduced to counting them."""

    def __init__(self) -> None:
        self.told: Counter[bytes] = Counter()
        self._lock = threading.Lock()

    def ticket(self) -> tuple[str, Ticket]:
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).digest()
        return token, Ticket(digest, cast(Callbacks, self))

    def deliver(self, ticket: Ticket, named: str | None) -> None:
        with self._lock:
            self.told[ticket.digest] += 1


@contextmanager
def calls_into_c() -> Iterator[list[str]]:
    """The names of the functions in C that are called in this block."""
    called: list[str] = []

    def note(frame: object, event: str, function: object) -> None:
        if event == "c_call":
            called.append(getattr(function, "__name__", ""))

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def test_a_token_is_looked_up_by_its_hash_and_compared_in_constant_time(
    receiver: CallbackReceiver,
) -> None:
    (token, ticket), (stranger, _) = Book().ticket(), Book().ticket()
    receiver.expect(ticket)
    with calls_into_c() as good:
        assert receiver.handle("POST", f"/{token}", {}, BODY) == 200
    lookup = good.index("get")
    assert good.index("openssl_sha256") < lookup < good.index("compare_digest")
    with calls_into_c() as bad:
        assert receiver.handle("POST", f"/{stranger}", {}, BODY) == 404
    # What is done with a token before its hash is looked up does not depend on what is known.
    assert bad[: bad.index("get")] == good[:lookup]


def test_a_ticket_that_is_found_under_the_hash_of_another_is_no_match(
    receiver: CallbackReceiver,
) -> None:
    book = Book()
    (_, ticket), (other, _) = book.ticket(), book.ticket()
    receiver._tickets[hashlib.sha256(other.encode()).digest()] = ticket
    assert receiver.handle("POST", f"/{other}", {}, BODY) == 404
    assert book.told == {}


@pytest.mark.virtual_time
async def test_the_token_is_kept_nowhere_but_as_its_hash(
    emulator: Emulator, client_of: ClientOf, receiver: CallbackReceiver
) -> None:
    async with expected(emulator, client_of, receiver) as token:
        digest = hashlib.sha256(token.encode()).digest()
        [(key, ticket)] = receiver._tickets.items()
        assert key == ticket.digest == digest
        fields = [getattr(ticket, name) for name in Ticket.__annotations__]
        assert token not in repr([repr(receiver), *fields])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def answer_to(port: int, request: bytes) -> bytes:
    """What a server on this machine answers until it hangs up; waits for it in this thread."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(request)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
        return answer


async def test_no_log_at_any_level_has_a_token(
    server: Emulator,
    options_of: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        caplog.set_level(1, logger=name)
        # The emulator's own server has silenced it, for the whole process.
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}/hooks", verifier=HmacVerifier(SECRET))
    with receiver.serving(port=port):
        async with liangxin.AsyncClient(callbacks=receiver, **options_of) as client:
            task = await client.run(POSTER)
            token = token_of(server, task.id)
            head = f"Host: x\r\nConnection: close\r\nX-Again: {token}\r\n"
            for line in ("POST /%s HTTP/1.1", "GET /%s HTTP/1.1", "POST /%s NONSENSE", "POST /%s/"):
                request = f"{line % token}\r\n{head}Content-Length: 2\r\n\r\n{{}}"
                assert answer_to(port, request.encode())
            receiver.handle("POST", f"/{token}", signature(task_id=task.id), naming(task.id, 3))
            server.withhold_answer_to_next_create()
            with pytest.raises(liangxin.AmbiguousCreate):
                await client.create_task(POSTER)
    tokens = [token_of(server, task_id) for task_id in server.tasks]
    # The emulator is the service here, and what its httpx logs is the service's affair.
    ours = [each for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    assert {"liangxin"} <= {each.name for each in ours}
    logged = "\n".join(f"{each.getMessage()} {each.args} {each.exc_text}" for each in ours)
    assert not any(token in logged for token in tokens)


# --- served alone ------------------------------------------------------------------------------


async def test_a_callback_is_answered_while_the_loop_of_the_client_is_busy(
    server: Emulator, options_of: dict[str, Any]
) -> None:
    port = free_port()
    receiver = CallbackReceiver(f"http://127.0.0.1:{port}")
    options = options_of | {"poll_interval": 3600.0}
    async with liangxin.AsyncClient(callbacks=receiver, **options) as client:
        with receiver.serving(port=port):
            task = await client.create_task(POSTER)
            # In this thread, which is the loop's: a server that waited for it would never answer,
            # nor ever end.
            line = f"POST /{token_of(server, task.id)} HTTP/1.1\r\nHost: x\r\nConnection: close"
            assert answer_to(port, f"{line}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")
        await client.wait(task)
    assert server.looks_of(task.id) == 1


def test_the_loggers_of_another_server_in_the_process_stay_as_they_are(
    receiver: CallbackReceiver,
) -> None:
    loggers = [logging.getLogger(f"uvicorn{name}") for name in ("", ".error", ".access", ".asgi")]
    kept = logging.NullHandler()
    loggers[2].addHandler(kept)
    before = [(each.level, each.propagate, list(each.handlers)) for each in loggers]
    with receiver.serving(port=0) as port:
        assert answer_to(port, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
        assert [(each.level, each.propagate, each.handlers) for each in loggers] == before
    loggers[2].removeHandler(kept)


class Wire(asyncio.Transport):
    """The server's end of a connection, as far as a protocol asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.is_aborted = False

    def is_closing(self) -> bool:
        return self.is_aborted

    def write(self, data: object) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def abort(self) -> None:
        self.is_aborted = True

    close = abort


class Server:
    """The server that `serving` runs, without its sockets, on the clock of the test."""

    def __init__(self, receiver: CallbackReceiver) -> None:
        self.config = _config(receiver)
        self.server = _Server(self.config, threading.Event())
        self.state = self.server.server_state

    def connection(self) -> tuple[_Protocol, Wire]:
        protocol, wire = _Protocol(self.config, self.state, {}), Wire()
        protocol.connection_made(wire)
        return protocol, wire

    async def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            await anyio.sleep(1)
            await self.server.on_tick(0)


# uvicorn is asyncio's alone.
on_asyncio = pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": JumpingLoop})])
REQUEST = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n" % (b"A" * 43)


@on_asyncio
@pytest.mark.parametrize("pieces", [[], [b"POST"], [b"P", b"O", b"S", b"T"] * 3, [REQUEST, b"{"]])
async def test_whoever_asks_for_nothing_whole_is_put_out_however_slowly_it_talks(
    receiver: CallbackReceiver, pieces: list[bytes]
) -> None:
    server = Server(receiver)
    protocol, wire = server.connection()
    for second in range(10):
        if second < len(pieces):
            protocol.data_received(pieces[second])
        await server.pass_time(1)
    assert not wire.is_aborted
    await server.pass_time(2)
    assert wire.is_aborted
    assert server.state.connections == set()


@on_asyncio
async def test_whoever_goes_on_asking_may_stay_and_a_second_request_may_not_drip(
    receiver: CallbackReceiver,
) -> None:
    server = Server(receiver)
    protocol, wire = server.connection()
    for _ in range(10):
        protocol.data_received(REQUEST + b"{}")
        await server.pass_time(4)
    assert not wire.is_aborted
    for _ in range(7):
        protocol.data_received(b"P")
        await server.pass_time(1)
    assert wire.is_aborted


@on_asyncio
async def test_of_too_many_connections_the_one_that_was_answered_least_lately_makes_room(
    receiver: CallbackReceiver,
) -> None:
    server = Server(receiver)
    connections = []
    for _ in range(MAX_CONNECTIONS):
        connections.append(server.connection())
        await anyio.sleep(0.001)
    connections[0][0].data_received(REQUEST + b"{}")
    await anyio.sleep(0.001)
    latest = [server.connection() for _ in range(10)]
    out = [number for number, (_, wire) in enumerate(connections) if wire.is_aborted]
    assert out == list(range(1, 11))
    assert not any(wire.is_aborted for _, wire in latest)
    assert len(server.state.connections) == MAX_CONNECTIONS


# --- threads -----------------------------------------------------------------------------------


def test_sixteen_threads_may_call_while_tickets_come_and_go(receiver: CallbackReceiver) -> None:
    book = Book()
    steady = [book.ticket() for _ in range(4)]
    passing = [book.ticket() for _ in range(64)]
    strangers = [secrets.token_urlsafe(32) for _ in range(4)]
    for _, ticket in steady:
        receiver.expect(ticket)
    answers: Counter[tuple[str, int]] = Counter()
    lock, start = threading.Lock(), threading.Barrier(17)

    def call() -> None:
        start.wait()
        for _ in range(25):
            for token in [token for token, _ in steady + passing] + strangers:
                status = receiver.handle("POST", f"/x/{token}", [("A", "b")], BODY)
                with lock:
                    answers[token, status] += 1

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    start.wait()
    while any(thread.is_alive() for thread in threads):
        for _, ticket in passing:
            receiver.expect(ticket)
        for _, ticket in passing:
            receiver.forget(ticket)
    for thread in threads:
        thread.join()

    calls = 16 * 25
    assert all(answers[token, 200] == calls == book.told[each.digest] for token, each in steady)
    assert all(answers[token, 404] == calls for token in strangers)
    for token, ticket in passing:
        assert answers[token, 200] == book.told[ticket.digest]
        assert answers[token, 200] + answers[token, 404] == calls
        assert receiver.handle("POST", token, {}, BODY) == 404
