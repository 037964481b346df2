"""Flux: pictures from words, guided by other pictures."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import AllOrNone, AtMostTogether, Limits, documented
from liangxin.models._words import SEED_LIMITS, Ratio

_PICTURES = ("input_image", "input_image_2", "input_image_3", "input_image_4", "reference_images")
_PICTURE = documented(
    media="image",
    inferred=Limits(
        notes="The upstream takes base64 of JPEG, PNG or WebP, so the service probably fetches it."
    ),
    notes="A web address. All pictures are counted together, four at most.",
)


@frozen(kw_only=True)
class Flux2Pro(CheckedInput):
    """
    A picture from words, guided by up to four others, by Flux 2 Pro.

    `width` and `height` go together or not at all; the four `input_image` fields and
    `reference_images` hold at most four pictures together (both documented).  Which wins if
    `aspect_ratio` is sent beside a width and a height is not stated.

    - `prompt`: documented, not empty.
    - `width`: documented, 256 to 1440, default 1024 if neither is sent.
    - `height`: documented, 256 to 1440, default 768 if neither is sent.
    - `aspect_ratio`: documented, eight ratios.
    - `input_image`, `input_image_2`, `input_image_3`, `input_image_4`: documented, web addresses.
    - `reference_images`: documented, up to 4 web addresses.
    - `seed`: documented; inferred: 0 to 4294967295.
    - `prompt_upsampling`: documented.

    Page: /34592186e0
    """

    documented_slug = "flux-2-pro"
    title = "Flux-2 - Pro Text to Image"
    kind = "image"
    family = "Flux-2"
    operation = "text-to-image+image-guided"
    page = "/34592186e0"
    rules = (AllOrNone(("width", "height")), AtMostTogether(_PICTURES, 4))

    prompt: str = field(metadata=documented(min_length=1))
    width: int | None = field(
        default=None, metadata=documented(default=1024, minimum=256, maximum=1440)
    )
    height: int | None = field(
        default=None, metadata=documented(default=768, minimum=256, maximum=1440)
    )
    aspect_ratio: Ratio | None = field(
        default=None,
        metadata=documented(notes="Turned into a width and a height that are not published."),
    )
    input_image: Media | None = field(default=None, metadata=_PICTURE)
    input_image_2: Media | None = field(default=None, metadata=_PICTURE)
    input_image_3: Media | None = field(default=None, metadata=_PICTURE)
    input_image_4: Media | None = field(default=None, metadata=_PICTURE)
    reference_images: Sequence[Media] | None = field(
        default=None,
        metadata=documented(
            media="image",
            min_items=0,
            max_items=4,
            notes="Web addresses. All pictures are counted together, four at most.",
        ),
    )
    seed: int | None = field(default=None, metadata=documented(inferred=SEED_LIMITS))
    prompt_upsampling: bool | None = field(default=None, metadata=documented())
