"""The Seedream family: pictures from words, and pictures edited by words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import AtMostTogether, Limits, documented, inferred
from liangxin.models._words import (
    LARGEST_SEED,
    NAME_OF_RATIO,
    ON_BY_DEFAULT,
    PROMPT_LIMITS,
    SEED_LIMITS,
    Ratio,
    RatioName,
)

_SAMPLED_PROMPT = documented(
    inferred=Limits(required=True, min_length=1, max_length=4096),
    notes="The page's sample has it; that it is required and not empty follows the other models.",
)
_REFERENCES = inferred(
    media="image",
    data_uri="inferred",
    min_items=1,
    max_items=5,
    notes="The name is the upstream's; the service may call it image_input or image_urls. "
    "Web addresses or base64; JPEG or PNG, at least 256x256, at most 10 MB each.",
)
_RATIO = inferred(
    default="square_1_1",
    aliases=NAME_OF_RATIO,
    notes="Taken to be as for Seedream 4.5.",
)
_SEED = inferred(minimum=0, maximum=LARGEST_SEED)
_SAFETY = inferred(default=True)


@frozen(kw_only=True)
class SeedreamV45(CheckedInput):
    """
    A picture from words, by Seedream 4.5.

    - `prompt`: documented, not empty; inferred: up to 4096 characters.
    - `aspect_ratio`: documented, eight ratios (`"16:9"`) or the upstream's names for them;
      inferred: those names (`"widescreen_16_9"`).  Default `"square_1_1"`.
    - `seed`: documented; inferred: 0 to 4294967295.
    - `enable_safety_checker`: documented; inferred: default True.

    Page: /34591205e0
    """

    documented_slug = "seedream-v4-5"
    title = "Seedream4.5 - Text to Image"
    kind = "image"
    family = "Seedream"
    operation = "text-to-image"
    page = "/34591205e0"

    prompt: str = field(metadata=documented(min_length=1, inferred=PROMPT_LIMITS))
    aspect_ratio: RatioName | Ratio | None = field(
        default=None,
        metadata=documented(
            default="square_1_1",
            aliases=NAME_OF_RATIO,
            inferred=Limits(choices=get_args(RatioName), aliases=NAME_OF_RATIO),
            notes="The page lists the eight ratios, says that the upstream's names are taken too "
            "without listing them, and answers 400 to anything else.",
        ),
    )
    seed: int | None = field(default=None, metadata=documented(inferred=SEED_LIMITS))
    enable_safety_checker: bool | None = field(
        default=None, metadata=documented(inferred=ON_BY_DEFAULT)
    )


@frozen(kw_only=True)
class SeedreamV45Edit(CheckedInput):
    """
    A picture made from up to five others as the words say, by Seedream 4.5.

    The page shows no table of fields: of their names, only `prompt` is documented.

    - `prompt`: documented; inferred: required, 1 to 4096 characters.
    - `reference_images`: inferred, 1 to 5; that there are at most five is documented.
    - `aspect_ratio`: inferred, as for `SeedreamV45`.
    - `seed`: inferred, 0 to 4294967295.
    - `enable_safety_checker`: inferred, default True.

    Page: /market/seedream/4-5-edit-image
    """

    documented_slug = "seedream-v4-5-edit"
    title = "Seedream4.5 - Edit Image"
    kind = "image"
    family = "Seedream"
    operation = "image-edit"
    page = "/market/seedream/4-5-edit-image"
    rules = (AtMostTogether(("reference_images",), 5),)

    prompt: str = field(metadata=_SAMPLED_PROMPT)
    reference_images: Sequence[Media] = field(metadata=_REFERENCES)
    aspect_ratio: RatioName | Ratio | None = field(default=None, metadata=_RATIO)
    seed: int | None = field(default=None, metadata=_SEED)
    enable_safety_checker: bool | None = field(default=None, metadata=_SAFETY)


@frozen(kw_only=True)
class SeedreamV5Lite(CheckedInput):
    """
    A picture from words, quickly, by Seedream 5.0 Lite.

    The page shows no table of fields: of their names, only `prompt` is documented.

    - `prompt`: documented; inferred: required, 1 to 4096 characters.
    - `aspect_ratio`: inferred, as for `SeedreamV45`.
    - `seed`: inferred, 0 to 4294967295.
    - `enable_safety_checker`: inferred, default True.

    Page: /market/seedream/v5-lite-text-to-image
    """

    documented_slug = "seedream-v5-lite"
    title = "Seedream5.0 Lite - Text to Image"
    kind = "image"
    family = "Seedream"
    operation = "text-to-image"
    page = "/market/seedream/v5-lite-text-to-image"

    prompt: str = field(metadata=_SAMPLED_PROMPT)
    aspect_ratio: RatioName | Ratio | None = field(default=None, metadata=_RATIO)
    seed: int | None = field(default=None, metadata=_SEED)
    enable_safety_checker: bool | None = field(default=None, metadata=_SAFETY)


@frozen(kw_only=True)
class SeedreamV5LiteEdit(CheckedInput):
    """
    A picture made from others as the words say, by Seedream 5.0 Lite.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred, 1 to 4096 characters.
    - `reference_images`: inferred, 1 to 5.
    - `aspect_ratio`: inferred, as for `SeedreamV45`.
    - `seed`: inferred, 0 to 4294967295.
    - `enable_safety_checker`: inferred, default True.

    Page: none is known.
    """

    slug_provenance = "inferred"
    slug_guess = "seedream-v5-lite-edit"
    title = "Seedream5.0 Lite - Edit Image"
    kind = "image"
    family = "Seedream"
    operation = "image-edit"

    prompt: str = field(metadata=inferred(min_length=1, inferred=PROMPT_LIMITS))
    reference_images: Sequence[Media] = field(metadata=_REFERENCES)
    aspect_ratio: RatioName | Ratio | None = field(default=None, metadata=_RATIO)
    seed: int | None = field(default=None, metadata=_SEED)
    enable_safety_checker: bool | None = field(default=None, metadata=_SAFETY)
