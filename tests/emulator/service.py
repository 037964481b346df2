"""What the emulator's tests share: a clock moved by hand, and plain requests to the service."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

from liangxin.emulator import Emulator

KEY = "sk-canary-5f1c9e"
EPOCH = 1_777_600_000.0


class HandClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def client_of(emulator: Emulator, key: str | None = KEY) -> httpx.AsyncClient:
    """Return a client of the emulator in process."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(
        transport=emulator.transport(), base_url=emulator.base_url, headers=headers
    )


def order(model: str = "z-image", prompt: str = "a cat", **members: Any) -> dict[str, Any]:
    """Return a createTask body."""
    return {"model": model, "input": {"prompt": prompt, **members}}


async def post(emulator: Emulator, body: Any, key: str | None = KEY) -> httpx.Response:
    """Send a createTask."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client_of(emulator, key) as client:
        return await client.post("/api/v1/jobs/createTask", content=content)


async def create(emulator: Emulator, body: Any) -> str:
    """Send a createTask that is accepted, and return the task's id."""
    reply = await post(emulator, body)
    assert reply.status_code == 200, reply.text
    task_id = reply.json()["data"]["taskId"]
    assert isinstance(task_id, str)
    return task_id


async def look(emulator: Emulator, task_id: str) -> dict[str, Any]:
    """Ask recordInfo, and return its data."""
    async with client_of(emulator) as client:
        reply = await client.get("/api/v1/jobs/recordInfo", params={"taskId": task_id})
    assert reply.status_code == 200, reply.text
    data = reply.json()["data"]
    assert isinstance(data, dict)
    return data


async def result_url(emulator: Emulator, task_id: str) -> str:
    """Return the path of the one result of a finished task."""
    (url,) = json.loads((await look(emulator, task_id))["resultJson"])["resultUrls"]
    return str(urlsplit(url).path)


async def fetch(emulator: Emulator, path: str, **headers: str) -> httpx.Response:
    """Get a result without a key."""
    async with client_of(emulator, key=None) as client:
        return await client.get(path, headers=headers)
