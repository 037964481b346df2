"""The request checker: each documented rule, once kept and once broken."""

from __future__ import annotations

from typing import Any

import pytest

from liangxin.emulator import GUESSED_SLUGS, Emulator
from liangxin.emulator._catalogue import CATALOGUE
from tests.emulator.service import order, post

pytestmark = pytest.mark.anyio

PNG = "https://example.com/a.png"
DATA = "data:image/webp;base64,AAAA"
CORE = [
    "seedream-v4-5",
    "seedream-v4-5-edit",
    "seedream-v5-lite",
    "seedream-v5-lite-edit",
    "z-image",
    "gemini-2.5-flash-image-preview",
    "nano-banana-pro",
    "nano-banana-pro-flash",
    "imagen4-fast",
    "imagen4-ultra",
    "flux-2-pro",
    "kling-v3-pro",
]


MP4 = "https://example.com/a.mp4"
NEEDS: dict[str, dict[str, Any]] = {
    "seedream-v4-5-edit": {"reference_images": [PNG]},
    "seedream-v5-lite-edit": {"reference_images": [PNG]},
    "kling-v3-omni-pro-video-reference": {"video_url": MP4},
    "kling-v3-omni-std-video-reference": {"video_url": MP4},
    "kling-v3-motion-control-pro": {"image_url": PNG, "video_url": MP4},
    "kling-v3-motion-control-std": {"image_url": PNG, "video_url": MP4},
    "wan-2-7-reference-to-video": {"image_urls": [PNG]},
    "wan-2-6-image-to-video": {"image": PNG},
    "seedance-1-5-pro-image-to-video": {"image": PNG},
    "veo-3-1-image-to-video": {"image": PNG},
    "veo-3-1-fast-image-to-video": {"image": PNG},
    "veo-3-1-reference-to-video": {"image_urls": [PNG]},
    "runway-4-5-image-to-video": {"image": PNG},
    "runway-gen4-turbo": {"image": PNG},
    "runway-act-two": {
        "character": {"type": "image", "uri": PNG},
        "reference": {"type": "video", "uri": MP4},
    },
}
"""What a model needs beside its prompt."""


def wanted(model: str) -> dict[str, Any]:
    """Return what a model needs beside its prompt."""
    return NEEDS.get(model, {})


ACCEPTED = [
    ("nano-banana-pro-flash", {"aspect_ratio": "21:9", "resolution": "low"}),
    ("nano-banana-pro-flash", {"use_google_search_tool": True, "output_format": "png"}),
    ("nano-banana-pro", {"image_input": [PNG, DATA], "reference_images": ["http://a/B.JPEG"]}),
    ("nano-banana-pro", {"prompt": "ab"}),
    ("nano-banana-pro", {"prompt": "x" * 3000}),
    ("nano-banana-pro", {"aspect_ratio": "widescreen_16_9", "unheard_of": {"x": 1}}),
    (
        "seedream-v4-5",
        {"aspect_ratio": "cinematic_21_9", "seed": 0, "enable_safety_checker": False},
    ),
    ("seedream-v4-5-edit", {"reference_images": [PNG] * 5}),
    ("seedream-v4-5-edit", {"reference_images": None, "image_input": [DATA]}),
    ("z-image", {"image_size": "square_hd", "aspect_ratio": "16:9", "num_inference_steps": 8}),
    ("z-image", {"seed": None}),
    ("gemini-2.5-flash-image-preview", {"reference_images": [PNG] * 3}),
    ("imagen4-ultra", {"aspect_ratio": "4:3", "output_format": "image/jpeg", "seed": 1}),
    ("imagen4-fast", {"language": "zh-CN", "compression_quality": 100}),
    ("flux-2-pro", {"width": 256, "height": 1440}),
    ("flux-2-pro", {"input_image": PNG, "input_image_4": PNG, "reference_images": [PNG, PNG]}),
    ("kling-v3-pro", {"duration": "15", "aspect_ratio": "9:16", "cfg_scale": 0.5}),
    ("kling-v3-pro", {"prompt": None, "multi_prompt": [{"prompt": "a", "duration": "3"}]}),
    ("kling-v3-omni-pro", {"prompt": None, "multi_prompt": ["a", "b"], "aspect_ratio": "auto"}),
    ("kling-v3-omni-std", {"image_urls": [PNG] * 3, "elements": [{"frontal_image_url": PNG}]}),
    ("kling-v3-motion-control-pro", {"prompt": None, "character_orientation": "image"}),
    ("wan-2-7-text-to-video", {"duration": 15, "seed": -5, "additional_settings": {"x": [1]}}),
    ("wan-2-7-image-to-video", {"prompt": None, "video_url": MP4}),
    ("wan-2-7-reference-to-video", {"image_urls": [PNG] * 2, "video_urls": [MP4] * 3}),
    ("wan-2-6-text-to-video", {"duration": "15", "size": "1440*1440"}),
    ("seedance-1-5-pro-text-to-video", {"duration": 12, "seed": -1, "aspect_ratio": "1:1"}),
    ("veo-3-1-text-to-video", {"duration": 4, "resolution": "4k"}),
    ("runway-4-5-text-to-video", {"duration": 8, "ratio": "832:1104"}),
    ("runway-gen4-turbo", {"prompt": None, "duration": 10}),
    ("runway-act-two", {"prompt": None, "expression_intensity": 5}),
]

