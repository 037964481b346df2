"""Google's models: the Nano Banana and Imagen pictures, from words and from other pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import (
    UPSTREAM,
    AtMostTogether,
    Limits,
    PictureReferences,
    documented,
    inferred,
)
from liangxin.models._words import LARGEST_SEED, NAME_OF_RATIO, RATIO_OF_NAME

NanoBananaRatio: TypeAlias = Literal[
    "1:1", "2:3", "3:2", "4:3", "3:4", "5:4", "4:5", "16:9", "9:16", "21:9"
]
NanoBananaResolution: TypeAlias = Literal["1K", "2K", "4K", "low", "medium", "high"]
ImagenRatio: TypeAlias = Literal["1:1", "9:16", "16:9", "3:4", "4:3"]
ImagenRatioName: TypeAlias = Literal[
    "square_1_1", "social_story_9_16", "widescreen_16_9", "traditional_3_4", "classic_4_3"
]
ImagenPersons: TypeAlias = Literal["dont_allow", "allow_adult", "allow_all"]
ImagenSafety: TypeAlias = Literal[
    "block_low_and_above", "block_medium_and_above", "block_only_high", "block_none"
]
ImagenLanguage: TypeAlias = Literal["auto", "en", "zh", "zh-CN", "hi", "ja", "ko", "pt", "es"]
ImagenFormat: TypeAlias = Literal["png", "jpeg", "jpg", "image/png", "image/jpeg"]


@frozen(kw_only=True)
class Gemini25FlashImagePreview(CheckedInput):
    """
    A picture from words, or from others as the words say, by Gemini 2.5 Flash Image Preview.

    The page shows no table of fields: of their names, only `prompt` is documented.

    - `prompt`: documented; inferred: required, not empty.
    - `reference_images`: inferred, up to 3.

    Page: /market/google/gemini-2-5-flash-image-preview
    """

    documented_slug = "gemini-2.5-flash-image-preview"
    title = "Google - Gemini 2.5 Flash Image Preview"
    kind = "image"
    family = "Google"
    operation = "text-to-image+image-edit"
    page = "/market/google/gemini-2-5-flash-image-preview"

    prompt: str = field(
        metadata=documented(
            inferred=Limits(
                required=True, min_length=1, source="the image models whose page has a table"
            ),
            notes="The page's sample has it.",
        )
    )
    reference_images: Sequence[Media] | None = field(
        default=None,
        metadata=inferred(
            media="image",
            data_uri="inferred",
            max_items=3,
            notes="The name is the upstream's; image_input, as for Nano Banana, is as likely. "
            "Web addresses or base64.",
        ),
    )


# --- Nano Banana -------------------------------------------------------------------------------

_BANANA_RULES = (
    AtMostTogether(("image_input", "reference_images"), 3),
    PictureReferences(
        ("image_input", "reference_images"),
        suffixes=(".png", ".jpg", ".jpeg", ".webp"),
        media_types=("image/png", "image/jpeg", "image/webp"),
    ),
)
_BANANA_PICTURES = documented(
    media="image",
    data_uri="documented",
    min_items=0,
    max_items=3,
    notes="image_input and reference_images are counted together. Web addresses ending in .png, "
    ".jpg, .jpeg or .webp, or data URIs of those types.",
)
_BANANA_RATIO = documented(
    default="1:1",
    inferred=Limits(
        aliases=RATIO_OF_NAME,
        source="a guess: the names that other models take; none is known for 5:4 and 4:5",
    ),
    notes="The page says that aliases are taken too, without listing them. The eight names that "
    "other models document pass; anything else is refused here, as every alias has a listed ratio.",
)
_BANANA_SIZES: dict[str, str | None] = {"low": None, "medium": None, "high": None}
_BANANA_SIZES_GUESSED = Limits(
    aliases={"low": "1K", "medium": "2K", "high": "4K"}, source="a guess by their order"
)


@frozen(kw_only=True)
class NanoBananaPro(CheckedInput):
    """
    A picture from words, or from up to three others as the words say, by Nano Banana Pro.

    `image_input` and `reference_images` hold at most three pictures together (documented).

    - `prompt`: documented, 2 to 3000 characters.
    - `image_input`: documented, addresses ending in .png, .jpg, .jpeg, .webp, or data URIs.
    - `reference_images`: documented, the same.
    - `aspect_ratio`: documented, ten ratios, default `"1:1"`; inferred: the names of eight of them.
    - `resolution`: documented, default `"2K"`; inferred: what low, medium and high stand for.
    - `output_format`: documented, `"png"` only.

    Page: /34592182e0
    """

    documented_slug = "nano-banana-pro"
    title = "Google - Nano Banana Pro"
    kind = "image"
    family = "Google"
    operation = "text-to-image+image-edit"
    page = "/34592182e0"
    rules = _BANANA_RULES

    prompt: str = field(metadata=documented(min_length=2, max_length=3000))
    image_input: Sequence[Media] | None = field(default=None, metadata=_BANANA_PICTURES)
    reference_images: Sequence[Media] | None = field(default=None, metadata=_BANANA_PICTURES)
    aspect_ratio: NanoBananaRatio | None = field(default=None, metadata=_BANANA_RATIO)
    resolution: NanoBananaResolution | None = field(
        default=None,
        metadata=documented(default="2K", aliases=_BANANA_SIZES, inferred=_BANANA_SIZES_GUESSED),
    )
    output_format: Literal["png"] | None = field(default=None, metadata=documented())


@frozen(kw_only=True)
class NanoBananaProFlash(CheckedInput):
    """
    A picture from words, or from up to three others as the words say, by Nano Banana Pro Flash.

    `image_input` and `reference_images` hold at most three pictures together (documented).

    - `prompt`: documented, 2 to 3000 characters.
    - `image_input`: documented, addresses ending in .png, .jpg, .jpeg, .webp, or data URIs.
    - `reference_images`: documented, the same.
    - `aspect_ratio`: documented, ten ratios, default `"1:1"`; inferred: the names of eight of them.
    - `resolution`: documented, default `"1K"`; inferred: what low, medium and high stand for.
    - `use_google_search_tool`: documented; inferred: default False.
    - `output_format`: documented, `"png"` only.

    Page: /34592183e0
    """

    documented_slug = "nano-banana-pro-flash"
    title = "Google - Nano Banana Pro Flash"
    kind = "image"
    family = "Google"
    operation = "text-to-image+image-edit"
    page = "/34592183e0"
    rules = _BANANA_RULES

    prompt: str = field(metadata=documented(min_length=2, max_length=3000))
    image_input: Sequence[Media] | None = field(default=None, metadata=_BANANA_PICTURES)
    reference_images: Sequence[Media] | None = field(default=None, metadata=_BANANA_PICTURES)
    aspect_ratio: NanoBananaRatio | None = field(default=None, metadata=_BANANA_RATIO)
    resolution: NanoBananaResolution | None = field(
        default=None,
        metadata=documented(default="1K", aliases=_BANANA_SIZES, inferred=_BANANA_SIZES_GUESSED),
    )
    use_google_search_tool: bool | None = field(
        default=None,
        metadata=documented(inferred=Limits(default=False), notes="Taken by the Flash model only."),
    )
    output_format: Literal["png"] | None = field(default=None, metadata=documented())


# --- Imagen ------------------------------------------------------------------------------------

_IMAGEN_RATIOS: dict[str, str | None] = {
    ratio: name
    for ratio, name in NAME_OF_RATIO.items()
    if ratio in ("1:1", "9:16", "16:9", "3:4", "4:3")
}
_IMAGEN_FORMATS: dict[str, str | None] = {
    "jpg": "jpeg",
    "image/png": "png",
    "image/jpeg": "jpeg",
}
_IMAGEN_PERSONS = Limits(default="allow_adult")
_IMAGEN_SAFETY = Limits(default="block_medium_and_above")
_IMAGEN_SEED = Limits(maximum=LARGEST_SEED, notes="Without effect beside enhance_prompt.")
_IMAGEN_LANGUAGE = Limits(default="en")
_IMAGEN_FAST = f"the table of imagen4-ultra; {UPSTREAM}"


@frozen(kw_only=True)
class Imagen4Fast(CheckedInput):
    """
    A picture from words, by Imagen 4 Fast.

    The slug is documented, the fields are not: the table is that of `Imagen4Ultra`.

    - `prompt`: inferred, not empty.
    - `aspect_ratio`: inferred, five ratios or their names, default `"square_1_1"`.
    - `person_generation`: inferred, three words, default `"allow_adult"`.
    - `safety_settings`: inferred, four words, default `"block_medium_and_above"`.
    - `seed`: inferred, 1 to 4294967295.
    - `enhance_prompt`: inferred.
    - `language`: inferred, nine words, default `"en"`.
    - `output_format`: inferred, png or jpeg, in five spellings.
    - `compression_quality`: inferred, 1 to 100.

    Page: none is known.
    """

    documented_slug = "imagen4-fast"
    title = "Google - imagen4-fast"
    kind = "image"
    family = "Google"
    operation = "text-to-image"

    prompt: str = field(metadata=inferred(min_length=1, source=_IMAGEN_FAST))
    aspect_ratio: ImagenRatioName | ImagenRatio | None = field(
        default=None,
        metadata=inferred(default="square_1_1", aliases=_IMAGEN_RATIOS, source=_IMAGEN_FAST),
    )
    person_generation: ImagenPersons | None = field(
        default=None, metadata=inferred(inferred=_IMAGEN_PERSONS, source=_IMAGEN_FAST)
    )
    safety_settings: ImagenSafety | None = field(
        default=None, metadata=inferred(inferred=_IMAGEN_SAFETY, source=_IMAGEN_FAST)
    )
    seed: int | None = field(
        default=None, metadata=inferred(minimum=1, inferred=_IMAGEN_SEED, source=_IMAGEN_FAST)
    )
    enhance_prompt: bool | None = field(default=None, metadata=inferred(source=_IMAGEN_FAST))
    language: ImagenLanguage | None = field(
        default=None, metadata=inferred(inferred=_IMAGEN_LANGUAGE, source=_IMAGEN_FAST)
    )
    output_format: ImagenFormat | None = field(
        default=None, metadata=inferred(aliases=_IMAGEN_FORMATS, source=_IMAGEN_FAST)
    )
    compression_quality: int | None = field(
        default=None, metadata=inferred(minimum=1, maximum=100, source=_IMAGEN_FAST)
    )


@frozen(kw_only=True)
class Imagen4Ultra(CheckedInput):
    """
    A picture from words, by Imagen 4 Ultra.

    - `prompt`: documented, not empty.
    - `aspect_ratio`: documented, five ratios or their names, default `"square_1_1"`.
    - `person_generation`: documented, three words; inferred: default `"allow_adult"`.
    - `safety_settings`: documented, four words; inferred: default `"block_medium_and_above"`.
    - `seed`: documented, at least 1; inferred: up to 4294967295.
    - `enhance_prompt`: documented.
    - `language`: documented, nine words; inferred: default `"en"`.
    - `output_format`: documented, png or jpeg, in five spellings.
    - `compression_quality`: documented, 1 to 100.

    Page: /34592185e0
    """

    documented_slug = "imagen4-ultra"
    title = "Google - imagen4-ultra"
    kind = "image"
    family = "Google"
    operation = "text-to-image"
    page = "/34592185e0"

    prompt: str = field(metadata=documented(min_length=1))
    aspect_ratio: ImagenRatioName | ImagenRatio | None = field(
        default=None, metadata=documented(default="square_1_1", aliases=_IMAGEN_RATIOS)
    )
    person_generation: ImagenPersons | None = field(
        default=None, metadata=documented(inferred=_IMAGEN_PERSONS)
    )
    safety_settings: ImagenSafety | None = field(
        default=None, metadata=documented(inferred=_IMAGEN_SAFETY)
    )
    seed: int | None = field(default=None, metadata=documented(minimum=1, inferred=_IMAGEN_SEED))
    enhance_prompt: bool | None = field(default=None, metadata=documented())
    language: ImagenLanguage | None = field(
        default=None, metadata=documented(inferred=_IMAGEN_LANGUAGE)
    )
    output_format: ImagenFormat | None = field(
        default=None,
        metadata=documented(
            aliases=_IMAGEN_FORMATS,
            notes="Which of the five spellings is the real one, the page does not say.",
        ),
    )
    compression_quality: int | None = field(
        default=None,
        metadata=documented(
            minimum=1, maximum=100, notes="Goes into the upstream's output_options."
        ),
    )
