"""
Pictures on this machine in requests: what arrives at the service, what is uploaded, and how often.

Judged by the books of the service and of the uploader.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import pickle
import threading
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
import pytest
from attrs import Factory, define
from PIL import Image

import liangxin
from liangxin import Client, InputError, RawInput
from liangxin._wire import MAX_REPLY
from liangxin.emulator import Emulator
from liangxin.ledger import Ledger, LedgerState
from liangxin.models import Flux2Pro, KlingV3Pro, Media, NanoBananaPro, SeedreamV45Edit, ZImage
from tests.raw_server import Connection, serving

Clients = Callable[..., liangxin.AsyncClient]
Options = dict[str, Any]
TEXT = "the same in fog"
PNG_URL = "https://example.com/in/cat.png"
virtual = pytest.mark.virtual_time


def picture(format: str = "PNG", color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), color).save(buffer, format)
    return buffer.getvalue()


PNG, JPEG = picture(), picture("JPEG")
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def inline(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def inputs_of(emulator: Emulator) -> list[Any]:
    """The inputs that arrived, in order."""
    return [task.input for task in emulator.tasks.values()]


@define(eq=False)
class Shelf:
    """An uploader with books, on which nothing is lost."""

    names: list[str] = Factory(list)
    asked: anyio.Event = Factory(anyio.Event)
    files: dict[str, tuple[bytes, str, int]] = Factory(dict)
    failures: list[Exception] = Factory(list)
    threads: set[int] = Factory(set)
    expires: timedelta | None = None
    pause: float = 0.0

    async def __call__(self, name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        self.names.append(name)
        self.asked.set()
        await anyio.sleep(self.pause)
        if self.failures:
            raise self.failures.pop(0)
        return self.put(name, stream, media_type, size)

    def put(self, name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        self.threads.add(threading.get_ident())
        self.files[name] = (stream.read(), media_type, size)
        return f"https://shelf.example.com/{len(self.names)}/{name}"


# --- what arrives --------------------------------------------------------------------------------


@virtual
async def test_every_kind_of_picture_arrives_as_a_data_uri_where_that_is_documented(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    path, image = tmp_path / "cat.of.no.ending", Image.new("RGB", (20, 10), "red")
    path.write_bytes(JPEG)
    poster = NanoBananaPro(prompt=TEXT, image_input=[path, PNG], reference_images=[image])
    opened = NanoBananaPro(prompt=TEXT, image_input=[io.BytesIO(PNG), PNG_URL, inline(PNG)])
    async with client_of() as client:
        await client.create_task(poster)
        await client.create_task(opened)
    first, second = inputs_of(emulator)
    assert first == {
        "prompt": TEXT,
        "image_input": [inline(JPEG, "image/jpeg"), inline(PNG)],
        "reference_images": [inline(PNG)],
    }
    assert second == {"prompt": TEXT, "image_input": [inline(PNG), PNG_URL, inline(PNG)]}


async def test_a_large_picture_arrives_whole_over_a_real_connection(
    server: Emulator, options_of: Options
) -> None:
    large = PNG + bytes(3_000_000)
    async with liangxin.AsyncClient(**options_of) as client:
        for _ in range(2):
            await client.create_task(NanoBananaPro(prompt=TEXT, image_input=[large, PNG]))
            await client.create_task(ZImage(prompt=TEXT))
    first, plain, second, _ = inputs_of(server)
    assert first == second == {"prompt": TEXT, "image_input": [inline(large), inline(PNG)]}
    assert plain == {"prompt": TEXT}
    sizes = [seen.body_bytes for seen in server.requests if seen.endpoint == "create"]
    assert sizes[0] == sizes[2] > 4_000_000
    assert server.charges[0].body_sha256 == server.charges[2].body_sha256


def test_the_blocking_client_sends_pictures_too(server: Emulator, options_of: Options) -> None:
    shelf = Shelf()
    with Client(**options_of, uploader=shelf.put) as client:
        client.run(NanoBananaPro(prompt=TEXT, image_input=[PNG]))
        client.run(Flux2Pro(prompt=TEXT, input_image=io.BytesIO(JPEG)))
    first, second = inputs_of(server)
    assert first["image_input"] == [inline(PNG)]
    assert second["input_image"] == f"https://shelf.example.com/0/{sha256(JPEG)}.jpg"
    assert shelf.files == {f"{sha256(JPEG)}.jpg": (JPEG, "image/jpeg", len(JPEG))}
    assert threading.get_ident() not in shelf.threads


@virtual
async def test_an_image_is_looked_at_and_encoded_beside_the_event_loop(
    emulator: Emulator, client_of: Clients
) -> None:
    threads = set()

    class Watched:
        mode, size, image = "RGB", (20, 10), Image.new("RGB", (20, 10), "red")

        def tobytes(self) -> bytes:
            threads.add(threading.get_ident())
            return self.image.tobytes()

        def convert(self, mode: str, /) -> Any:
            raise AssertionError("RGB needs no conversion")

        def save(self, fp: io.BytesIO, /, format: str, *, quality: int = 0) -> None:
            threads.add(threading.get_ident())
            self.image.save(fp, format)

    async with client_of() as client:
        await client.create_task(NanoBananaPro(prompt=TEXT, image_input=[Watched()]))
    assert inputs_of(emulator)[0]["image_input"] == [inline(PNG)]
    assert threads
    assert threading.get_ident() not in threads


@virtual
async def test_a_text_that_looks_like_a_stand_in_stays_a_text(
    emulator: Emulator, client_of: Clients
) -> None:
    prompt = f'sha256:{sha256(PNG)} "{"0" * 32}/0" \\ é'
    async with client_of() as client:
        await client.create_task(NanoBananaPro(prompt=prompt, image_input=[PNG]))
    assert inputs_of(emulator) == [{"prompt": prompt, "image_input": [inline(PNG)]}]


@virtual
@pytest.mark.parametrize("is_async", [True, False])
async def test_where_no_data_uri_is_documented_a_picture_is_uploaded(
    emulator: Emulator, client_of: Clients, tmp_path: Path, is_async: bool
) -> None:
    path, shelf = tmp_path / "cat.jpg", Shelf()
    path.write_bytes(JPEG)
    poster = Flux2Pro(prompt=TEXT, input_image=path, reference_images=[PNG_URL, PNG])
    clip = KlingV3Pro(prompt=TEXT, end_image_url=path)
    async with client_of(uploader=shelf if is_async else shelf.put) as client:
        await client.create_task(poster)
        await client.create_task(clip)
        await client.create_task(SeedreamV45Edit(prompt=TEXT, reference_images=[PNG]))
    assert shelf.files == {
        f"{sha256(JPEG)}.jpg": (JPEG, "image/jpeg", len(JPEG)),
        f"{sha256(PNG)}.png": (PNG, "image/png", len(PNG)),
    }
    first, second, third = inputs_of(emulator)
    assert first["input_image"] == second["end_image_url"]
    assert first["input_image"].endswith(f"/{sha256(JPEG)}.jpg")
    assert first["reference_images"] == [PNG_URL, *third["reference_images"]]
    assert (threading.get_ident() in shelf.threads) is is_async


@virtual
async def test_a_function_that_returns_a_coroutine_will_do(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf = Shelf()

    def uploader(*about: Any) -> Awaitable[str]:
        return shelf(*about)

    async with client_of(uploader=uploader) as client:
        await client.create_task(Flux2Pro(prompt=TEXT, input_image=PNG))
    assert shelf.files[f"{sha256(PNG)}.png"] == (PNG, "image/png", len(PNG))


@virtual
async def test_the_limit_of_data_uris_is_the_callers_to_say(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf, poster = Shelf(), NanoBananaPro(prompt=TEXT, image_input=[PNG])
    async with client_of(uploader=shelf, max_data_uri=len(PNG)) as client:
        await client.create_task(poster)
    assert not shelf.names
    async with client_of(uploader=shelf, max_data_uri=len(PNG) - 1) as client:
        await client.create_task(poster)
    assert shelf.names == [f"{sha256(PNG)}.png"]
    assert inputs_of(emulator)[1]["image_input"][0].startswith("https://shelf.example.com/")


@virtual
async def test_a_raw_input_is_uploaded_wherever_its_pictures_stand(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf = Shelf()
    fields = {"prompt": TEXT, "elements": [{"frontal_image_url": JPEG}], "sound": b"of no kind"}
    async with client_of(uploader=shelf) as client:
        await client.create_task(RawInput("kling-v3-pro", fields))
    [arrived] = inputs_of(emulator)
    assert arrived["elements"][0]["frontal_image_url"].endswith(f"/{sha256(JPEG)}.jpg")
    assert arrived["sound"].endswith(f"/{sha256(b'of no kind')}.bin")
    assert shelf.files[f"{sha256(b'of no kind')}.bin"][1] == "application/octet-stream"


# --- refused before anything is paid -------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[Path], Any], Options, str, str]] = {
    # name: (the input, options of the client, the field, what is said)
    "missing": (
        lambda path: NanoBananaPro(prompt=TEXT, image_input=[PNG, path / "cat.png"]),
        {},
        "image_input",
        "NanoBananaPro.image_input[1] is LocalMedia('cat.png'), which cannot be read (FileNotFound",
    ),
    "no picture": (
        lambda path: NanoBananaPro(prompt=TEXT, image_input=[b"<html>"]),
        {},
        "image_input",
        "which is no image that is known here, by its first bytes; it takes image/png, image/jpeg,",
    ),
    "a picture that the page does not list": (
        lambda path: NanoBananaPro(prompt=TEXT, image_input=[picture("GIF")]),
        {},
        "image_input",
        "which is image/gif; it takes image/png, image/jpeg, image/webp",
    ),
    "a picture of a telephone": (
        lambda path: Flux2Pro(prompt=TEXT, input_image=HEIC),
        {"uploader": Shelf()},
        "input_image",
        "Flux2Pro.input_image is LocalMedia(24 bytes), which is image/heic; it takes image/png, ",
    ),
    "too large": (
        lambda path: NanoBananaPro(prompt=TEXT, image_input=[PNG]),
        {"max_data_uri": 9},
        "image_input",
        "more than max_data_uri=9 lets into a request; it takes a web address: pass one, or, ",
    ),
    "no data URIs": (
        lambda path: Flux2Pro(prompt=TEXT, input_image=PNG),
        {},
        "input_image",
        "is no web address, and nothing else is known to be taken here; it takes a web address: ",
    ),
    "data URIs by hearsay": (
        lambda path: SeedreamV45Edit(prompt=TEXT, reference_images=[PNG]),
        {},
        "reference_images",
        "that data URIs are taken here is inferred, not documented; it takes a web address",
    ),
    "an unknown model": (
        lambda path: RawInput("some-new-model", {"clips": [{"url": PNG}]}),
        {},
        "clips",
        "clips[0]['url'] of 'some-new-model' is LocalMedia(",
    ),
    "an upload under a name that the page does not take": (
        lambda path: NanoBananaPro(prompt=TEXT, image_input=[PNG]),
        {"max_data_uri": 0, "uploader": lambda *_: "https://example.com/4711?token=secret"},
        "image_input",
        "was uploaded, and 'https://example.com/4711' is not what it takes: web addresses ending",
    ),
}


@virtual
@pytest.mark.parametrize(("make", "options", "field", "said"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_sent_is_refused_in_a_sentence_before_anything_is_sent(
    emulator: Emulator,
    client_of: Clients,
    tmp_path: Path,
    make: Callable[[Path], Any],
    options: Options,
    field: str,
    said: str,
) -> None:
    poster = make(tmp_path)
    async with client_of(**options) as client:
        with pytest.raises(liangxin.InputError) as refused:
            await client.create_task(poster)
        async with client.run_many([poster, ZImage(prompt=TEXT)]) as outcomes:
            told = {outcome.index: outcome async for outcome in outcomes}
    assert refused.value.field == field
    assert said in refused.value.message
    assert str(refused.value).isprintable()
    assert isinstance(told[0].error, liangxin.InputError)
    assert told[1].ok
    assert [seen.endpoint for seen in emulator.requests].count("create") == 1


def test_an_option_that_makes_no_sense_is_refused_at_once() -> None:
    for options in ({"uploader": "s3://pictures"}, {"max_data_uri": -1}):
        with pytest.raises(liangxin.InputError) as refused:
            liangxin.AsyncClient("sk-1", base_url="http://127.0.0.1:9", **options)
        assert refused.value.field in options


@virtual
async def test_no_byte_of_a_picture_and_no_signed_address_is_in_an_error_or_a_log(
    emulator: Emulator, client_of: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []

    async def uploader(*_: object) -> str:
        return f"https://shelf.example.com/cat.png?signature=SECRET{len(shown)}"

    secret = PNG + b"SECRET" * 100
    needle = base64.b64encode(b"SECRET" * 2).decode()[4:12]
    for options in ({}, {"max_data_uri": 0, "uploader": uploader}):
        emulator.fail_next_create(400)
        async with client_of(**options) as client:
            with pytest.raises(liangxin.BadRequest) as refused:
                await client.create_task(NanoBananaPro(prompt=TEXT, image_input=[secret]))
            emulator.withhold_answer_to_next_create()
            with pytest.raises(liangxin.AmbiguousCreate) as lost:
                await client.create_task(NanoBananaPro(prompt=TEXT, image_input=[secret]))
        for error in (refused.value, lost.value):
            shown += [str(error), repr(error), pickle.dumps(error)]
    shown += [record.getMessage() for record in caplog.records]
    assert not any("SECRET" in str(each) or needle in str(each) for each in shown)


# --- uploads, and how often ----------------------------------------------------------------------


@virtual
@pytest.mark.campaign
async def test_ten_thousand_prompts_with_one_picture_are_one_upload(
    client_of: Clients, tmp_path: Path
) -> None:
    path, shelf, service = tmp_path / "cat.png", Shelf(pause=1), Counting()
    path.write_bytes(PNG)

    def posters() -> Iterator[Flux2Pro]:
        for number in range(10_000):
            yield Flux2Pro(prompt=f"poster {number}", input_image=path)

    async with client_of(uploader=shelf, transport=service, max_retries=0) as client:
        async with client.run_many(posters(), max_in_flight=500) as outcomes:
            ended = [type(outcome.error) async for outcome in outcomes]
    assert ended == [liangxin.BadRequest] * 10_000
    assert service.creates == 10_000
    assert shelf.names == [f"{sha256(PNG)}.png"]


@define(eq=False)
class Counting(httpx.AsyncBaseTransport):
    """A service that counts creates and their bytes, and refuses all of them."""

    creates: int = 0
    bytes: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for piece in request.stream:
            self.bytes += len(piece)
            await anyio.lowlevel.checkpoint()
        self.creates += 1
        return httpx.Response(400, json={"code": 400, "msg": "no"})


@pytest.mark.campaign
@virtual
async def test_a_hundred_creates_with_one_picture_do_not_hold_a_hundred_of_it(
    client_of: Clients,
) -> None:
    data, service = PNG + bytes(1_000_000), Counting()

    def posters() -> Iterator[NanoBananaPro]:
        for number in range(500):
            yield NanoBananaPro(prompt=f"poster {number}", image_input=[data])

    async with client_of(transport=service, max_retries=0) as client:
        tracemalloc.start()
        try:
            async with client.run_many(posters(), max_in_flight=500) as outcomes:
                async for _ in outcomes:
                    pass
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert service.creates == 500
    assert service.bytes > 500 * 1_333_333
    assert peak < 12_000_000


async def test_different_pictures_wait_for_room_instead_of_filling_the_memory(
    client_of: Clients, tmp_path: Path
) -> None:
    service, paths = Counting(), [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(PNG + bytes([number]) * 4_000_000)
    posters = [NanoBananaPro(prompt=TEXT, image_input=[path]) for path in paths]
    async with client_of(transport=service, max_retries=0) as client:
        tracemalloc.start()
        try:
            async with client.run_many(posters) as outcomes:
                ended = [type(outcome.error) async for outcome in outcomes]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert ended == [liangxin.BadRequest] * 40
    assert service.bytes > 40 * 5_333_333
    assert peak < 64 * 1024 * 1024 * 1.4


async def test_an_error_that_is_kept_keeps_no_picture(client_of: Clients, tmp_path: Path) -> None:
    service, kept = Counting(), list[liangxin.Outcome]()
    paths = [tmp_path / f"{number}.png" for number in range(100)]
    for number, path in enumerate(paths):
        path.write_bytes(PNG + bytes([number]) * 2_000_000)
    posters = [NanoBananaPro(prompt=TEXT, image_input=[path]) for path in paths]
    async with client_of(transport=service, max_retries=0) as client:
        async with client.run_many(posters) as outcomes:
            async for outcome in outcomes:
                kept.append(outcome)
                if len(kept) == 1:
                    tracemalloc.start()
        now, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len({id(outcome.error) for outcome in kept}) == 100
    assert now < 64_000_000 * 1.1


@virtual
async def test_a_hundred_at_once_with_the_same_bytes_are_one_upload(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    path, shelf = tmp_path / "cat.png", Shelf(pause=5)
    path.write_bytes(PNG)
    async with client_of(uploader=shelf) as client, anyio.create_task_group() as group:
        for number in range(100):
            same = path if number % 2 else bytes(bytearray(PNG))
            group.start_soon(client.create_task, Flux2Pro(prompt=TEXT, input_image=same))
    assert len(emulator.charges) == 100
    assert shelf.names == [f"{sha256(PNG)}.png"]


@virtual
async def test_who_is_cancelled_takes_the_upload_from_nobody(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf, poster = Shelf(pause=5), Flux2Pro(prompt=TEXT, input_image=PNG)
    async with client_of(uploader=shelf) as client, anyio.create_task_group() as group:
        with anyio.move_on_after(1):
            group.start_soon(client.create_task, poster)
            await client.create_task(poster)
    assert len(shelf.names) == 1
    assert len(emulator.charges) == 1
    assert client.unclaimed == ()


@virtual
async def test_an_upload_whose_only_caller_has_gone_serves_the_next_one(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf, poster = Shelf(pause=5), Flux2Pro(prompt=TEXT, input_image=PNG)
    async with client_of(uploader=shelf) as client:
        with anyio.move_on_after(1):
            await client.create_task(poster)
        assert not emulator.requests
        await client.create_task(poster)
    assert (len(shelf.names), len(emulator.charges)) == (1, 1)


@virtual
async def test_an_upload_that_fails_costs_nothing_and_is_tried_anew_by_the_next(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf = Shelf(failures=[PermissionError("no key for this bucket"), OSError("no route")])
    poster = Flux2Pro(prompt=TEXT, input_image=PNG)
    async with client_of(uploader=shelf) as client:
        for words in ("PermissionError: no key for this bucket", "OSError: no route"):
            with pytest.raises(liangxin.NotSent, match=words) as failed:
                await client.create_task(poster)
            assert isinstance(failed.value.__cause__, OSError)
            assert "nothing was created" in str(failed.value)
            assert not emulator.requests
        await client.create_task(poster)
    assert (len(shelf.names), len(emulator.charges)) == (3, 1)


@virtual
async def test_all_who_wait_for_an_upload_that_fails_are_told(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf = Shelf(failures=[OSError("no route")], pause=5)
    posters = [Flux2Pro(prompt=TEXT, input_image=PNG) for _ in range(5)]
    async with client_of(uploader=shelf) as client, client.run_many(posters) as outcomes:
        errors = [outcome.error async for outcome in outcomes]
    assert all(isinstance(error, liangxin.NotSent) for error in errors)
    assert len({id(error) for error in errors}) == 5
    assert (len(errors), len(shelf.names), len(emulator.requests)) == (5, 1, 0)


@virtual
@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"https://example.com/a.png",
        "s3://pictures/a.png",
        "",
        "https://example.com/\ud800.png",
        "https://example.com/a.png\n",
    ],
)
async def test_an_uploader_that_returns_no_web_address_is_told_so(
    emulator: Emulator, client_of: Clients, answer: Any
) -> None:
    async with client_of(uploader=lambda *_: answer) as client:
        with pytest.raises(liangxin.NotSent, match="where a web address belongs"):
            await client.create_task(Flux2Pro(prompt=TEXT, input_image=PNG))
    assert not emulator.requests


@virtual
async def test_an_uploader_whose_lifetime_is_none_is_told_so(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf: Any = Shelf(expires=3600)  # type: ignore[arg-type]  # the point
    async with client_of(uploader=shelf) as client:
        with pytest.raises(liangxin.NotSent, match="could not be uploaded"):
            await client.create_task(Flux2Pro(prompt=TEXT, input_image=PNG))
        await client.create_task(ZImage(prompt=TEXT))  # the client lives
    assert len(emulator.charges) == 1


@virtual
async def test_a_client_that_closes_does_not_wait_for_an_upload(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf = Shelf(pause=10_000)
    errors: list[Exception] = []

    async def create(client: liangxin.AsyncClient) -> None:
        try:
            await client.create_task(Flux2Pro(prompt=TEXT, input_image=PNG))
        except liangxin.LiangxinError as exc:
            errors.append(exc)

    async with anyio.create_task_group() as group, client_of(uploader=shelf) as client:
        group.start_soon(create, client)
        await shelf.asked.wait()
    assert anyio.current_time() < 5_000
    assert [type(error) for error in errors] == [liangxin.NotSent]
    assert not emulator.requests


@virtual
async def test_an_address_that_is_half_way_through_its_life_is_asked_for_anew(
    emulator: Emulator, client_of: Clients
) -> None:
    shelf, poster = Shelf(expires=timedelta(hours=2)), Flux2Pro(prompt=TEXT, input_image=PNG)
    async with client_of(uploader=shelf) as client:
        for pause in (0, 3500, 200, 3500):
            await anyio.sleep(pause)
            await client.create_task(poster)
    addresses = [arrived["input_image"] for arrived in inputs_of(emulator)]
    assert [address.split("/")[3] for address in addresses] == ["1", "1", "2", "2"]


@virtual
async def test_a_file_that_changes_while_it_is_uploaded_is_not_sent(
    emulator: Emulator, client_of: Clients, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)

    async def uploader(name: str, *_: object) -> str:
        path.write_bytes(PNG + b"more")
        return f"https://shelf.example.com/{name}"

    async with client_of(uploader=uploader) as client:
        with pytest.raises(liangxin.InputError, match="changed while its request was made"):
            await client.create_task(Flux2Pro(prompt=TEXT, input_image=path))
    assert not emulator.requests


# --- the ledger, and batches ---------------------------------------------------------------------


class QuickLedger(Ledger):
    """Writes in the loop: where time jumps, nothing may happen outside of it."""

    is_quick = True
    _synchronous = "OFF"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[QuickLedger]:
    with QuickLedger(tmp_path / "posters.db") as ledger:
        yield ledger


@virtual
async def test_the_ledger_names_a_picture_by_its_hash_and_never_holds_it(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    shelf = Shelf()
    async with client_of(ledger=ledger, uploader=shelf) as client:
        await client.run(NanoBananaPro(prompt=TEXT, image_input=[PNG, PNG_URL]), key="banana")
        await client.run(Flux2Pro(prompt=TEXT, input_image=JPEG), key="flux")
    rows = ledger.find(["banana", "flux"])
    assert rows["banana"].input == {
        "prompt": TEXT,
        "image_input": [f"sha256:{sha256(PNG)}", PNG_URL],
    }
    assert rows["flux"].input == {"prompt": TEXT, "input_image": f"sha256:{sha256(JPEG)}"}
    assert len(emulator.charges) == 2


@virtual
async def test_a_key_with_the_same_picture_from_elsewhere_is_not_paid_again(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger, tmp_path: Path
) -> None:
    path, shelf = tmp_path / "cat.png", Shelf()
    path.write_bytes(PNG)
    async with client_of(ledger=ledger, uploader=shelf) as client:
        task = await client.create_task(Flux2Pro(prompt=TEXT, input_image=PNG), key="cat")
    uploads = len(shelf.names)
    async with client_of(ledger=ledger, uploader=shelf) as client:
        again = await client.create_task(Flux2Pro(prompt=TEXT, input_image=path), key="cat")
        path.write_bytes(picture(color="blue"))
        with pytest.raises(liangxin.LedgerConflict):
            await client.create_task(Flux2Pro(prompt=TEXT, input_image=path), key="cat")
    assert again.id == task.id
    assert (len(emulator.charges), len(shelf.names)) == (1, uploads)


@pytest.mark.campaign
@virtual
async def test_a_finished_batch_that_is_run_again_uploads_nothing_and_sends_nothing(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger, tmp_path: Path
) -> None:
    path, shelf = tmp_path / "cat.png", Shelf()
    path.write_bytes(PNG)

    async def run() -> list[liangxin.Outcome]:
        requests = [
            *((f"a{n}", Flux2Pro(prompt=f"poster {n}", input_image=path)) for n in range(20)),
            *((f"b{n}", NanoBananaPro(prompt=f"no {n}", image_input=[JPEG])) for n in range(20)),
        ]
        async with client_of(ledger=ledger, uploader=shelf) as client:
            async with client.batch(requests, max_in_flight=7) as outcomes:
                return [outcome async for outcome in outcomes]

    assert all(outcome.ok for outcome in await run())
    assert (len(emulator.charges), len(shelf.names)) == (40, 1)
    requests = len(emulator.requests)
    assert all(outcome.ok and outcome.resumed for outcome in await run())
    assert (len(emulator.requests), len(shelf.names)) == (requests, 1)
    path.write_bytes(picture(color="blue"))
    conflicts = [outcome for outcome in await run() if not outcome.ok]
    assert {outcome.key for outcome in conflicts} == {f"a{n}" for n in range(20)}
    assert all(isinstance(each.error, liangxin.LedgerConflict) for each in conflicts)
    path.unlink()
    gone = [outcome for outcome in await run() if not outcome.ok]
    assert len(gone) == 20
    assert "cannot be told" in str(gone[0].error)
    assert (len(emulator.requests), len(shelf.names)) == (requests, 1)


@virtual
async def test_what_was_accepted_is_waited_for_without_an_upload(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    shelf, poster = Shelf(), Flux2Pro(prompt=TEXT, input_image=PNG)
    async with client_of(ledger=ledger, uploader=shelf) as client:
        await client.create_task(poster, key="cat")
    assert ledger.counts() == {LedgerState.ACCEPTED: 1}
    async with client_of(ledger=ledger, uploader=shelf) as client:
        async with client.batch([("cat", poster)]) as outcomes:
            [outcome] = [outcome async for outcome in outcomes]
    assert outcome.ok
    assert (len(emulator.charges), len(shelf.names)) == (1, 1)


@virtual
async def test_one_bad_picture_of_a_batch_is_one_outcome_and_no_row(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger, tmp_path: Path
) -> None:
    inputs: list[Media] = [b"<html>", PNG, tmp_path / "gone.png", JPEG]
    requests = [
        (str(n), NanoBananaPro(prompt=TEXT, image_input=[each])) for n, each in enumerate(inputs)
    ]
    async with client_of(ledger=ledger) as client, client.batch(requests) as outcomes:
        told = {outcome.key: outcome.error async for outcome in outcomes}
    assert [type(told[str(n)]) for n in range(4)] == [
        liangxin.InputError,
        type(None),
        liangxin.InputError,
        type(None),
    ]
    assert ledger.counts() == {LedgerState.SUCCEEDED: 2}
    assert len(emulator.charges) == 2


@virtual
async def test_an_upload_that_fails_in_a_batch_is_left_for_the_next_run(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    shelf = Shelf(failures=[OSError("no route")])
    requests = [("cat", Flux2Pro(prompt=TEXT, input_image=PNG))]
    for ok in (False, True):
        async with client_of(ledger=ledger, uploader=shelf) as client:
            async with client.batch(requests) as outcomes:
                [outcome] = [outcome async for outcome in outcomes]
        assert outcome.ok is ok
        assert len(emulator.charges) == ok
    assert ledger.counts() == {LedgerState.SUCCEEDED: 1}


@virtual
async def test_a_refusal_for_now_sends_the_same_picture_again(
    emulator: Emulator, client_of: Clients, ledger: QuickLedger
) -> None:
    emulator.fail_next_create(429, headers={"Retry-After": "1"})
    async with client_of(ledger=ledger) as client:
        await client.run(NanoBananaPro(prompt=TEXT, image_input=[PNG]), key="cat")
    assert [arrived["image_input"] for arrived in inputs_of(emulator)] == [[inline(PNG)]]
    creates = [seen for seen in emulator.requests if seen.endpoint == "create"]
    assert len({seen.body_bytes for seen in creates}) == 1
    assert len(creates) == 2


# --- a server that does not want it --------------------------------------------------------------


async def test_a_body_that_is_refused_in_the_middle_is_refused_and_not_in_doubt() -> None:
    def refuse(connection: Connection) -> None:
        connection._receive()
        connection.answer(413, b'{"code":413,"msg":"too large","data":null}')
        while connection._receive():
            pass

    poster = NanoBananaPro(prompt=TEXT, image_input=[PNG + bytes(2_000_000)])
    with serving(refuse) as server:
        async with liangxin.AsyncClient(
            "sk-1", base_url=server.base_url, create_timeout=5
        ) as client:
            with pytest.raises(liangxin.PayloadTooLarge):
                await client.create_task(poster)


def test_a_task_whose_record_repeats_the_largest_pictures_is_found(
    server: Emulator, options_of: dict[str, Any]
) -> None:
    most = MAX_REPLY // 5
    pictures = [JPEG + bytes(most - len(JPEG) - n) for n in range(3)]
    with Client(**options_of, max_data_uri=most) as client:
        task = client.run(NanoBananaPro(prompt=TEXT, image_input=pictures))
    assert task.state is liangxin.TaskState.SUCCESS
    assert [charge.task_id for charge in server.charges] == [task.id]


@pytest.mark.parametrize("most", [-1, MAX_REPLY // 5 + 1])
def test_pictures_that_would_not_come_back_are_not_sent(most: int) -> None:
    with pytest.raises(InputError, match="max_data_uri must be bytes, 0 to"):
        Client("sk-x", base_url="https://api.example.com", max_data_uri=most)
