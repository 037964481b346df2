"""The page's files, and the stream of events behind it."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, get_args, get_type_hints

import anyio
import httpx
import pytest

from liangxin.emulator import Emulator, Fault, _page
from liangxin.emulator._stream import LINES, TASKS, EventStream, View
from tests.emulator.service import KEY, HandClock, client_of, create, fetch, look, order, post

PAGE = (files(_page) / "page.html").read_text(encoding="utf-8")
Events = Iterator[dict[str, Any]]


@contextlib.contextmanager
def listening(url: str) -> Iterator[Events]:
    """What the stream of a served emulator tells."""
    with (
        httpx.Client(base_url=url, timeout=30) as client,
        client.stream("GET", "/_emulator/events") as reply,
    ):
        assert reply.headers["content-type"].startswith("text/event-stream")
        lines = reply.iter_lines()
        yield (json.loads(line[6:]) for line in lines if line.startswith("data: "))


def until(events: Events, name: str) -> Any:
    """The next news under that name."""
    return next(news[name] for news in events if name in news)


def send(emulator: Emulator, **members: Any) -> str:
    """Create a task on a served emulator."""
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{emulator.base_url}/api/v1/jobs/createTask"
    task_id = httpx.post(url, json=order(**members), headers=headers).json()["data"]["taskId"]
    assert isinstance(task_id, str)
    return task_id


def view_of(emulator: Emulator) -> Any:
    """What a listener would be told by the stream."""
    return View(emulator._market, emulator._time, {})


# --- the files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/_emulator/page.css", "text/css"),
        ("/_emulator/page.js", "text/javascript"),
        ("/_emulator/icon.svg", "image/svg+xml"),
    ],
)
async def test_every_file_comes_with_its_type_and_a_policy(
    emulator: Emulator, path: str, kind: str
) -> None:
    reply = await fetch(emulator, path)
    assert reply.headers["content-type"].startswith(kind)
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_has_nothing_that_its_policy_forbids() -> None:
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)|javascript:", PAGE)


def test_the_page_loads_nothing_from_elsewhere() -> None:
    loaded = re.findall(r'<(?:link|script|img)\b[^>]*?(?:href|src)="([^"]+)"', PAGE)
    assert len(loaded) == 4
    assert all(address.startswith("/_emulator/") for address in loaded)


@pytest.mark.parametrize("field", ["endpoint", "action"])
def test_the_form_of_a_rule_offers_whatever_a_fault_can_be(field: str) -> None:
    (select,) = re.findall(rf'<select name="{field}">(.*?)</select>', PAGE)
    offered = re.findall("<option>([^<]*)", select)
    assert set(offered) == set(get_args(get_type_hints(Fault)[field]))


async def test_looking_at_the_page_is_in_no_book(emulator: Emulator) -> None:
    await fetch(emulator, "/")
    await fetch(emulator, "/_emulator/icon.svg")
    assert not emulator.requests


async def test_a_picture_that_the_page_shows_meets_no_fault_and_is_in_no_book(
    emulator: Emulator, clock: HandClock
) -> None:
    task_id = await create(emulator, order())
    clock.now = 100
    emulator.add_fault(Fault("result", status=500, count=None))
    seen = len(emulator.requests)
    (task,) = view_of(emulator).news()["tasks"]
    assert task["task_id"] == task_id
    reply = await fetch(emulator, task["results"][0])
    assert reply.headers["content-type"] == "image/png"
    assert len(emulator.requests) == seen


# --- what a listener hears ---------------------------------------------------------------------


async def test_first_everything_is_told(emulator: Emulator) -> None:
    task_id = await create(emulator, order(prompt="a cat"))
    news = view_of(emulator).news()
    assert news["restart"] is True
    assert news["totals"] == {
        "created": 1,
        "in_flight": 1,
        "succeeded": 0,
        "failed": 0,
        "charged": 1,
        "looks": 0,
        "requests": 1,
        "callbacks": 0,
    }
    assert news["models"] == {"z-image": (1, 1)}
    (task,) = news["tasks"]
    assert (task["task_id"], task["state"], task["prompt"]) == (task_id, "waiting", "a cat")
    (request,) = news["requests"]
    assert (request["endpoint"], request["status"]) == ("create", 200)


async def test_then_nothing_while_nothing_changes(emulator: Emulator) -> None:
    await create(emulator, order())
    view = view_of(emulator)
    view.news()
    assert view.news() == {}


async def test_a_task_that_moves_is_told_in_short(emulator: Emulator, clock: HandClock) -> None:
    task_id = await create(emulator, order())
    await create(emulator, order("kling-v3-pro", "!slow:9999s"))
    view = view_of(emulator)
    view.news()
    clock.now = 50
    assert view.news() == {"tasks": [{"task_id": task_id, "state": "generating", "looks": 0}]}


async def test_a_look_is_told(emulator: Emulator) -> None:
    task_id = await create(emulator, order())
    view = view_of(emulator)
    view.news()
    await look(emulator, task_id)
    assert view.news()["tasks"] == [{"task_id": task_id, "state": "waiting", "looks": 1}]


async def test_why_a_task_failed_is_told_when_it_has(emulator: Emulator, clock: HandClock) -> None:
    await create(emulator, order(prompt="!fail:too dark"))
    view = view_of(emulator)
    assert "too dark" not in str(view.news()["tasks"]).replace("!fail:too dark", "")
    clock.now = 100
    news = view.news()
    (task,) = news["tasks"]
    assert task["failure"] == {"code": "500", "message": "too dark"}
    totals = news["totals"]
    assert (totals["failed"], totals["in_flight"]) == (1, 0)


async def test_many_changes_between_two_looks_are_one_message(emulator: Emulator) -> None:
    view = view_of(emulator)
    view.news()
    created = [await create(emulator, order()) for _ in range(40)]
    tasks = view.news()["tasks"]
    assert [task["task_id"] for task in tasks] == created


async def test_of_many_tasks_the_latest_are_told_and_all_are_counted(
    emulator: Emulator, clock: HandClock
) -> None:
    created = [await create(emulator, order()) for _ in range(TASKS + 20)]
    view = view_of(emulator)
    news = view.news()
    tasks, requests = news["tasks"], news["requests"]
    assert [task["task_id"] for task in tasks] == created[20:]
    assert len(requests) == LINES
    clock.now = 100
    totals = view.news()["totals"]
    assert totals["succeeded"] == TASKS + 20


async def test_a_reset_is_noticed_however_soon_the_next_task_comes(emulator: Emulator) -> None:
    await create(emulator, order())
    view = view_of(emulator)
    view.news()
    assert view.holds()
    emulator.reset()
    await create(emulator, order())
    assert not view.holds()


async def test_a_reset_is_noticed_though_there_was_no_task(emulator: Emulator) -> None:
    await post(emulator, b"")
    view = view_of(emulator)
    view.news()
    emulator.reset()
    await post(emulator, b"")
    assert not view.holds()


async def test_a_fault_that_hit_is_told_with_the_request(emulator: Emulator) -> None:
    view = view_of(emulator)
    view.news()
    emulator.drop_next_create()
    with pytest.raises(httpx.RemoteProtocolError):
        await post(emulator, order())
    (request,) = view.news()["requests"]
    assert (request["status"], request["fault"]) == (None, "drop_before")


async def test_a_callback_and_its_answer_are_told(clock: HandClock) -> None:
    receiver = httpx.MockTransport(lambda request: httpx.Response(503))
    emulator = Emulator(clock=clock, durations=100.0, callback_transport=receiver)
    await post(emulator, order() | {"callBackUrl": "http://receiver/hook"})
    view = view_of(emulator)
    view.news()
    clock.now = 100
    await emulator.deliver_callbacks()
    (callback,) = view.news()["callbacks"]
    assert (callback["url"], callback["status"]) == ("http://receiver/hook", 503)


# --- how it is told ----------------------------------------------------------------------------


async def test_the_stream_ends_when_the_listener_goes(emulator: Emulator) -> None:
    has_heard = anyio.Event()
    told = b""

    async def receive() -> dict[str, Any]:
        await has_heard.wait()
        return {"type": "http.disconnect"}

    async def hear(message: Any) -> None:
        nonlocal told
        told += message.get("body", b"")
        if b"data: " in told:
            has_heard.set()

    stream = EventStream(emulator._market, emulator._time, {"clock": lambda: {"now": 1}})
    await stream({"type": "http", "method": "GET"}, receive, hear)
    assert b'"clock":{"now":1}' in told


async def test_asking_for_the_head_of_the_stream_returns(emulator: Emulator) -> None:
    async with client_of(emulator) as client:
        reply = await client.head("/_emulator/events")
    assert reply.headers["content-type"].startswith("text/event-stream")


def test_a_served_stream_tells_of_a_task_from_its_create_to_its_end(
    served: Emulator, clock: HandClock
) -> None:
    with listening(served.base_url) as events:
        assert next(events)["restart"]
        task_id = send(served, prompt="line\nbreak, another \u2028")
        (task,) = until(events, "tasks")
        assert (task["task_id"], task["state"]) == (task_id, "waiting")
        assert task["prompt"] == "line\nbreak, another \u2028"
        clock.now = 100
        (task,) = until(events, "tasks")
        assert task == {"task_id": task_id, "state": "success", "looks": 0}


def test_a_served_stream_tells_of_faults_and_their_hits(served: Emulator) -> None:
    with listening(served.base_url) as events:
        assert next(events)["faults"] == []
        served.add_fault(Fault("create", "delay", count=2))
        (fault,) = until(events, "faults")
        assert (fault["is_on"], fault["hits"]) == (True, 0)
        send(served)
        (fault,) = until(events, "faults")
        assert fault["hits"] == 1


def test_a_served_stream_starts_anew_after_a_reset(served: Emulator) -> None:
    send(served)
    with listening(served.base_url) as events:
        assert len(next(events)["tasks"]) == 1
        httpx.post(f"{served.base_url}/_emulator/reset")
        news = next(news for news in events if "restart" in news)
        assert news["totals"]["created"] == 0


def test_a_listener_does_not_keep_the_server_from_stopping() -> None:
    emulator = Emulator()
    with contextlib.ExitStack() as stack:
        with emulator.serve() as url:
            events = stack.enter_context(listening(url))
            next(events)
        with pytest.raises(httpx.TransportError):
            list(events)
