"""
The peers: other packages' own create, look and wait, with their own defaults, on our server.

They are imported by name when they are measured, so that one which is not installed is left out
by name, and the rest can be measured without it.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias

PROMPT = "a lighthouse in fog"
PAYLOAD = {"model": "z-image", "input": {"prompt": PROMPT}}
MODEL_VERSION = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"


@dataclass(frozen=True)
class Session:
    """What one open client can do."""

    create: Callable[[], Awaitable[Any]]
    look: Callable[[Any], Awaitable[Any]]
    """Takes what `create` gave."""
    run: Callable[[], Awaitable[Any]]
    """Create, and wait for the end the way the package does by default."""


Opener: TypeAlias = Callable[[str], AbstractAsyncContextManager[Session]]


@asynccontextmanager
async def openai(url: str) -> AsyncIterator[Session]:
    """`videos.create_and_poll`: every second, unless the service says otherwise."""
    warnings.simplefilter("ignore", DeprecationWarning)
    async with import_module("openai").AsyncOpenAI(api_key="x", base_url=f"{url}/v1") as client:
        yield Session(
            lambda: client.videos.create(prompt=PROMPT),
            lambda video: client.videos.retrieve(video.id),
            lambda: client.videos.create_and_poll(prompt=PROMPT),
        )


@asynccontextmanager
async def replicate(url: str) -> AsyncIterator[Session]:
    """`predictions.create`, then `wait`: every half second."""
    client = import_module("replicate").Client(api_token="x", base_url=url)

    async def create() -> Any:
        return await client.predictions.async_create(
            version=MODEL_VERSION, input={"prompt": PROMPT}
        )

    async def run() -> None:
        await (await create()).async_wait()

    yield Session(create, lambda prediction: client.predictions.async_get(prediction.id), run)


@asynccontextmanager
async def fal(url: str) -> AsyncIterator[Session]:
    """`subscribe`: every tenth of a second."""
    package = import_module("fal_client")
    # It only knows https addresses, and TLS would be counted against it.
    vars(import_module("fal_client.client"))["QUEUE_URL_FORMAT"] = f"{url}/"
    client = package.AsyncClient(key="x")
    call = ("acme/lighthouse", {"prompt": PROMPT})
    yield Session(
        lambda: client.submit(*call),
        lambda handle: handle.status(),
        lambda: client.subscribe(*call),
    )


@asynccontextmanager
async def runway(url: str) -> AsyncIterator[Session]:
    """`wait_for_task_output`: every 6 ± 1.5 s."""
    async with import_module("runwayml").AsyncRunwayML(api_key="x", base_url=url) as client:

        async def create() -> Any:
            return await client.text_to_image.create(
                model="gen4_image", prompt_text=PROMPT, ratio="1024:1024"
            )

        async def run() -> None:
            await (await create()).wait_for_task_output()

        yield Session(create, lambda task: client.tasks.retrieve(task.id), run)


@asynccontextmanager
async def luma(url: str) -> AsyncIterator[Session]:
    """`generations.create`; the package has no way of waiting."""
    async with import_module("lumaai").AsyncLumaAI(auth_token="x", base_url=url) as client:

        async def create() -> Any:
            return await client.generations.create(model="ray-2", prompt=PROMPT)

        yield Session(create, lambda task: client.generations.get(task.id), create)


@asynccontextmanager
async def httpx_loop(url: str) -> AsyncIterator[Session]:
    """What one writes by hand: an `httpx.AsyncClient`, and pauses from 1 s to 10 s."""
    httpx = import_module("httpx")
    # Its default of 5 s, which counts the wait for a connection, ends most of 1,000 callers.
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def create() -> Any:
            answer = await client.post("/api/v1/jobs/createTask", json=PAYLOAD)
            return answer.json()["data"]["taskId"]

        async def look(task: str) -> Any:
            answer = await client.get("/api/v1/jobs/recordInfo", params={"taskId": task})
            return answer.json()["data"]["state"]

        async def run() -> None:
            task, pause = await create(), 1.0
            while await look(task) != "success":
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, 10.0)

        yield Session(create, look, run)


PEERS: dict[str, tuple[str, Opener]] = {
    "httpx loop": ("httpx", httpx_loop),
    "openai": ("openai", openai),
    "replicate": ("replicate", replicate),
    "fal-client": ("fal-client", fal),
    "runwayml": ("runwayml", runway),
}
"""Name, and the package it needs."""
BARE = ("httpx", "httpx2", "aiohttp")
"""HTTP libraries that are measured by themselves."""


def installed(package: str) -> str | None:
    """The version of a package, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def present() -> list[str]:
    """The peers that can be measured here."""
    return [name for name, (package, _) in PEERS.items() if installed(package)]


def versions() -> dict[str, str]:
    """What is measured, by package; "not installed" for what is left out."""
    packages = [*BARE, *(package for package, _ in PEERS.values())]
    below = ["httpcore", "anyio", "h11", "uvloop", "trio"]
    return {name: installed(name) or "not installed" for name in dict.fromkeys(packages + below)}
