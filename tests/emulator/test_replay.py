"""Replay: the same client code sees what it saw when it was recorded, and nothing made up."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from PIL import Image

import liangxin
from liangxin import models
from liangxin.emulator import Emulator, Fault, Recorder, Replay
from tests.conftest import anyio_backend as anyio_backend
from tests.emulator.service import KEY, HandClock, order

CREATE = "/api/v1/jobs/createTask"
LOOK = "/api/v1/jobs/recordInfo"

pytestmark = pytest.mark.anyio


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Where to record."""
    return tmp_path / "recording.jsonl"


# --- a whole session, in virtual time ----------------------------------------------------------


async def session(transport: httpx.AsyncBaseTransport) -> list[tuple[str, ...]]:
    """What a client does that meets most of what can happen; returns what it saw."""
    seen: list[tuple[str, ...]] = []

    async def attempt(client: liangxin.AsyncClient, prompt: str) -> None:
        try:
            task = await client.run(models.ZImage(prompt=prompt))
        except liangxin.TaskFailed as failed:
            seen.append((prompt, failed.task.id, failed.task.fail_message or ""))
        except liangxin.LiangxinError as error:
            seen.append((prompt, type(error).__name__))
        else:
            seen.append((prompt, task.id, task.state.value))

    where: dict[str, Any] = {"base_url": "http://127.0.0.1:9", "transport": transport}
    async with liangxin.AsyncClient("sk-not-the-right-one", **where) as client:
        await attempt(client, "a cat")
    async with liangxin.AsyncClient(KEY, **where) as client:
        for prompt in ("a cat", "a dog !fail:too dark", "a bird !lost-answer", "a cat"):
            await attempt(client, prompt)
        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(attempt, client, f"fish {number}")
        try:
            await client.get_task("task_of_someone_else")
        except liangxin.LiangxinError as error:
            seen.append((type(error).__name__,))
    return [*seen[:5], *sorted(seen[5:-1]), seen[-1]]


@pytest.mark.virtual_time
async def test_the_same_client_code_sees_the_same(tape: Path) -> None:
    emulator = Emulator(seed=1, clock=anyio.current_time, api_keys=[KEY])
    emulator.add_fault(Fault("create", status=429, nth=3, headers={"Retry-After": "7"}))
    emulator.add_fault(Fault("look", status=503, nth=3))
    emulator.add_fault(Fault("look", "drop_before", nth=5))
    recorder = Recorder(
        emulator.base_url,
        tape,
        upstream_transport=emulator.transport(),
        clock=anyio.current_time,
    )
    seen = await session(recorder.transport())
    assert [outcome for *_, outcome in seen[:4]] == [
        "Unauthorized",
        "success",
        "too dark",
        "AmbiguousCreate",
    ]
    creates = [request for request in emulator.requests if request.endpoint == "create"]
    assert tape.read_text().count('"method":"POST"') == len(creates) == 11
    assert len(emulator.charges) == 9
    replay = Replay(tape, clock=anyio.current_time)
    assert await session(replay.transport()) == seen


# --- recordings made by hand -------------------------------------------------------------------


def exchange(at: float, path: str, status: int | None, **more: Any) -> dict[str, Any]:
    """Return a line of a recording."""
    return {
        "at": at,
        "method": "POST" if path == CREATE else "GET",
        "path": path,
        "query": "",
        "key": None,
        "request_headers": {},
        "request_body": "",
        "status": status,
        "lost": None if status else "ReadError",
        "response_headers": {"content-type": "application/json"},
        "response_body": "",
        **more,
    }


def created(at: float, body: Any, task_id: str | None, status: int | None = 200) -> dict[str, Any]:
    """Return the line of a createTask."""
    answer = json.dumps({"code": status, "msg": "", "data": {"taskId": task_id}})
    return exchange(
        at, CREATE, status, request_body=json.dumps(body), response_body=answer if status else ""
    )


def looked(at: float, task_id: str, state: str, status: int | None = 200, **data: Any) -> Any:
    """Return the line of a recordInfo."""
    answer = json.dumps({"code": status, "data": {"taskId": task_id, "state": state, **data}})
    if status != 200:
        answer = json.dumps({"code": status, "msg": "no"})
    return exchange(at, LOOK, status, query=f"taskId={task_id}", response_body=answer)


def write(tape: Path, *lines: dict[str, Any]) -> None:
    """Write a recording."""
    head = {"recording": 1, "upstream": "https://host.example", "started": 1.0}
    tape.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines)))


def client_of(replay: Replay) -> httpx.AsyncClient:
    """Return a client of the replay in process, without a key."""
    return httpx.AsyncClient(transport=replay.transport(), base_url=replay.base_url)


