"""
The 35 models of the Market: their slugs, what they make, what they cost here.

Prices, in credits, and durations are made up, and fixed.  A slug that no page of the service
states is a guess; `source` says which kind: documented, inferred from the naming of its
neighbours, or guessed.  To the client, such a slug has to be told: `GUESSED_SLUGS` has them by the
names of its classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "video"]
Source = Literal["documented", "inferred", "guessed"]


@dataclass(frozen=True, slots=True)
class MarketModel:
    """One model: `name` is that of the client's class, `price` is in made-up credits."""

    slug: str
    name: str
    title: str
    kind: Kind
    price: int
    source: Source

    @property
    def seconds(self) -> float:
        """How long half of its tasks take at the most: less for what is called fast."""
        paces = (pace for word, pace in _PACES.items() if word in self.slug)
        return math.prod(paces, start=_SECONDS[self.kind])


_SECONDS = {"image": 12.0, "video": 90.0}
_PACES = {"fast": 0.5, "flash": 0.7, "lite": 0.7, "turbo": 0.5, "std": 0.8, "ultra": 1.5}

_IMAGE: tuple[tuple[str, str, str, int, Source], ...] = (
    ("seedream-v4-5", "SeedreamV45", "Seedream 4.5", 7, "documented"),
    ("seedream-v4-5-edit", "SeedreamV45Edit", "Seedream 4.5 Edit", 7, "documented"),
    ("seedream-v5-lite", "SeedreamV5Lite", "Seedream 5.0 Lite", 6, "documented"),
    ("seedream-v5-lite-edit", "SeedreamV5LiteEdit", "Seedream 5.0 Lite Edit", 6, "inferred"),
    ("z-image", "ZImage", "Z-Image", 1, "documented"),
    (
        "gemini-2.5-flash-image-preview",
        "Gemini25FlashImagePreview",
        "Gemini 2.5 Flash Image Preview",
        4,
        "documented",
    ),
    ("nano-banana-pro", "NanoBananaPro", "Nano Banana Pro", 18, "documented"),
    ("nano-banana-pro-flash", "NanoBananaProFlash", "Nano Banana Pro Flash", 8, "documented"),
    ("imagen4-fast", "Imagen4Fast", "Imagen 4 Fast", 4, "documented"),
    ("imagen4-ultra", "Imagen4Ultra", "Imagen 4 Ultra", 12, "documented"),
    ("flux-2-pro", "Flux2Pro", "Flux 2 Pro", 5, "documented"),
)

_VIDEO: tuple[tuple[str, str, str, int, Source], ...] = (
    ("kling-v3-pro", "KlingV3Pro", "Kling 3 Pro", 120, "documented"),
    ("kling-v3-std", "KlingV3Std", "Kling 3 Standard", 90, "inferred"),
    ("kling-v3-omni-pro", "KlingV3OmniPro", "Kling 3 Omni Pro", 140, "inferred"),
    ("kling-v3-omni-std", "KlingV3OmniStd", "Kling 3 Omni Standard", 100, "inferred"),
    (
        "kling-v3-omni-pro-video-reference",
        "KlingV3OmniProVideoReference",
        "Kling 3 Omni Pro Reference",
        150,
        "guessed",
    ),
    (
        "kling-v3-omni-std-video-reference",
        "KlingV3OmniStdVideoReference",
        "Kling 3 Omni Std Reference",
        110,
        "guessed",
    ),
    (
        "kling-v3-motion-control-pro",
        "KlingV3MotionControlPro",
        "Kling 3 Motion Control Pro",
        130,
        "inferred",
    ),
    (
        "kling-v3-motion-control-std",
        "KlingV3MotionControlStd",
        "Kling 3 Motion Control Std",
        95,
        "inferred",
    ),
    ("wan-2-7-text-to-video", "Wan27TextToVideo", "WAN 2.7 Text to Video", 70, "guessed"),
    ("wan-2-7-image-to-video", "Wan27ImageToVideo", "WAN 2.7 Image to Video", 70, "guessed"),
    (
        "wan-2-7-reference-to-video",
        "Wan27ReferenceToVideo",
        "WAN 2.7 Reference to Video",
        80,
        "guessed",
    ),
    ("wan-2-6-text-to-video", "Wan26TextToVideo", "WAN 2.6 Text to Video", 60, "guessed"),
    ("wan-2-6-image-to-video", "Wan26ImageToVideo", "WAN 2.6 Image to Video", 60, "guessed"),
    (
        "seedance-1-5-pro-text-to-video",
        "Seedance15ProTextToVideo",
        "Seedance 1.5 Pro",
        75,
        "guessed",
    ),
    (
        "seedance-1-5-pro-image-to-video",
        "Seedance15ProImageToVideo",
        "Seedance 1.5 Pro Image",
        75,
        "guessed",
    ),
    ("veo-3-1-text-to-video", "Veo31TextToVideo", "Veo 3.1", 250, "guessed"),
    ("veo-3-1-fast-text-to-video", "Veo31FastTextToVideo", "Veo 3.1 Fast", 60, "guessed"),
    ("veo-3-1-image-to-video", "Veo31ImageToVideo", "Veo 3.1 Image to Video", 250, "guessed"),
    (
        "veo-3-1-fast-image-to-video",
        "Veo31FastImageToVideo",
        "Veo 3.1 Fast Image to Video",
        60,
        "guessed",
    ),
    ("veo-3-1-reference-to-video", "Veo31ReferenceToVideo", "Veo 3.1 Reference", 250, "guessed"),
    ("runway-4-5-text-to-video", "RunwayGen45TextToVideo", "Runway Gen 4.5", 110, "guessed"),
    (
        "runway-4-5-image-to-video",
        "RunwayGen45ImageToVideo",
        "Runway Gen 4.5 Image",
        110,
        "guessed",
    ),
    ("runway-gen4-turbo", "RunwayGen4TurboImageToVideo", "Runway Gen4 Turbo", 50, "guessed"),
    ("runway-act-two", "RunwayActTwo", "Runway Act Two", 85, "guessed"),
)


def _catalogue() -> dict[str, MarketModel]:
    images = [
        MarketModel(slug, name, title, "image", price, source)
        for slug, name, title, price, source in _IMAGE
    ]
    videos = [
        MarketModel(slug, name, title, "video", price, source)
        for slug, name, title, price, source in _VIDEO
    ]
    return {model.slug: model for model in images + videos}


CATALOGUE = _catalogue()

GUESSED_SLUGS = {m.name: m.slug for m in CATALOGUE.values() if m.source != "documented"}
"""Slugs, here, of the models that are documented without one; by the client's names of them."""
