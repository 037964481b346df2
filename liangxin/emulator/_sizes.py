"""
Which size, format and address the results of a task have.

Sizes are those of the models' upstream where they are public; the rest follow the asked ratio at
the asked area.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from liangxin.emulator._inputs import RATIO_NAMES
from liangxin.emulator._tasks import TaskRecord

Size = tuple[int, int]

_SEEDREAM: dict[str, Size] = {
    "1:1": (2048, 2048),
    "16:9": (2730, 1536),
    "9:16": (1536, 2730),
    "2:3": (1672, 2508),
    "3:4": (1774, 2364),
    "3:2": (2508, 1672),
    "4:3": (2364, 1774),
    "21:9": (3062, 1312),
}
_Z_IMAGE: dict[str, Size] = {
    "square": (512, 512),
    "square_hd": (1024, 1024),
    "portrait_3_4": (768, 1024),
    "portrait_9_16": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
    "1:1": (1024, 1024),
    "3:4": (768, 1024),
    "9:16": (576, 1024),
    "4:3": (1024, 768),
    "16:9": (1024, 576),
}
_IMAGEN: dict[str, Size] = {
    "1:1": (1024, 1024),
    "3:4": (896, 1280),
    "4:3": (1280, 896),
    "9:16": (768, 1408),
    "16:9": (1408, 768),
}
_RESOLUTION = {"1K": 1024, "low": 1024, "2K": 2048, "medium": 2048, "4K": 4096, "high": 4096}
_FLUX_MOST = 1440


def ratio_of(members: Mapping[str, object]) -> str:
    """Return the asked aspect ratio as "w:h", "1:1" by default."""
    asked = str(members.get("aspect_ratio") or "1:1")
    return RATIO_NAMES.get(asked, asked)


def picture_size(slug: str, members: Mapping[str, object]) -> Size:
    """Return width and height of the picture that `slug` makes of this input."""
    ratio = ratio_of(members)
    if slug.startswith("seedream"):
        return _SEEDREAM.get(ratio) or _by_area(ratio, 2048)
    if slug == "z-image":
        asked = str(members.get("image_size") or ratio)
        return _Z_IMAGE.get(asked) or _by_area(ratio, 1024)
    if slug.startswith("imagen4"):
        return _IMAGEN.get(ratio) or _by_area(ratio, 1024)
    if slug == "flux-2-pro":
        return _flux(members, ratio)
    default = "2K" if slug == "nano-banana-pro" else "1K"
    return _by_area(ratio, _RESOLUTION.get(str(members.get("resolution") or default), 1024))


def is_jpeg(members: Mapping[str, object]) -> bool:
    """Return whether a JPEG was asked for; PNG otherwise."""
    return str(members.get("output_format")) in {"jpeg", "jpg", "image/jpeg"}


def result_names(task: TaskRecord) -> list[str]:
    """Return the file names of the task's results; today one."""
    if task.kind == "video":
        return ["1.mp4"]
    return ["1.jpg" if is_jpeg(task.input) else "1.png"]


def _flux(members: Mapping[str, object], ratio: str) -> Size:
    width, height = members.get("width"), members.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    if "aspect_ratio" not in members:
        return 1024, 768
    wide, high = _by_area(ratio, 1024, step=16)
    shrink = min(1.0, _FLUX_MOST / max(wide, high))
    return _stepped(wide * shrink, 16), _stepped(high * shrink, 16)


def _by_area(ratio: str, side: int, step: int = 32) -> Size:
    wide, high = (int(part) for part in ratio.split(":"))
    width = side * math.sqrt(wide / high)
    return _stepped(width, step), _stepped(side * side / width, step)


def _stepped(length: float, step: int) -> int:
    return max(step, round(length / step) * step)