async def create(replay: Replay, body: Any) -> httpx.Response:
    """Send a createTask."""
    async with client_of(replay) as client:
        return await client.post(CREATE, json=body)


async def look(replay: Replay, task_id: str) -> httpx.Response:
    """Ask recordInfo."""
    async with client_of(replay) as client:
        return await client.get(LOOK, params={"taskId": task_id})


async def state(replay: Replay, task_id: str) -> str:
    """Ask recordInfo for the state, or the status of a refusal."""
    reply = await look(replay, task_id)
    return (
        str(reply.json()["data"]["state"]) if reply.status_code == 200 else str(reply.status_code)
    )


@pytest.fixture
def clock() -> HandClock:
    """The time of the replay."""
    return HandClock()


async def test_a_create_is_known_by_what_it_orders(tape: Path) -> None:
    recorded = order(seed=7, image="https://a.example/cat.png?***")
    write(tape, created(0, recorded | {"callBackUrl": "https://me.example/***"}, "t1"))
    asked = {
        "callBackUrl": "https://other.example/hook",
        "input": {"image": "https://a.example/cat.png?sig=new", "seed": 7, "prompt": "a cat"},
        "model": "z-image",
    }
    assert (await create(Replay(tape), asked)).json()["data"]["taskId"] == "t1"


async def test_a_picture_is_known_by_its_bytes(emulator: Emulator, tape: Path) -> None:
    picture = "data:image/png;base64," + "QUJD" * 40
    body = order("nano-banana-pro", image_input=[picture])
    other = order("nano-banana-pro", image_input=[picture.replace("QUJD", "QUJE")])
    recorder = Recorder(emulator.base_url, tape, upstream_transport=emulator.transport())
    async with httpx.AsyncClient(transport=recorder.transport(), base_url="http://h") as client:
        await client.post(CREATE, json=body, headers={"Authorization": f"Bearer {KEY}"})
    replay = Replay(tape)
    assert [(await create(replay, each)).status_code for each in (body, other)] == [200, 404]


