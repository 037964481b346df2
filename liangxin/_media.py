"""
Pictures, clips and sounds that the user has: what can be one, what it is by its first bytes, and
where in a request it stands.

Values only.  An open file is read to its end when it is wrapped, because its position is
everybody's; nothing else is read here.  What reads paths and encodes images is
`liangxin._contents`.
"""

from __future__ import annotations

import io
import os
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CoroutineType
from typing import Literal, Protocol, TypeAlias, TypeGuard

from attrs import field, frozen

from liangxin._text import in_words, printable

MediaKind: TypeAlias = Literal["image", "video", "audio"]

HEAD = 256
"""How many bytes tell what a file is."""
_DEEPEST = 64
"""How many levels of a request are searched; none that can be sent has more."""


class BinaryFile(Protocol):
    """A file opened for reading bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class PillowImage(Protocol):
    """What is asked of a Pillow image; Pillow itself is never imported."""

    @property
    def mode(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    def tobytes(self) -> bytes: ...
    def convert(self, mode: str, /) -> PillowImage: ...
    def save(self, fp: io.BytesIO, /, format: str, *, quality: int = ...) -> None: ...


class Unfit(Exception):  # never leaves the package: it becomes an InputError
    """What is wrong with a medium, in words that follow the name of its field."""


def _identity(source: object) -> object:
    # Pillow's images compare by their pixels, and have no hash.
    return source if isinstance(source, (Path, bytes)) else id(source)


@frozen(repr=False)
class LocalMedia:
    """
    A picture, clip or sound on this machine, in the place of a web address.

    Inputs make it of a path, bytes, an open file or a Pillow image.  A path and an image are
    looked at when the request is about to leave, not before.
    """

    source: Path | bytes | PillowImage = field(eq=_identity)

    @classmethod
    def of(cls, value: object) -> LocalMedia | None:
        """Wrap what is a medium; None of anything else.  Raises `Unfit` for one without use."""
        if isinstance(value, cls):
            return value
        if not is_local(value):
            return None
        if isinstance(value, os.PathLike):
            return cls(Path(os.fsdecode(value)))
        if isinstance(value, (bytes, bytearray, memoryview)):
            if not len(value):
                raise Unfit("is empty")
            return cls(bytes(value))
        return cls(value if _is_image(value) else _rest_of(value))  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"LocalMedia({printable(self.said, 80)})"

    @property
    def said(self) -> str:
        """What it is, in a few words and without a byte of it."""
        if isinstance(self.source, Path):
            return repr(self.source.name)
        if isinstance(self.source, bytes):
            return f"{len(self.source):,} bytes"
        return f"an image of {self.source.size}, {self.source.mode}"


Media: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | PillowImage | LocalMedia
)
"""
What a field for a picture, a clip or a sound takes.

Text is a web address or a data URI; a file on this machine is a `Path`.  A file that is open is
read to its end, in binary, when the input is made.  An image of Pillow must stay as it is until
its create has left.
"""


def is_local(value: object) -> bool:
    """Whether this is a medium that is no text; nothing is read to say so."""
    if isinstance(value, (LocalMedia, os.PathLike, bytes, bytearray, memoryview)):
        return True
    if isinstance(value, type):
        return False
    return _is_image(value) or callable(getattr(value, "read", None))


def _is_image(value: object) -> TypeGuard[PillowImage]:
    return all(hasattr(value, name) for name in ("mode", "size", "tobytes", "convert", "save"))


def _rest_of(file: BinaryFile) -> bytes:
    """What an open file holds from where it stands."""
    if isinstance(file, io.TextIOBase):
        raise Unfit('is a file that was opened as text; open it with "rb"')
    try:
        data: object = file.read()
    except (OSError, ValueError) as exc:
        raise Unfit(f"is a file that cannot be read ({in_words(exc)})") from exc
    if isinstance(data, CoroutineType):
        data.close()  # or Python complains that nobody waited for it
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise Unfit(f"is a file whose read() gives {type(data).__name__}, not bytes")
    if not len(data):
        raise Unfit(
            "is a file with nothing left to read: an input reads it once, to its end, so pass its "
            "bytes or its path where several inputs share it"
        )
    return bytes(data)


# --- what a file is, by its first bytes --------------------------------------------------------

EXTENSIONS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "image/tiff": ".tiff",
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/mp4": ".m4a",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
}
"""The ending of each type that is recognised."""

USUAL: Mapping[MediaKind, tuple[str, ...]] = {
    "image": ("image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"),
    "video": ("video/mp4", "video/quicktime", "video/webm"),
    "audio": ("audio/mpeg", "audio/wav", "audio/mp4"),
}
"""What a field takes that lists no types: not what most services cannot open (AVIF, HEIC)."""

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"hevx": "image/heic",
    b"mif1": "image/heic",
    b"msf1": "image/heic",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def media_type_of(head: bytes) -> str | None:
    """Say what a file is whose first bytes (`HEAD` of them, or all) are these, if that is known."""
    for magic, media_type in _BEGINNINGS:
        if head.startswith(magic):
            return media_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp" and len(head) >= 12:
        return _of_brands(head)
    if head[4:8] in (b"moov", b"wide"):
        return "video/quicktime"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/webm" if b"webm" in head[:64] else "video/x-matroska"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    return "audio/mpeg" if _is_mpeg_audio(head) else None


def _of_brands(head: bytes) -> str:
    """ISO's box of brands: pictures, sounds and clips share it."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    if b"avif" in brands:  # its major brand is often that of any picture
        return "image/avif"
    return _BRANDS.get(brands[0], "video/mp4")


