"""Words that several models share: ratios, the upstream's names for them, and common limits."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from liangxin.models._rules import Limits

Ratio: TypeAlias = Literal["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9"]
RatioName: TypeAlias = Literal[
    "square_1_1",
    "widescreen_16_9",
    "social_story_9_16",
    "classic_4_3",
    "traditional_3_4",
    "standard_3_2",
    "portrait_2_3",
    "cinematic_21_9",
]

NAME_OF_RATIO: dict[str, str] = dict(zip(get_args(Ratio), get_args(RatioName), strict=True))
RATIO_OF_NAME: dict[str, str] = {name: ratio for ratio, name in NAME_OF_RATIO.items()}

LARGEST_SEED = 2**32 - 1

SEED_LIMITS = Limits(minimum=0, maximum=LARGEST_SEED)
PROMPT_LIMITS = Limits(max_length=4096)
ON_BY_DEFAULT = Limits(default=True)
