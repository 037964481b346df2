"""Kling: video from words, from pictures, and in several shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict

from attrs import field, frozen

from liangxin._media import Media
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import Limits, NeedsOne, documented, inferred

KlingDuration: TypeAlias = Literal[
    "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"
]

_FRAME = "JPEG or PNG, at least 300x300, at most 10 MB, between 1:2.5 and 2.5:1."


class KlingShot(TypedDict, total=False):
    """One shot of a video (inferred); `duration` is in seconds, as a string."""

    prompt: str
    duration: str


class KlingElement(TypedDict, total=False):
    """A person or thing that prompts call `@Element1`, `@Element2` and so on (inferred)."""

    reference_image_urls: Sequence[str]
    frontal_image_url: str


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

    slug = "kling-v3-pro"
    title = "Kling 3 Pro - Generate Video"
    kind = "video"
    family = "Kling"
    operation = "text-to-video+image-to-video+multi-shot"
    page = "/market/kling/v3-pro-generate-video"
    rules = (NeedsOne(("prompt", "multi_prompt"), provenance="inferred"),)

    prompt: str | None = field(
        default=None,
        metadata=documented(
            inferred=Limits(max_length=2500, notes="Needed unless there is multi_prompt."),
            notes="The page's sample has it.",
        ),
    )
    multi_prompt: Sequence[KlingShot] | None = field(
        default=None,
        hash=False,
        metadata=inferred(
            max_items=6, notes="Shots of a prompt and a duration; together at most 15 seconds."
        ),
    )
    multi_shot: bool | None = field(default=None, metadata=inferred(default=False))
    shot_type: Literal["customize", "intelligent"] | None = field(
        default=None, metadata=inferred(notes="Probably customize if there is multi_prompt.")
    )
    start_image_url: Media | None = field(
        default=None, metadata=inferred(media="image", notes=f"The first frame. {_FRAME}")
    )
    end_image_url: Media | None = field(
        default=None, metadata=inferred(media="image", notes=f"The last frame. {_FRAME}")
    )
    elements: Sequence[KlingElement] | None = field(
        default=None,
        hash=False,
        metadata=inferred(notes="Prompts call them @Element1, @Element2 and so on."),
    )
    generate_audio: bool | None = field(
        default=None,
        metadata=inferred(default=True, notes="The default is that of the upstream's sample."),
    )
    aspect_ratio: Literal["16:9", "9:16", "1:1"] | None = field(
        default=None, metadata=inferred(default="16:9")
    )
    duration: KlingDuration | None = field(
        default=None, metadata=inferred(default="5", notes="Seconds, as a string.")
    )
    negative_prompt: str | None = field(
        default=None,
        metadata=inferred(default="blur, distort, and low quality", max_length=2500),
    )
    cfg_scale: float | None = field(
        default=None, metadata=inferred(default=0.5, minimum=0, maximum=1)
    )
