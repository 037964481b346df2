"""Seedance: video from words, and from a first frame."""

from __future__ import annotations

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import inferred

_PROMPT = inferred()
_RATIO = inferred(default="widescreen_16_9", notes="Which other ratios there are is not known.")
_DURATION = inferred(default=5, minimum=4, maximum=12, notes="Seconds, as an integer.")
_AUDIO = inferred()
_CAMERA_FIXED = inferred(default=False)
_SEED = inferred(minimum=-1, notes="-1: a random one.")


@frozen(kw_only=True)
class Seedance15ProTextToVideo(CheckedInput):
    """
    A video from words, by Seedance 1.5 Pro.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `aspect_ratio`: inferred, default `"widescreen_16_9"`.
    - `duration`: inferred, an integer of seconds from 4 to 12, default 5.
    - `generate_audio`: inferred.
    - `camera_fixed`: inferred, default False.
    - `seed`: inferred, at least -1, which means a random one.

    Page: none is known.
    """

    slug_provenance = "unknown"
    title = "Seedance 1.5 Pro - Text to Video"
    kind = "video"
    family = "Seedance"
    operation = "text-to-video"

    prompt: str = field(metadata=_PROMPT)
    aspect_ratio: str | None = field(default=None, metadata=_RATIO)
    duration: int | None = field(default=None, metadata=_DURATION)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    camera_fixed: bool | None = field(default=None, metadata=_CAMERA_FIXED)
    seed: int | None = field(default=None, metadata=_SEED)


@frozen(kw_only=True)
class Seedance15ProImageToVideo(CheckedInput):
    """
    A video from its first frame and words, by Seedance 1.5 Pro.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `image`: inferred, the first frame.
    - `aspect_ratio`: inferred, default `"widescreen_16_9"`.
    - `duration`: inferred, an integer of seconds from 4 to 12, default 5.
    - `generate_audio`: inferred.
    - `camera_fixed`: inferred, default False.
    - `seed`: inferred, at least -1, which means a random one.

    Page: none is known.
    """

    slug_provenance = "unknown"
    title = "Seedance 1.5 Pro - Image to Video"
    kind = "video"
    family = "Seedance"
    operation = "image-to-video"

    prompt: str = field(metadata=_PROMPT)
    image: Media = field(metadata=inferred(media="image", notes="The first frame."))
    aspect_ratio: str | None = field(default=None, metadata=_RATIO)
    duration: int | None = field(default=None, metadata=_DURATION)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    camera_fixed: bool | None = field(default=None, metadata=_CAMERA_FIXED)
    seed: int | None = field(default=None, metadata=_SEED)
