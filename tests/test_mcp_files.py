"""The tools for agents, on real sockets: pictures, folders, and the command `liangxin mcp`."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp_types import CallToolResult, ImageContent
from PIL import Image

import liangxin
from liangxin.emulator import Emulator, Fault
from liangxin.ledger import Ledger
from tests.agents import FOG, Agent, serving, values, words
from tests.commands import KEY, command

Serving = Callable[..., AbstractAsyncContextManager[Agent]]

PROGRAM = "from liangxin.cli import main; main()"
CLIP = {"model": "kling-v3-pro", "input": {"prompt": "waves"}}


@pytest.fixture
def agent_of(options_of: dict[str, Any], tmp_path: Path) -> Serving:
    def serve(**bounds: Any) -> AbstractAsyncContextManager[Agent]:
        ledger = Ledger(tmp_path / "agent.db")
        return serving(liangxin.AsyncClient(ledger=ledger, **options_of), ledger, **bounds)

    return serve


def pictures_in(answer: CallToolResult) -> list[Image.Image]:
    """The pictures of an answer, decoded."""
    found = [each for each in answer.content if isinstance(each, ImageContent)]
    assert all(each.mime_type == "image/jpeg" for each in found)
    return [Image.open(io.BytesIO(b64decode(each.data))) for each in found]


# --- results -------------------------------------------------------------------------------------


async def test_a_picture_is_shown_scaled_down(agent_of: Serving) -> None:
    async with agent_of() as agent:
        wide = {"prompt": "fog", "aspect_ratio": "16:9"}
        task = (await agent.told("run_task", model="seedream-v4-5", input=wide))["task_id"]
        shown = await agent("show_result", task_id=task)
    [picture] = pictures_in(shown)
    assert picture.size == (1024, 576)
    assert values(shown)["urls"][0] in words(shown)


async def test_a_clip_is_shown_as_its_address(server: Emulator, agent_of: Serving) -> None:
    async with agent_of() as agent:
        task = (await agent.told("run_task", **CLIP))["task_id"]
        fetched = len(server.requests)
        shown = await agent("show_result", task_id=task)
    assert pictures_in(shown) == []
    assert ".mp4" in words(shown)
    assert len(server.requests) == fetched + 1


async def test_of_a_task_that_runs_it_is_shown_that_it_does(
    server: Emulator, agent_of: Serving
) -> None:
    server.speed = 0
    async with agent_of() as agent:
        task = (await agent.told("create_task", **FOG))["task_id"]
        shown = await agent.told("show_result", task_id=task)
    assert (shown["state"], shown["ended"]) == ("waiting", False)


async def test_a_result_is_saved_to_the_folder_that_was_allowed(
    agent_of: Serving, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with agent_of(out=out) as agent:
        task = (await agent.told("run_task", **FOG))["task_id"]
        told = await agent.told("download_result", task_id=task)
    assert told["files"] == [str(out / f"{task}.png")]
    with Image.open(out / f"{task}.png") as picture:
        assert picture.format == "PNG"


async def test_a_path_for_an_id_leads_nowhere(agent_of: Serving, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    async with agent_of(out=tmp_path / "out") as agent:
        told = await agent.refused("download_result", task_id="../../outside")
    assert told["error"] == "TaskNotFound"
    assert [*(tmp_path / "out").iterdir()] == []


async def test_a_result_that_leads_into_ones_own_network_is_not_fetched(
    server: Emulator, agent_of: Serving
) -> None:
    server.add_fault(Fault("create", "urls", urls=("https://127.0.0.1:9/private.png",)))
    async with agent_of() as agent:
        task = (await agent.told("run_task", **FOG))["task_id"]
        told = await agent.refused("show_result", task_id=task)
    assert told["error"] == "Blocked"


# --- pictures that are sent ----------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with a picture, beside one that is nobody's business."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in (folder / "a cat.png", tmp_path / "private.png"):
        Image.new("RGB", (8, 8), "red").save(path)
    (folder / "link.png").symlink_to(tmp_path / "private.png")
    return folder


def guided_by(address: str) -> dict[str, Any]:
    """What asks a model to work from a picture."""
    asked = {"prompt": "the same in fog", "reference_images": [address]}
    return {"model": "nano-banana-pro", "input": asked}


@pytest.mark.parametrize("address", ["file:a cat.png", "file:a%20cat.png", "file://{}/a cat.png"])
async def test_a_picture_of_the_folder_is_sent(
    server: Emulator, agent_of: Serving, pictures: Path, address: str
) -> None:
    async with agent_of(pictures=pictures) as agent:
        await agent.told("create_task", **guided_by(address.format(pictures)))
    [task] = server.tasks.values()
    assert "data:image/png;base64," in str(task.input["reference_images"])


@pytest.mark.parametrize(
    "address",
    [
        "file:../private.png",
        "file:%2e%2e/private.png",
        "file:link.png",
        "file://{}/private.png",
        "file:a cat.png/../../private.png",
        "file:not there.png",
        "file:",
        "file:\0",
        "{}/private.png",
    ],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_other_file_is_read_and_all_get_the_same_answer(
    server: Emulator, agent_of: Serving, pictures: Path, address: str, anyio_backend: str
) -> None:
    async with agent_of(pictures=pictures) as agent:
        told = await agent.refused("create_task", **guided_by(address.format(pictures.parent)))
    assert told["error"] == "InputError"
    assert told["field"] == "reference_images"
    assert "file:NAME" in told["allowed"]
    assert server.requests == ()


# --- the command ---------------------------------------------------------------------------------


def program(server: Emulator, *args: object) -> StdioServerParameters:
    """How a host starts the command."""
    told = {"LIANGXIN_API_KEY": KEY, "LIANGXIN_BASE_URL": server.base_url}
    path = os.pathsep.join(sys.path)
    return StdioServerParameters(
        command=sys.executable,
        args=["-c", PROGRAM, "mcp", *map(str, args)],
        env=told | {"PYTHONPATH": path},
    )


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_host_runs_the_command_and_a_key_is_paid_once_and_on_record(
    server: Emulator, tmp_path: Path, anyio_backend: str
) -> None:
    told = program(server, "--ledger", tmp_path / "agent.db")
    async with Client(stdio_client(told)) as client:
        for _ in range(2):
            await Agent(client).told("create_task", **FOG, key="fog")
    with Ledger(tmp_path / "agent.db") as ledger:
        assert [row.task_id for row in ledger.rows()] == [server.charges[0].task_id]
    assert len(server.charges) == 1


class Host:
    """Speaks the protocol by hand, to see every byte."""

    def __init__(self, server: Emulator, *args: object) -> None:
        told = program(server, *args)
        self.process = subprocess.Popen(
            [told.command, *told.args],
            env=os.environ | (told.env or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Send a request, and return the next line, which must be its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def greet(self) -> dict[str, Any]:
        """Begin, as a host does."""
        about = {"name": "host", "version": "1"}
        version = "2025-06-18"
        return self.ask("initialize", protocolVersion=version, capabilities={}, clientInfo=about)


def test_an_end_of_input_ends_the_command_and_what_is_left_is_said(server: Emulator) -> None:
    server.speed = 0
    host = Host(server)
    assert host.greet()["result"]["serverInfo"]["name"] == "liangxin"
    host.ask("tools/call", name="create_task", arguments=FOG)
    out, err = host.process.communicate(timeout=60)
    assert (out, host.process.returncode) == ("", 0)
    assert f"Not seen to its end: {server.charges[0].task_id}" in err
    assert KEY not in err


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_ends_the_command_although_its_input_is_open(server: Emulator) -> None:
    host = Host(server)
    host.greet()
    host.process.send_signal(signal.SIGINT)
    assert host.process.wait(timeout=60) == 130
    host.process.communicate()


def test_a_command_without_a_key_says_what_is_missing() -> None:
    done = command("mcp")
    assert done.exit_code == 2
    assert "LIANGXIN_BASE_URL" in done.stderr


def test_a_cap_of_nothing_is_a_slip() -> None:
    assert command("mcp", "--max-tasks", 0).exit_code == 2
