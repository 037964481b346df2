"""The endings of the files that results are, with what a browser calls them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

PICTURES: Final[dict[str, str]] = {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".heic": "image/heic",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
}
CLIPS: Final[dict[str, str]] = {
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}


def media_type(name: str) -> str | None:
    """What a file of this name is; None of one that is no result."""
    ending = PurePath(name).suffix.lower()
    return PICTURES.get(ending) or CLIPS.get(ending)


def is_clip(name: str) -> bool:
    """Whether a file of this name moves."""
    return PurePath(name).suffix.lower() in CLIPS
