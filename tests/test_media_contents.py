"""What a picture is by its first bytes, and what it holds: files, bytes and Pillow images."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from liangxin._contents import Contents
from liangxin._media import (
    EXTENSIONS,
    HEAD,
    USUAL,
    LocalMedia,
    Unfit,
    data_uri,
    local_in,
    media_type_of,
    replaced,
    wrapped,
)

# --- recognised ----------------------------------------------------------------------------------


def picture(format: str, mode: str = "RGB", color: Any = 7) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (20, 10), color).save(buffer, format)
    return buffer.getvalue()


def iso(major: bytes, *others: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(others)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + b"\0\0\0\x08free"


RECOGNISED = {
    "PNG": (picture("PNG"), "image/png"),
    "JPEG": (picture("JPEG"), "image/jpeg"),
    "WebP": (picture("WEBP"), "image/webp"),
    "GIF": (picture("GIF"), "image/gif"),
    "BMP": (picture("BMP"), "image/bmp"),
    "TIFF": (picture("TIFF"), "image/tiff"),
    "HEIC": (iso(b"heic", b"mif1", b"heic"), "image/heic"),
    "AVIF": (iso(b"avif", b"mif1"), "image/avif"),
    "AVIF under the brand of any picture": (iso(b"mif1", b"miaf", b"avif"), "image/avif"),
    "MP4": (iso(b"isom", b"iso2", b"avc1", b"mp41"), "video/mp4"),
    "QuickTime": (iso(b"qt  ", b"qt  "), "video/quicktime"),
    "QuickTime without brands": (b"\0\0\0\x08wide\0\0\1\0mdat", "video/quicktime"),
    "M4A": (iso(b"M4A ", b"mp42"), "audio/mp4"),
    "WebM": (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\x82\x84webm", "video/webm"),
    "Matroska": (b"\x1a\x45\xdf\xa3\xa3B\x86\x81\1B\x82\x88matroska", "video/x-matroska"),
    "MP3 with a tag": (b"ID3\4\0\0\0\0\0\0", "audio/mpeg"),
    "MP3 without": (b"\xff\xfb\x90\x64\0\0", "audio/mpeg"),
    "WAV": (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
    "Ogg": (b"OggS\0\2", "audio/ogg"),
    "FLAC": (b"fLaC\0\0\0\x22", "audio/flac"),
}


@pytest.mark.parametrize(("data", "media_type"), RECOGNISED.values(), ids=RECOGNISED)
def test_a_file_is_recognised_by_its_first_bytes(data: bytes, media_type: str) -> None:
    assert media_type_of(data[:HEAD]) == media_type
    assert media_type in EXTENSIONS


@pytest.mark.skipif(
    ".avif" not in Image.registered_extensions(), reason="this Pillow writes no AVIF"
)
def test_a_real_avif_is_recognised_and_no_usual_image() -> None:
    assert media_type_of(picture("AVIF")[:HEAD]) == "image/avif"
    assert "image/avif" not in USUAL["image"]


def test_the_shipped_clips_are_recognised() -> None:
    folder = resources.files("liangxin.emulator") / "clips"
    clips = [clip for clip in folder.iterdir() if clip.name.endswith(".mp4")]
    assert clips
    assert {media_type_of(clip.read_bytes()[:HEAD]) for clip in clips} == {"video/mp4"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        b"%PDF-1.7",
        b"BMW drivers",
        b"\xff\xf1\x50\x80",
        b"\xff\xfb\xf0\x00",
        b"RIFF",
    ],
)
def test_what_is_none_of_these_is_not_guessed(data: bytes) -> None:
    assert media_type_of(data) is None


@given(
    data=st.binary(max_size=HEAD)
    | st.binary(max_size=40).map(lambda more: b"\0\0\0\x20ftyp" + more)
)
def test_any_bytes_are_one_of_the_known_types_or_none(data: bytes) -> None:
    assert media_type_of(data) in {None, *EXTENSIONS}


@given(data=st.binary(min_size=1))
def test_a_data_uri_holds_the_bytes(data: bytes) -> None:
    head, _, text = data_uri(data, "image/png").partition(b",")
    assert head == b"data:image/png;base64"
    assert base64.b64decode(text, validate=True) == data


# --- held ----------------------------------------------------------------------------------------


def of(value: object) -> LocalMedia:
    media = LocalMedia.of(value)
    assert media is not None
    return media


def held(value: object) -> bytes:
    """The bytes that would be sent for a value."""
    contents, media = Contents(), of(value)
    content = contents.look(media)
    data = contents.read(media, content)
    assert (content.size, content.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


def test_a_path_bytes_and_an_open_file_hold_the_same(tmp_path: Path) -> None:
    path, data = tmp_path / "cat.png", picture("PNG")
    path.write_bytes(data)
    assert held(path) == held(data) == held(bytearray(data)) == held(io.BytesIO(data)) == data
    with path.open("rb") as file:
        assert held(file) == data
    assert Contents().look(of(path)) == Contents().look(of(data))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, r"cannot be read \(FileNotFoundError: .*cat\.png"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.symlink_to(path), "cannot be read"),
    ],
    ids=["missing", "folder", "empty", "loop"],
)
def test_a_path_that_cannot_be_read_is_unfit(tmp_path: Path, make: Any, said: str) -> None:
    path = tmp_path / "cat.png"
    make(path)
    with pytest.raises(Unfit, match=said):
        Contents().look(of(path))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes of this kind")
def test_a_pipe_is_unfit_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cat.png")
    with pytest.raises(Unfit, match="is no plain file"):
        Contents().look(of(tmp_path / "cat.png"))


def test_a_path_with_a_null_byte_is_unfit() -> None:
    with pytest.raises(Unfit, match=r"null (byte|character)"):
        Contents().look(of(Path("cat\0.png")))


def test_a_file_that_has_changed_is_read_anew_and_never_passed_off_as_the_old_one(
    tmp_path: Path,
) -> None:
    path, contents = tmp_path / "cat.png", Contents()
    path.write_bytes(b"one")
    media = of(path)
    before = contents.look(media)
    path.write_bytes(b"another")
    assert contents.look(media) != before
    with pytest.raises(Unfit, match="changed"):
        contents.read(media, before)


def test_a_file_that_changes_during_an_upload_is_found_out(tmp_path: Path) -> None:
    path, contents = tmp_path / "cat.png", Contents()
    path.write_bytes(b"one")
    media = of(path)
    with (
        pytest.raises(Unfit, match="changed"),
        contents.opened(media, contents.look(media)) as file,
    ):
        assert file.read() == b"one"
        path.write_bytes(b"another")
    assert file.closed


def test_a_file_is_hashed_once_while_it_stays_as_it_is(tmp_path: Path) -> None:
    path, contents = tmp_path / "cat.png", Contents()
    path.write_bytes(b"one")
    first = contents.look(of(path))
    assert all(contents.look(of(Path(str(path)))) is first for _ in range(10))


def test_bytes_are_known_without_reading_once_they_were_looked_at() -> None:
    contents, data = Contents(), picture("PNG")
    assert contents.known(of(data)) is None
    content = contents.look(of(data))
    assert contents.known(of(data)) is content
    assert contents.known(of(bytes(bytearray(data)))) is None


def test_no_more_bytes_are_kept_than_there_is_room_for() -> None:
    contents = Contents(room=100)
    pictures = [bytes([number]) * 40 for number in range(5)]
    for data in pictures:
        contents.look(of(data))
    assert [contents.known(of(data)) is not None for data in pictures] == [False] * 3 + [True] * 2
    large = b"x" * 1000
    contents.look(of(large))
    assert contents.known(of(large)) is not None
    assert contents.known(of(pictures[-1])) is None


# --- Pillow --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "F", "I", "RGBa"]
)
def test_an_image_of_any_mode_becomes_a_png_of_its_size_and_stays_as_it_is(mode: str) -> None:
    image = Image.new(mode, (20, 10))
    before = image.copy()
    sent = Image.open(io.BytesIO(held(image)))
    assert (sent.format, sent.size) == ("PNG", (20, 10))
    assert (image.mode, image.tobytes()) == (mode, before.tobytes())


def test_the_pixels_arrive_as_they_were() -> None:
    image = Image.effect_noise((64, 64), 50).convert("RGB")
    assert Image.open(io.BytesIO(held(image))).tobytes() == image.tobytes()


def test_what_was_opened_as_jpeg_stays_one_and_is_rgb() -> None:
    for mode in ("RGB", "L", "CMYK"):
        image = Image.open(io.BytesIO(picture("JPEG", mode)))
        sent = Image.open(io.BytesIO(held(image)))
        assert (sent.format, sent.mode) == ("JPEG", "L" if mode == "L" else "RGB")


def test_an_image_is_encoded_once_and_again_when_it_was_drawn_on() -> None:
    contents, image = Contents(), Image.new("RGB", (20, 10), "white")
    first = contents.look(of(image))
    assert all(contents.look(of(image)) is first for _ in range(10))
    image.putpixel((0, 0), (255, 0, 0))
    assert contents.look(of(image)).sha256 != first.sha256


def test_another_palette_and_another_transparent_color_are_another_image() -> None:
    contents, image = Contents(), Image.new("P", (20, 10), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    before = contents.look(of(image))
    image.putpalette([0, 0, 0, 0, 255, 0])
    green = contents.look(of(image))
    assert green != before
    image.info["transparency"] = 1
    assert contents.look(of(image)) not in (before, green)


def test_an_image_that_cannot_be_loaded_is_unfit() -> None:
    whole = io.BytesIO()
    Image.effect_noise((99, 99), 50).save(whole, "PNG")
    cut = Image.open(io.BytesIO(whole.getvalue()[:5000]))
    with pytest.raises(Unfit, match="cannot be encoded"):
        Contents().look(of(cut))
    closed = Image.open(io.BytesIO(picture("PNG")))
    closed.close()
    with pytest.raises(Unfit, match="cannot be encoded"):
        Contents().look(of(closed))


def test_an_image_that_many_threads_look_at_is_loaded_by_one_at_a_time() -> None:
    data = io.BytesIO()
    Image.effect_noise((500, 500), 50).save(data, "PNG")
    image = Image.open(data)
    contents, found = Contents(), list[str]()
    media = of(image)
    threads = [
        threading.Thread(target=lambda: found.append(contents.look(media).sha256)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


# --- where they stand ----------------------------------------------------------------------------


def test_media_are_found_and_replaced_in_the_same_order() -> None:
    cat, dog, fox = of(b"cat"), of(b"dog"), of(b"fox")
    fields = {"a": cat, "b": ["x", dog], "c": [{"d": {"e": (1, fox)}}], "f": 1.5, "g": None}
    found = local_in(fields)
    assert [(str(place), media) for place, media in found] == [
        ("a", cat),
        ("b[1]", dog),
        ("c[0]['d']['e'][1]", fox),
    ]
    texts = iter("123")
    assert replaced(fields, lambda _: next(texts)) == {
        "a": "1",
        "b": ["x", "2"],
        "c": [{"d": {"e": [1, "3"]}}],
        "f": 1.5,
        "g": None,
    }


def test_a_search_in_what_contains_itself_ends() -> None:
    endless: dict[str, object] = {"cat": of(b"cat")}
    endless |= {"again": [endless, endless], "and again": (endless,)}
    assert [str(place) for place, _ in local_in(endless)] == ["cat"] + [
        f"{way}['cat']" for way in ("again[0]", "again[1]", "and again[0]")
    ]
    assert wrapped(endless) is endless
