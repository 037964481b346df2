"""Clients as users write them: every type checker must agree with all of this."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, assert_type

import httpx
from obstore.store import S3Store

from liangxin import (
    AsyncClient,
    Client,
    Gallery,
    LiangxinError,
    ModelInput,
    Outcome,
    RawInput,
    Task,
    contact_sheet,
    gallery,
    outcomes_to_rows,
)
from liangxin.models import KlingV3Pro, ZImage
from liangxin.uploads import ObstoreUploader, Uploader

POSTER = ZImage(prompt="a lighthouse in fog")
OTHER = RawInput("some-new-model", {"prompt": "a lighthouse in fog"})


def options() -> Client:
    return Client(
        "sk-…",
        base_url="https://market.example.com",
        timeout=10,
        create_timeout=30.0,
        max_connections=10,
        max_retries=0,
        poll_budget=5,
        min_interval=1,
        max_interval=2,
        proxy="http://127.0.0.1:3128",
        verify=ssl.create_default_context(),
        transport=httpx.AsyncHTTPTransport(),
    )


async def shelved(name: str, stream: BinaryIO, media_type: str, size: int) -> str:
    return f"https://shelf.example.com/{name}"


def uploaders(store: S3Store) -> list[Client]:
    def shelve(name: str, data: BinaryIO, kind: str, length: int) -> str:
        return f"https://shelf.example.com/{name}"

    bucket: Uploader = ObstoreUploader(store, prefix="in/", expires=timedelta(hours=1))
    return [Client(uploader=each, max_data_uri=0) for each in (shelve, shelved, bucket)]


def blocking(folder: Path) -> None:
    with Client() as client:
        assert_type(client, Client)
        assert_type(client.base_url, str)
        assert_type(client.unclaimed, tuple[Outcome, ...])
        task = client.create_task(POSTER, callback_url="https://example.com/told")
        assert_type(task, Task)
        assert_type(client.get_task(task), Task)
        assert_type(client.get_task(task.id), Task)
        assert_type(client.wait(task, timeout=60), Task)
        assert_type(client.run(OTHER, timeout=None), Task)
        assert_type(client.watch(task.id), Iterator[Task])
        assert_type(client.download(task, folder), list[Path])
        assert_type(client.download(task, "pictures", name="poster"), list[Path])
        for seen in client.watch(task, timeout=60):
            assert_type(seen, Task)
        with client.run_many(prompts(), max_in_flight=10, timeout=600) as outcomes:
            for outcome in outcomes:
                assert_type(outcome, Outcome)
                assert_type(outcome.task, Task | None)
                assert_type(outcome.error, LiangxinError | None)
                assert_type(outcome.result(), Task)


async def concurrent(folder: Path) -> None:
    async with AsyncClient() as client:
        assert_type(client, AsyncClient)
        assert_type(client.base_url, str)
        assert_type(client.unclaimed, tuple[Outcome, ...])
        task = await client.create_task(POSTER, callback_url="https://example.com/told")
        assert_type(task, Task)
        assert_type(await client.get_task(task.id), Task)
        assert_type(await client.wait(task, timeout=60), Task)
        assert_type(await client.run(OTHER, timeout=None), Task)
        assert_type(await client.download(task, folder, name="poster"), list[Path])
        async for seen in client.watch(task, timeout=60):
            assert_type(seen, Task)
        async with client.run_many(arriving()) as outcomes:
            async for outcome in outcomes:
                assert_type(outcome.result(), Task)
    await client.aclose()


def looked_at(folder: Path, outcomes: list[Outcome], task: Task) -> None:
    assert_type(contact_sheet(folder), Path)
    assert_type(contact_sheet("posters", ledger="ledger.db"), Path)
    assert_type(contact_sheet(iter(outcomes), folder / "index.html", title="Fog"), Path)
    assert_type(outcomes_to_rows(outcomes), list[dict[str, object]])
    assert_type(gallery(outcomes), Gallery)
    gallery([task])


def prompts() -> Iterator[ModelInput]:
    yield POSTER
    yield OTHER


async def arriving() -> AsyncIterator[ModelInput]:
    yield POSTER


def inputs_of_all_kinds(client: Client) -> None:
    posters: list[ZImage] = [POSTER]
    mixed: tuple[ZImage | KlingV3Pro | RawInput, ...] = (POSTER, OTHER)
    assert_type(client.run_many(posters), AbstractContextManager[Iterator[Outcome], bool | None])
    client.run_many(mixed)
    client.run_many(ZImage(prompt=line) for line in ("fog", "rain"))
    client.run_many({POSTER})


def inputs_of_all_async_kinds(client: AsyncClient) -> None:
    posters: Iterable[ZImage] = [POSTER]
    kind: AbstractAsyncContextManager[AsyncIterator[Outcome]] = client.run_many(posters)
    client.run_many(arriving())
    assert kind
