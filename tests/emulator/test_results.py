"""Results: real files of the asked size, served so that a download can be resumed."""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import pytest
from PIL import Image

from liangxin.emulator import Emulator, _fonts
from liangxin.emulator._lettering import Face, fit
from tests.emulator.service import EPOCH, HandClock, client_of, create, fetch, order, result_url

pytestmark = pytest.mark.anyio

SIZES = [
    ("nano-banana-pro-flash", {}, (1024, 1024)),
    ("nano-banana-pro-flash", {"aspect_ratio": "16:9"}, (1376, 768)),
    ("nano-banana-pro", {"aspect_ratio": "9:16", "resolution": "1K"}, (768, 1376)),
    ("nano-banana-pro", {}, (2048, 2048)),
    ("z-image", {}, (1024, 1024)),
    ("z-image", {"image_size": "portrait_9_16", "aspect_ratio": "1:1"}, (576, 1024)),
    ("z-image", {"aspect_ratio": "4:3"}, (1024, 768)),
    ("seedream-v4-5", {"aspect_ratio": "21:9"}, (3062, 1312)),
    ("seedream-v5-lite", {"aspect_ratio": "portrait_2_3"}, (1672, 2508)),
    ("imagen4-fast", {"aspect_ratio": "3:4"}, (896, 1280)),
    ("flux-2-pro", {}, (1024, 768)),
    ("flux-2-pro", {"width": 300, "height": 1001}, (300, 1001)),
    ("gemini-2.5-flash-image-preview", {}, (1024, 1024)),
]


@pytest.fixture
def anyio_backend() -> str:
    """One backend: what is tested here does not depend on it."""
    return "asyncio"


async def finished(emulator: Emulator, clock: HandClock, body: dict[str, Any]) -> str:
    """Return the path of the result of `body`."""
    task_id = await create(emulator, body)
    clock.now += 1000
    return await result_url(emulator, task_id)


@pytest.mark.parametrize(("model", "members", "size"), SIZES)
async def test_a_picture_has_the_size_that_was_asked_for(
    emulator: Emulator, clock: HandClock, model: str, members: dict[str, Any], size: Any
) -> None:
    path = await finished(emulator, clock, order(model, **members))
    reply = await fetch(emulator, path)
    with Image.open(io.BytesIO(reply.content)) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", size)
    assert reply.headers["content-type"] == "image/png"


async def test_a_4k_picture_is_one(emulator: Emulator, clock: HandClock) -> None:
    body = order("nano-banana-pro", resolution="4K", aspect_ratio="21:9")
    reply = await fetch(emulator, await finished(emulator, clock, body))
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.size == (6272, 2688)


async def test_a_jpeg_is_a_jpeg_and_holds_the_prompt(emulator: Emulator, clock: HandClock) -> None:
    body = order("imagen4-ultra", "eine Katze 猫", output_format="image/jpeg")
    path = await finished(emulator, clock, body)
    reply = await fetch(emulator, path)
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.format == "JPEG"
        assert picture.info["comment"].decode() == "eine Katze 猫"
    assert path.endswith(".jpg")
    assert reply.headers["content-type"] == "image/jpeg"


async def test_a_png_holds_the_whole_prompt(emulator: Emulator, clock: HandClock) -> None:
    prompt = "一只橘猫坐在窗台上 " * 150
    reply = await fetch(emulator, await finished(emulator, clock, order(prompt=prompt)))
    with Image.open(io.BytesIO(reply.content)) as picture:
        assert picture.info["Description"] == prompt


async def test_two_tasks_have_two_pictures_and_a_seed_has_one(
    emulator: Emulator, clock: HandClock
) -> None:
    async def etag(**members: Any) -> str:
        body = order(image_size="square", **members)
        return (await fetch(emulator, await finished(emulator, clock, body))).headers["etag"]

    assert await etag() != await etag()
    pictures = []
    for _ in range(2):
        other = Emulator(seed=1, clock=clock, wall=lambda: EPOCH, durations=1)
        path = await finished(other, clock, order(image_size="square", seed=7))
        pictures.append((await fetch(other, path)).content)
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    ("ratio", "size"), [("16:9", (640, 360)), ("9:16", (360, 640)), ("1:1", (480, 480))]
)
async def test_a_clip_is_an_mp4_in_the_asked_ratio(
    emulator: Emulator, clock: HandClock, ratio: str, size: tuple[int, int]
) -> None:
    body = order("kling-v3-pro", "slow push-in", aspect_ratio=ratio)
    reply = await fetch(emulator, await finished(emulator, clock, body))
    boxes = list(boxes_of(reply.content))
    assert [name for name, _ in boxes][:2] == [b"ftyp", b"moov"]
    assert dict(boxes)[b"moov"].count(struct.pack(">HHHH", size[0], 0, size[1], 0)) == 1
    assert b"avc1" in dict(boxes)[b"moov"]
    assert json.loads(boxes[-1][1])["prompt"] == "slow push-in"
    assert len(reply.content) < 150 * 1024
    assert reply.headers["content-type"] == "video/mp4"


