"""
The files that results become: whole or not at all, under names and endings of ours.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import anyio
import anyio.to_thread
import httpx
from attrs import frozen

from liangxin._addresses import MayPass
from liangxin._endings import CLIPS, PICTURES, media_type
from liangxin._errors import Corrupt, DownloadError, Truncated
from liangxin._media import media_type_of
from liangxin._text import printable
from liangxin._whole import is_whole
from liangxin.ledger._lock import try_lock

WRITE_SIZE: Final = 1024 * 1024
"""Bytes gathered before a worker thread writes them."""
HEAD_SIZE: Final = 64
"""Bytes of a file by which its kind is known."""

Told: TypeAlias = Callable[[int, int | None], None]
"""Hears how many bytes have come, and of how many, where that is known."""

_PART = re.compile(r"\..+\.[0-9a-f]{16}\.part")
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]*"')
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


@frozen
class SavedFile:
    """A result on disk: what its bytes are, by their SHA-256, number and first few."""

    path: Path
    sha256: str
    size: int
    media_type: str
    host: str = ""
    """Whose it was, without its port."""


class Part:
    """
    A file that is not whole yet: hidden, in the folder where it will be, under a name of its own.

    It is locked as long as its process lives: by that, `remove_abandoned` tells what a killed
    process has left from what another one is still writing.

    Bytes are gathered and written in worker threads.  A caller that asyncio cancels does not wait
    for its thread, so a lock puts what the threads do in order, and after `discard` none of them
    does anything.
    """

    def __init__(self, folder: Path, label: str, told: Told = lambda size, total: None) -> None:
        self._folder = folder
        self._label = label
        self._told = told
        self._path = folder  # until it is created
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self._hash = sha256()
        self._is_over = False
        self._buffer = bytearray()
        self._start_over()

    def _start_over(self) -> None:
        self._buffer.clear()
        self.size = 0
        self.head = b""
        self.total: int | None = None
        self.has_marked_end = False
        self._etag: str | None = None

    # What the answers say about it.

    def range_headers(self) -> dict[str, str]:
        """The headers that ask for the rest, if it can be told to be of the same file."""
        if not self.size or self._etag is None:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self._etag}

    def forget(self) -> None:
        """Ask for the whole next time, not for the rest."""
        self._etag = None

    def continues_with(self, headers: httpx.Headers) -> bool:
        """Whether a 206 with these headers is the rest of the very file that was begun."""
        said = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if said is None or self._etag is None or headers.get("etag") != self._etag:
            return False
        start, end, total = map(int, said.groups())
        if start != self.size or not start <= end < total or self.total not in (None, total):
            return False
        self.total = total
        self.has_marked_end = True
        return True

    async def restart(self, headers: httpx.Headers) -> None:
        """Begin with the first byte, as a 200 with these headers announces."""
        if self.size:
            await self._in_thread(self._truncate)
        self._start_over()
        etag = headers.get("etag", "")
        self._etag = etag if _STRONG_ETAG.fullmatch(etag) else None
        length = headers.get("content-length", "")
        is_chunked = "transfer-encoding" in headers
        if length.isdecimal() and not is_chunked:
            self.total = int(length)
        self.has_marked_end = is_chunked or self.total is not None

    # What is done to it.

    async def open(self) -> None:
        """Create the file, and its folder if that is missing."""
        await self._in_thread(self._create)

    async def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self.size += len(chunk)
        if len(self.head) < HEAD_SIZE:
            self.head = (self.head + chunk)[:HEAD_SIZE]
        self._buffer += chunk
        if len(self._buffer) >= WRITE_SIZE:
            gathered, self._buffer = self._buffer, bytearray()
            await self._in_thread(self._append, gathered)
        self._told(self.size, self.total)

    async def is_whole(self, ending: str) -> bool | None:
        """Whether it is all there, by its own format; None where that does not tell."""
        found: list[bool | None] = []
        gathered, self._buffer = self._buffer, bytearray()
        await self._in_thread(self._append, gathered)
        await self._in_thread(lambda: found.append(self._judge(ending)))
        return found[0]

    async def publish(self, ending: str) -> SavedFile:
        """Make it the file that it was to become, durably, and say what that holds."""
        path = self._folder / f"{self._label}.{ending}"
        await self._in_thread(self._publish, path)
        kind = media_type(path.name)
        assert kind is not None
        return SavedFile(path, self._hash.hexdigest(), self.size, kind)

    async def discard(self) -> None:
        """Remove what is there, unless it was published."""
        if self._is_over:
            return
        try:
            await anyio.to_thread.run_sync(self._discard)
        except BaseException:  # asyncio's own `Task.cancel`, which no shield holds off
            self._discard()
            raise

    async def _in_thread(self, step: Callable[..., None], *args: object) -> None:
        try:
            await anyio.to_thread.run_sync(step, *args)
        except OSError as exc:
            raise DownloadError(
                f"{self._label} cannot be written to {self._folder}: {exc.strerror or exc}"
            ) from exc

    def _create(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            while self._file is None:
                self._path = self._folder / f".{self._label}.{secrets.token_hex(8)}.part"
                self._file = _claimed(self._path)

    def _append(self, gathered: bytes) -> None:
        with self._lock:
            if self._file is not None:
                self._file.write(gathered)
                self._hash.update(gathered)

    def _judge(self, ending: str) -> bool | None:
        with self._lock:
            if self._file is None:
                return None
            whole = is_whole(self._file, self.size, ending)
            self._file.seek(0, os.SEEK_END)
            return whole

    def _truncate(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.seek(0)
                self._file.truncate()
                self._hash = sha256()

    def _publish(self, path: Path) -> None:
        with self._lock:
            if self._file is None:
                return
            self._file.write(self._buffer)
            self._hash.update(self._buffer)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._path, path)  # a symlink of that name is replaced, not followed
            self._is_over = True
            self._file = None
            _sync_folder(self._folder)

    def _discard(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            if self._file is not None:
                # What brought us here matters more than a full disk that says so once more.
                with suppress(OSError):
                    self._file.close()
                with suppress(OSError):
                    self._path.unlink()
            self._file = None


def _claimed(path: Path) -> BinaryIO | None:
    """A new file that is locked; None if it was taken for abandoned before it was."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, 0o666), "w+b")
    with suppress(OSError):  # where files cannot be locked, nothing is taken for abandoned either
        if not try_lock(file.fileno()) or not path.exists():
            file.close()
            return None
    return file


