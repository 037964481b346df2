"""Whether a file is whole: real pictures and clips, and what is left of them after a cut."""

from __future__ import annotations

import io
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import liangxin.emulator
from liangxin._whole import is_whole

CLIPS = Path(liangxin.emulator.__file__).parent / "clips"
SAVED: dict[str, dict[str, Any]] = {
    "png": {},
    "png interlaced": {"optimize": True},
    "jpg": {},
    "jpg progressive": {"progressive": True},
    "webp": {},
    "webp lossless": {"lossless": True},
    "webp animated": {"save_all": True},
    "gif": {},
    "gif animated": {"save_all": True},
}
FILES = [*SAVED, *(clip.name for clip in sorted(CLIPS.glob("*.mp4")))]
ENDINGS = ["png", "jpg", "gif", "webp", "mp4", "mov", "avif", "heic", "webm"]


@cache
def body(name: str) -> bytes:
    if name.endswith(".mp4"):
        return (CLIPS / name).read_bytes()
    stream, options = io.BytesIO(), dict(SAVED[name])
    first, *more = (
        Image.frombytes("RGB", (64, 64), random.Random(seed).randbytes(64 * 64 * 3))
        for seed in range(3)
    )
    if options.get("save_all"):
        options["append_images"] = more
    kind = ending_of(name).upper()
    first.save(stream, "JPEG" if kind == "JPG" else kind, **options)
    return stream.getvalue()


def ending_of(name: str) -> str:
    return "mp4" if name.endswith(".mp4") else name.partition(" ")[0]


def judged(data: bytes, ending: str) -> bool | None:
    return is_whole(io.BytesIO(data), len(data), ending)


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_whole(name: str) -> None:
    assert judged(body(name), ending_of(name)) is True


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_is_not(name: str) -> None:
    data = body(name)
    cuts = {*range(64, len(data), max(1, len(data) // 300)), len(data) - 1}
    kept = {cut for cut in cuts if judged(data[:cut], ending_of(name)) is not False}
    # Of a GIF one byte tells: one cut in 256 looks like an end.
    assert len(kept) <= (len(cuts) // 50 if "gif" in name else 0)


@pytest.mark.parametrize("name", ["png", "jpg", "webp"])
def test_what_follows_the_end_of_a_picture_does_no_harm(name: str) -> None:
    assert judged(body(name) + b"made by a camera", name) is True


def test_a_clip_that_does_not_say_how_long_it_is_leaves_it_open() -> None:
    assert judged(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\0mdat....", "mp4") is None
    assert judged(b"\x1a\x45\xdf\xa3....webm", "webm") is None


def test_a_long_box_is_counted_by_its_long_length() -> None:
    film = b"\0\0\0\x08moov" + b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"film"
    assert judged(film, "mp4") is True
    assert judged(film[:-1], "mp4") is False
    assert judged(film[8:], "mp4") is False


@given(st.binary(max_size=400), st.sampled_from(ENDINGS))
def test_any_bytes_are_judged(data: bytes, ending: str) -> None:
    assert judged(data, ending) in (True, False, None)
