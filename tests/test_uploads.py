"""
`ObstoreUploader` against a server that speaks S3, on this machine: what lies there, and who can
fetch it.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store
from PIL import Image

import liangxin
from liangxin import Client
from liangxin.emulator import Emulator
from liangxin.models import Flux2Pro, NanoBananaPro
from liangxin.uploads import Memory, ObstoreUploader, Uploader

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")

Options = dict[str, Any]
TEXT = "the same in fog"


def picture(color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(buffer, "PNG")
    return buffer.getvalue()


PNG = picture()
NAME = f"{hashlib.sha256(PNG).hexdigest()}.png"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Where a server that speaks S3 is; every bucket of it is empty."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(endpoint: str, request: pytest.FixtureRequest) -> S3Store:
    name = f"b{abs(hash(request.node.name))}"
    httpx.put(f"{endpoint}/{name}", trust_env=False).raise_for_status()
    return S3Store(
        name,
        endpoint=endpoint,
        region="us-east-1",
        access_key_id="canary-id",
        secret_access_key="canary-secret",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def names_in(store: S3Store | MemoryStore | LocalStore) -> list[str]:
    return [str(meta["path"]) for chunk in obstore.list(store) for meta in chunk]


def put(uploader: Uploader, data: bytes = PNG, name: str = NAME) -> str:
    url = uploader(name, io.BytesIO(data), "image/png", len(data))
    assert isinstance(url, str)
    return url


# --- one upload ----------------------------------------------------------------------------------


def test_what_is_uploaded_can_be_fetched_by_its_signed_address(bucket: S3Store) -> None:
    url = put(ObstoreUploader(bucket))
    fetched = httpx.get(url, trust_env=False)
    assert (fetched.content, fetched.headers["content-type"]) == (PNG, "image/png")
    assert names_in(bucket) == [f"liangxin/{NAME}"]
    assert f"/liangxin/{NAME}?" in url
    assert "X-Amz-Expires=86400" in url
    assert "canary-secret" not in url


def test_prefix_and_lifetime_are_the_callers_to_say(bucket: S3Store) -> None:
    uploader = ObstoreUploader(bucket, prefix="in/2026/", expires=timedelta(minutes=5))
    assert "X-Amz-Expires=300" in put(uploader)
    assert names_in(bucket) == [f"in/2026/{NAME}"]
    assert uploader.expires == timedelta(minutes=5)


def test_what_is_there_already_is_not_sent_again(bucket: S3Store) -> None:
    uploader = ObstoreUploader(bucket)
    put(uploader)
    before = obstore.head(bucket, f"liangxin/{NAME}")
    stream = io.BytesIO(PNG)
    uploader(NAME, stream, "image/png", len(PNG))
    assert stream.tell() == 0
    assert obstore.head(bucket, f"liangxin/{NAME}") == before


def test_half_a_file_of_that_name_is_replaced(bucket: S3Store) -> None:
    obstore.put(bucket, f"liangxin/{NAME}", PNG[:9])
    assert httpx.get(put(ObstoreUploader(bucket)), trust_env=False).content == PNG


def test_a_large_file_is_streamed(bucket: S3Store, tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(PNG + bytes(20_000_000))
    with path.open("rb") as stream:
        url = ObstoreUploader(bucket)("large.png", stream, "image/png", path.stat().st_size)
    assert httpx.get(url, trust_env=False).content == path.read_bytes()


def test_a_public_address_is_made_by_the_caller(bucket: S3Store, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for store in (bucket, MemoryStore(), LocalStore(str(tmp_path / "folder"))):
        uploader = ObstoreUploader(store, url_for=lambda name: f"https://cdn.example.com/{name}")
        assert put(uploader) == f"https://cdn.example.com/liangxin/{NAME}"
        assert names_in(store) == [f"liangxin/{NAME}"]
        assert uploader.expires is None
    assert (tmp_path / "folder" / "liangxin" / NAME).read_bytes() == PNG


def test_a_store_that_signs_nothing_needs_to_be_told_the_address(tmp_path: Path) -> None:
    for store in (MemoryStore(), LocalStore(str(tmp_path))):
        with pytest.raises(liangxin.InputError, match="signs no addresses") as refused:
            ObstoreUploader(store)
        assert refused.value.field == "store"
        assert "url_for=" in refused.value.allowed


def test_a_lifetime_of_nothing_is_refused() -> None:
    with pytest.raises(liangxin.InputError, match="expires must be longer than nothing"):
        ObstoreUploader(MemoryStore(), expires=timedelta(0), url_for=str)


# --- through a client ----------------------------------------------------------------------------


async def test_pictures_of_many_requests_lie_in_the_bucket_once(
    bucket: S3Store, server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    posters = [Flux2Pro(prompt=f"no {n}", input_image=path, input_image_2=PNG) for n in range(20)]
    async with liangxin.AsyncClient(**options_of, uploader=ObstoreUploader(bucket)) as client:
        async with client.run_many(posters) as outcomes:
            assert [outcome.ok async for outcome in outcomes] == [True] * 20
    assert names_in(bucket) == [f"liangxin/{NAME}"]
    [url] = {
        address
        for task in server.tasks.values()
        for address in (task.input["input_image"], task.input["input_image_2"])
    }
    async with httpx.AsyncClient(trust_env=False) as outside:
        assert (await outside.get(str(url))).content == PNG


def test_a_second_client_finds_what_the_first_one_has_uploaded(
    bucket: S3Store, server: Emulator, options_of: Options
) -> None:
    modified = []
    for _ in range(2):
        with Client(**options_of, uploader=ObstoreUploader(bucket)) as client:
            client.run(Flux2Pro(prompt=TEXT, input_image=PNG))
        modified.append(obstore.head(bucket, f"liangxin/{NAME}")["last_modified"])
    assert modified[0] == modified[1]
    assert len(server.charges) == 2


def test_a_name_that_ends_as_documented_passes_where_endings_are_documented(
    server: Emulator, options_of: Options
) -> None:
    public = ObstoreUploader(MemoryStore(), url_for=lambda name: f"https://cdn.example.com/{name}")
    with Client(**options_of, uploader=public, max_data_uri=0) as client:
        client.run(NanoBananaPro(prompt=TEXT, image_input=[PNG]))
    [task] = server.tasks.values()
    assert task.input["image_input"] == [f"https://cdn.example.com/liangxin/{NAME}"]


def test_a_bucket_that_is_not_there_is_not_sent_and_says_why(
    endpoint: str, server: Emulator, options_of: Options
) -> None:
    store = S3Store(
        "nowhere",
        endpoint=endpoint,
        region="us-east-1",
        access_key_id="canary-id",
        secret_access_key="canary-secret",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    with Client(**options_of, uploader=ObstoreUploader(store)) as client:
        with pytest.raises(liangxin.NotSent, match="could not be uploaded") as failed:
            client.run(Flux2Pro(prompt=TEXT, input_image=PNG))
    assert "canary-secret" not in str(failed.value) + repr(failed.value.__cause__)
    assert not server.requests


# --- results, the other way ------------------------------------------------------------------


def test_results_are_delivered_to_a_bucket(
    server: Emulator, options_of: Options, bucket: S3Store, tmp_path: Path
) -> None:
    with Client(**options_of) as client:
        task = client.run(NanoBananaPro(prompt=TEXT))
        [url] = client.deliver(task, ObstoreUploader(bucket, prefix="out/"))
        [path] = client.download(task, tmp_path)
    assert httpx.get(url, trust_env=False).content == path.read_bytes()
    assert names_in(bucket) == [f"out/{task.id}.png"]


def test_results_are_delivered_to_a_folder_or_a_memory_of_obstore(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    with Client(**options_of) as client:
        task = client.run(NanoBananaPro(prompt=TEXT))
        for store in (LocalStore(tmp_path), MemoryStore()):
            to = ObstoreUploader(store, url_for=lambda name: f"https://cdn.example/{name}")
            assert client.deliver(task, to, name="fog") == ["https://cdn.example/liangxin/fog.png"]
            assert names_in(store) == ["liangxin/fog.png"]


async def test_results_are_delivered_into_memory_or_to_a_coroutine(
    server: Emulator, options_of: Options, tmp_path: Path
) -> None:
    memory = Memory()

    async def asynchronous(name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        assert (media_type, size) == ("image/png", len(stream.read()))
        return name

    async with liangxin.AsyncClient(**options_of) as client:
        task = await client.run(NanoBananaPro(prompt=TEXT))
        assert await client.deliver(task, memory, name="fog") == ["fog.png"]
        assert await client.deliver(task, asynchronous) == [f"{task.id}.png"]
        [path] = await client.download(task, tmp_path)
    assert memory.files == {"fog.png": path.read_bytes()}
    assert len(server.charges) == 1


async def test_a_result_that_cannot_be_delivered_is_an_error_with_its_cause(
    server: Emulator, options_of: Options
) -> None:
    def full(name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        raise OSError("the shelf is full")

    async with liangxin.AsyncClient(**options_of) as client:
        task = await client.run(NanoBananaPro(prompt=TEXT))
        with pytest.raises(liangxin.DownloadError, match="the shelf is full") as caught:
            await client.deliver(task, full)
        with pytest.raises(liangxin.InputError, match="of a folder, `download`"):
            await client.deliver(task, "pictures")  # type: ignore[arg-type]
    assert isinstance(caught.value.__cause__, OSError)


def test_without_the_extra_a_sentence_says_which_one_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ImportError, match=r'pip install "liangxin\[objects\]"'):
        ObstoreUploader(MemoryStore())