async def test_several_answers_come_in_order_and_the_last_again(tape: Path) -> None:
    write(
        tape,
        created(2, order(), "t2"),  # a later line may be an earlier request
        created(1, order(), "t1"),
        created(0, order(), None, status=429),
    )
    replay = Replay(tape)
    replies = [await create(replay, order()) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [429, 200, 200, 200]
    assert [reply.json()["data"]["taskId"] for reply in replies[1:]] == ["t1", "t2", "t2"]


async def test_a_lost_answer_is_lost_again(tape: Path) -> None:
    write(tape, created(0, order(), None, status=None), created(1, order(), "t1"))
    replay = Replay(tape)
    with pytest.raises(httpx.RemoteProtocolError):
        await create(replay, order())
    assert (await create(replay, order())).status_code == 200


async def test_a_create_that_was_not_recorded_is_refused_beside_the_nearest(tape: Path) -> None:
    write(
        tape,
        created(0, order("imagen4-fast", "a lighthouse in fog"), "t1"),
        created(1, order(prompt="a lighthouse in rain", seed=1), "t2"),
        created(2, order(prompt="two cats"), "t3"),
    )
    reply = await create(Replay(tape), order(prompt="a lighthouse in fog", seed=2))
    assert reply.status_code == 404
    assert reply.json()["msg"] == (
        "this recording has no createTask like this one; the nearest is of z-image with the "
        "prompt 'a lighthouse in rain', and differs in input.prompt, input.seed"
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"a"', b"\xff", b"\xed\xa0\x80"])
async def test_a_body_that_is_no_order_is_refused_too(tape: Path, body: bytes) -> None:
    write(tape, created(0, order(), "t1"))
    async with client_of(Replay(tape)) as client:
        assert (await client.post(CREATE, content=body)).status_code == 404


async def test_a_recording_without_creates_says_so(tape: Path) -> None:
    write(tape)
    assert "no createTask at all" in (await create(Replay(tape), order())).json()["msg"]


async def test_a_task_goes_through_its_states_from_its_create_on(
    tape: Path, clock: HandClock
) -> None:
    write(
        tape,
        created(100, order(), "t1"),
        looked(102, "t1", "waiting"),
        looked(110, "t1", "generating"),
        looked(160, "t1", "success"),
    )
    replay = Replay(tape, clock=clock)
    clock.now = 1000
    await create(replay, order())
    seen = []
    for elapsed in (0, 9, 10, 59, 60, 1000):
        clock.now = 1000 + elapsed
        seen.append(await state(replay, "t1"))
    assert seen == ["waiting", "waiting", "generating", "generating", "success", "success"]


async def test_speed_makes_it_go_faster(tape: Path, clock: HandClock) -> None:
    write(
        tape,
        created(0, order(), "t1"),
        looked(1, "t1", "waiting"),
        looked(60, "t1", "success"),
    )
    replay = Replay(tape, clock=clock, speed=60)
    await create(replay, order())
    clock.now = 0.99
    assert await state(replay, "t1") == "waiting"
    clock.now = 1.0
    assert await state(replay, "t1") == "success"


async def test_a_task_that_is_created_again_begins_again(tape: Path, clock: HandClock) -> None:
    write(
        tape,
        created(0, order(), "t1"),
        looked(1, "t1", "waiting"),
        looked(60, "t1", "success"),
    )
    replay = Replay(tape, clock=clock)
    for start in (0, 500):
        clock.now = start
        await create(replay, order())
        assert await state(replay, "t1") == "waiting"
        clock.now = start + 60
        assert await state(replay, "t1") == "success"


async def test_a_refused_or_lost_look_comes_once_when_its_time_has_come(
    tape: Path, clock: HandClock
) -> None:
    write(
        tape,
        created(0, order(), "t1"),
        looked(1, "t1", "waiting"),
        looked(5, "t1", "", status=503),
        looked(6, "t1", "", status=None),
        looked(60, "t1", "success"),
    )
    replay = Replay(tape, clock=clock)
    await create(replay, order())
    assert await state(replay, "t1") == "waiting"
    clock.now = 60
    assert await state(replay, "t1") == "503"
    with pytest.raises(httpx.RemoteProtocolError):
        await look(replay, "t1")
    assert await state(replay, "t1") == "success"


async def test_a_task_whose_create_is_not_recorded_begins_with_the_first_look(
    tape: Path, clock: HandClock
) -> None:
    write(tape, looked(100, "t1", "generating"), looked(160, "t1", "success"))
    replay = Replay(tape, clock=clock)
    clock.now = 500
    assert await state(replay, "t1") == "generating"
    clock.now = 560
    assert await state(replay, "t1") == "success"


async def test_a_task_that_was_always_denied_stays_denied(tape: Path) -> None:
    write(tape, looked(0, "t1", "", status=404))
    replay = Replay(tape)
    assert [await state(replay, "t1") for _ in range(3)] == ["404"] * 3


async def test_a_task_that_is_not_in_the_recording_is_unknown(tape: Path) -> None:
    write(tape, created(0, order(), "t1"))
    replay = Replay(tape)
    assert (await look(replay, "t2")).json()["msg"] == "Task not found"
    assert (await look(replay, "")).json()["msg"] == "taskId is required"
    assert "no recordInfo" in (await look(replay, "t1")).json()["msg"]


async def test_headers_and_odd_bytes_come_back_as_they_were(emulator: Emulator, tape: Path) -> None:
    emulator.add_fault(Fault("create", "garbage", headers={"Retry-After": "7"}))
    emulator.fail_next_create(429, envelope="html", headers={"Retry-After": "7"})
    recorder = Recorder(emulator.base_url, tape, upstream_transport=emulator.transport())
    async with httpx.AsyncClient(
        transport=recorder.transport(), headers={"Authorization": f"Bearer {KEY}"}
    ) as client:
        replies = [await client.post(f"http://h{CREATE}", json=order()) for _ in range(2)]
    replay = Replay(tape)
    again = [await create(replay, order()) for _ in range(2)]
    assert [reply.content for reply in again] == [reply.content for reply in replies]
    assert again[1].headers["retry-after"] == "7"
    assert again[1].headers["content-type"] == "text/html"


async def test_a_reset_begins_from_the_start(tape: Path, clock: HandClock) -> None:
    write(
        tape,
        created(0, order(), "t1"),
        created(1, order(), "t2"),
        looked(2, "t2", "", status=503),
        looked(3, "t2", "waiting"),
    )
    replay = Replay(tape, clock=clock)
    for _ in range(2):
        assert (await create(replay, order())).json()["data"]["taskId"] == "t1"
        assert (await create(replay, order())).json()["data"]["taskId"] == "t2"
        clock.now += 5
        assert await state(replay, "t2") == "503"
        async with client_of(replay) as client:
            assert (await client.post("/_emulator/reset")).json() == {"reset": True}


# --- results -----------------------------------------------------------------------------------


def finished(task_id: str, *urls: str, model: str = "z-image", **members: Any) -> Any:
    """Return the line of a recordInfo with results."""
    return looked(
        0,
        task_id,
        "success",
        model=model,
        param=json.dumps(order(model, "a lighthouse", **members)),
        resultJson=json.dumps({"resultUrls": urls}),
    )


async def results(replay: Replay, task_id: str) -> list[httpx.Response]:
    """Return the results of a task, from where its record says they are."""
    async with client_of(replay) as client:
        reply = await client.get(LOOK, params={"taskId": task_id})
        urls = json.loads(reply.json()["data"]["resultJson"])["resultUrls"]
        return [await client.get(url) for url in urls]


@pytest.mark.parametrize(
    ("url", "model", "format"),
    [
        ("https://cdn.example/a/1.png?***", "z-image", "PNG"),
        ("https://cdn.example/a/1.JPG", "z-image", "JPEG"),
        ("https://cdn.example/a/1.webp?***", "z-image", "PNG"),
        ("https://cdn.example/a/1", "z-image", "PNG"),
        ("https://cdn.example/a/1.png", "a-model-of-tomorrow", "PNG"),
        ("https://[cdn.example/1.png", "z-image", "PNG"),
    ],
)
async def test_a_picture_is_painted_in_place_of_the_recorded_one(
    tape: Path, url: str, model: str, format: str
) -> None:
    write(tape, finished("t1", url, model=model))
    (reply,) = await results(Replay(tape), "t1")
    assert str(reply.url).startswith("http://127.0.0.1:9/results/")
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.format == format
        assert reply.headers["content-type"] == f"image/{format.lower()}"


async def test_the_picture_has_the_size_that_was_ordered(tape: Path) -> None:
    write(tape, finished("t1", "https://cdn.example/1.png", aspect_ratio="16:9"))
    (reply,) = await results(Replay(tape), "t1")
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.size == (1024, 576)


async def test_an_order_that_the_emulator_would_refuse_gets_a_picture_all_the_same(
    tape: Path,
) -> None:
    write(tape, finished("t1", "https://cdn.example/1.png", aspect_ratio="1000000:1"))
    (reply,) = await results(Replay(tape), "t1")
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.size == (1024, 1024)


async def test_a_clip_stands_for_a_clip(tape: Path) -> None:
    write(
        tape,
        finished("t1", "https://cdn.example/1.mp4", model="a-model-of-tomorrow"),
        finished("t2", "https://cdn.example/1", model="kling-v3-pro"),
    )
    replay = Replay(tape)
    for task_id in ("t1", "t2"):
        (reply,) = await results(replay, task_id)
        assert reply.content[4:8] == b"ftyp"
        assert reply.headers["content-type"] == "video/mp4"


async def test_every_result_has_an_address_of_its_own(tape: Path) -> None:
    write(tape, finished("t1", "https://cdn.example/1.png", "https://cdn.example/2.png"))
    one, two = await results(Replay(tape), "t1")
    assert (one.status_code, two.status_code) == (200, 200)
    assert one.url != two.url
    assert one.content != two.content


# --- recordings that are none ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (2, "{"),
        (3, "[]"),
        (2, ""),
        (3, '{"at": 1}'),
        (2, json.dumps(exchange("1", LOOK, 200))),  # type: ignore[arg-type]
        (2, json.dumps(exchange(1, LOOK, 200, response_headers={"a": 1}))),
    ],
)
def test_a_malformed_line_is_named_by_its_number(tape: Path, number: int, line: str) -> None:
    write(tape, looked(0, "t1", "waiting"), looked(1, "t1", "success"))
    lines = tape.read_text().splitlines()
    lines[number - 1] = line
    tape.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=rf"recording\.jsonl, line {number}: "):
        Replay(tape)


