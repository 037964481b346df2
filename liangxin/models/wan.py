"""WAN: video from words, from pictures, from other clips and to a sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import AtMostTogether, NeedsOne, inferred

WanRatio: TypeAlias = Literal["16:9", "9:16", "1:1", "4:3", "3:4"]
WanResolution: TypeAlias = Literal["720P", "1080P"]
WanSize: TypeAlias = Literal[
    "1280*720",
    "720*1280",
    "960*960",
    "1088*832",
    "832*1088",
    "1920*1080",
    "1080*1920",
    "1440*1440",
    "1632*1248",
    "1248*1632",
]

# --- WAN 2.7 -----------------------------------------------------------------------------------

_NEGATIVE = inferred(max_length=500)
_OPEN = inferred()
_UP_TO_15_SECONDS = inferred(default=5, minimum=2, maximum=15, notes="Seconds, as an integer.")


@frozen(kw_only=True)
class Wan27TextToVideo(CheckedInput):
    """
    A video from words, by WAN 2.7.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred, up to 5000 characters.
    - `aspect_ratio`: inferred, five ratios, default `"16:9"`.
    - `duration`: inferred, an integer of seconds from 2 to 15, default 5.
    - `audio_url`: inferred, the sound.
    - `negative_prompt`: inferred, up to 500 characters.
    - `resolution`: inferred, 720P or 1080P.
    - `seed`: inferred.
    - `additional_settings`: inferred, an object of which nothing is known.

    Page: none is known.
    """

    slug_provenance = "unknown"
    slug_guess = "wan-2-7-text-to-video"
    title = "WAN 2.7 - Text to Video"
    kind = "video"
    family = "Wan"
    operation = "text-to-video"

    prompt: str = field(metadata=inferred(max_length=5000))
    aspect_ratio: WanRatio | None = field(default=None, metadata=inferred(default="16:9"))
    duration: int | None = field(default=None, metadata=_UP_TO_15_SECONDS)
    audio_url: Media | None = field(
        default=None,
        metadata=inferred(media="audio", notes="WAV or MP3, 2 to 30 seconds, at most 15 MB."),
    )
    negative_prompt: str | None = field(default=None, metadata=_NEGATIVE)
    resolution: WanResolution | None = field(default=None, metadata=_OPEN)
    seed: int | None = field(default=None, metadata=_OPEN)
    additional_settings: Mapping[str, object] | None = field(
        default=None, hash=False, metadata=_OPEN
    )


@frozen(kw_only=True)
class Wan27ImageToVideo(CheckedInput):
    """
    A video from its first and last frame, or that continues a clip, by WAN 2.7.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `start_image_url`: inferred, the first frame.
    - `end_image_url`: inferred, the last frame.
    - `video_url`: inferred, the clip to continue.
    - `audio_url`: inferred, the sound.
    - `duration`: inferred, an integer of seconds from 2 to 15, default 5.
    - `negative_prompt`: inferred, up to 500 characters.
    - `resolution`: inferred, 720P or 1080P.
    - `seed`: inferred.
    - `additional_settings`: inferred, an object of which nothing is known.

    Page: none is known.
    """

    slug_provenance = "unknown"
    slug_guess = "wan-2-7-image-to-video"
    title = "WAN 2.7 - Image to Video"
    kind = "video"
    family = "Wan"
    operation = "image-to-video"

    prompt: str | None = field(default=None, metadata=_OPEN)
    start_image_url: Media | None = field(
        default=None,
        metadata=inferred(
            media="image",
            notes="The first frame. JPEG, PNG, BMP or WebP, 240 to 8000 pixels, at most 20 MB.",
        ),
    )
    end_image_url: Media | None = field(default=None, metadata=inferred(media="image"))
    video_url: Media | None = field(
        default=None,
        metadata=inferred(
            media="video",
            notes="The clip to continue. MP4 or MOV, 2 to 10 seconds, at most 100 MB.",
        ),
    )
    audio_url: Media | None = field(default=None, metadata=inferred(media="audio"))
    duration: int | None = field(default=None, metadata=_UP_TO_15_SECONDS)
    negative_prompt: str | None = field(default=None, metadata=_NEGATIVE)
    resolution: WanResolution | None = field(default=None, metadata=_OPEN)
    seed: int | None = field(default=None, metadata=_OPEN)
    additional_settings: Mapping[str, object] | None = field(
        default=None, hash=False, metadata=_OPEN
    )


@frozen(kw_only=True)
class Wan27ReferenceToVideo(CheckedInput):
    """
    A video from words, with what other pictures and clips show, by WAN 2.7.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred, and so is the rule: one to five `image_urls` and `video_urls` together.

    - `prompt`: inferred, up to 5000 characters.
    - `image_urls`: inferred, up to 5.
    - `video_urls`: inferred, up to 5.
    - `reference_voice`: inferred; it may belong to each reference instead.
    - `start_image_url`: inferred, the first frame.
    - `aspect_ratio`: inferred, five ratios.
    - `duration`: inferred, an integer of seconds from 2 to 10, default 5.
    - `negative_prompt`: inferred, up to 500 characters.
    - `resolution`: inferred, 720P or 1080P.
    - `seed`: inferred.
    - `additional_settings`: inferred, an object of which nothing is known.

    Page: none is known.
    """

    slug_provenance = "unknown"
    slug_guess = "wan-2-7-reference-to-video"
    title = "WAN 2.7 - Reference to Video"
    kind = "video"
    family = "Wan"
    operation = "reference-to-video"
    rules = (
        NeedsOne(("image_urls", "video_urls"), provenance="inferred", of="a reference"),
        AtMostTogether(("image_urls", "video_urls"), 5, provenance="inferred", of="references"),
    )

    prompt: str = field(metadata=inferred(max_length=5000))
    image_urls: Sequence[Media] | None = field(
        default=None, metadata=inferred(max_items=5, media="image")
    )
    video_urls: Sequence[Media] | None = field(
        default=None, metadata=inferred(max_items=5, media="video")
    )
    reference_voice: str | None = field(
        default=None,
        metadata=inferred(
            notes="Whether it stands here or in each reference was not certain at the upstream."
        ),
    )
    start_image_url: Media | None = field(default=None, metadata=inferred(media="image"))
    aspect_ratio: WanRatio | None = field(default=None, metadata=_OPEN)
    duration: int | None = field(
        default=None,
        metadata=inferred(default=5, minimum=2, maximum=10, notes="Seconds, as an integer."),
    )
    negative_prompt: str | None = field(default=None, metadata=_NEGATIVE)
    resolution: WanResolution | None = field(default=None, metadata=_OPEN)
    seed: int | None = field(default=None, metadata=_OPEN)
    additional_settings: Mapping[str, object] | None = field(
        default=None, hash=False, metadata=_OPEN
    )


# --- WAN 2.6 -----------------------------------------------------------------------------------

_SECONDS_AS_WORDS = inferred(default="5", notes="Seconds, as a string.")
_SIZE = inferred(
    notes="The first five belong to 720p and the last five to 1080p, for which the upstream has a "
    "path each. The service may have a slug each, or a field for the resolution."
)
_EXPANSION = inferred(default=False)
_SHOT_TYPE = inferred(default="single")


@frozen(kw_only=True)
class Wan26ImageToVideo(CheckedInput):
    """
    A video from a picture and words, by WAN 2.6.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `image`: inferred, a web address.
    - `duration`: inferred, a string of seconds: `"5"`, `"10"` or `"15"`, default `"5"`.
    - `size`: inferred, ten sizes such as `"1280*720"`.
    - `enable_prompt_expansion`: inferred, default False.
    - `negative_prompt`: inferred.
    - `seed`: inferred.
    - `shot_type`: inferred, single or multi, default `"single"`.

    Page: none is known.
    """

    slug_provenance = "unknown"
    title = "WAN 2.6 - Image to Video"
    kind = "video"
    family = "Wan"
    operation = "image-to-video"

    prompt: str = field(metadata=_OPEN)
    image: Media = field(metadata=inferred(media="image", notes="A web address."))
    duration: Literal["5", "10", "15"] | None = field(default=None, metadata=_SECONDS_AS_WORDS)
    size: WanSize | None = field(default=None, metadata=_SIZE)
    enable_prompt_expansion: bool | None = field(default=None, metadata=_EXPANSION)
    negative_prompt: str | None = field(default=None, metadata=_OPEN)
    seed: int | None = field(default=None, metadata=_OPEN)
    shot_type: Literal["single", "multi"] | None = field(default=None, metadata=_SHOT_TYPE)


@frozen(kw_only=True)
class Wan26TextToVideo(CheckedInput):
    """
    A video from words, by WAN 2.6.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `duration`: inferred, a string of seconds: `"5"`, `"10"` or `"15"`, default `"5"`.
    - `size`: inferred, ten sizes such as `"1280*720"`.
    - `enable_prompt_expansion`: inferred, default False.
    - `negative_prompt`: inferred.
    - `seed`: inferred.
    - `shot_type`: inferred, single or multi, default `"single"`.

    Page: none is known.
    """

    slug_provenance = "unknown"
    title = "WAN 2.6 - Text to Video"
    kind = "video"
    family = "Wan"
    operation = "text-to-video"

    prompt: str = field(metadata=_OPEN)
    duration: Literal["5", "10", "15"] | None = field(default=None, metadata=_SECONDS_AS_WORDS)
    size: WanSize | None = field(default=None, metadata=_SIZE)
    enable_prompt_expansion: bool | None = field(default=None, metadata=_EXPANSION)
    negative_prompt: str | None = field(default=None, metadata=_OPEN)
    seed: int | None = field(default=None, metadata=_OPEN)
    shot_type: Literal["single", "multi"] | None = field(default=None, metadata=_SHOT_TYPE)