REFUSED = [
    ("nano-banana-pro", {"prompt": "a"}, 400),
    ("nano-banana-pro", {"prompt": "x" * 3001}, 400),
    ("nano-banana-pro", {"aspect_ratio": "7:3"}, 400),
    ("nano-banana-pro", {"resolution": "8K"}, 400),
    ("nano-banana-pro", {"output_format": "jpeg"}, 400),
    ("nano-banana-pro", {"image_input": [PNG, PNG], "reference_images": [PNG, PNG]}, 400),
    ("nano-banana-pro", {"image_input": [f"{PNG}?signed=1"]}, 400),
    ("nano-banana-pro", {"image_input": ["https://example.com/a.gif"]}, 400),
    ("nano-banana-pro", {"image_input": ["data:image/gif;base64,AAAA"]}, 400),
    ("nano-banana-pro", {"image_input": PNG}, 400),
    ("nano-banana-pro-flash", {"use_google_search_tool": "yes"}, 400),
    ("seedream-v4-5", {"aspect_ratio": "5:4"}, 400),
    ("seedream-v4-5", {"aspect_ratio": 1}, 400),
    ("seedream-v4-5", {"seed": "7"}, 400),
    ("seedream-v4-5", {"seed": True}, 400),
    ("seedream-v4-5", {"seed": 2**32}, 422),
    ("seedream-v4-5", {"prompt": "x" * 4097}, 422),
    ("seedream-v4-5-edit", {"reference_images": [PNG] * 6}, 400),
    ("seedream-v5-lite-edit", {"reference_images": []}, 400),
    ("z-image", {"image_size": "huge"}, 422),
    ("z-image", {"num_inference_steps": 51}, 422),
    ("z-image", {"num_inference_steps": 8.0}, 400),
    ("gemini-2.5-flash-image-preview", {"reference_images": [PNG] * 4}, 400),
    ("imagen4-ultra", {"aspect_ratio": "21:9"}, 400),
    ("imagen4-ultra", {"seed": 0}, 400),
    ("imagen4-ultra", {"seed": 2**32}, 422),
    ("imagen4-ultra", {"person_generation": "all"}, 400),
    ("imagen4-fast", {"compression_quality": 0}, 400),
    ("imagen4-fast", {"safety_settings": "none"}, 400),
    ("flux-2-pro", {"width": 1024}, 400),
    ("flux-2-pro", {"height": 1024}, 400),
    ("flux-2-pro", {"width": 255, "height": 512}, 400),
    ("flux-2-pro", {"width": 512, "height": 1441}, 400),
    ("flux-2-pro", {"input_image": PNG, "reference_images": [PNG] * 4}, 400),
    ("flux-2-pro", {"input_image": [PNG]}, 400),
    ("kling-v3-pro", {"duration": 5}, 400),
    ("kling-v3-pro", {"duration": "16"}, 422),
    ("kling-v3-pro", {"cfg_scale": 1.5}, 422),
    ("kling-v3-pro", {"prompt": None}, 400),
    ("kling-v3-pro", {"multi_prompt": ["a"]}, 400),
    ("kling-v3-pro", {"multi_prompt": [{"duration": "8"}, {"duration": "8"}]}, 422),
    ("kling-v3-omni-pro", {"multi_prompt": ["a"] * 7}, 422),
    ("kling-v3-omni-pro", {"multi_prompt": [{"prompt": "a"}]}, 400),
    ("kling-v3-omni-std", {"image_urls": [PNG] * 4, "elements": [{}]}, 422),
    ("kling-v3-omni-pro-video-reference", {"video_url": None}, 422),
    ("kling-v3-motion-control-std", {"image_url": ""}, 400),
    ("wan-2-7-text-to-video", {"duration": "5"}, 400),
    ("wan-2-7-text-to-video", {"duration": 16}, 422),
    ("wan-2-7-text-to-video", {"additional_settings": []}, 400),
    ("wan-2-7-reference-to-video", {"image_urls": None}, 422),
    ("wan-2-7-reference-to-video", {"image_urls": [PNG] * 3, "video_urls": [MP4] * 3}, 422),
    ("wan-2-6-image-to-video", {"image": None}, 422),
    ("wan-2-6-text-to-video", {"duration": 5}, 400),
    ("wan-2-6-text-to-video", {"size": "1x1"}, 422),
    ("seedance-1-5-pro-text-to-video", {"seed": -2}, 422),
    ("veo-3-1-text-to-video", {"duration": 5}, 422),
    ("veo-3-1-text-to-video", {"duration": "4"}, 400),
    ("veo-3-1-reference-to-video", {"image_urls": [PNG] * 4}, 422),
    ("veo-3-1-reference-to-video", {"image_urls": []}, 422),
    ("runway-4-5-text-to-video", {"prompt": "x" * 2001}, 422),
    ("runway-gen4-turbo", {"prompt": ""}, 400),
    ("runway-act-two", {"character": PNG}, 400),
]


