"""
Whether a picture or a clip is all there, by the structure of its own format.

A host that announces fewer bytes than there are is believed by HTTP; the file itself knows better.
"""

from __future__ import annotations

from typing import BinaryIO

_JPEG_TAIL = 64 * 1024
"""How much may follow the end of a JPEG: makers of cameras put things there."""


def is_whole(file: BinaryIO, size: int, ending: str) -> bool | None:
    """Whether a file of this many bytes is whole; None where its format does not tell."""
    match ending:
        case "png":
            return _png(file, size)
        case "jpg":
            # Coded data never has this pair, for it writes FF as FF 00.
            file.seek(max(0, size - _JPEG_TAIL))
            return b"\xff\xd9" in file.read()
        case "gif":
            file.seek(max(0, size - 64))
            return file.read().rstrip(b"\0").endswith(b";")
        case "webp":
            file.seek(4)
            return int.from_bytes(file.read(4), "little") + 8 <= size
        case "mp4" | "mov":
            return _boxes(file, size, {b"moov", b"mdat"})
        case "avif" | "heic":
            return _boxes(file, size, {b"meta"})
    return None


def _png(file: BinaryIO, size: int) -> bool | None:
    """Chunk after chunk, to the one that is the last."""
    at = 8
    while at + 12 <= size:
        file.seek(at)
        head = file.read(8)
        if not head[4:].isalpha():
            file.seek(-12, 2)
            return file.read() == b"\0\0\0\0IEND\xaeB`\x82" or None
        at += 12 + int.from_bytes(head[:4], "big")
        if head[4:] == b"IEND":
            return at <= size
    return False


def _boxes(file: BinaryIO, size: int, needed: set[bytes]) -> bool | None:
    """Box after box of an ISO media file, to the end of the last one; some there must be."""
    at, missing = 0, set(needed)
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length < 8 or not head[4:8].isascii() or not head[4:8].decode("ascii").isprintable():
            return None  # 0 means: to the end of the file, wherever that is
        missing.discard(head[4:8])
        at += length
    return at == size and not missing
