"""Faults: each one does what it says, once, and leaves the books right."""

from __future__ import annotations

import json
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from liangxin.emulator import Emulator, Fault
from tests.emulator.service import (
    KEY,
    HandClock,
    client_of,
    create,
    fetch,
    look,
    order,
    post,
    result_url,
)

pytestmark = pytest.mark.anyio


async def test_a_withheld_answer_is_charged_and_then_nothing_comes(emulator: Emulator) -> None:
    emulator.withhold_answer_to_next_create()
    with pytest.raises(httpx.RemoteProtocolError):
        await post(emulator, order())
    assert len(emulator.charges) == 1
    assert emulator.requests[0].status is None
    assert emulator.requests[0].fault == "withhold"
    assert emulator.requests[0].task_id == emulator.charges[0].task_id
    await create(emulator, order())


async def test_a_dropped_create_is_seen_but_not_charged(emulator: Emulator) -> None:
    emulator.drop_next_create()
    with pytest.raises(httpx.RemoteProtocolError):
        await post(emulator, order())
    assert not emulator.charges
    assert len(emulator.requests) == 1


@pytest.mark.parametrize(
    ("envelope", "member"),
    [("market", "msg"), ("gateway", "error"), ("relay", "message"), ("route", "error")],
)
async def test_a_refusal_wears_the_asked_envelope(
    emulator: Emulator, envelope: Any, member: str
) -> None:
    emulator.fail_next_create(503, envelope=envelope, headers={"Retry-After": "7"})
    reply = await post(emulator, order())
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "7"
    assert member in reply.json()
    assert not emulator.charges
    assert (await post(emulator, order())).status_code == 200


async def test_a_proxys_page_is_html(emulator: Emulator) -> None:
    emulator.fail_next_look(502, envelope="html")
    async with client_of(emulator) as client:
        reply = await client.get("/api/v1/jobs/recordInfo?taskId=x")
    assert reply.status_code == 502
    assert reply.headers["content-type"] == "text/html"