def test_a_last_line_that_is_cut_short_is_named_too(tape: Path) -> None:
    write(tape, looked(0, "t1", "waiting"))
    tape.write_bytes(tape.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"line 2: cut short"):
        Replay(tape)


@pytest.mark.parametrize("content", ["", '{"recording": 2}\n', '{"a": 1}\n'])
def test_a_file_that_is_no_recording_is_refused(tape: Path, content: str) -> None:
    tape.write_text(content)
    with pytest.raises(ValueError, match="is no recording"):
        Replay(tape)


# --- on a socket -------------------------------------------------------------------------------


@pytest.fixture
def replayed(tape: Path) -> Iterator[str]:
    """A replay on a port."""
    write(
        tape,
        created(0, order(), "t1"),
        created(1, order(prompt="lost"), None, status=None),
        finished("t1", "https://cdn.example/1.png?***"),
    )
    with Replay(tape).serve() as url:
        yield url


def test_on_a_socket_the_results_are_where_the_server_is(replayed: str) -> None:
    with liangxin.Client("sk-any", base_url=replayed) as client:
        task = client.run(models.ZImage(prompt="a cat"))
    assert task.urls[0].startswith(f"{replayed}/results/")
    assert httpx.get(task.urls[0]).headers["content-type"] == "image/png"


def test_on_a_socket_a_lost_answer_is_not_one_byte(replayed: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        httpx.post(replayed + CREATE, json=order(prompt="lost"))
