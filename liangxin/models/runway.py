"""Runway: video from words and from pictures, and characters that act after a performer."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import inferred

RunwayRatio: TypeAlias = Literal["1280:720", "720:1280", "1104:832", "960:960", "832:1104"]

_OPEN = inferred()
_IMAGE = inferred(media="image")
_RATIO = inferred(default="1280:720")
_OPEN_RATIO = inferred(default="1280:720", notes="Which other ratios there are is not known.")


class RunwayCharacter(TypedDict, total=False):
    """Who is to act: a picture or a clip (inferred)."""

    type: Literal["image", "video"]
    uri: Media


class RunwayPerformance(TypedDict, total=False):
    """The clip of the performer (inferred)."""

    type: Literal["video"]
    uri: Media


# --- Gen 4.5 -----------------------------------------------------------------------------------

_PROMPT = inferred(max_length=2000)
_DURATION = inferred(default=5, notes="Seconds, as an integer.")


@frozen(kw_only=True)
class RunwayGen45TextToVideo(CheckedInput):
    """
    A video from words, by Runway Gen 4.5.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred, up to 2000 characters.
    - `ratio`: inferred, five sizes such as `"720:1280"`, default `"1280:720"`.
    - `duration`: inferred, an integer of seconds: 5, 8 or 10, default 5.

    Page: none is known.
    """

    slug_provenance = "unknown"
    title = "Runway Gen 4.5 - Text to Video"
    kind = "video"
    family = "Runway"
    operation = "text-to-video"

    prompt: str = field(metadata=_PROMPT)
    ratio: RunwayRatio | None = field(default=None, metadata=_RATIO)
    duration: Literal[5, 8, 10] | None = field(default=None, metadata=_DURATION)


@frozen(kw_only=True)
class RunwayGen45ImageToVideo(CheckedInput):
    """
    A video from a picture and words, by Runway Gen 4.5.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `prompt`: inferred, up to 2000 characters.
    - `image`: inferred.
    - `ratio`: inferred, five sizes such as `"720:1280"`, default `"1280:720"`.
    - `duration`: inferred, an integer of seconds: 5, 8 or 10, default 5.
    - `seed`: inferred.

    Page: none is known.
    """

    slug_provenance = "unknown"
    title = "Runway Gen 4.5 - Image to Video"
    kind = "video"
    family = "Runway"
    operation = "image-to-video"

    prompt: str = field(metadata=_PROMPT)
    image: Media = field(metadata=_IMAGE)
    ratio: RunwayRatio | None = field(default=None, metadata=_RATIO)
    duration: Literal[5, 8, 10] | None = field(default=None, metadata=_DURATION)
    seed: int | None = field(default=None, metadata=_OPEN)


# --- Gen 4 Turbo, Act Two ----------------------------------------------------------------------


@frozen(kw_only=True)
class RunwayGen4TurboImageToVideo(CheckedInput):
    """
    A video from a picture, by Runway Gen 4 Turbo.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `image`: inferred.
    - `prompt`: inferred, 1 to 1000 characters.
    - `ratio`: inferred, default `"1280:720"`.
    - `duration`: inferred, an integer of seconds: 5 or 10, default 10.
    - `seed`: inferred.

    Page: none is known.
    """

    slug_provenance = "unknown"
    slug_guess = "runway-gen4-turbo"
    title = "Runway Gen4 Turbo - Image to Video"
    kind = "video"
    family = "Runway"
    operation = "image-to-video"

    image: Media = field(metadata=_IMAGE)
    prompt: str | None = field(default=None, metadata=inferred(min_length=1, max_length=1000))
    ratio: str | None = field(default=None, metadata=_OPEN_RATIO)
    duration: Literal[5, 10] | None = field(
        default=None, metadata=inferred(default=10, notes="Seconds, as an integer.")
    )
    seed: int | None = field(default=None, metadata=_OPEN)


@frozen(kw_only=True)
class RunwayActTwo(CheckedInput):
    """
    A character that acts as a performer does in a clip, by Runway Act Two.

    Only the title is documented.  The slug is not: say it by `slug=` or `models.configure`.  Every
    field is inferred.

    - `character`: inferred, a picture or a clip of who is to act (`RunwayCharacter`).
    - `reference`: inferred, a clip of the performer (`RunwayPerformance`).
    - `body_control`: inferred, default True.
    - `expression_intensity`: inferred, 1 to 5, default 3.
    - `ratio`: inferred, default `"1280:720"`.
    - `seed`: inferred.

    Page: none is known.
    """

    slug_provenance = "unknown"
    slug_guess = "runway-act-two"
    title = "Runway Act Two - Character Performance"
    kind = "video"
    family = "Runway"
    operation = "character-performance"

    character: RunwayCharacter = field(
        hash=False, metadata=inferred(notes="Type and uri: the character's picture or clip.")
    )
    reference: RunwayPerformance = field(
        hash=False, metadata=inferred(notes="Type and uri: the performer's clip.")
    )
    body_control: bool | None = field(default=None, metadata=inferred(default=True))
    expression_intensity: int | None = field(
        default=None, metadata=inferred(default=3, minimum=1, maximum=5)
    )
    ratio: str | None = field(default=None, metadata=_OPEN_RATIO)
    seed: int | None = field(default=None, metadata=_OPEN)
