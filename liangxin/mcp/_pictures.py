"""Results as pictures that an agent can look at: scaled down, so that they fit into an answer."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from attrs import define, field
from mcp_types import ImageContent
from PIL import Image

from liangxin._client import AsyncClient
from liangxin._endings import is_clip
from liangxin._tasks import Task
from liangxin.models._known import by_slug

EDGE: Final = 1024
"""Pixels of the longer side: hosts take answers of about a megabyte."""
_QUALITY = 80
_MOST_PIXELS = 100_000_000
"""More of them are not unpacked: 300 MB, in the memory of whoever runs the server."""


async def pictures_of(client: AsyncClient, task: Task) -> list[ImageContent]:
    """The pictures that a task has made; of a clip none, and of what Pillow cannot read."""
    if _makes_clips(task):
        return []
    shown = _Shown()
    await client.deliver(task, shown)
    return shown.contents


def _makes_clips(task: Task) -> bool:
    known = by_slug(task.model or "")
    if known:
        return known[0].kind == "video"
    return any(is_clip(urlsplit(url).path) for url in task.urls)


@define(eq=False)
class _Shown:
    """Where results are delivered to."""

    contents: list[ImageContent] = field(factory=list)

    def __call__(self, name: str, stream: BinaryIO, media_type: str, size: int) -> str:
        try:
            data = _scaled_down(stream)
        except (Image.DecompressionBombError, OSError, SyntaxError, ValueError):
            return name  # a format that this Pillow does not know; its address is told all the same
        content = ImageContent(data=b64encode(data).decode(), mime_type="image/jpeg")
        self.contents.append(content)
        return name


def _scaled_down(stream: BinaryIO) -> bytes:
    """The picture as a JPEG of at most `EDGE` pixels, on white where it is transparent."""
    with Image.open(stream) as picture:
        if picture.width * picture.height > _MOST_PIXELS:
            raise ValueError("too many pixels")
        picture.thumbnail((EDGE, EDGE))
        seen = picture.convert("RGBA")
    paper = Image.new("RGBA", seen.size, "white")
    paper.alpha_composite(seen)
    written = io.BytesIO()
    paper.convert("RGB").save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()