def boxes_of(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the top boxes of an MP4."""
    boxes, place = [], 0
    while place < len(content):
        size, name = struct.unpack_from(">I4s", content, place)
        boxes.append((name, content[place + 8 : place + size]))
        place += size
    assert place == len(content)
    return boxes


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=100-", 100, None), ("bytes=-7", -7, None), ("bytes=5-5", 5, 5)],
)
async def test_a_range_is_answered_with_that_part(
    emulator: Emulator, clock: HandClock, asked: str, first: int, last: int | None
) -> None:
    path = await finished(emulator, clock, order(image_size="square"))
    whole = (await fetch(emulator, path)).content
    part = await fetch(emulator, path, Range=asked)
    begin = first % len(whole)
    end = len(whole) - 1 if last is None else last
    assert part.status_code == 206
    assert part.content == whole[begin : end + 1]
    assert part.headers["content-range"] == f"bytes {begin}-{end}/{len(whole)}"
    assert part.headers["content-length"] == str(len(part.content))


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-3", "lines=1-2", "bytes=-", "junk"])
async def test_a_range_that_makes_no_sense_gets_the_whole(
    emulator: Emulator, clock: HandClock, asked: str
) -> None:
    path = await finished(emulator, clock, order("kling-v3-pro"))
    assert (await fetch(emulator, path, Range=asked)).status_code == 200


async def test_a_range_past_the_end_is_refused(emulator: Emulator, clock: HandClock) -> None:
    path = await finished(emulator, clock, order("kling-v3-pro"))
    reply = await fetch(emulator, path, Range="bytes=9999999-")
    assert reply.status_code == 416
    assert reply.headers["content-range"].startswith("bytes */")


async def test_if_range_gives_a_part_only_of_the_same_file(
    emulator: Emulator, clock: HandClock
) -> None:
    path = await finished(emulator, clock, order("kling-v3-pro"))
    etag = (await fetch(emulator, path)).headers["etag"]
    same = {"Range": "bytes=1-2", "If-Range": etag}
    assert (await fetch(emulator, path, **same)).status_code == 206
    assert (await fetch(emulator, path, **(same | {"If-Range": '"old"'}))).status_code == 200
    assert (await fetch(emulator, path, **{"If-None-Match": etag})).status_code == 304


async def test_head_tells_the_length_without_the_body(emulator: Emulator, clock: HandClock) -> None:
    path = await finished(emulator, clock, order("kling-v3-pro"))
    async with client_of(emulator, key=None) as client:
        reply = await client.head(path)
    assert int(reply.headers["content-length"]) > 10_000
    assert reply.content == b""


async def test_there_is_no_result_before_the_end_nor_under_another_name(
    emulator: Emulator, clock: HandClock
) -> None:
    task_id = await create(emulator, order())
    path = f"/results/{task_id}/1.png"
    assert (await fetch(emulator, path)).status_code == 404
    clock.now = 100
    assert (await fetch(emulator, path)).status_code == 200
    for wrong in (f"/results/{task_id}/2.png", f"/results/{task_id}/1.jpg", "/results/x/1.png"):
        assert (await fetch(emulator, wrong)).status_code == 404


async def test_results_expire_if_told_to(clock: HandClock) -> None:
    emulator = Emulator(clock=clock, durations=100, result_ttl=60)
    task_id = await create(emulator, order("kling-v3-pro"))
    clock.now = 159
    path = await result_url(emulator, task_id)
    assert (await fetch(emulator, path)).status_code == 200
    clock.now = 160
    assert (await fetch(emulator, path)).status_code == 404


async def test_a_painted_picture_is_kept_for_the_next_reader(
    emulator: Emulator, clock: HandClock
) -> None:
    path = await finished(emulator, clock, order(image_size="square"))
    one, other = await fetch(emulator, path), await fetch(emulator, path)
    assert one.headers["etag"] == other.headers["etag"]


def test_a_long_text_is_set_within_its_box_and_cut() -> None:
    block = fit("a long sentence about cats " * 200, 500, 300, 60, 20)
    assert block.height <= 300
    assert all(block.face.width(line) <= 500 for line in block.lines)
    assert block.lines[-1].endswith("...")
    assert not block.is_whole


def test_a_short_text_is_set_as_large_as_allowed() -> None:
    block = fit("A cat", 500, 300, 60, 20)
    assert (block.face.size, block.lines, block.is_whole) == (60, ("A cat",), True)


def test_a_word_that_is_wider_than_the_line_is_broken() -> None:
    block = fit("x" * 300, 200, 300, 60, 20)
    assert all(block.face.width(line) <= 200 for line in block.lines)


def test_letters_that_the_font_lacks_are_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fonts, "system_fonts", lambda: ())
    path = _fonts.best_font("naïve Ко かな 猫 🐈")
    assert path is None
    assert _fonts.spelled(path, "naïve Ко かな 猫—🐈") == "naive Kao kana 猫-?"


def test_an_ideograph_without_a_font_is_drawn_as_a_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fonts, "system_fonts", lambda: ())
    assert Face(None, 30).needs_seal("猫")
    assert not Face(None, 30).needs_seal("a")
    assert Face(None, 30).width("猫") > 30


def test_pillows_own_font_is_preferred_where_it_suffices() -> None:
    assert _fonts.best_font("A clean app icon") is None
