"""
The 35 models of the Market: their slugs, what they make, what they cost here.

Prices are made up, in credits, and fixed.  A slug that no page of the service states is a guess;
`source` says which kind: documented, inferred from the naming of its neighbours, or guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "video"]
Source = Literal["documented", "inferred", "guessed"]


@dataclass(frozen=True, slots=True)
class MarketModel:
    """One model: `price` in made-up credits; `needs_prompt` where nothing can stand in for it."""

    slug: str
    title: str
    kind: Kind
    price: int
    source: Source
    needs_prompt: bool = True


_IMAGE: tuple[tuple[str, str, int, Source], ...] = (
    ("seedream-v4-5", "Seedream 4.5", 7, "documented"),
    ("seedream-v4-5-edit", "Seedream 4.5 Edit", 7, "documented"),
    ("seedream-v5-lite", "Seedream 5.0 Lite", 6, "documented"),
    ("seedream-v5-lite-edit", "Seedream 5.0 Lite Edit", 6, "inferred"),
    ("z-image", "Z-Image", 1, "documented"),
    ("gemini-2.5-flash-image-preview", "Gemini 2.5 Flash Image Preview", 4, "documented"),
    ("nano-banana-pro", "Nano Banana Pro", 18, "documented"),
    ("nano-banana-pro-flash", "Nano Banana Pro Flash", 8, "documented"),
    ("imagen4-fast", "Imagen 4 Fast", 4, "documented"),
    ("imagen4-ultra", "Imagen 4 Ultra", 12, "documented"),
    ("flux-2-pro", "Flux 2 Pro", 5, "documented"),
)

_VIDEO: tuple[tuple[str, str, int, Source, bool], ...] = (
    ("kling-v3-pro", "Kling 3 Pro", 120, "documented", False),
    ("kling-v3-std", "Kling 3 Standard", 90, "inferred", False),
    ("kling-v3-omni-pro", "Kling 3 Omni Pro", 140, "inferred", False),
    ("kling-v3-omni-std", "Kling 3 Omni Standard", 100, "inferred", False),
    ("kling-v3-omni-pro-video-reference", "Kling 3 Omni Pro Reference", 150, "guessed", False),
    ("kling-v3-omni-std-video-reference", "Kling 3 Omni Std Reference", 110, "guessed", False),
    ("kling-v3-motion-control-pro", "Kling 3 Motion Control Pro", 130, "inferred", False),
    ("kling-v3-motion-control-std", "Kling 3 Motion Control Std", 95, "inferred", False),
    ("wan-2-7-text-to-video", "WAN 2.7 Text to Video", 70, "guessed", True),
    ("wan-2-7-image-to-video", "WAN 2.7 Image to Video", 70, "guessed", False),
    ("wan-2-7-reference-to-video", "WAN 2.7 Reference to Video", 80, "guessed", True),
    ("wan-2-6-text-to-video", "WAN 2.6 Text to Video", 60, "guessed", True),
    ("wan-2-6-image-to-video", "WAN 2.6 Image to Video", 60, "guessed", True),
    ("seedance-1-5-pro-text-to-video", "Seedance 1.5 Pro", 75, "guessed", True),
    ("seedance-1-5-pro-image-to-video", "Seedance 1.5 Pro Image", 75, "guessed", True),
    ("veo-3-1-text-to-video", "Veo 3.1", 250, "guessed", True),
    ("veo-3-1-fast-text-to-video", "Veo 3.1 Fast", 60, "guessed", True),
    ("veo-3-1-image-to-video", "Veo 3.1 Image to Video", 250, "guessed", True),
    ("veo-3-1-fast-image-to-video", "Veo 3.1 Fast Image to Video", 60, "guessed", True),
    ("veo-3-1-reference-to-video", "Veo 3.1 Reference", 250, "guessed", True),
    ("runway-4-5-text-to-video", "Runway Gen 4.5", 110, "guessed", True),
    ("runway-4-5-image-to-video", "Runway Gen 4.5 Image", 110, "guessed", True),
    ("runway-gen4-turbo", "Runway Gen4 Turbo", 50, "guessed", False),
    ("runway-act-two", "Runway Act Two", 85, "guessed", False),
)


def _catalogue() -> dict[str, MarketModel]:
    images = [MarketModel(slug, title, "image", price, src) for slug, title, price, src in _IMAGE]
    videos = [
        MarketModel(slug, title, "video", price, source, needs_prompt)
        for slug, title, price, source, needs_prompt in _VIDEO
    ]
    return {model.slug: model for model in images + videos}


CATALOGUE = _catalogue()
