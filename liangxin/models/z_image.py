"""Z-Image: pictures from words."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import field, frozen

from liangxin.models._checks import CheckedInput
from liangxin.models._rules import Limits, TakesPrecedence, documented
from liangxin.models._words import ON_BY_DEFAULT, PROMPT_LIMITS, SEED_LIMITS

ZImageSize: TypeAlias = Literal[
    "square", "square_hd", "portrait_3_4", "portrait_9_16", "landscape_4_3", "landscape_16_9"
]
ZImageRatio: TypeAlias = Literal["1:1", "3:4", "9:16", "4:3", "16:9"]

_SIZE_OF_RATIO = {
    "1:1": "square_hd",
    "3:4": "portrait_3_4",
    "9:16": "portrait_9_16",
    "4:3": "landscape_4_3",
    "16:9": "landscape_16_9",
}


@frozen(kw_only=True)
class ZImage(CheckedInput):
    """
    A picture from words, by Z-Image.

    `image_size` wins over `aspect_ratio` (documented).

    - `prompt`: documented, not empty; inferred: up to 4096 characters.
    - `image_size`: documented, default `"square_hd"`; inferred: the six sizes.
    - `aspect_ratio`: documented as "common ratios"; inferred: which five.
    - `seed`: documented; inferred: 0 to 4294967295.
    - `num_inference_steps`: documented; inferred: 1 to 50, default 8.
    - `output_format`: documented, with `"png"` as the example; inferred: png or jpeg.
    - `enable_safety_checker`: documented; inferred: default True.

    Page: /34592180e0
    """

    documented_slug = "z-image"
    title = "Z-Image"
    kind = "image"
    family = "Z-image"
    operation = "text-to-image"
    page = "/34592180e0"
    rules = (TakesPrecedence("image_size", over="aspect_ratio"),)

    prompt: str = field(metadata=documented(min_length=1, inferred=PROMPT_LIMITS))
    image_size: ZImageSize | str | None = field(
        default=None,
        metadata=documented(
            default="square_hd",
            inferred=Limits(notes="The sizes are the upstream's."),
            notes="Goes to the upstream as it is, and wins over aspect_ratio.",
        ),
    )
    aspect_ratio: ZImageRatio | str | None = field(
        default=None,
        metadata=documented(
            inferred=Limits(
                aliases=_SIZE_OF_RATIO, source="a guess from the names of the upstream's sizes"
            ),
            notes="Common ratios are turned into sizes; the page does not say which.",
        ),
    )
    seed: int | None = field(default=None, metadata=documented(inferred=SEED_LIMITS))
    num_inference_steps: int | None = field(
        default=None, metadata=documented(inferred=Limits(default=8, minimum=1, maximum=50))
    )
    output_format: Literal["png", "jpeg"] | str | None = field(
        default=None,
        metadata=documented(inferred=Limits(), notes="The page gives png as an example."),
    )
    enable_safety_checker: bool | None = field(
        default=None, metadata=documented(inferred=ON_BY_DEFAULT)
    )
