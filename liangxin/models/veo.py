"""Veo, by Google: video with sound, from words and from pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import inferred

VeoRatio: TypeAlias = Literal["16:9", "9:16"]
VeoResolution: TypeAlias = Literal["720p", "1080p", "4k"]

_OPEN = inferred()
_RATIO = inferred(default="16:9")
_DURATION = inferred(default=8, notes="Seconds, as an integer.")
_AUDIO = inferred(default=True)


@frozen(kw_only=True)
class _Veo31FromText(CheckedInput):
    kind = "video"
    family = "Google"
    operation = "text-to-video"
    slug_provenance = "unknown"

    prompt: str = field(metadata=_OPEN)
    negative_prompt: str | None = field(default=None, metadata=_OPEN)
    resolution: VeoResolution | None = field(default=None, metadata=_OPEN)
    aspect_ratio: VeoRatio | None = field(default=None, metadata=_RATIO)
    duration: Literal[4, 6, 8] | None = field(default=None, metadata=_DURATION)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    seed: int | None = field(default=None, metadata=_OPEN)


@frozen(kw_only=True)
class Veo31TextToVideo(_Veo31FromText):
    """
    A video from words, by Veo 3.1.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `negative_prompt`: inferred.
    - `resolution`: inferred, 720p, 1080p or 4k.
    - `aspect_ratio`: inferred, `"16:9"` or `"9:16"`, default `"16:9"`.
    - `duration`: inferred, an integer of seconds: 4, 6 or 8, default 8.
    - `generate_audio`: inferred, default True.
    - `seed`: inferred.

    Page: none is known.
    """

    title = "Google - Veo 3.1 Text to Video"


@frozen(kw_only=True)
class Veo31FastTextToVideo(_Veo31FromText):
    """
    A video from words, by Veo 3.1 Fast.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `negative_prompt`: inferred.
    - `resolution`: inferred, 720p, 1080p or 4k.
    - `aspect_ratio`: inferred, `"16:9"` or `"9:16"`, default `"16:9"`.
    - `duration`: inferred, an integer of seconds: 4, 6 or 8, default 8.
    - `generate_audio`: inferred, default True.
    - `seed`: inferred.

    Page: none is known.
    """

    title = "Google - Veo 3.1 Fast Text to Video"


@frozen(kw_only=True)
class _Veo31FromImage(CheckedInput):
    kind = "video"
    family = "Google"
    operation = "image-to-video"
    slug_provenance = "unknown"

    prompt: str = field(metadata=_OPEN)
    image: Media = field(
        metadata=inferred(media="image", data_uri="inferred", notes="An https address or base64.")
    )
    negative_prompt: str | None = field(default=None, metadata=_OPEN)
    resolution: VeoResolution | None = field(default=None, metadata=_OPEN)
    aspect_ratio: VeoRatio | None = field(default=None, metadata=_RATIO)
    duration: Literal[4, 6, 8] | None = field(default=None, metadata=_DURATION)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    seed: int | None = field(default=None, metadata=_OPEN)


@frozen(kw_only=True)
class Veo31ImageToVideo(_Veo31FromImage):
    """
    A video from a picture and words, by Veo 3.1.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `image`: inferred, a web address or base64.
    - `negative_prompt`: inferred.
    - `resolution`: inferred, 720p, 1080p or 4k.
    - `aspect_ratio`: inferred, `"16:9"` or `"9:16"`, default `"16:9"`.
    - `duration`: inferred, an integer of seconds: 4, 6 or 8, default 8.
    - `generate_audio`: inferred, default True.
    - `seed`: inferred.

    Page: none is known.
    """

    title = "Google - Veo 3.1 Image to Video"


@frozen(kw_only=True)
class Veo31FastImageToVideo(_Veo31FromImage):
    """
    A video from a picture and words, by Veo 3.1 Fast.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `image`: inferred, a web address or base64.
    - `negative_prompt`: inferred.
    - `resolution`: inferred, 720p, 1080p or 4k.
    - `aspect_ratio`: inferred, `"16:9"` or `"9:16"`, default `"16:9"`.
    - `duration`: inferred, an integer of seconds: 4, 6 or 8, default 8.
    - `generate_audio`: inferred, default True.
    - `seed`: inferred.

    Page: none is known.
    """

    title = "Google - Veo 3.1 Fast Image to Video"


@frozen(kw_only=True)
class Veo31ReferenceToVideo(CheckedInput):
    """
    A video of eight seconds from words and up to three pictures, by Veo 3.1.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred.
    - `image_urls`: inferred, 1 to 3.
    - `negative_prompt`: inferred.
    - `resolution`: inferred, 720p, 1080p or 4k.
    - `aspect_ratio`: inferred, `"16:9"` or `"9:16"`, default `"16:9"`.
    - `generate_audio`: inferred, default True.
    - `seed`: inferred.

    Page: none is known.
    """

    title = "Google - Veo 3.1 Reference to Video"
    kind = "video"
    family = "Google"
    operation = "reference-to-video"
    slug_provenance = "unknown"

    prompt: str = field(metadata=_OPEN)
    image_urls: Sequence[Media] = field(metadata=inferred(min_items=1, max_items=3, media="image"))
    negative_prompt: str | None = field(default=None, metadata=_OPEN)
    resolution: VeoResolution | None = field(default=None, metadata=_OPEN)
    aspect_ratio: VeoRatio | None = field(default=None, metadata=_RATIO)
    generate_audio: bool | None = field(default=None, metadata=_AUDIO)
    seed: int | None = field(default=None, metadata=_OPEN)
