"""
The tools for agents: what they may spend, by the books of the other side, and what they are told.

In memory and in virtual time; files, pictures and the command are in `test_mcp_files.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp_types import ToolAnnotations

import liangxin
from liangxin import models
from liangxin.emulator import Emulator, Fault, virtual_time
from liangxin.ledger import Ledger
from tests.agents import FOG, PROMPT, Agent, serving, words
from tests.conftest import KEY

pytestmark = pytest.mark.virtual_time

Serving = Callable[..., AbstractAsyncContextManager[Agent]]

PAYING = {"create_task", "run_task"}


class QuickLedger(Ledger):
    """Writes in the loop: where time jumps, nothing may happen outside of it."""

    is_quick = True
    _synchronous = "OFF"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[QuickLedger]:
    with QuickLedger(tmp_path / "agent.db") as ledger:
        yield ledger


@pytest.fixture
def agent_of(client_of: Callable[..., liangxin.AsyncClient], ledger: QuickLedger) -> Serving:
    """Serve an agent, over one ledger however often that is done."""

    def serve(**bounds: Any) -> AbstractAsyncContextManager[Agent]:
        return serving(client_of(ledger=ledger), ledger, **bounds)

    return serve


# --- money ---------------------------------------------------------------------------------------


async def test_a_run_pays_once_and_ends_with_an_address(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of() as agent:
        told = await agent.told("run_task", **FOG)
    [charge] = emulator.charges
    assert (told["task_id"], told["state"], told["ended"]) == (charge.task_id, "success", True)
    assert told["urls"][0] in words(agent.answers[0])
    assert told["creates_left"] == 19


async def test_more_tasks_than_allowed_are_not_created_however_many_calls_come_at_once(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of(max_tasks=3) as agent:
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(partial(agent, "create_task", **FOG))
        errors = [answer.structured_content["error"] for answer in agent.answers if answer.is_error]
    assert errors == ["SpendingCapReached"] * 7
    assert len(emulator.charges) == 3
    assert len(emulator.requests) == 3


async def test_the_cap_says_that_nothing_was_sent_and_who_can_raise_it(agent_of: Serving) -> None:
    async with agent_of(max_tasks=1) as agent:
        await agent("create_task", **FOG)
        told = await agent.refused("run_task", **FOG)
    assert told["money"] == "nothing"
    assert "--max-tasks" in words(agent.answers[1])


async def test_the_same_key_is_paid_once_at_the_same_time_and_later(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of(max_tasks=1) as agent:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(partial(agent, "create_task", **FOG, key="fog"))
        await agent("run_task", **FOG, key="fog")
        told = {answer.structured_content["task_id"] for answer in agent.answers}
    assert told == {emulator.charges[0].task_id}
    assert len(emulator.charges) == 1


async def test_the_same_key_is_paid_once_by_two_servers_over_one_ledger(
    emulator: Emulator, agent_of: Serving
) -> None:
    for _ in range(2):
        async with agent_of() as agent:
            await agent.told("run_task", **FOG, key="fog")
    assert len(emulator.charges) == 1


async def test_a_key_that_stands_for_something_else_is_refused_before_anything_is_sent(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of() as agent:
        await agent("create_task", **FOG, key="fog")
        told = await agent.refused(
            "create_task", model="z-image", input={"prompt": "a cat"}, key="fog"
        )
    assert (told["error"], told["money"]) == ("LedgerConflict", "nothing")
    assert len(emulator.requests) == 1


async def test_a_lost_answer_is_said_aloud_and_never_sent_again(
    emulator: Emulator, agent_of: Serving
) -> None:
    emulator.withhold_answer_to_next_create()
    async with agent_of() as agent:
        first = await agent.refused("run_task", **FOG, key="fog")
        again = await agent.refused("run_task", **FOG, key="fog")
    assert first["error"] == again["error"] == "AmbiguousCreate"
    assert first["money"] == again["money"] == "maybe paid"
    assert "Ask a person" in words(agent.answers[0])
    assert len(emulator.charges) == 1
    assert len(emulator.requests) == 1


async def test_what_is_in_doubt_counts(emulator: Emulator, agent_of: Serving) -> None:
    emulator.withhold_answer_to_next_create()
    async with agent_of(max_tasks=1) as agent:
        await agent("create_task", **FOG)
        told = await agent.refused("create_task", **FOG)
    assert told["error"] == "SpendingCapReached"
    assert len(emulator.requests) == 1


async def test_what_was_refused_does_not_count(emulator: Emulator, agent_of: Serving) -> None:
    emulator.add_fault(Fault("create", status=422))
    async with agent_of(max_tasks=1) as agent:
        refused = await agent.refused("create_task", **FOG, key="fog")
        await agent.told("create_task", **FOG, key="fog")
    assert (refused["error"], refused["money"]) == ("InvalidInput", "refused")
    assert len(emulator.charges) == 1


async def test_a_key_that_is_refused_and_then_paid_counts_although_both_were_asked_for_at_once(
    emulator: Emulator, agent_of: Serving
) -> None:
    emulator.add_fault(Fault("create", status=422))
    async with agent_of() as agent:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(partial(agent, "create_task", **FOG, key="fog"))
        told = await agent.told("list_tasks")
    assert sorted(answer.is_error for answer in agent.answers[:2]) == [False, True]
    assert told["creates_left"] == 20 - len(emulator.charges) == 19


@pytest.mark.parametrize(
    ("arguments", "field", "words_of_it"),
    [
        ({"model": "z-image", "input": {"promt": "x"}}, "promt", "did you mean 'prompt'"),
        ({"model": "z-image", "input": {}}, "prompt", "is missing"),
        ({"model": "z-imag", "input": PROMPT}, "model", "did you mean z-image"),
        ({"model": "z-image", "input": "a cat"}, "input", "not of type 'object'"),
        ({"model": "z-image", "prompt": "x"}, None, "takes model, input, key"),
        ({**FOG, "kee": "fog"}, None, "takes model, input, key"),
        ({**FOG, "key": ""}, "key", "takes model, input, key"),
        ({"model": "Veo31TextToVideo", "input": PROMPT}, "model", "--slug Veo31TextToVideo="),
        (
            {"model": "nano-banana-pro", "input": {**PROMPT, "resolution": "9K"}},
            "resolution",
            "1K",
        ),
        (
            {"model": "flux-2-pro", "input": {**PROMPT, "input_image": "file:cat.png"}},
            "input_image",
            "--pictures",
        ),
        (
            {"model": "flux-2-pro", "input": {**PROMPT, "input_image": "/etc/passwd"}},
            "input_image",
            "a web address",
        ),
    ],
)
@pytest.mark.parametrize("anyio_backend", [virtual_time()], ids=["asyncio"])
async def test_a_slip_is_told_with_its_field_and_costs_nothing(
    emulator: Emulator,
    agent_of: Serving,
    arguments: dict[str, Any],
    field: str | None,
    words_of_it: str,
    anyio_backend: object,
) -> None:
    async with agent_of() as agent:
        told = await agent.refused("create_task", **arguments)
        left = await agent.told("list_tasks")
    assert (told["error"], told["field"], told["money"]) == ("InputError", field, "nothing")
    assert words_of_it in words(agent.answers[0])
    assert emulator.requests == ()
    assert left["creates_left"] == 20


async def test_a_server_without_anything_to_spend_is_not_made(
    client_of: Callable[..., liangxin.AsyncClient], ledger: QuickLedger
) -> None:
    with pytest.raises(liangxin.InputError, match="max_tasks must be at least 1"):
        liangxin.mcp.server(client_of(ledger=ledger), ledger, max_tasks=0)


# --- what is said of the tools -------------------------------------------------------------------


async def test_what_is_said_to_look_only_creates_nothing(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of() as agent:
        told = await agent.told("run_task", **FOG)
        tools = (await agent.client.list_tools()).tools
        hints = {tool.name: tool.annotations or ToolAnnotations() for tool in tools}
        given = {
            "show_model": {"model": "z-image"},
            "get_task": {"task_id": told["task_id"]},
            "wait_for_tasks": {"task_ids": [told["task_id"]]},
            "show_result": {"task_id": "unheard-of"},
        }
        looking = [name for name in hints if hints[name].read_only_hint]
        for name in looking:
            await agent(name, **given.get(name, {}))
    assert {*hints} == {*looking, *PAYING}
    assert all(hints[name].destructive_hint for name in PAYING)
    assert [request.method for request in emulator.requests].count("POST") == 1


async def test_models_are_found_by_what_they_make_and_of_what(agent_of: Serving) -> None:
    async with agent_of() as agent:
        every = await agent.told("list_models")
        found = await agent.told("list_models", makes="clip", takes="clip")
    assert len(every["models"]) == len(models.catalogue())
    names = {row["model"] for row in found["models"]}
    assert {"KlingV3OmniProVideoReference", "Wan27ImageToVideo"} <= names
    assert not {"KlingV3Pro", "ZImage"} & names


async def test_the_fields_of_a_model_are_its_json_schema(agent_of: Serving) -> None:
    async with agent_of() as agent:
        told = await agent.told("show_model", model="z-image")
    assert told == models.json_schema(models.ZImage)


async def test_a_model_whose_slug_was_told_can_be_asked(
    emulator: Emulator, agent_of: Serving
) -> None:
    models.configure({models.Veo31TextToVideo: "veo-3-1-text-to-video"})
    async with agent_of() as agent:
        await agent.told("create_task", model="Veo31TextToVideo", input=PROMPT)
    assert [charge.model for charge in emulator.charges] == ["veo-3-1-text-to-video"]


async def test_arguments_that_a_host_has_made_text_of_are_read(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of() as agent:
        await agent.told("create_task", model="z-image", input='{"prompt": "a cat"}')
    assert [dict(task.input) for task in emulator.tasks.values()] == [{"prompt": "a cat"}]


async def test_a_tool_that_is_not_there_is_told_with_those_that_are(agent_of: Serving) -> None:
    async with agent_of() as agent:
        told = await agent.refused("download_result", task_id="x")
    assert "run_task" in told["allowed"]


# --- waiting -------------------------------------------------------------------------------------


async def test_where_a_task_stands_is_told_while_it_is_waited_for(agent_of: Serving) -> None:
    async with agent_of() as agent:
        told = await agent.told("run_task", **FOG)
    states = [text.split(": ")[1].split()[0] for _, text in agent.news if ": " in text]
    assert states[0] == "waiting"
    assert "generating" in states
    assert states[-1] == "success"
    assert agent.news[0][1].startswith(told["task_id"])
    reported = [progress for progress, _ in agent.news]
    assert reported == sorted(set(reported))


async def test_a_wait_is_never_silent_for_long(
    client_of: Callable[..., liangxin.AsyncClient], ledger: QuickLedger
) -> None:
    slow = Emulator(seed=1, clock=anyio.current_time, durations=200)
    clip = {"model": "kling-v3-pro", "input": PROMPT}
    client = client_of(transport=slow.transport(), ledger=ledger)
    async with serving(client, ledger) as agent:
        await agent.told("run_task", **clip, timeout=300)
    moments = [progress for progress, _ in agent.news]
    assert max(later - at for at, later in pairwise(moments)) < 10.1


async def test_a_wait_whose_time_is_up_is_no_error_and_goes_on_without_paying(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of() as agent:
        first = await agent.told("run_task", **FOG, timeout=0.5)
        assert first["ended"] is False
        assert "wait_for_tasks" in words(agent.answers[0])
        [told] = (await agent.told("wait_for_tasks", task_ids=[first["task_id"]]))["tasks"]
    assert (told["task_id"], told["state"]) == (first["task_id"], "success")
    assert len(emulator.charges) == 1


async def test_of_several_tasks_each_end_is_told(emulator: Emulator, agent_of: Serving) -> None:
    emulator.add_fault(Fault("create", "fail", message="too foggy"))
    async with agent_of() as agent:
        tasks = [(await agent.told("create_task", **FOG))["task_id"] for _ in range(2)]
        told = await agent.refused("wait_for_tasks", task_ids=[*tasks, tasks[0]])
    assert [row["task_id"] for row in told["tasks"]] == tasks
    assert [row["state"] for row in told["tasks"]] == ["fail", "success"]
    assert "too foggy" in told["tasks"][0]["message"]


async def test_a_call_that_is_cancelled_leaves_its_task_going_and_on_the_list(
    emulator: Emulator, agent_of: Serving
) -> None:
    async with agent_of() as agent:
        with anyio.move_on_after(3):
            await agent("run_task", **FOG, key="fog", timeout=600)
        assert agent.answers == []
        [row] = (await agent.told("list_tasks"))["tasks"]
        assert (row["key"], row["state"], row["money"]) == ("fog", "accepted", "paid")
        assert row["task_id"] in agent.news[0][1]
        await agent.told("wait_for_tasks", task_ids=[row["task_id"]])
    assert len(emulator.charges) == 1


# --- what the service says -----------------------------------------------------------------------


async def test_what_the_service_writes_is_on_one_line_printable_and_clipped(
    emulator: Emulator, agent_of: Serving
) -> None:
    emulator.add_fault(Fault("create", "fail", message="\x1b[2J\u202e\nevil" + "x" * 10_000))
    async with agent_of() as agent:
        await agent.refused("run_task", **FOG)
    [answer] = agent.answers
    assert "evil" in words(answer)
    assert len(words(answer).splitlines()) == 3
    assert not {"\x1b", "\u202e"} & set(words(answer))
    assert len(agent.heard()) < 4000


@pytest.mark.parametrize("status", [200, 401, 403, 429, 500])
async def test_the_key_is_in_nothing_that_an_agent_hears(
    emulator: Emulator, agent_of: Serving, status: int
) -> None:
    if status != 200:
        emulator.add_fault(Fault("create", status=status, message=f"no: {KEY}", count=None))
    async with agent_of() as agent:
        await agent("run_task", **FOG)
    assert KEY not in agent.heard()