async def test_a_replaced_answer_leaves_the_charge(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", "replace", status=500, envelope="relay"))
    assert (await post(emulator, order())).status_code == 500
    assert len(emulator.charges) == 1


async def test_a_raw_body_is_sent_as_it_is(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", "replace", body='{"code":200,"data":null}'))
    reply = await post(emulator, order())
    assert (reply.status_code, reply.text) == (200, '{"code":200,"data":null}')


@pytest.mark.parametrize(
    ("action", "named"), [("null_task_id", None), ("wrong_task_id", "task_someone-else_1")]
)
async def test_the_answer_can_name_no_task_or_another(
    emulator: Emulator, action: Any, named: str | None
) -> None:
    emulator.add_fault(Fault("create", action))
    assert (await post(emulator, order())).json()["data"]["taskId"] == named
    assert len(emulator.charges) == 1


async def test_a_cut_answer_breaks_off_in_the_middle(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", "cut"))
    with pytest.raises(httpx.ReadError):
        await post(emulator, order())
    assert len(emulator.charges) == 1


async def test_garbage_is_no_json(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", "garbage"))
    reply = await post(emulator, order())
    assert reply.status_code == 200
    with pytest.raises(UnicodeDecodeError):
        reply.json()


async def test_a_lost_task_is_denied_for_good_a_lost_look_once(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", "lost"))
    lost, kept = await create(emulator, order()), await create(emulator, order())
    emulator.add_fault(Fault("look", "lost", task_id=kept))
    async with client_of(emulator) as client:
        for task_id, statuses in ((lost, (404, 404)), (kept, (404, 200))):
            for status in statuses:
                url = f"/api/v1/jobs/recordInfo?taskId={task_id}"
                assert (await client.get(url)).status_code == status


async def test_a_failing_task_says_why(emulator: Emulator, clock: HandClock) -> None:
    emulator.fail_next_task("422", "no such thing")
    task_id = await create(emulator, order())
    clock.now = 100
    data = await look(emulator, task_id)
    assert (data["state"], data["failCode"], data["failMsg"]) == ("fail", "422", "no such thing")
    assert data["resultJson"] == ""


async def test_a_fault_hits_the_nth_matching_request_and_those_counted(
    emulator: Emulator,
) -> None:
    emulator.add_fault(Fault("create", model="z-image", prompt="dog", nth=2, count=2))
    others = [order(prompt="cat"), order("imagen4-fast", "dog")]
    assert [(await post(emulator, body)).status_code for body in others] == [200, 200]
    statuses = [(await post(emulator, order(prompt="a dog"))).status_code for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]


async def test_a_fault_without_a_count_stays_until_cleared(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", status=429, count=None))
    assert {(await post(emulator, order())).status_code for _ in range(5)} == {429}
    emulator.clear_faults()
    assert (await post(emulator, order())).status_code == 200


async def test_a_result_can_be_cut_and_fetched_again(emulator: Emulator, clock: HandClock) -> None:
    task_id = await create(emulator, order("kling-v3-pro"))
    clock.now = 100
    path = await result_url(emulator, task_id)
    emulator.add_fault(Fault("result", "cut"))
    with pytest.raises(httpx.ReadError):
        await fetch(emulator, path)
    assert (await fetch(emulator, path)).status_code == 200


async def test_a_delayed_answer_runs_into_the_time_out_after_the_work_is_done(
    emulator: Emulator,
) -> None:
    emulator.add_fault(Fault("create", "delay", delay=60))
    async with client_of(emulator) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/api/v1/jobs/createTask", json=order(), timeout=0.01)
    assert len(emulator.charges) == 1


async def test_an_answer_that_drips_takes_its_time_and_is_whole_in_the_end() -> None:
    emulator = Emulator(speed=0)
    emulator.add_fault(Fault("create", "drip", delay=16))
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await post(emulator, order()))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        while not answers:
            emulator.advance(0.25)
            await anyio.wait_all_tasks_blocked()
    assert 16 <= emulator.now <= 16 + 16 * 0.25
    assert answers[0].json()["data"]["taskId"] == emulator.charges[0].task_id


async def test_a_state_can_go_back_or_be_unheard_of(emulator: Emulator, clock: HandClock) -> None:
    task_id = await create(emulator, order())
    emulator.add_fault(Fault("look", "state", nth=2))
    emulator.add_fault(Fault("look", "state", state="paused", nth=2))
    clock.now = 100
    told = [await look(emulator, task_id) for _ in range(4)]
    assert [record["state"] for record in told] == ["success", "waiting", "paused", "success"]
    assert [bool(record["resultJson"]) for record in told] == [True, False, False, True]


@pytest.mark.parametrize(("endpoint", "later"), [("create", True), ("look", False)])
async def test_results_can_be_said_to_be_elsewhere(
    emulator: Emulator, clock: HandClock, endpoint: Any, later: bool
) -> None:
    hostile = ("http://169.254.169.254/latest", "file:///etc/passwd")
    emulator.add_fault(Fault(endpoint, "urls", urls=hostile))
    task_id = await create(emulator, order())
    clock.now = 100
    told = [json.loads((await look(emulator, task_id))["resultJson"]) for _ in range(2)]
    assert told[0] == {"resultUrls": list(hostile)}
    assert (told[1] == told[0]) is later


async def test_a_fault_is_for_one_key_if_it_says_so(emulator: Emulator) -> None:
    emulator.add_fault(Fault("create", status=503, key="sk-one", count=None))
    assert (await post(emulator, order())).status_code == 200
    assert (await post(emulator, order(), "sk-one")).status_code == 503


def test_a_rule_keeps_no_key() -> None:
    fault = Fault("create", key="sk-one")
    assert "sk-one" not in repr(fault)
    assert fault == Fault("create", key=str(fault.key))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"endpoint": "lok"}, "endpoint must be one of create, look, result, callback, not 'lok'"),
    ({"action": "drop"}, "action must be one of answer, "),
    ({"action": "twice"}, "'twice' means nothing for 'create'; there, it is one of answer, "),
    ({"status": 99}, "status must be a whole number from 100 to 599, not 99"),
    ({"status": 200.0}, "status must be"),
    ({"status": True}, "status must be"),
    ({"envelope": "paper"}, "envelope must be one of market, gateway, relay, route, html"),
    ({"message": None}, "message must be a string"),
    ({"body": 5}, "body must be a string"),
    ({"body": "\ud800"}, "body must be a string"),
    ({"headers": {"a": 1}}, "headers must be a table of strings"),
    ({"headers": []}, "headers must be a table of strings"),
    ({"delay": -1}, "delay must be a number of seconds from 0, not -1"),
    ({"delay": float("nan")}, "delay must be"),
    ({"fail_code": 500}, "fail_code must be a string"),
    ({"state": None}, "state must be a string"),
    ({"urls": "http://a"}, "urls must be a list of strings"),
    ({"model": 1}, "model must be a string"),
    ({"prompt": 1}, "prompt must be a string"),
    ({"task_id": 1}, "task_id must be a string"),
    ({"key": 1}, "key must be a string"),
    ({"nth": 0}, "nth must be a whole number from 1, not 0"),
    ({"count": 0}, "count must be a whole number from 1, or all, not 0"),
    ({"probability": 1.1}, "probability must be a number from 0 to 1, not 1.1"),
]


@pytest.mark.parametrize(("members", "words"), WRONG)
def test_a_rule_that_cannot_be_says_what_is_allowed(members: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Fault(**{"endpoint": "create"} | members)


async def test_the_magic_prompt_refuse_is_refused_and_costs_nothing(emulator: Emulator) -> None:
    assert (await post(emulator, order(prompt="a cat !refuse:422"))).status_code == 422
    assert not emulator.charges


async def test_the_magic_prompt_lost_task_is_charged_and_denied(emulator: Emulator) -> None:
    task_id = await create(emulator, order(prompt="!lost-task"))
    async with client_of(emulator) as client:
        reply = await client.get(f"/api/v1/jobs/recordInfo?taskId={task_id}")
    assert reply.status_code == 404
    assert len(emulator.charges) == 1


async def test_magic_words_can_be_put_together(emulator: Emulator, clock: HandClock) -> None:
    task_id = await create(emulator, order(prompt="a cat !slow:2.5s !fail:too dark"))
    clock.now = 2.5
    assert (await look(emulator, task_id))["failMsg"] == "too dark"


async def test_the_magic_prompt_fail_ends_in_failure(emulator: Emulator, clock: HandClock) -> None:
    plain = await create(emulator, order(prompt="a cat !fail"))
    worded = await create(emulator, order(prompt="a cat !fail: too dark\nsecond line"))
    clock.now = 100
    assert (await look(emulator, plain))["state"] == "fail"
    assert (await look(emulator, worded))["failMsg"] == "too dark"


async def test_the_magic_prompt_slow_sets_the_duration(emulator: Emulator) -> None:
    task_id = await create(emulator, order(prompt="a cat !slow:30s"))
    assert emulator.tasks[task_id].duration == 30


async def test_the_magic_prompt_lost_answer_withholds_the_answer(emulator: Emulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await post(emulator, order(prompt="!lost-answer"))
    assert len(emulator.charges) == 1


@pytest.mark.parametrize(
    "prompt",
    ["hey!fail", "!failure", "!slow:", "wow !", "!lost-answers", "!refuse:200", "!refuse:4222"],
)
async def test_what_only_looks_like_magic_is_a_prompt(
    emulator: Emulator, clock: HandClock, prompt: str
) -> None:
    task_id = await create(emulator, order(prompt=prompt))
    clock.now = 100
    assert (await look(emulator, task_id))["state"] == "success"


def raw_create(url: str) -> bytes:
    """Send a createTask over a socket of our own and return all that comes back."""
    body = json.dumps(order()).encode()
    parts = urlsplit(url)
    head = (
        f"POST /api/v1/jobs/createTask HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Authorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return received


def test_on_a_socket_a_withheld_answer_is_not_one_byte(served: Emulator) -> None:
    served.withhold_answer_to_next_create()
    assert raw_create(served.base_url) == b""
    assert len(served.charges) == 1


def test_on_a_socket_a_dropped_create_is_not_charged(served: Emulator) -> None:
    served.drop_next_create()
    assert raw_create(served.base_url) == b""
    assert not served.charges


def test_on_a_socket_a_cut_answer_is_half_of_what_its_head_says(served: Emulator) -> None:
    served.add_fault(Fault("create", "cut"))
    head, _, body = raw_create(served.base_url).partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert head.startswith(b"HTTP/1.1 200")
    assert 0 < len(body) == length // 2


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_both_http_implementations_of_the_server_can_drop(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch, http: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = None if http == "h11" else pytest.importorskip("httptools").__spec__
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    emulator = Emulator(clock=clock)
    emulator.withhold_answer_to_next_create()
    emulator.add_fault(Fault("create", "cut"))
    with emulator.serve() as url:
        assert raw_create(url) == b""
        assert b"HTTP/1.1 200" in raw_create(url)
    assert not caplog.records
