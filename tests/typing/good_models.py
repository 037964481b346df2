"""Inputs as users write them: every type checker must agree with all of this."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

from PIL import Image

from liangxin.models import (
    Flux2Pro,
    Gemini25FlashImagePreview,
    Imagen4Fast,
    Imagen4Ultra,
    KlingV3MotionControlPro,
    KlingV3OmniPro,
    KlingV3OmniStdVideoReference,
    KlingV3Pro,
    Media,
    NanoBananaPro,
    NanoBananaProFlash,
    RunwayActTwo,
    RunwayGen4TurboImageToVideo,
    RunwayGen45TextToVideo,
    Seedance15ProImageToVideo,
    SeedreamV5Lite,
    SeedreamV5LiteEdit,
    SeedreamV45,
    SeedreamV45Edit,
    Veo31FastImageToVideo,
    Veo31ReferenceToVideo,
    Wan26TextToVideo,
    Wan27ReferenceToVideo,
    Wan27TextToVideo,
    ZImage,
    catalogue,
    configure,
    facts,
    json_schema,
)

PNG = "https://example.com/in/cat.png"
SIZE_OF_TOMORROW: str = "square"

icon = NanoBananaProFlash(
    prompt="A clean app icon",
    aspect_ratio="1:1",
    resolution="1K",
    use_google_search_tool=False,
    output_format="png",
)
assert_type(icon, NanoBananaProFlash)
assert_type(icon.payload(), dict[str, object])
assert_type(icon.prompt, str)
assert_type(icon.use_google_search_tool, bool | None)
assert_type(icon.slug, str)

MP4 = "https://example.com/in/dance.mp4"
configure({Wan27TextToVideo: "wan-of-this-sample"})
configure({Wan27TextToVideo: "wan-of-this-sample", Wan26TextToVideo: None})
configure({"Wan27TextToVideo": None})
configure(dict.fromkeys(["Wan27TextToVideo"], "wan-of-this-sample"))

made = [
    SeedreamV45(prompt="fog", aspect_ratio="16:9"),
    SeedreamV45(prompt="fog", aspect_ratio="widescreen_16_9", seed=7, enable_safety_checker=True),
    SeedreamV45Edit(prompt="fog", reference_images=[PNG]),
    SeedreamV5Lite(prompt="fog", aspect_ratio=None),
    SeedreamV5LiteEdit(prompt="fog", reference_images=(PNG, PNG), slug="named"),
    ZImage(prompt="fog", image_size="square_hd", num_inference_steps=8),
    ZImage(prompt="fog", image_size=SIZE_OF_TOMORROW, output_format=None),
    Gemini25FlashImagePreview(prompt="fog", reference_images=[PNG]),
    NanoBananaPro(prompt="fog", image_input=[PNG], resolution="high"),
    Imagen4Fast(prompt="fog", language="zh-CN"),
    Imagen4Ultra(prompt="fog", aspect_ratio="3:4", output_format="image/jpeg"),
    Flux2Pro(prompt="fog", width=512, height=512, input_image=PNG),
    KlingV3Pro(prompt="fog", duration="5", cfg_scale=0.5),
    KlingV3Pro(prompt="fog", cfg_scale=1),
    KlingV3Pro(
        multi_prompt=[{"prompt": "fog", "duration": "3"}, {"prompt": "sun", "duration": "4"}],
        elements=[{"reference_image_urls": [PNG], "frontal_image_url": PNG}],
    ),
    KlingV3OmniPro(multi_prompt=["fog", "sun"], image_urls=[PNG], slug="named"),
    KlingV3OmniStdVideoReference(video_url=MP4, duration="10", slug="named"),
    KlingV3MotionControlPro(image_url=PNG, video_url=MP4, slug="named"),
    Wan27TextToVideo(prompt="fog", duration=5, additional_settings={"any": [1, None]}),
    Wan27ReferenceToVideo(prompt="fog", video_urls=[MP4], slug="named"),
    Wan26TextToVideo(prompt="fog", duration="5", size="1280*720", slug="named"),
    Seedance15ProImageToVideo(prompt="fog", image=PNG, slug="named"),
    Veo31FastImageToVideo(prompt="fog", image=PNG, duration=8, slug="named"),
    Veo31ReferenceToVideo(prompt="fog", image_urls=[PNG], resolution="4k", slug="named"),
    RunwayGen45TextToVideo(prompt="fog", ratio="960:960", duration=10, slug="named"),
    RunwayGen4TurboImageToVideo(image=PNG, slug="named"),
    RunwayActTwo(
        character={"type": "image", "uri": PNG},
        reference={"type": "video", "uri": MP4},
        slug="named",
    ),
    ZImage(prompt="fog", strict=True, extra={"watermark": False}, slug="z-image-v2"),
    ZImage(prompt="fog", strict=False),
]

assert_type(facts(ZImage)["seed"].required, bool)
assert_type(json_schema(ZImage, strict=True), dict[str, object])
assert_type([row.name for row in catalogue() if row.slug is None], list[str])


def pictures(folder: Path) -> list[NanoBananaPro | Flux2Pro | KlingV3Pro]:
    image = Image.new("RGB", (8, 8))
    mixed: list[Media] = [PNG, folder / "cat.png", b"...", image]
    with (folder / "cat.png").open("rb") as file, Image.open(folder / "cat.png") as opened:
        made: list[NanoBananaPro | Flux2Pro | KlingV3Pro] = [
            NanoBananaPro(prompt="fog", image_input=[PNG, folder / "cat.png", b"..."]),
            NanoBananaPro(prompt="fog", image_input=[image, opened, opened.convert("L")]),
            NanoBananaPro(prompt="fog", image_input=[file, io.BytesIO(b"..."), bytearray(b"...")]),
            NanoBananaPro(prompt="fog", image_input=[folder / "cat.png"], reference_images=mixed),
            NanoBananaPro(prompt="fog", image_input=tuple(mixed), reference_images=None),
            Flux2Pro(prompt="fog", input_image=folder / "cat.png", input_image_2=image),
            KlingV3Pro(prompt="fog", start_image_url=memoryview(b"..."), end_image_url=file),
        ]
    assert_type(NanoBananaPro(prompt="fog").image_input, Sequence[Media] | None)
    return made
