"""
The documented models of the Market, as typed inputs.

    from liangxin.models import NanoBananaProFlash

    icon = NanoBananaProFlash(prompt="A clean app icon", aspect_ratio="1:1")

An input is checked when it is made, before anything is sent or paid: a broken documented limit
raises `InputError`, a broken inferred one warns with `InferredLimitWarning` and passes.  Optional
fields that are not set are not sent, so the service's own defaults apply.  `facts(model)` tells
what is known about each field, and from where.
"""

from liangxin._media import LocalMedia as LocalMedia
from liangxin._media import Media as Media
from liangxin.models._rules import facts as facts
from liangxin.models.flux import Flux2Pro
from liangxin.models.google import (
    Gemini25FlashImagePreview,
    Imagen4Fast,
    Imagen4Ultra,
    NanoBananaPro,
    NanoBananaProFlash,
)
from liangxin.models.kling import KlingV3Pro
from liangxin.models.seedream import (
    SeedreamV5Lite,
    SeedreamV5LiteEdit,
    SeedreamV45,
    SeedreamV45Edit,
)
from liangxin.models.z_image import ZImage

__all__ = [
    "Flux2Pro",
    "Gemini25FlashImagePreview",
    "Imagen4Fast",
    "Imagen4Ultra",
    "KlingV3Pro",
    "NanoBananaPro",
    "NanoBananaProFlash",
    "SeedreamV5Lite",
    "SeedreamV5LiteEdit",
    "SeedreamV45",
    "SeedreamV45Edit",
    "ZImage",
]
