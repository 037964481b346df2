"""
What each of the 35 models accepts in `input`: a table, read from the pages and the upstream's.

Written separately from the client's model classes on purpose.
"""

from __future__ import annotations

from liangxin.emulator._rules import (
    Choice,
    Flag,
    Images,
    ModelRules,
    Number,
    Object,
    Objects,
    Rule,
    Seconds,
    Text,
    Texts,
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
_EIGHT_RATIOS = Choice((*RATIO_NAMES.values(), *RATIO_NAMES), unlisted=True)


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
        "aspect_ratio": Choice((*ratios, *RATIO_NAMES), unlisted=True),
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
            "seed": Number(1, 2**32 - 1, upstream_high=True),
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


# --- video, of which hardly anything is documented ---------------------------------------------

_ONE = Images(single=True)
_CLIP = Images(single=True, of="video")
_SOUND = Images(single=True, of="audio")
_ANY = Number()
_CFG = Number(0, 1, upstream=True, fractions=True)
_KLING_SECONDS = Choice(tuple(str(seconds) for seconds in range(3, 16)), upstream=True)
_OMNI_RATIO = Choice(("auto", "16:9", "9:16", "1:1"), upstream=True)
_KLING_PROMPT = Text(0, 2500, upstream=True)


def _kling() -> ModelRules:
    return ModelRules(
        Text(1, 2500, upstream=True),
        {
            "multi_prompt": Objects(6, seconds=15),
            "multi_shot": _FLAG,
            "shot_type": Choice(("customize", "intelligent"), upstream=True),
            "start_image_url": _ONE,
            "end_image_url": _ONE,
            "elements": Objects(),
            "generate_audio": _FLAG,
            "aspect_ratio": Choice(("16:9", "9:16", "1:1"), upstream=True),
            "duration": _KLING_SECONDS,
            "negative_prompt": _KLING_PROMPT,
            "cfg_scale": _CFG,
        },
        instead_of="multi_prompt",
        upstream=True,
    )


def _kling_omni() -> ModelRules:
    return ModelRules(
        Text(1, 2500, upstream=True),
        {
            "multi_prompt": Texts(6),
            "shot_type": Choice(("customize",), upstream=True),
            "image_url": _ONE,
            "start_image_url": _ONE,
            "end_image_url": _ONE,
            "image_urls": Images(),
            "elements": Objects(),
            "generate_audio": _FLAG,
            "aspect_ratio": _OMNI_RATIO,
            "duration": _KLING_SECONDS,
        },
        instead_of="multi_prompt",
        pictures=("image_urls", "elements"),
        at_most=4,
        upstream=True,
    )


def _kling_video_reference() -> ModelRules:
    return ModelRules(
        _KLING_PROMPT,
        {
            "video_url": _CLIP,
            "image_url": _ONE,
            "duration": _KLING_SECONDS,
            "aspect_ratio": _OMNI_RATIO,
            "cfg_scale": _CFG,
            "negative_prompt": _KLING_PROMPT,
        },
        needs_prompt=False,
        required=("video_url",),
        upstream=True,
    )


def _kling_motion_control() -> ModelRules:
    return ModelRules(
        _KLING_PROMPT,
        {
            "image_url": _ONE,
            "video_url": _CLIP,
            "character_orientation": Choice(("video", "image"), upstream=True),
            "cfg_scale": _CFG,
        },
        needs_prompt=False,
        required=("image_url", "video_url"),
        upstream=True,
    )


_WAN_27: dict[str, Rule] = {
    "negative_prompt": Text(0, 500, upstream=True),
    "resolution": Choice(("720P", "1080P"), upstream=True),
    "seed": _ANY,
    "additional_settings": Object(),
}
_WAN_RATIO = Choice(("16:9", "9:16", "1:1", "4:3", "3:4"), upstream=True)


def _wan_27_text() -> ModelRules:
    more: dict[str, Rule] = {
        "aspect_ratio": _WAN_RATIO,
        "duration": Number(2, 15, upstream=True),
        "audio_url": _SOUND,
    }
    return ModelRules(Text(1, 5000, upstream=True), _WAN_27 | more, upstream=True)


def _wan_27_image() -> ModelRules:
    more: dict[str, Rule] = {
        "start_image_url": _ONE,
        "end_image_url": _ONE,
        "video_url": _CLIP,
        "audio_url": _SOUND,
        "duration": Number(2, 15, upstream=True),
    }
    return ModelRules(Text(), _WAN_27 | more, needs_prompt=False, upstream=True)


def _wan_27_references() -> ModelRules:
    more: dict[str, Rule] = {
        "image_urls": Images(),
        "video_urls": Images(of="video"),
        "reference_voice": Text(),
        "start_image_url": _ONE,
        "aspect_ratio": _WAN_RATIO,
        "duration": Number(2, 10, upstream=True),
    }
    return ModelRules(
        Text(1, 5000, upstream=True),
        _WAN_27 | more,
        pictures=("image_urls", "video_urls"),
        at_most=5,
        at_least=1,
        upstream=True,
    )


def _wan_26(*required: str) -> ModelRules:
    small = ("1280*720", "720*1280", "960*960", "1088*832", "832*1088")
    large = ("1920*1080", "1080*1920", "1440*1440", "1632*1248", "1248*1632")
    return ModelRules(
        Text(1),
        {
            "image": _ONE,
            "duration": Choice(("5", "10", "15"), upstream=True),
            "size": Choice((*small, *large), upstream=True),
            "enable_prompt_expansion": _FLAG,
            "negative_prompt": Text(),
            "seed": _ANY,
            "shot_type": Choice(("single", "multi"), upstream=True),
        },
        required=required,
        upstream=True,
    )


def _seedance(*required: str) -> ModelRules:
    return ModelRules(
        Text(1),
        {
            "image": _ONE,
            "aspect_ratio": Text(),
            "duration": Number(4, 12, upstream=True),
            "generate_audio": _FLAG,
            "camera_fixed": _FLAG,
            "seed": Number(low=-1, upstream=True),
        },
        required=required,
        upstream=True,
    )


def _veo(*required: str) -> ModelRules:
    return ModelRules(
        Text(1),
        {
            "image": _ONE,
            "negative_prompt": Text(),
            "resolution": Choice(("720p", "1080p", "4k"), upstream=True),
            "aspect_ratio": Choice(("16:9", "9:16"), upstream=True),
            "duration": Seconds((4, 6, 8)),
            "generate_audio": _FLAG,
            "seed": _ANY,
        },
        required=required,
        upstream=True,
    )


def _veo_references() -> ModelRules:
    fields = {name: rule for name, rule in _veo().fields.items() if name != "duration"}
    return ModelRules(
        Text(1),
        fields | {"image_urls": Images()},
        required=("image_urls",),
        pictures=("image_urls",),
        at_most=3,
        at_least=1,
        upstream=True,
    )


def _runway_45(*required: str) -> ModelRules:
    ratios = ("1280:720", "720:1280", "1104:832", "960:960", "832:1104")
    return ModelRules(
        Text(1, 2000, upstream=True),
        {
            "image": _ONE,
            "ratio": Choice(ratios, upstream=True),
            "duration": Seconds((5, 8, 10)),
            "seed": _ANY,
        },
        required=required,
        upstream=True,
    )


def _runway_turbo() -> ModelRules:
    return ModelRules(
        Text(1, 1000, upstream=True),
        {"image": _ONE, "ratio": Text(), "duration": Seconds((5, 10)), "seed": _ANY},
        needs_prompt=False,
        required=("image",),
        upstream=True,
    )


def _runway_act_two() -> ModelRules:
    return ModelRules(
        Text(),
        {
            "character": Object(),
            "reference": Object(),
            "body_control": _FLAG,
            "expression_intensity": Number(1, 5, upstream=True),
            "ratio": Text(),
            "seed": _ANY,
        },
        needs_prompt=False,
        required=("character", "reference"),
        upstream=True,
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
    "kling-v3-std": _kling(),
    "kling-v3-omni-pro": _kling_omni(),
    "kling-v3-omni-std": _kling_omni(),
    "kling-v3-omni-pro-video-reference": _kling_video_reference(),
    "kling-v3-omni-std-video-reference": _kling_video_reference(),
    "kling-v3-motion-control-pro": _kling_motion_control(),
    "kling-v3-motion-control-std": _kling_motion_control(),
    "wan-2-7-text-to-video": _wan_27_text(),
    "wan-2-7-image-to-video": _wan_27_image(),
    "wan-2-7-reference-to-video": _wan_27_references(),
    "wan-2-6-text-to-video": _wan_26(),
    "wan-2-6-image-to-video": _wan_26("image"),
    "seedance-1-5-pro-text-to-video": _seedance(),
    "seedance-1-5-pro-image-to-video": _seedance("image"),
    "veo-3-1-text-to-video": _veo(),
    "veo-3-1-fast-text-to-video": _veo(),
    "veo-3-1-image-to-video": _veo("image"),
    "veo-3-1-fast-image-to-video": _veo("image"),
    "veo-3-1-reference-to-video": _veo_references(),
    "runway-4-5-text-to-video": _runway_45(),
    "runway-4-5-image-to-video": _runway_45("image"),
    "runway-gen4-turbo": _runway_turbo(),
    "runway-act-two": _runway_act_two(),
}

WITH_A_TABLE = {
    "seedream-v4-5",
    "z-image",
    "nano-banana-pro",
    "nano-banana-pro-flash",
    "imagen4-ultra",
    "flux-2-pro",
}
"""Models whose page has its table of members, with limits."""

WITH_A_PROMPT = {
    "seedream-v4-5-edit",
    "seedream-v5-lite",
    "gemini-2.5-flash-image-preview",
    "kling-v3-pro",
}
"""Models of whose page no more is known than a prompt; of the others, no member is documented."""