def _is_mpeg_audio(head: bytes) -> bool:
    """Whether it begins with the header of a frame of layer III, each of whose parts is legal."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:
        return False
    return head[2] & 0xF0 not in (0x00, 0xF0) and head[2] & 0x0C != 0x0C


@frozen
class Content:
    """What a medium holds, without holding it."""

    sha256: str
    media_type: str | None
    """None where its first bytes say nothing that is known here."""
    size: int
    mark: object = field(default=None, eq=False, repr=False)
    """What is another one when the medium has changed."""

    @property
    def identity(self) -> str:
        """What stands for it in a ledger: the same for the same bytes, wherever they lie."""
        return f"sha256:{self.sha256}"

    @property
    def name(self) -> str:
        """A file name that no other bytes have."""
        return self.sha256 + EXTENSIONS.get(self.media_type or "", ".bin")


def data_uri(data: bytes, media_type: str) -> bytes:
    """Return the data URI of these bytes, as bytes: it goes into a body as it is."""
    return b"data:%s;base64,%s" % (media_type.encode(), b2a_base64(data, newline=False))


# --- where media stand in a request ------------------------------------------------------------


@frozen
class Place:
    """Where a medium stands: the field, and the way to it inside the field."""

    field: str
    at: str = ""

    def __str__(self) -> str:
        return self.field + self.at


def local_in(fields: Mapping[str, object]) -> list[tuple[Place, LocalMedia]]:
    """All local media of a request's fields, in their order."""
    return [
        (Place(name, at), media)
        for name, value in fields.items()
        if not isinstance(value, (str, int, float))
        for at, media in _found(value, "", ())
    ]


def _found(value: object, at: str, above: tuple[int, ...]) -> Iterator[tuple[str, LocalMedia]]:
    if isinstance(value, LocalMedia):
        yield at, value
    elif not _is_endless(value, above):
        inside = (*above, id(value))
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from _found(item, f"{at}[{printable(repr(key), 40)}]", inside)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                yield from _found(item, f"{at}[{index}]", inside)


def _is_endless(value: object, above: tuple[int, ...]) -> bool:
    """Whether it contains itself, or nests too deep to be sent: the wire says so."""
    return len(above) >= _DEEPEST or id(value) in above


def replaced(value: object, text_of: Callable[[LocalMedia], object]) -> object:
    """The same value with a text in the place of each medium, in the order of `local_in`."""
    if isinstance(value, LocalMedia):
        return text_of(value)
    if isinstance(value, Mapping):
        return {key: replaced(item, text_of) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [replaced(item, text_of) for item in value]
    return value


def wrapped(value: object, above: tuple[int, ...] = ()) -> object:
    """The same value with each medium wrapped; itself, if there is none."""
    if value is None or isinstance(value, (str, int, float)) or _is_endless(value, above):
        return value
    inside = (*above, id(value))
    if isinstance(value, Mapping):
        items = {key: wrapped(item, inside) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in items) else value
    if isinstance(value, (list, tuple)):
        made = [wrapped(item, inside) for item in value]
        return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
    media = LocalMedia.of(value)
    return value if media is None else media