@pytest.mark.parametrize(("model", "members"), ACCEPTED)
async def test_what_the_pages_allow_is_accepted(
    emulator: Emulator, model: str, members: dict[str, Any]
) -> None:
    reply = await post(emulator, order(model, **(wanted(model) | members)))
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(("model", "members", "status"), REFUSED)
async def test_what_the_pages_forbid_is_refused_and_not_charged(
    emulator: Emulator, model: str, members: dict[str, Any], status: int
) -> None:
    reply = await post(emulator, order(model, **(wanted(model) | members)))
    assert reply.status_code == reply.json()["code"] == status
    assert reply.json()["msg"]
    assert not emulator.charges


@pytest.mark.parametrize("model", CORE)
@pytest.mark.parametrize("prompt", [None, "", "  ", 7, ["a"]])
async def test_every_core_model_wants_a_prompt(
    emulator: Emulator, model: str, prompt: object
) -> None:
    body = {"model": model, "input": {"prompt": prompt, **wanted(model)}}
    assert (await post(emulator, body)).status_code == 400


@pytest.mark.parametrize("model", sorted(CATALOGUE))
async def test_every_model_of_the_market_is_known(emulator: Emulator, model: str) -> None:
    reply = await post(emulator, order(model, **wanted(model)))
    assert reply.status_code == 200, reply.text


def test_the_market_has_35_models_of_which_the_documented_ones_are_marked() -> None:
    assert len(CATALOGUE) == 35
    documented = {slug for slug, model in CATALOGUE.items() if model.source == "documented"}
    assert documented == set(CORE) - {"seedream-v5-lite-edit"}
    assert set(GUESSED_SLUGS.values()) == set(CATALOGUE) - documented


@pytest.mark.parametrize(
    "body",
    [
        {"input": {"prompt": "a"}},
        {"model": 5, "input": {"prompt": "a"}},
        {"model": "dall-e", "input": {"prompt": "a"}},
        {"model": "z-image"},
        {"model": "z-image", "input": "a cat"},
        {"model": "z-image", "input": {"prompt": "a"}, "callBackUrl": "ftp://example.com/"},
        {"model": "z-image", "input": {"prompt": "a"}, "callBackUrl": "/hook"},
        {"model": "z-image", "input": {"prompt": "a"}, "callBackUrl": "http://[::"},
        {"model": "z-image", "input": {"prompt": "a"}, "callBackUrl": 1},
    ],
)
async def test_what_surrounds_the_input_is_checked_too(
    emulator: Emulator, body: dict[str, Any]
) -> None:
    reply = await post(emulator, body)
    assert reply.status_code == reply.json()["code"] == 400
