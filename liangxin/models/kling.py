"""Kling: video from words, from pictures, in several shots, and after the motion of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import (
    AtMostTogether,
    Limits,
    NeedsOne,
    SecondsTogether,
    documented,
    inferred,
)

KlingDuration: TypeAlias = Literal[
    "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"
]
KlingRatio: TypeAlias = Literal["16:9", "9:16", "1:1"]
KlingOmniRatio: TypeAlias = Literal["auto", "16:9", "9:16", "1:1"]

_FRAME = "JPEG or PNG, at least 300x300, at most 10 MB, between 1:2.5 and 2.5:1."


class KlingShot(TypedDict, total=False):
    """One shot of a video (inferred); `duration` is in seconds, as a string."""

    prompt: str
    duration: str


class KlingElement(TypedDict, total=False):
    """A person or thing that prompts call `@Element1`, `@Element2` and so on (inferred)."""

    reference_image_urls: Sequence[Media]
    frontal_image_url: Media


# --- from words, frames and shots --------------------------------------------------------------

_SHOTS = inferred(
    max_items=6, notes="Shots of a prompt and a duration; together at most 15 seconds."
)
_MULTI_SHOT = inferred(default=False)
_SHOT_TYPE = inferred(notes="Probably customize if there is multi_prompt.")
_FIRST_FRAME = inferred(media="image", notes=f"The first frame. {_FRAME}")
_LAST_FRAME = inferred(media="image", notes=f"The last frame. {_FRAME}")
_ELEMENTS = inferred(notes="Prompts call them @Element1, @Element2 and so on.")
_AUDIO = inferred(default=True, notes="The default is that of the upstream's sample.")
_RATIO = inferred(default="16:9")
_DURATION = inferred(default="5", notes="Seconds, as a string.")
_NEGATIVE = inferred(default="blur, distort, and low quality", max_length=2500)
_CFG_SCALE = inferred(default=0.5, minimum=0, maximum=1)

_SHOT_RULES = (
    NeedsOne(("prompt", "multi_prompt"), provenance="inferred"),
    SecondsTogether("multi_prompt", 15, provenance="inferred"),
)
_NEEDED = "Needed unless there is multi_prompt."


@frozen(kw_only=True)
class KlingV3Pro(CheckedInput):
    """
    A video from words, from its first and last frame, or in several shots, by Kling 3 Pro.

    The page shows no table of fields: of their names, only `prompt` is documented.  That either
    `prompt` or `multi_prompt` is needed is inferred.

    - `prompt`: documented; inferred: up to 2500 characters.
    - `multi_prompt`: inferred, up to 6 shots (`KlingShot`), together at most 15 seconds.
    - `multi_shot`: inferred, default False.
    - `shot_type`: inferred, customize or intelligent.
    - `start_image_url`: inferred, the first frame.
    - `end_image_url`: inferred, the last frame.
    - `elements`: inferred, what prompts call `@Element1` and so on (`KlingElement`).
    - `generate_audio`: inferred, default True.
    - `aspect_ratio`: inferred, default `"16:9"`.
    - `duration`: inferred, a string of seconds from `"3"` to `"15"`, default `"5"`.
    - `negative_prompt`: inferred, up to 2500 characters.
    - `cfg_scale`: inferred, 0 to 1, default 0.5.

    Page: /market/kling/v3-pro-generate-video
    """

    documented_slug = "kling-v3-pro"
    title = "Kling 3 Pro - Generate Video"
    kind = "video"
    family = "Kling"
    operation = "text-to-video+image-to-video+multi-shot"
    page = "/market/kling/v3-pro-generate-video"
    rules = _SHOT_RULES

    prompt: str | None = field(
        default=None,
        metadata=documented(
            inferred=Limits(max_length=2500, notes=_NEEDED), notes="The page's sample has it."
        ),
    )
    multi_prompt: Sequence[KlingShot] | None = field(default=None, hash=False, metadata=_SHOTS)
    multi_shot: bool | None = field(default=None, metadata=_MULTI_SHOT)
    shot_type: Literal["customize", "intelligent"] | None = field(default=None, metadata=_SHOT_TYPE)
    start_image_url: Media | None = field(default=None, metadata=_FIRST_FRAME)
    end_image_url: Media | None = field(default=None, metadata=_LAST_FRAME)
    elements: Sequence[KlingElement] | None = field(default=None, hash=False, metadata=_ELEMENTS)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    aspect_ratio: KlingRatio | None = field(default=None, metadata=_RATIO)
    duration: KlingDuration | None = field(default=None, metadata=_DURATION)
    negative_prompt: str | None = field(default=None, metadata=_NEGATIVE)
    cfg_scale: float | None = field(default=None, metadata=_CFG_SCALE)


@frozen(kw_only=True)
class KlingV3Std(CheckedInput):
    """
    A video from words, from its first and last frame, or in several shots, by Kling 3 Standard.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred, and so is that either `prompt` or `multi_prompt` is needed.

    - `prompt`: inferred, up to 2500 characters.
    - `multi_prompt`: inferred, up to 6 shots (`KlingShot`), together at most 15 seconds.
    - `multi_shot`: inferred, default False.
    - `shot_type`: inferred, customize or intelligent.
    - `start_image_url`: inferred, the first frame.
    - `end_image_url`: inferred, the last frame.
    - `elements`: inferred, what prompts call `@Element1` and so on (`KlingElement`).
    - `generate_audio`: inferred, default True.
    - `aspect_ratio`: inferred, default `"16:9"`.
    - `duration`: inferred, a string of seconds from `"3"` to `"15"`, default `"5"`.
    - `negative_prompt`: inferred, up to 2500 characters.
    - `cfg_scale`: inferred, 0 to 1, default 0.5.

    Page: none is known.
    """

    slug_provenance = "inferred"
    slug_guess = "kling-v3-std"
    title = "Kling 3 Standard - Generate Video"
    kind = "video"
    family = "Kling"
    operation = "text-to-video+image-to-video+multi-shot"
    rules = _SHOT_RULES

    prompt: str | None = field(default=None, metadata=inferred(max_length=2500, notes=_NEEDED))
    multi_prompt: Sequence[KlingShot] | None = field(default=None, hash=False, metadata=_SHOTS)
    multi_shot: bool | None = field(default=None, metadata=_MULTI_SHOT)
    shot_type: Literal["customize", "intelligent"] | None = field(default=None, metadata=_SHOT_TYPE)
    start_image_url: Media | None = field(default=None, metadata=_FIRST_FRAME)
    end_image_url: Media | None = field(default=None, metadata=_LAST_FRAME)
    elements: Sequence[KlingElement] | None = field(default=None, hash=False, metadata=_ELEMENTS)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    aspect_ratio: KlingRatio | None = field(default=None, metadata=_RATIO)
    duration: KlingDuration | None = field(default=None, metadata=_DURATION)
    negative_prompt: str | None = field(default=None, metadata=_NEGATIVE)
    cfg_scale: float | None = field(default=None, metadata=_CFG_SCALE)


# --- Omni: the same, with pictures that the words name ------------------------------------------


@frozen(kw_only=True)
class _KlingV3Omni(CheckedInput):
    kind = "video"
    family = "Kling"
    operation = "text-to-video+image-to-video"
    slug_provenance = "inferred"
    rules = (
        NeedsOne(("prompt", "multi_prompt"), provenance="inferred"),
        AtMostTogether(("image_urls", "elements"), 4, provenance="inferred", of="references"),
    )

    prompt: str | None = field(default=None, metadata=inferred(max_length=2500, notes=_NEEDED))
    multi_prompt: Sequence[str] | None = field(default=None, metadata=inferred(max_items=6))
    shot_type: Literal["customize"] | None = field(default=None, metadata=inferred())
    image_url: Media | None = field(
        default=None, metadata=inferred(media="image", notes="The first frame.")
    )
    start_image_url: Media | None = field(default=None, metadata=inferred(media="image"))
    end_image_url: Media | None = field(default=None, metadata=inferred(media="image"))
    image_urls: Sequence[Media] | None = field(
        default=None,
        metadata=inferred(
            max_items=4,
            media="image",
            notes="Counted together with elements, four in all. Prompts call them @Image1 and so "
            "on.",
        ),
    )
    elements: Sequence[KlingElement] | None = field(default=None, hash=False, metadata=_ELEMENTS)
    generate_audio: bool | None = field(default=None, metadata=inferred())
    aspect_ratio: KlingOmniRatio | None = field(default=None, metadata=_RATIO)
    duration: KlingDuration | None = field(default=None, metadata=_DURATION)


@frozen(kw_only=True)
class KlingV3OmniPro(_KlingV3Omni):
    """
    A video from words and from pictures that they name, by Kling 3 Omni Pro.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred, and so are the rules: either `prompt` or `multi_prompt`, and at most four
    `image_urls` and `elements` together.

    - `prompt`: inferred, up to 2500 characters.
    - `multi_prompt`: inferred, the prompts of up to 6 shots.
    - `shot_type`: inferred, customize only.
    - `image_url`: inferred, the first frame.
    - `start_image_url`: inferred.
    - `end_image_url`: inferred.
    - `image_urls`: inferred, up to 4 pictures that prompts call `@Image1` and so on.
    - `elements`: inferred, what prompts call `@Element1` and so on (`KlingElement`).
    - `generate_audio`: inferred.
    - `aspect_ratio`: inferred, three ratios or auto, default `"16:9"`.
    - `duration`: inferred, a string of seconds from `"3"` to `"15"`, default `"5"`.

    Page: none is known.
    """

    slug_guess = "kling-v3-omni-pro"
    title = "Kling 3 Omni Pro - Generate Video"


@frozen(kw_only=True)
class KlingV3OmniStd(_KlingV3Omni):
    """
    A video from words and from pictures that they name, by Kling 3 Omni Standard.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred, and so are the rules: either `prompt` or `multi_prompt`, and at most four
    `image_urls` and `elements` together.

    - `prompt`: inferred, up to 2500 characters.
    - `multi_prompt`: inferred, the prompts of up to 6 shots.
    - `shot_type`: inferred, customize only.
    - `image_url`: inferred, the first frame.
    - `start_image_url`: inferred.
    - `end_image_url`: inferred.
    - `image_urls`: inferred, up to 4 pictures that prompts call `@Image1` and so on.
    - `elements`: inferred, what prompts call `@Element1` and so on (`KlingElement`).
    - `generate_audio`: inferred.
    - `aspect_ratio`: inferred, three ratios or auto, default `"16:9"`.
    - `duration`: inferred, a string of seconds from `"3"` to `"15"`, default `"5"`.

    Page: none is known.
    """

    slug_guess = "kling-v3-omni-std"
    title = "Kling 3 Omni Standard - Generate Video"


@frozen(kw_only=True)
class _KlingV3OmniVideoReference(CheckedInput):
    kind = "video"
    family = "Kling"
    operation = "video-to-video"
    slug_provenance = "unknown"

    video_url: Media = field(
        metadata=inferred(
            media="video",
            notes="The clip to follow, which prompts call @Video1. MP4 or MOV, 3 to 10 seconds, "
            "720 to 2160 pixels, 24 to 60 frames a second, at most 200 MB.",
        )
    )
    prompt: str | None = field(default=None, metadata=inferred(max_length=2500))
    image_url: Media | None = field(
        default=None,
        metadata=inferred(
            media="image", notes="JPEG or PNG, at least 300 pixels a side, at most 10 MB."
        ),
    )
    duration: KlingDuration | None = field(default=None, metadata=_DURATION)
    aspect_ratio: KlingOmniRatio | None = field(default=None, metadata=_RATIO)
    cfg_scale: float | None = field(default=None, metadata=_CFG_SCALE)
    negative_prompt: str | None = field(default=None, metadata=inferred(max_length=2500))


@frozen(kw_only=True)
class KlingV3OmniProVideoReference(_KlingV3OmniVideoReference):
    """
    A video that follows another one in motion and style, by Kling 3 Omni Pro.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `video_url`: inferred, the clip to follow, `@Video1` in prompts.
    - `prompt`: inferred, up to 2500 characters.
    - `image_url`: inferred.
    - `duration`: inferred, a string of seconds from `"3"` to `"15"`, default `"5"`.
    - `aspect_ratio`: inferred, three ratios or auto, default `"16:9"`.
    - `cfg_scale`: inferred, 0 to 1, default 0.5.
    - `negative_prompt`: inferred, up to 2500 characters.

    Page: none is known.
    """

    slug_guess = "kling-v3-omni-pro-video-reference"
    title = "Kling 3 Omni Pro - Video Reference"


@frozen(kw_only=True)
class KlingV3OmniStdVideoReference(_KlingV3OmniVideoReference):
    """
    A video that follows another one in motion and style, by Kling 3 Omni Standard.

    The page documents what the model is for, and no more.  The slug is not documented: say it by
    `slug=` or `models.configure`.  Every field is inferred.

    - `video_url`: inferred, the clip to follow, `@Video1` in prompts.
    - `prompt`: inferred, up to 2500 characters.
    - `image_url`: inferred.
    - `duration`: inferred, a string of seconds from `"3"` to `"15"`, default `"5"`.
    - `aspect_ratio`: inferred, three ratios or auto, default `"16:9"`.
    - `cfg_scale`: inferred, 0 to 1, default 0.5.
    - `negative_prompt`: inferred, up to 2500 characters.

    Page: /market/kling/v3-omni-standard-video-reference
    """

    slug_guess = "kling-v3-omni-std-video-reference"
    title = "Kling 3 Omni Standard - Video Reference"
    page = "/market/kling/v3-omni-standard-video-reference"


# --- motion control ----------------------------------------------------------------------------


@frozen(kw_only=True)
class _KlingV3MotionControl(CheckedInput):
    kind = "video"
    family = "Kling"
    operation = "motion-control"
    slug_provenance = "inferred"

    image_url: Media = field(
        metadata=inferred(
            media="image",
            notes="The character. JPEG, PNG or WebP, at least 300x300, at most 10 MB.",
        )
    )
    video_url: Media = field(
        metadata=inferred(
            media="video", notes="The motion. MP4, MOV, WebM or M4V, 3 to 30 seconds."
        )
    )
    prompt: str | None = field(default=None, metadata=inferred(max_length=2500))
    character_orientation: Literal["video", "image"] | None = field(
        default=None,
        metadata=inferred(
            default="video",
            notes="As in the video: up to 30 seconds come out; as in the image: up to 10.",
        ),
    )
    cfg_scale: float | None = field(default=None, metadata=_CFG_SCALE)


@frozen(kw_only=True)
class KlingV3MotionControlPro(_KlingV3MotionControl):
    """
    A character of a picture that moves as a clip shows, by Kling 3 Motion Control Pro.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `image_url`: inferred, the character.
    - `video_url`: inferred, the motion.
    - `prompt`: inferred, up to 2500 characters.
    - `character_orientation`: inferred, video or image, default `"video"`.
    - `cfg_scale`: inferred, 0 to 1, default 0.5.

    Page: none is known.
    """

    slug_guess = "kling-v3-motion-control-pro"
    title = "Kling 3 Motion Control Pro - Generate Video"


@frozen(kw_only=True)
class KlingV3MotionControlStd(_KlingV3MotionControl):
    """
    A character of a picture that moves as a clip shows, by Kling 3 Motion Control Standard.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `image_url`: inferred, the character.
    - `video_url`: inferred, the motion.
    - `prompt`: inferred, up to 2500 characters.
    - `character_orientation`: inferred, video or image, default `"video"`.
    - `cfg_scale`: inferred, 0 to 1, default 0.5.

    Page: none is known.
    """

    slug_guess = "kling-v3-motion-control-std"
    title = "Kling 3 Motion Control Standard - Generate Video"
