"""
What each of the 12 models of the seed pages accepts in `input`: a table, read from the pages.

Written separately from the client's model classes on purpose.  For the other models only the
prompt is checked (`_orders.py`); their pages state no rules.
"""

from __future__ import annotations

from liangxin.emulator._rules import (
    Choice,
    Flag,
    Images,
    ModelRules,
    Number,
    Objects,
    Rule,
    Text,
)

RATIO_NAMES = {
    "square_1_1": "1:1",
    "widescreen_16_9": "16:9",
    "social_story_9_16": "9:16",
    "classic_4_3": "4:3",
    "traditional_3_4": "3:4",
    "standard_3_2": "3:2",
    "portrait_2_3": "2:3",
    "cinematic_21_9": "21:9",
}

_FLAG = Flag()
_SEED = Number(0, 2**32 - 1, upstream=True)
_PROMPT = Text(1, 4096, upstream=True)
_OPEN_PROMPT = Text(1)
_EIGHT_RATIOS = Choice((*RATIO_NAMES.values(), *RATIO_NAMES))


def _seedream() -> dict[str, Rule]:
    return {"aspect_ratio": _EIGHT_RATIOS, "seed": _SEED, "enable_safety_checker": _FLAG}


def _seedream_edit() -> ModelRules:
    # The page promises up to five reference images without naming their member.
    pictures = ("reference_images", "image_input", "image_urls")
    fields = _seedream() | {name: Images() for name in pictures}
    return ModelRules(_PROMPT, fields, pictures=pictures, at_most=5, at_least=1)


def _nano_banana(**more: Rule) -> ModelRules:
    pictures = ("image_input", "reference_images")
    ratios = ("1:1", "2:3", "3:2", "4:3", "3:4", "5:4", "4:5", "16:9", "9:16", "21:9")
    fields: dict[str, Rule] = {
        "aspect_ratio": Choice((*ratios, *RATIO_NAMES)),
        "resolution": Choice(("1K", "2K", "4K", "low", "medium", "high")),
        "output_format": Choice(("png",)),
        **{name: Images(by_suffix=True) for name in pictures},
        **more,
    }
    return ModelRules(Text(2, 3000), fields, pictures=pictures, at_most=3)


def _imagen() -> ModelRules:
    names = ("square_1_1", "social_story_9_16", "widescreen_16_9", "traditional_3_4", "classic_4_3")
    safety = ("block_low_and_above", "block_medium_and_above", "block_only_high", "block_none")
    return ModelRules(
        _OPEN_PROMPT,
        {
            "aspect_ratio": Choice((*names, *(RATIO_NAMES[name] for name in names))),
            "person_generation": Choice(("dont_allow", "allow_adult", "allow_all")),
            "safety_settings": Choice(safety),
            "seed": Number(1, 2**32 - 1),
            "enhance_prompt": _FLAG,
            "language": Choice(("auto", "en", "zh", "zh-CN", "hi", "ja", "ko", "pt", "es")),
            "output_format": Choice(("png", "jpeg", "jpg", "image/png", "image/jpeg")),
            "compression_quality": Number(1, 100),
        },
    )


def _z_image() -> ModelRules:
    sizes = ("square", "square_hd", "portrait_3_4", "portrait_9_16", "landscape_4_3")
    return ModelRules(
        _PROMPT,
        {
            "image_size": Choice((*sizes, "landscape_16_9"), upstream=True),
            "aspect_ratio": _EIGHT_RATIOS,
            "seed": _SEED,
            "num_inference_steps": Number(1, 50, upstream=True),
            "output_format": Choice(("png", "jpeg"), upstream=True),
            "enable_safety_checker": _FLAG,
        },
    )


def _flux() -> ModelRules:
    singles = ("input_image", "input_image_2", "input_image_3", "input_image_4")
    return ModelRules(
        _OPEN_PROMPT,
        {
            "width": Number(256, 1440),
            "height": Number(256, 1440),
            "aspect_ratio": Choice(tuple(RATIO_NAMES.values())),
            "seed": _SEED,
            "prompt_upsampling": _FLAG,
            "reference_images": Images(),
            **{name: Images(single=True) for name in singles},
        },
        together=("width", "height"),
        pictures=(*singles, "reference_images"),
        at_most=4,
    )


def _kling() -> ModelRules:
    return ModelRules(
        Text(1, 2500, upstream=True),
        {
            "multi_prompt": Objects(6),
            "multi_shot": _FLAG,
            "shot_type": Choice(("customize", "intelligent"), upstream=True),
            "start_image_url": Images(single=True),
            "end_image_url": Images(single=True),
            "elements": Objects(),
            "generate_audio": _FLAG,
            "aspect_ratio": Choice(("16:9", "9:16", "1:1"), upstream=True),
            "duration": Choice(tuple(str(seconds) for seconds in range(3, 16)), upstream=True),
            "negative_prompt": Text(0, 2500, upstream=True),
            "cfg_scale": Number(0, 1, upstream=True, fractions=True),
        },
        instead_of="multi_prompt",
    )


RULES = {
    "seedream-v4-5": ModelRules(_PROMPT, _seedream()),
    "seedream-v4-5-edit": _seedream_edit(),
    "seedream-v5-lite": ModelRules(_PROMPT, _seedream()),
    "seedream-v5-lite-edit": _seedream_edit(),
    "z-image": _z_image(),
    "gemini-2.5-flash-image-preview": ModelRules(
        _OPEN_PROMPT,
        {"reference_images": Images(), "image_input": Images()},
        pictures=("reference_images", "image_input"),
        at_most=3,
    ),
    "nano-banana-pro": _nano_banana(),
    "nano-banana-pro-flash": _nano_banana(use_google_search_tool=_FLAG),
    "imagen4-fast": _imagen(),
    "imagen4-ultra": _imagen(),
    "flux-2-pro": _flux(),
    "kling-v3-pro": _kling(),
}