def remove_abandoned(parts: Iterable[Path]) -> None:
    """Remove those files that are parts of ours which no process is writing any more."""
    for path in parts:
        if not _PART.fullmatch(path.name):
            continue
        with suppress(OSError), path.open("r+b") as file:
            if try_lock(file.fileno()):
                if os.name == "nt":  # which removes no open file
                    file.close()
                path.unlink()


@asynccontextmanager
async def part_file(folder: Path, label: str, told: Told) -> AsyncIterator[Part]:
    part = Part(folder, label, told)
    try:
        await part.open()
        yield part
    finally:
        with anyio.CancelScope(shield=True):
            await part.discard()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where a folder cannot be opened
        return
    # The file is whole and in place; some network file systems cannot sync a folder.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- kinds -------------------------------------------------------------------------------------

_ENDING_OF = {kind: ending for ending, kind in (PICTURES | CLIPS).items() if ending != ".jpeg"}


def media_ending(head: bytes) -> str | None:
    """The file name ending for bytes that begin like this; None if no picture or clip does."""
    ending = _ENDING_OF.get(media_type_of(head) or "")
    return None if ending is None else ending.removeprefix(".")


def ending_of_head(part: Part, shown: str) -> str:
    ending = media_ending(part.head)
    if ending is None:
        begins = printable(part.head.decode("ascii", "replace"), 40)
        what = f"begins with {begins!r}" if part.head else "is empty"
        raise Corrupt(f"{shown} is no picture or clip: it {what}")
    return ending


async def ending_of(part: Part, shown: str) -> str:
    """The ending for a file whose last byte has come, if it was the last."""
    if part.total is not None and part.size != part.total:
        if part.size > part.total:
            part.forget()
        raise MayPass(Truncated(f"{shown} sent {part.size} of {part.total} bytes"))
    ending = ending_of_head(part, shown)
    whole = await part.is_whole(ending)
    if whole is None:
        whole = part.has_marked_end
    if not whole:
        part.forget()
        raise MayPass(
            Truncated(f"{shown} ended after {part.size} bytes, and {_what(part, ending)}")
        )
    return ending


def _what(part: Part, ending: str) -> str:
    if part.has_marked_end:
        return f"the {ending} has more"
    return f"neither it nor the {ending} said that there are no more"


# --- names -------------------------------------------------------------------------------------

MAX_STEM: Final = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.I)


def safe_stem(name: str) -> str:
    """
    A file name without ending that is safe in any folder: ASCII letters, digits, `.`, `_`, `-`.

    A name that has to be changed or clipped gets a few letters of its hash, so that two names
    never become one.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".-").rstrip(".")
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    if stem == name and 0 < len(stem) <= MAX_STEM:
        return stem
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{stem[: MAX_STEM - len(digest) - 1] or 'result'}-{digest}"
