"""
The models of the Market, as typed inputs: one class each, documented or not.

    from liangxin.models import NanoBananaProFlash

    icon = NanoBananaProFlash(prompt="A clean app icon", aspect_ratio="1:1")

An input is checked when it is made, before anything is sent or paid: a broken documented limit
raises `InputError`, a broken inferred one warns with `InferredLimitWarning` and passes.  Optional
fields that are not set are not sent, so the service's own defaults apply.

Every class takes three keywords beside its fields: `strict=True` makes inferred limits errors too
and `strict=False` sends anything that JSON can carry; `extra={...}` sends fields that the class
does not have; `slug=` says the model's name at the service.  Of some models the documentation
names no slug: these need `slug=` each time, or `configure` once, for nothing is guessed in a
request that costs money.

`facts(model)` tells what is known about each field, and from where; `catalogue()` tells it of all
models, and `json_schema(model)` in a form that other programs understand.
"""

from typing import TYPE_CHECKING

from liangxin._media import LocalMedia as LocalMedia
from liangxin._media import Media as Media
from liangxin.models._catalogue import ModelFacts as ModelFacts
from liangxin.models._catalogue import RuleFacts as RuleFacts
from liangxin.models._catalogue import catalogue as catalogue
from liangxin.models._known import FAMILY_OF, class_named
from liangxin.models._known import configure as configure
from liangxin.models._rules import FieldFacts as FieldFacts
from liangxin.models._rules import Limits as Limits
from liangxin.models._rules import facts as facts
from liangxin.models._schema import json_schema as json_schema

if TYPE_CHECKING:
    from liangxin.models.flux import Flux2Pro
    from liangxin.models.google import (
        Gemini25FlashImagePreview,
        Imagen4Fast,
        Imagen4Ultra,
        NanoBananaPro,
        NanoBananaProFlash,
    )
    from liangxin.models.kling import (
        KlingV3MotionControlPro,
        KlingV3MotionControlStd,
        KlingV3OmniPro,
        KlingV3OmniProVideoReference,
        KlingV3OmniStd,
        KlingV3OmniStdVideoReference,
        KlingV3Pro,
        KlingV3Std,
    )
    from liangxin.models.runway import (
        RunwayActTwo,
        RunwayGen4TurboImageToVideo,
        RunwayGen45ImageToVideo,
        RunwayGen45TextToVideo,
    )
    from liangxin.models.seedance import Seedance15ProImageToVideo, Seedance15ProTextToVideo
    from liangxin.models.seedream import (
        SeedreamV5Lite,
        SeedreamV5LiteEdit,
        SeedreamV45,
        SeedreamV45Edit,
    )
    from liangxin.models.veo import (
        Veo31FastImageToVideo,
        Veo31FastTextToVideo,
        Veo31ImageToVideo,
        Veo31ReferenceToVideo,
        Veo31TextToVideo,
    )
    from liangxin.models.wan import (
        Wan26ImageToVideo,
        Wan26TextToVideo,
        Wan27ImageToVideo,
        Wan27ReferenceToVideo,
        Wan27TextToVideo,
    )
    from liangxin.models.z_image import ZImage

__all__ = [
    "Flux2Pro",
    "Gemini25FlashImagePreview",
    "Imagen4Fast",
    "Imagen4Ultra",
    "KlingV3MotionControlPro",
    "KlingV3MotionControlStd",
    "KlingV3OmniPro",
    "KlingV3OmniProVideoReference",
    "KlingV3OmniStd",
    "KlingV3OmniStdVideoReference",
    "KlingV3Pro",
    "KlingV3Std",
    "NanoBananaPro",
    "NanoBananaProFlash",
    "RunwayActTwo",
    "RunwayGen4TurboImageToVideo",
    "RunwayGen45ImageToVideo",
    "RunwayGen45TextToVideo",
    "Seedance15ProImageToVideo",
    "Seedance15ProTextToVideo",
    "SeedreamV5Lite",
    "SeedreamV5LiteEdit",
    "SeedreamV45",
    "SeedreamV45Edit",
    "Veo31FastImageToVideo",
    "Veo31FastTextToVideo",
    "Veo31ImageToVideo",
    "Veo31ReferenceToVideo",
    "Veo31TextToVideo",
    "Wan26ImageToVideo",
    "Wan26TextToVideo",
    "Wan27ImageToVideo",
    "Wan27ReferenceToVideo",
    "Wan27TextToVideo",
    "ZImage",
]

if not TYPE_CHECKING:  # which would take any name for one that is there

    def __getattr__(name):
        if name not in FAMILY_OF:
            raise AttributeError(f"module 'liangxin.models' has no attribute {name!r}")
        # A family at a time: attrs takes 39 ms to make all 35 classes.
        model = class_named(name)
        globals()[name] = model
        return model


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
