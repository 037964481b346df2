"""
What local media hold: read, recognised by their first bytes, hashed.

Blocking, for any thread: an event loop calls it in a worker thread.  A file is read again only
when it has changed, and an image is encoded again only when its pixels have.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from liangxin._media import HEAD, Content, LocalMedia, PillowImage, Unfit, media_type_of
from liangxin._text import in_words

KEPT_ENTRIES = 4096
JPEG_QUALITY = 95

# Pillow loads an image when its pixels are first asked for, and two threads must not do that at
# the same time; the image may be in use by two clients.
_imaging = threading.Lock()


@frozen(eq=False)
class _Known:
    """What was found, and what keeps the key of it from being given to something else."""

    source: object
    mark: object
    content: Content
    data: bytes | None = None
    """Of an image: what it was encoded to."""
    weight: int = 0


class Contents:
    """
    What media hold, as far as it was looked at.

    Remembers what it has seen, and with it up to `room` bytes of pictures, so that one that ten
    thousand inputs share is hashed, or encoded, once.
    """

    def __init__(self, room: int = 64 * 1024 * 1024) -> None:
        self._room = room
        self._known: OrderedDict[object, _Known] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def known(self, media: LocalMedia) -> Content | None:
        """Say what bytes hold that were looked at before; this blocks nobody."""
        known = self._known.get(("bytes", id(media.source)))
        return None if known is None else known.content

    def look(self, media: LocalMedia) -> Content:
        """Say what a medium holds now; raises `Unfit` if it cannot be read."""
        source = media.source
        if isinstance(source, bytes):
            return self._of_bytes(source).content
        if isinstance(source, Path):
            with _explained():
                return self._of_path(source).content
        return self._of_image(source).content

    def read(self, media: LocalMedia, content: Content) -> bytes:
        """Return the bytes of a medium that was looked at."""
        with self.opened(media, content) as file:
            data = file.read()
        if hashlib.sha256(data).hexdigest() != content.sha256:
            raise Unfit("changed while its request was made")
        return data

    @contextmanager
    def opened(self, media: LocalMedia, content: Content) -> Iterator[BinaryIO]:
        """Open a medium that was looked at; raises `Unfit` if it has changed by the end."""
        source = media.source
        if isinstance(source, bytes):
            yield BytesIO(source)
        elif isinstance(source, Path):
            with _explained():
                file = source.open("rb")
            with file:
                yield file
                if _mark(os.fstat(file.fileno())) != content.mark:
                    raise Unfit("changed while its request was made")
        else:
            known = self._of_image(source)
            if known.content != content or known.data is None:
                raise Unfit("changed while its request was made")
            yield BytesIO(known.data)

    # --- the three kinds -------------------------------------------------------------------

    def _of_bytes(self, data: bytes) -> _Known:
        def look() -> _Known:
            return _Known(data, None, _content(data, None), weight=len(data))

        return self._remembered(("bytes", id(data)), None, look)

    def _of_path(self, path: Path) -> _Known:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for its other end
            raise Unfit("is a folder" if stat.S_ISDIR(found.st_mode) else "is no plain file")
        mark = _mark(found)
        return self._remembered(
            ("path", os.fspath(path)),
            mark,
            lambda: _Known(path, mark, _content_of_file(path, mark)),
        )

    def _of_image(self, image: PillowImage) -> _Known:
        with _imaging:
            try:
                mark = _pixels(image)

                def look() -> _Known:
                    data = _encoded(image)
                    weight = len(data) + 4 * image.size[0] * image.size[1]
                    return _Known(image, mark, _content(data, mark), data=data, weight=weight)

                return self._remembered(("image", id(image)), mark, look)
            except Exception as exc:  # Pillow and its plugins raise whatever they like
                raise Unfit(f"is an image that cannot be encoded ({in_words(exc)})") from exc

    def _remembered(self, key: object, mark: object, look: Callable[[], _Known]) -> _Known:
        with self._lock:
            known = self._known.get(key)
            if known is not None and known.mark == mark:
                self._known.move_to_end(key)
                return known
        known = look()
        with self._lock:
            self._forget(key)
            self._known[key] = known
            self._weight += known.weight
            while len(self._known) > 1 and self._is_full():
                self._forget(next(iter(self._known)))
        return known

    def _is_full(self) -> bool:
        return self._weight > self._room or len(self._known) > KEPT_ENTRIES

    def _forget(self, key: object) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._weight -= known.weight


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as exc:  # ValueError: a path with a null byte
        raise Unfit(f"cannot be read ({in_words(exc)})") from exc


def _mark(found: os.stat_result) -> object:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _content(data: bytes, mark: object) -> Content:
    return Content(hashlib.sha256(data).hexdigest(), media_type_of(data[:HEAD]), len(data), mark)


def _content_of_file(path: Path, mark: object) -> Content:
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    if not size:
        raise Unfit("is empty")
    return Content(digest, media_type_of(head), size, mark)


def _pixels(image: PillowImage) -> bytes:
    """What is another text when the image has been drawn on."""
    palette = getattr(image, "palette", None)
    clear = getattr(image, "info", {}).get("transparency")
    shape = (image.mode, image.size, palette and palette.getdata(), clear)
    return hashlib.sha256(repr(shape).encode() + image.tobytes()).digest()


def _encoded(image: PillowImage) -> bytes:
    """The pixels as PNG, which loses nothing; as JPEG if they come from one."""
    # The pixels of a photograph take ten times the room as PNG.
    is_jpeg = getattr(image, "format", None) in ("JPEG", "MPO")
    if is_jpeg and image.mode not in ("L", "RGB"):
        image = image.convert("RGB")  # CMYK, which few services read rightly
    elif not is_jpeg and image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = image.convert("RGBA" if image.mode in ("RGBa", "La", "PA") else "RGB")
    buffer = BytesIO()
    if is_jpeg:
        image.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    else:
        image.save(buffer, format="PNG")
    return buffer.getvalue()
