"""The two endpoints: what they accept, what they say, when."""

from __future__ import annotations

import json

import pytest

from liangxin.emulator import Emulator
from tests.emulator.service import EPOCH, KEY, HandClock, client_of, create, look, order, post

pytestmark = pytest.mark.anyio

START_MS = round(EPOCH * 1000)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [
        (0, "waiting"),
        (4.9, "waiting"),
        (5, "queuing"),
        (15, "generating"),
        (99.9, "generating"),
        (100, "success"),
        (9999, "success"),
    ],
)
async def test_a_task_passes_through_its_states_by_time_alone(
    emulator: Emulator, clock: HandClock, seconds: float, state: str
) -> None:
    task_id = await create(emulator, order())
    clock.now += seconds
    assert (await look(emulator, task_id))["state"] == state
    assert emulator.state_of(task_id) == state


async def test_the_id_names_the_model_and_the_millisecond(emulator: Emulator) -> None:
    assert await create(emulator, order()) == f"task_z-image_{START_MS}"


async def test_two_tasks_of_one_millisecond_have_two_ids(emulator: Emulator) -> None:
    ids = {await create(emulator, order()) for _ in range(20)}
    assert len(ids) == 20


async def test_a_running_task_has_no_result_and_no_end(emulator: Emulator) -> None:
    data = await look(emulator, await create(emulator, order()))
    assert data["resultJson"] == data["failCode"] == data["failMsg"] == ""
    assert data["completeTime"] is None
    assert data["createTime"] == data["updateTime"] == START_MS


async def test_a_finished_task_tells_its_times_in_milliseconds(
    emulator: Emulator, clock: HandClock
) -> None:
    task_id = await create(emulator, order())
    clock.now = 500
    data = await look(emulator, task_id)
    assert data["costTime"] == 100_000
    assert data["completeTime"] == data["updateTime"] == START_MS + 100_000


async def test_results_are_on_the_host_that_was_asked(emulator: Emulator, clock: HandClock) -> None:
    task_id = await create(emulator, order())
    clock.now = 100
    async with client_of(emulator) as client:
        url = f"http://some.host:81/api/v1/jobs/recordInfo?taskId={task_id}"
        data = (await client.get(url)).json()["data"]
    urls = json.loads(data["resultJson"])["resultUrls"]
    assert urls == [f"http://some.host:81/results/{task_id}/1.png"]


async def test_a_public_url_takes_precedence_over_the_host(clock: HandClock) -> None:
    emulator = Emulator(clock=clock, durations=1, public_url="https://cdn.example.com/")
    task_id = await create(emulator, order())
    clock.now = 1
    result = (await look(emulator, task_id))["resultJson"]
    assert json.loads(result)["resultUrls"][0].startswith("https://cdn.example.com/results/")


async def test_param_is_the_request_as_it_came(emulator: Emulator) -> None:
    body = '{ "model": "z-image",\n "input": {"prompt": "猫", "new": 1.50} }'
    task_id = await create(emulator, body.encode())
    assert (await look(emulator, task_id))["param"] == body


async def test_without_a_key_the_gateway_refuses(emulator: Emulator) -> None:
    reply = await post(emulator, order(), key=None)
    assert reply.status_code == 401
    assert reply.json()["error"]["type"] == "new_api_error"
    assert not emulator.charges


async def test_only_listed_keys_are_accepted(clock: HandClock) -> None:
    emulator = Emulator(clock=clock, api_keys=[KEY])
    assert (await post(emulator, order(), key="sk-other")).status_code == 401
    assert (await post(emulator, order(), key=KEY)).status_code == 200


async def test_recordinfo_wants_a_key_too(emulator: Emulator) -> None:
    async with client_of(emulator, key=None) as client:
        reply = await client.get("/api/v1/jobs/recordInfo", params={"taskId": "x"})
    assert reply.status_code == 401


@pytest.mark.parametrize(("query", "status"), [("", 400), ("?taskId=", 400), ("?taskId=no", 404)])
async def test_recordinfo_refuses_no_id_and_an_unknown_one(
    emulator: Emulator, query: str, status: int
) -> None:
    async with client_of(emulator) as client:
        reply = await client.get(f"/api/v1/jobs/recordInfo{query}")
    assert reply.status_code == reply.json()["code"] == status
    assert reply.json()["data"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/v1/jobs/createTask"), ("POST", "/api/v1/jobs/recordInfo"), ("GET", "/api/v1/x")],
)
async def test_an_unknown_route_gets_the_gateways_sentence(
    emulator: Emulator, method: str, path: str
) -> None:
    async with client_of(emulator) as client:
        reply = await client.request(method, path)
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == f"Invalid URL ({method} {path})"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"model": NaN}',
        b"[" * 100_000,
        b'{"model": "z-image", "input": {"prompt": "a", "seed": ' + b"9" * 10_000 + b"}}",
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(emulator: Emulator, body: bytes) -> None:
    reply = await post(emulator, body)
    assert reply.status_code == 400
    assert "error" in reply.json()


async def test_a_body_over_the_cap_is_refused(clock: HandClock) -> None:
    emulator = Emulator(clock=clock, body_limit=1000)
    reply = await post(emulator, order(prompt="x" * 2000))
    assert reply.status_code == 413
    assert emulator.requests[0].body_bytes > 1000


async def test_a_lone_surrogate_in_a_prompt_harms_nothing(emulator: Emulator) -> None:
    task_id = await create(emulator, b'{"model":"z-image","input":{"prompt":"!fail:\\ud800"}}')
    assert (await look(emulator, task_id))["taskId"] == task_id


async def test_a_seed_repeats_the_durations_and_another_does_not(clock: HandClock) -> None:
    async def durations(seed: int) -> list[float]:
        emulator = Emulator(seed=seed, clock=clock)
        for _ in range(5):
            await create(emulator, order())
        return [task.duration for task in emulator.tasks.values()]

    first, again, other = await durations(1), await durations(1), await durations(2)
    assert first == again
    assert set(first).isdisjoint(other)
    assert all(4 < seconds < 40 for seconds in first)


async def test_durations_can_be_set_by_slug_and_by_kind(clock: HandClock) -> None:
    emulator = Emulator(clock=clock, durations={"z-image": 3.0, "video": 7.0})
    await create(emulator, order())
    await create(emulator, order("kling-v3-pro"))
    assert [task.duration for task in emulator.tasks.values()] == [3.0, 7.0]


async def test_speed_makes_time_pass_faster(clock: HandClock) -> None:
    emulator = Emulator(clock=clock, speed=50, durations=lambda slug: 100.0)
    task_id = await create(emulator, order())
    clock.now += 2
    assert (await look(emulator, task_id))["state"] == "success"


async def test_reset_forgets_everything_and_counts_anew(emulator: Emulator) -> None:
    first = await create(emulator, order())
    emulator.withhold_answer_to_next_create()
    emulator.reset()
    assert not emulator.tasks
    assert not emulator.charges
    assert not emulator.requests
    assert await create(emulator, order()) == first
