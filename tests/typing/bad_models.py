"""
Mistakes that a type checker must find: each line carries the error that it has to show.

Checked with `mypy --strict`, which also objects to an ignore that ignores nothing, so that a
mistake that is no longer found fails the check.  Never run.
"""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from liangxin import models
from liangxin.models import (
    Flux2Pro,
    Imagen4Ultra,
    KlingV3Pro,
    NanoBananaPro,
    RunwayActTwo,
    RunwayGen45TextToVideo,
    SeedreamV45,
    SeedreamV45Edit,
    Veo31TextToVideo,
    Wan26TextToVideo,
    Wan27TextToVideo,
    ZImage,
    configure,
    facts,
)

PNG = "https://example.com/in/cat.png"


def a_word_that_is_not_among_the_choices() -> None:
    SeedreamV45(prompt="fog", aspect_ratio="5:4")  # type: ignore[arg-type]
    NanoBananaPro(prompt="fog", aspect_ratio="square_1_1")  # type: ignore[arg-type]
    NanoBananaPro(prompt="fog", output_format="jpeg")  # type: ignore[arg-type]
    Imagen4Ultra(prompt="fog", language="de")  # type: ignore[arg-type]
    KlingV3Pro(prompt="fog", duration="20")  # type: ignore[arg-type]
    Veo31TextToVideo(prompt="fog", duration=5)  # type: ignore[arg-type]
    RunwayGen45TextToVideo(prompt="fog", ratio="16:9")  # type: ignore[arg-type]


def a_required_field_that_is_missing() -> None:
    ZImage()  # type: ignore[call-arg]
    SeedreamV45Edit(prompt="fog")  # type: ignore[call-arg]
    SeedreamV45Edit(reference_images=[PNG])  # type: ignore[call-arg]
    Wan27TextToVideo(slug="wan")  # type: ignore[call-arg]
    RunwayActTwo(character={"type": "image", "uri": PNG})  # type: ignore[call-arg]


def a_field_that_the_model_does_not_have() -> None:
    ZImage(prompt="fog", promt="fog")  # type: ignore[call-arg]
    NanoBananaPro(prompt="fog", use_google_search_tool=True)  # type: ignore[call-arg]
    Flux2Pro(prompt="fog", size="1K")  # type: ignore[call-arg]
    Wan27TextToVideo(prompt="fog", size="1280*720")  # type: ignore[call-arg]


def a_value_of_the_wrong_type() -> None:
    ZImage(prompt=None)  # type: ignore[arg-type]
    ZImage(prompt="fog", seed="7")  # type: ignore[arg-type]
    ZImage(prompt="fog", image_size=1024)  # type: ignore[arg-type]
    KlingV3Pro(prompt="fog", duration=5)  # type: ignore[arg-type]
    KlingV3Pro(multi_prompt=[{"prompt": "fog", "duration": 5}])  # type: ignore[typeddict-item]
    KlingV3Pro(multi_prompt=[{"promt": "fog"}])  # type: ignore[typeddict-unknown-key]
    NanoBananaPro(prompt="fog", image_input=[1])  # type: ignore[list-item]
    Wan27TextToVideo(prompt="fog", duration="5")  # type: ignore[arg-type]
    Wan26TextToVideo(prompt="fog", duration=5)  # type: ignore[arg-type]
    RunwayActTwo(character=PNG, reference={"uri": PNG})  # type: ignore[arg-type]
    ZImage(prompt="fog", strict="yes")  # type: ignore[arg-type]
    ZImage(prompt="fog", extra=["seed"])  # type: ignore[arg-type]
    ZImage(prompt="fog", slug=7)  # type: ignore[arg-type]
    configure({ZImage: 7})  # type: ignore[dict-item]


def a_picture_that_is_none(folder: Path, text: TextIO) -> None:
    Flux2Pro(prompt="fog", input_image=1)  # type: ignore[arg-type]
    Flux2Pro(prompt="fog", input_image=text)  # type: ignore[arg-type]
    Flux2Pro(prompt="fog", input_image=[folder / "cat.png"])  # type: ignore[arg-type]
    NanoBananaPro(prompt="fog", image_input=folder / "cat.png")  # type: ignore[arg-type]
    NanoBananaPro(prompt="fog", image_input=b"...")  # type: ignore[arg-type]
    NanoBananaPro(prompt="fog", image_input=[folder, 1])  # type: ignore[list-item]
    NanoBananaPro(prompt=folder / "cat.png")  # type: ignore[arg-type]


def a_prompt_without_its_name() -> None:
    ZImage("fog")  # type: ignore[call-arg]


def a_change_to_what_is_frozen() -> None:
    ZImage(prompt="fog").prompt = "sun"  # type: ignore[misc]


def a_model_that_there_is_not() -> None:
    models.ZImagee(prompt="fog")  # type: ignore[attr-defined]


def facts_about_something_else() -> None:
    facts(str)  # type: ignore[arg-type]
