"""Each limit: what breaks it is refused or warned about in a sentence; what meets it passes."""

from __future__ import annotations

import copy
import enum
import inspect
import io
import json
import pickle
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest

from liangxin import models
from liangxin._errors import InferredLimitWarning, InputError
from liangxin._media import LocalMedia
from liangxin._tasks import RawInput, Task
from liangxin.models import (
    Flux2Pro,
    Gemini25FlashImagePreview,
    Imagen4Fast,
    Imagen4Ultra,
    KlingV3OmniPro,
    KlingV3Pro,
    KlingV3Std,
    NanoBananaPro,
    NanoBananaProFlash,
    RunwayActTwo,
    RunwayGen45TextToVideo,
    SeedreamV5Lite,
    SeedreamV5LiteEdit,
    SeedreamV45,
    SeedreamV45Edit,
    Veo31TextToVideo,
    Wan26TextToVideo,
    Wan27ImageToVideo,
    Wan27ReferenceToVideo,
    Wan27TextToVideo,
    ZImage,
    configure,
    facts,
)
from liangxin.models._checks import _MEDIA_TAKEN, CheckedInput, _checks, already_warned

PNG = "https://example.com/in/cat.png"
INLINE = "data:image/png;base64,iVBORw0KGgo="
TEXT = "a lighthouse in fog"

Model = type[CheckedInput]


@pytest.fixture(autouse=True)
def _nothing_warned_yet() -> Iterator[None]:
    already_warned.clear()
    yield
    already_warned.clear()


def refused(model: Model, **fields: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        model(**fields)
    return caught.value


def warned(model: Model, **fields: Any) -> tuple[CheckedInput, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = model(**fields)
    assert all(w.category is InferredLimitWarning for w in caught)
    return made, [str(w.message) for w in caught]


# --- documented limits -------------------------------------------------------------------------

RATIOS_OF_FLUX = "one of '1:1', '16:9', '9:16', '4:3', '3:4', '3:2', '2:3', '21:9'"
PICTURES_OF_FLUX = [
    "input_image",
    "input_image_2",
    "input_image_3",
    "input_image_4",
    "reference_images",
]
PICTURES = (
    "web addresses ending in .png, .jpg, .jpeg, .webp, "
    "or data URIs of the types image/png, image/jpeg, image/webp"
)

BROKEN: list[tuple[Model, dict[str, Any], str, object, str]] = [
    # model, fields, the field blamed, its value, what is allowed
    (NanoBananaPro, {"prompt": "x"}, "prompt", "x", "2 to 3000 characters"),
    (NanoBananaPro, {"prompt": "x" * 3001}, "prompt", "x" * 3001, "2 to 3000 characters"),
    (NanoBananaProFlash, {"prompt": ""}, "prompt", "", "2 to 3000 characters"),
    (SeedreamV45, {"prompt": ""}, "prompt", "", "at least 1 character"),
    (ZImage, {"prompt": ""}, "prompt", "", "at least 1 character"),
    (Imagen4Ultra, {"prompt": ""}, "prompt", "", "at least 1 character"),
    (Flux2Pro, {"prompt": ""}, "prompt", "", "at least 1 character"),
    (Flux2Pro, {"width": 255, "height": 256}, "width", 255, "256 to 1440"),
    (Flux2Pro, {"width": 256, "height": 1441}, "height", 1441, "256 to 1440"),
    (Flux2Pro, {"width": 256}, "height", None, "width and height together, or neither"),
    (Flux2Pro, {"height": 256}, "width", None, "width and height together, or neither"),
    (Flux2Pro, {"aspect_ratio": "5:4"}, "aspect_ratio", "5:4", RATIOS_OF_FLUX),
    (
        Flux2Pro,
        {"reference_images": [PNG] * 5},
        "reference_images",
        (PNG,) * 5,
        "at most 4 items",
    ),
    (
        Flux2Pro,
        {"input_image": PNG, "input_image_4": PNG, "reference_images": [PNG] * 3},
        "reference_images",
        (PNG,) * 3,
        f"at most 4 pictures in {' and '.join(PICTURES_OF_FLUX)} together",
    ),
    (
        NanoBananaPro,
        {"image_input": [PNG] * 2, "reference_images": [INLINE] * 2},
        "reference_images",
        (INLINE,) * 2,
        "at most 3 pictures in image_input and reference_images together",
    ),
    (NanoBananaPro, {"image_input": [PNG] * 4}, "image_input", (PNG,) * 4, "at most 3 items"),
    (
        NanoBananaProFlash,
        {"output_format": "jpeg"},
        "output_format",
        "jpeg",
        "one of 'png'",
    ),
    (
        NanoBananaProFlash,
        {"resolution": "8K"},
        "resolution",
        "8K",
        "one of '1K', '2K', '4K', 'low', 'medium', 'high'",
    ),
    (Imagen4Ultra, {"seed": 0}, "seed", 0, "at least 1"),
    (Imagen4Ultra, {"compression_quality": 0}, "compression_quality", 0, "1 to 100"),
    (Imagen4Ultra, {"compression_quality": 101}, "compression_quality", 101, "1 to 100"),
    (
        Imagen4Ultra,
        {"person_generation": "allow"},
        "person_generation",
        "allow",
        "one of 'dont_allow', 'allow_adult', 'allow_all'",
    ),
    (
        SeedreamV45Edit,
        {"reference_images": [PNG] * 6},
        "reference_images",
        (PNG,) * 6,
        "at most 5 pictures in reference_images",
    ),
    *(
        (NanoBananaPro, {"image_input": [PNG, bad]}, "image_input", bad, PICTURES)
        for bad in (
            "",
            "cat.png",
            "/in/cat.png",
            "file:///in/cat.png",
            "https://example.com/in/cat",
            "https://example.com/in/cat.gif",
            "https://example.com/in/cat.png/full",
            "https://example.com/in/cat?as=.png&v=2",
            "data:image/gif;base64,R0lGODlh",
            "data:text/plain,cat.png",
            "data:image/png;base64",
            "data:image/png;base64,",
            "data:,cat.png",
        )
    ),
]


@pytest.mark.parametrize(("model", "fields", "field", "value", "allowed"), BROKEN)
def test_a_broken_documented_limit_is_refused_in_a_sentence(
    model: Model, fields: dict[str, Any], field: str, value: object, allowed: str
) -> None:
    error = refused(model, **{"prompt": TEXT, **fields})
    assert (error.field, error.value, error.allowed) == (field, value, allowed)
    assert error.message.startswith(f"{model.__name__}.{field}")
    assert error.message.endswith(f"; it takes {allowed}")
    assert len(error.message) < 500


AT_THE_EDGE: list[tuple[Model, dict[str, Any]]] = [
    (NanoBananaPro, {"prompt": "xy"}),
    (NanoBananaPro, {"prompt": "𝕏" * 3000}),
    (ZImage, {"prompt": "x"}),
    (ZImage, {"prompt": " "}),
    (Flux2Pro, {"width": 256, "height": 1440}),
    (Flux2Pro, {"reference_images": [PNG] * 4}),
    (Flux2Pro, {"reference_images": []}),
    (Flux2Pro, {"input_image": PNG, "input_image_4": PNG, "reference_images": [PNG] * 2}),
    (NanoBananaPro, {"image_input": [PNG] * 2, "reference_images": [INLINE]}),
    (NanoBananaPro, {"image_input": [], "reference_images": [PNG] * 3}),
    (Imagen4Ultra, {"seed": 1, "compression_quality": 1}),
    (Imagen4Ultra, {"seed": 2**32 - 1, "compression_quality": 100}),
    (Imagen4Ultra, {"output_format": "image/jpeg", "aspect_ratio": "3:4", "language": "zh-CN"}),
    (SeedreamV45, {"aspect_ratio": "21:9", "seed": 0}),
    (SeedreamV45, {"aspect_ratio": "cinematic_21_9", "seed": 2**32 - 1}),
    (SeedreamV45, {"prompt": "x" * 4096}),
    (SeedreamV45Edit, {"reference_images": [PNG] * 5}),
    (SeedreamV5LiteEdit, {"reference_images": [PNG]}),
    (Gemini25FlashImagePreview, {"reference_images": [PNG] * 3}),
    (ZImage, {"image_size": "landscape_16_9", "aspect_ratio": "16:9", "output_format": "jpeg"}),
    (ZImage, {"num_inference_steps": 50}),
    (KlingV3Pro, {"duration": "3", "cfg_scale": 0}),
    (KlingV3Pro, {"duration": "15", "cfg_scale": 1.0}),
    (KlingV3Pro, {"prompt": None, "multi_prompt": [{"prompt": TEXT}] * 6}),
    (KlingV3Pro, {"multi_prompt": [{"duration": "7.5"}, {"duration": "7.5"}, {"duration": "?"}]}),
    (KlingV3OmniPro, {"image_urls": [PNG] * 2, "elements": [{}] * 2}),
    (Wan27ReferenceToVideo, {"image_urls": [PNG] * 2, "video_urls": [PNG] * 3}),
    (Veo31TextToVideo, {"duration": 8}),
    *(
        (NanoBananaPro, {"image_input": [good]})
        for good in (
            "http://example.com/cat.jpg",
            "https://example.com/cat.JPEG",
            "https://example.com/cat.webp?X-Signature=a.b/c",
            "https://example.com/cat.webp#top",
            "https://example.com/fetch?name=cat.png",
            "data:image/webp;base64,UklGRg==",
            "DATA:image/JPEG;base64,/9j/",
        )
    ),
]


@pytest.mark.parametrize(("model", "fields"), AT_THE_EDGE)
def test_what_just_meets_a_limit_passes_in_silence(model: Model, fields: dict[str, Any]) -> None:
    sent = model(**{"prompt": TEXT, **fields}, slug="named").payload()
    asked = {"prompt": TEXT, **fields}
    assert sent == {name: value for name, value in asked.items() if value is not None}


def test_the_first_documented_limit_speaks_before_any_inferred_one() -> None:
    error = refused(SeedreamV45, prompt=TEXT, seed=-1, aspect_ratio="16;9")
    assert error.field == "aspect_ratio"
    assert not already_warned


# --- inferred limits ---------------------------------------------------------------------------

DOUBTFUL: list[tuple[Model, dict[str, Any], str]] = [
    (SeedreamV45, {"prompt": "x" * 4097}, "prompt"),
    (SeedreamV45, {"seed": -1}, "seed"),
    (SeedreamV45, {"seed": 2**32}, "seed"),
    (SeedreamV45Edit, {"prompt": "", "reference_images": [PNG]}, "prompt"),
    (SeedreamV45Edit, {"reference_images": []}, "reference_images"),
    (SeedreamV5Lite, {"prompt": ""}, "prompt"),
    (SeedreamV5Lite, {"aspect_ratio": "5:4"}, "aspect_ratio"),
    (SeedreamV5LiteEdit, {"prompt": "", "reference_images": [PNG]}, "prompt"),
    (SeedreamV5LiteEdit, {"reference_images": [PNG] * 6}, "reference_images"),
    (Gemini25FlashImagePreview, {"prompt": ""}, "prompt"),
    (Gemini25FlashImagePreview, {"reference_images": [PNG] * 4}, "reference_images"),
    (ZImage, {"image_size": "huge"}, "image_size"),
    (ZImage, {"aspect_ratio": "21:9"}, "aspect_ratio"),
    (ZImage, {"output_format": "webp"}, "output_format"),
    (ZImage, {"num_inference_steps": 51}, "num_inference_steps"),
    (Imagen4Fast, {"prompt": ""}, "prompt"),
    (Imagen4Fast, {"seed": 0}, "seed"),
    (Imagen4Fast, {"language": "de"}, "language"),
    (Imagen4Ultra, {"seed": 2**32}, "seed"),
    (Flux2Pro, {"seed": 2**32}, "seed"),
    (KlingV3Pro, {"prompt": None}, "prompt"),
    (KlingV3Pro, {"prompt": ""}, "prompt"),
    (KlingV3Pro, {"prompt": None, "multi_prompt": []}, "prompt"),
    (KlingV3Pro, {"prompt": "x" * 2501}, "prompt"),
    (KlingV3Pro, {"negative_prompt": "x" * 2501}, "negative_prompt"),
    (KlingV3Pro, {"multi_prompt": [{"prompt": TEXT}] * 7}, "multi_prompt"),
    (KlingV3Pro, {"multi_prompt": [{"duration": "8"}] * 2}, "multi_prompt"),
    (KlingV3OmniPro, {"image_urls": [PNG] * 2, "elements": [{}] * 3}, "elements"),
    (Wan27ReferenceToVideo, {"image_urls": [PNG] * 3, "video_urls": [PNG] * 3}, "video_urls"),
    (Wan27ReferenceToVideo, {"image_urls": []}, "image_urls"),
    (Veo31TextToVideo, {"duration": 5}, "duration"),
    (RunwayGen45TextToVideo, {"duration": -5}, "duration"),
    (KlingV3Pro, {"duration": "2"}, "duration"),
    (KlingV3Pro, {"duration": "5s"}, "duration"),
    (KlingV3Pro, {"aspect_ratio": "4:3"}, "aspect_ratio"),
    (KlingV3Pro, {"cfg_scale": 1.01}, "cfg_scale"),
    (NanoBananaPro, {"image_input": ["data:image/jpg;base64,/9j/"]}, "image_input"),
]


@pytest.mark.parametrize(("model", "fields", "field"), DOUBTFUL)
def test_a_broken_inferred_limit_warns_and_the_value_is_sent(
    model: Model, fields: dict[str, Any], field: str
) -> None:
    made, said = warned(model, **{"prompt": TEXT, **fields}, slug="named")
    assert len(said) == 1
    assert said[0].startswith(f"{model.__name__}.{field}")
    assert said[0].endswith("but that is inferred, not documented: sent as it is")
    assert made.payload().get(field) == fields[field]
    error = refused(model, **{"prompt": TEXT, **fields}, slug="named", strict=True)
    assert error.field == field
    assert error.message.endswith("(inferred, and refused because of strict=True)")


def test_an_inferred_limit_is_mentioned_once_for_each_model_and_field() -> None:
    assert len(warned(ZImage, prompt=TEXT, seed=-1)[1]) == 1
    assert warned(ZImage, prompt=TEXT, seed=-2)[1] == []
    assert len(warned(ZImage, prompt=TEXT, seed=-2, image_size="huge")[1]) == 1
    assert len(warned(SeedreamV45, prompt=TEXT, seed=-1)[1]) == 1


def test_a_filter_that_makes_the_warning_an_error_does_so_every_time() -> None:
    for _ in range(2):
        with pytest.raises(InferredLimitWarning, match=r"ZImage\.seed is -1"):
            ZImage(prompt=TEXT, seed=-1)


def test_the_warning_points_at_the_line_that_made_the_input() -> None:
    plain = ZImage(prompt=TEXT)
    line = inspect.currentframe().f_lineno  # type: ignore[union-attr]  # CPython has frames
    with pytest.warns(InferredLimitWarning) as made:
        ZImage(prompt=TEXT, seed=-1)
    with pytest.warns(InferredLimitWarning) as evolved:
        attrs.evolve(plain, num_inference_steps=0)
    places = [(w.filename, w.lineno) for w in (*made, *evolved)]
    assert places == [(__file__, line + 2), (__file__, line + 4)]


def test_the_names_that_nano_banana_may_take_for_ratios_pass_in_silence() -> None:
    made = NanoBananaPro(prompt=TEXT, aspect_ratio="widescreen_16_9")  # type: ignore[arg-type]
    assert made.payload()["aspect_ratio"] == "widescreen_16_9"
    assert refused(NanoBananaPro, prompt=TEXT, aspect_ratio="wide").field == "aspect_ratio"


# --- types -------------------------------------------------------------------------------------

MEDIA = "a URL, a data URI, a Path, bytes, an open binary file or a Pillow image"
NEVER: list[tuple[Model, dict[str, Any], str, str]] = [
    # model, fields, the field blamed, what is allowed
    (ZImage, {"prompt": None}, "prompt", "a string"),
    (ZImage, {"prompt": b"fog"}, "prompt", "a string"),
    (ZImage, {"prompt": ["fog"]}, "prompt", "a string"),
    (ZImage, {"prompt": True}, "prompt", "a string"),
    (ZImage, {"prompt": 7}, "prompt", 'a string, so write "7"'),
    (KlingV3Pro, {"duration": 5}, "duration", 'a string, so write "5"'),
    (KlingV3Pro, {"duration": 2.5}, "duration", 'a string, so write "2.5"'),
    (ZImage, {"seed": True}, "seed", "an integer"),
    (ZImage, {"seed": "seven"}, "seed", "an integer"),
    (ZImage, {"seed": "7"}, "seed", "an integer, so write 7"),
    (ZImage, {"seed": 7.0}, "seed", "an integer, so write 7"),
    (ZImage, {"seed": 7.5}, "seed", "an integer"),
    (Veo31TextToVideo, {"duration": "8"}, "duration", "an integer, so write 8"),
    (Wan27TextToVideo, {"duration": "5"}, "duration", "an integer, so write 5"),
    (Wan26TextToVideo, {"duration": 5}, "duration", 'a string, so write "5"'),
    (Wan27TextToVideo, {"additional_settings": []}, "additional_settings", "a mapping"),
    (RunwayActTwo, {"character": PNG, "reference": {}}, "character", "a mapping"),
    (RunwayActTwo, {"character": {1: PNG}, "reference": {}}, "character", "strings as keys"),
    (ZImage, {"seed": 1 << 20000}, "seed", "integers of at most 1000 bits"),
    (ZImage, {"enable_safety_checker": 1}, "enable_safety_checker", "True or False"),
    (ZImage, {"enable_safety_checker": "true"}, "enable_safety_checker", "True or False"),
    (KlingV3Pro, {"cfg_scale": True}, "cfg_scale", "a finite number"),
    (KlingV3Pro, {"cfg_scale": "0.5"}, "cfg_scale", "a finite number, so write 0.5"),
    (KlingV3Pro, {"cfg_scale": Fraction(1, 2)}, "cfg_scale", "a finite number"),
    (KlingV3Pro, {"cfg_scale": float("nan")}, "cfg_scale", "a finite number"),
    (KlingV3Pro, {"cfg_scale": float("-inf")}, "cfg_scale", "a finite number"),
    (KlingV3Pro, {"cfg_scale": 1 << 20000}, "cfg_scale", "integers of at most 1000 bits"),
    *(
        (
            NanoBananaPro,
            {"image_input": one},
            "image_input",
            "a list of images, so write [...] around it",
        )
        for one in (PNG, b"\x89PNG", Path("cat.png"), io.BytesIO(b"\x89PNG"))
    ),
    (NanoBananaPro, {"image_input": {PNG}}, "image_input", "a list of images"),
    (NanoBananaPro, {"image_input": iter([PNG])}, "image_input", "a list of images"),
    (SeedreamV45Edit, {"reference_images": None}, "reference_images", "a list of images"),
    *(
        (NanoBananaPro, {"image_input": [PNG, bad]}, "image_input", MEDIA)
        for bad in (None, 7, {"url": PNG}, [PNG], Path, b"", io.StringIO(PNG), io.BytesIO())
    ),
    (Flux2Pro, {"input_image": [PNG]}, "input_image", MEDIA),
    (Flux2Pro, {"input_image": 7}, "input_image", MEDIA),
    (
        KlingV3Pro,
        {"multi_prompt": {"prompt": TEXT}},
        "multi_prompt",
        "a list of mappings, so write [...] around it",
    ),
    (KlingV3Pro, {"multi_prompt": [TEXT]}, "multi_prompt", "mappings"),
    (KlingV3Pro, {"multi_prompt": [{1: TEXT}]}, "multi_prompt", "strings as keys"),
    (KlingV3Pro, {"elements": [{"frontal_image_url": {1, 2}}]}, "elements", "what JSON can hold"),
    (KlingV3Pro, {"elements": [{"frontal_image_url": b""}]}, "elements", _MEDIA_TAKEN),
    (KlingV3Pro, {"elements": [{"weight": float("inf")}]}, "elements", "what JSON can hold"),
]


@pytest.mark.parametrize(("model", "fields", "field", "allowed"), NEVER)
def test_what_has_the_wrong_type_is_refused(
    model: Model, fields: dict[str, Any], field: str, allowed: str
) -> None:
    words = {"prompt": TEXT} if "prompt" in facts(model) else {}
    error = refused(model, **{**words, **fields}, slug="named")
    assert (error.field, error.allowed) == (field, allowed)
    assert error.message.startswith(f"{model.__name__}.{field}")


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (ZImage, {"prompt": "fog \udcff"}),
        (ZImage, {"image_size": "\ud800"}),
        (NanoBananaPro, {"image_input": ["https://example.com/\udc80.png"]}),
        (KlingV3Pro, {"multi_prompt": [{"prompt": "\ud83d"}]}),
        (KlingV3Pro, {"multi_prompt": [{"\ud83d": "fog"}]}),
    ],
)
def test_text_that_utf8_cannot_encode_is_refused(model: Model, fields: dict[str, Any]) -> None:
    error = refused(model, **{"prompt": TEXT, **fields})
    assert "lone surrogate" in error.allowed
    assert error.message.isprintable()


def test_objects_that_contain_themselves_are_refused() -> None:
    endless: dict[str, object] = {}
    endless["again"] = endless
    assert refused(KlingV3Pro, prompt=TEXT, elements=[endless]).field == "elements"


def test_a_long_value_is_clipped_in_the_sentence_but_kept_in_the_error() -> None:
    error = refused(NanoBananaPro, prompt="fog " * 10_000)
    assert len(error.message) < 200
    assert "(40000 characters)" in error.message
    assert error.value == "fog " * 10_000


def test_a_missing_prompt_and_an_unknown_field_are_pythons_own_errors() -> None:
    with pytest.raises(TypeError, match="prompt"):
        ZImage()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="reference_images"):
        SeedreamV45Edit(prompt=TEXT)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="promt"):
        ZImage(prompt=TEXT, promt=TEXT)  # type: ignore[call-arg]


# --- what is on this machine ---------------------------------------------------------------------


class Opened:
    """A file whose every read is counted."""

    def __init__(self, data: object) -> None:
        self.data, self.reads = data, 0

    def read(self, size: int = -1, /) -> Any:
        self.reads += 1
        data, self.data = self.data, b""
        return data


def test_media_are_wrapped_in_the_order_in_which_they_were_given() -> None:
    made = NanoBananaPro(prompt=TEXT, image_input=[Path("cat.png"), PNG, b"\x89PNG"])
    assert made.image_input == (LocalMedia(Path("cat.png")), PNG, LocalMedia(b"\x89PNG"))
    assert made.payload()["image_input"] == list(made.image_input)
    assert Flux2Pro(prompt=TEXT, input_image=Path("cat.png")).input_image == LocalMedia(
        Path("cat.png")
    )


def test_an_open_file_is_read_once_from_where_it_stands() -> None:
    file = io.BytesIO(b"....\x89PNG")
    file.seek(4)
    made = NanoBananaPro(prompt=TEXT, image_input=[file])
    assert made.image_input == (LocalMedia(b"\x89PNG"),)
    same = attrs.evolve(made, prompt="another")
    assert same.image_input == made.image_input
    error = refused(NanoBananaPro, prompt=TEXT, image_input=[file])
    assert "nothing left to read" in error.message
    assert "pass its bytes or its path" in error.message


def test_what_the_owner_changes_afterwards_is_not_what_was_asked_for() -> None:
    drawn = bytearray(b"\x89PNG")
    made = NanoBananaPro(prompt=TEXT, image_input=[drawn, memoryview(drawn)[::2]])
    drawn[:] = b"....."
    assert made.image_input == (LocalMedia(b"\x89PNG"), LocalMedia(b"\x89N"))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (io.StringIO("cat"), 'open it with "rb"'),
        (Opened("cat"), "whose read() gives str, not bytes"),
        (Opened(None), "whose read() gives NoneType, not bytes"),
    ],
)
def test_a_file_that_gives_no_bytes_is_refused_in_a_sentence(file: Any, said: str) -> None:
    error = refused(NanoBananaPro, prompt=TEXT, image_input=[PNG, file])
    assert error.message.startswith("NanoBananaPro.image_input[1] is a file")
    assert said in error.message


def test_a_closed_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(b"\x89PNG")
    with path.open("rb") as file:
        pass
    assert "read of closed file" in refused(Flux2Pro, prompt=TEXT, input_image=file).message


def test_local_media_count_as_pictures_and_have_no_suffix() -> None:
    cat = Path("cat.of.tomorrow")
    assert refused(NanoBananaPro, prompt=TEXT, image_input=[cat] * 4).allowed == "at most 3 items"
    together = {"image_input": [cat, PNG], "reference_images": [cat, b"x"]}
    assert "number of pictures to 4" in refused(NanoBananaPro, prompt=TEXT, **together).message
    flux = {"input_image": cat, "input_image_2": b"x", "reference_images": [PNG, cat, cat]}
    assert "number of pictures to 5" in refused(Flux2Pro, prompt=TEXT, **flux).message
    assert refused(NanoBananaPro, prompt=TEXT, image_input=[cat, "cat.gif"]).value == "cat.gif"


def test_inputs_with_media_are_compared_hashed_and_pickled_like_any_other() -> None:
    made = NanoBananaPro(prompt=TEXT, image_input=[Path("cat.png"), b"\x89PNG"])
    same = NanoBananaPro(prompt=TEXT, image_input=(Path("cat.png"), bytearray(b"\x89PNG")))
    assert {made} == {same} == {pickle.loads(pickle.dumps(made))} == {copy.deepcopy(made)}
    assert made != NanoBananaPro(prompt=TEXT, image_input=[Path("dog.png"), b"\x89PNG"])


def test_no_byte_of_a_picture_is_in_a_repr_or_an_error() -> None:
    secret = b"\x89PNG" + b"SECRET" * 1000
    made = NanoBananaPro(prompt=TEXT, image_input=[secret, Path("a" * 300)])
    assert "SECRET" not in repr(made)
    assert "LocalMedia(6,004 bytes)" in repr(made)
    assert len(repr(made)) < 500
    error = refused(NanoBananaPro, prompt=TEXT, image_input=[secret] * 4)
    for shown in (repr(error), str(error), repr(error.value), repr(pickle.dumps(error))):
        assert "SECRET" not in shown


def test_an_error_that_holds_an_open_file_pickles(tmp_path: Path) -> None:
    with (tmp_path / "cat.png").open("wb+") as file:
        error = refused(Flux2Pro, prompt=file)
        assert error.value is file
        assert pickle.loads(pickle.dumps(error)).message == error.message


def test_a_raw_input_wraps_its_media_and_names_the_field_that_it_refuses() -> None:
    fields = {"image": Path("cat.png"), "more": [{"clip": io.BytesIO(b"abc")}], "n": (1, 2)}
    made = RawInput("some-new-model", fields)
    assert made.payload() == {
        "image": LocalMedia(Path("cat.png")),
        "more": [{"clip": LocalMedia(b"abc")}],
        "n": (1, 2),
    }
    with pytest.raises(InputError, match=r"'more' of 'some-new-model' is a file with nothing left"):
        RawInput("some-new-model", fields)


def test_a_raw_input_without_media_stays_the_very_mapping() -> None:
    fields = {"prompt": TEXT, "more": [{"n": (1, 2)}]}
    assert RawInput("some-new-model", fields).input is fields


# --- values stay as they are -------------------------------------------------------------------


def test_only_what_was_set_is_sent_in_the_documented_order() -> None:
    made = NanoBananaProFlash(
        output_format="png",
        use_google_search_tool=False,
        resolution="1K",
        aspect_ratio="1:1",
        prompt="A clean app icon for an AI video editor, vivid but minimal",
    )
    assert json.dumps(made.payload()) == (
        '{"prompt": "A clean app icon for an AI video editor, vivid but minimal", '
        '"aspect_ratio": "1:1", "resolution": "1K", "use_google_search_tool": false, '
        '"output_format": "png"}'
    )


def test_defaults_are_not_sent_unless_they_are_set() -> None:
    assert NanoBananaPro(prompt=TEXT).payload() == {"prompt": TEXT}
    assert NanoBananaPro(prompt=TEXT, resolution="2K").payload()["resolution"] == "2K"
    assert KlingV3Pro(prompt=TEXT, generate_audio=False).payload()["generate_audio"] is False


def test_a_list_is_kept_as_a_tuple_that_its_owner_cannot_change() -> None:
    pictures = [PNG]
    made = NanoBananaPro(prompt=TEXT, image_input=pictures)
    pictures.append("cat.gif")
    assert made.image_input == (PNG,)
    assert made.payload()["image_input"] == [PNG]


def test_objects_are_copied_on_the_way_in_and_out() -> None:
    faces = [PNG]
    made = KlingV3Pro(prompt=TEXT, elements=[{"reference_image_urls": faces}])
    faces.append("cat.gif")
    sent: Any = made.payload()
    sent["elements"][0]["reference_image_urls"].append("dog.gif")
    assert made.payload() == {"prompt": TEXT, "elements": [{"reference_image_urls": [PNG]}]}


def test_members_of_enumerations_are_sent_as_their_values() -> None:
    class Size(enum.StrEnum):
        LARGE = "square_hd"

    class Seed(enum.IntEnum):
        LUCKY = 7

    made = ZImage(prompt=TEXT, image_size=Size.LARGE, seed=Seed.LUCKY)
    assert type(made.image_size) is str
    assert json.dumps(made.payload()) == json.dumps(
        {"prompt": TEXT, "image_size": "square_hd", "seed": 7}
    )


def test_inputs_are_frozen_comparable_hashable_and_travel_between_processes() -> None:
    made = KlingV3Pro(prompt=TEXT, multi_prompt=[{"prompt": TEXT, "duration": "5"}])
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.prompt = "another"  # type: ignore[misc]
    same = KlingV3Pro(prompt=TEXT, multi_prompt=({"prompt": TEXT, "duration": "5"},))
    assert {made} == {same} == {pickle.loads(pickle.dumps(made))} == {copy.deepcopy(made)}


def test_a_changed_copy_is_checked_again() -> None:
    made = NanoBananaPro(prompt=TEXT)
    assert attrs.evolve(made, resolution="4K").resolution == "4K"
    with pytest.raises(InputError):
        attrs.evolve(made, prompt="")


# --- strictness --------------------------------------------------------------------------------


def test_strict_leaves_what_is_allowed_alone() -> None:
    made = ZImage(prompt=TEXT, seed=7, strict=True)
    assert made == ZImage(prompt=TEXT, seed=7)
    assert made.payload() == {"prompt": TEXT, "seed": 7}


def test_not_strict_sends_whatever_json_can_carry_and_warns_of_nothing() -> None:
    odd: dict[str, Any] = {
        "prompt": 7,
        "image_input": [{"url": PNG}, None],
        "resolution": "8K",
        "output_format": ["png", 0.5],
    }
    made, said = warned(NanoBananaPro, **odd, strict=False)
    assert made.payload() == odd
    assert said == []
    assert NanoBananaPro(prompt=None, strict=False).payload() == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", [{"x": b""}, {1: "x"}, float("nan"), "\ud800", 1 << 2000, {1}])
def test_what_json_cannot_carry_is_refused_even_if_not_strict(odd: Any) -> None:
    assert refused(ZImage, prompt=TEXT, seed=odd, strict=False).field == "seed"


def test_strictness_is_true_false_or_none() -> None:
    error = refused(ZImage, prompt=TEXT, strict="yes")
    assert (error.field, error.value, error.allowed) == ("strict", "yes", "True, False or None")


# --- further fields ----------------------------------------------------------------------------


def test_extra_fields_go_out_after_the_declared_ones() -> None:
    given = {"watermark": False, "tags": ["a", None]}
    made = ZImage(prompt=TEXT, extra=given)
    given["tags"].append("b")  # type: ignore[attr-defined]
    assert list(made.payload().items()) == [
        ("prompt", TEXT),
        ("watermark", False),
        ("tags", ["a", None]),
    ]
    assert made != ZImage(prompt=TEXT) == ZImage(prompt=TEXT, extra={})
    assert {made} == {pickle.loads(pickle.dumps(made))}
    assert "watermark" in repr(made)


@pytest.mark.parametrize("strict", [None, True, False])
@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"seed": 7}, "which is a field of ZImage: write seed=… instead"),
        ({7: "seed"}, "strings as keys"),
        ({"when": {1}}, "what JSON can hold"),
        ({"when": float("inf")}, "what JSON can hold"),
        ([("seed", 7)], "a mapping"),
        ("seed", "a mapping"),
    ],
)
def test_extra_is_a_mapping_of_new_names_to_json(
    extra: Any, says: str, strict: bool | None
) -> None:
    error = refused(ZImage, prompt=TEXT, extra=extra, strict=strict)
    assert error.field == "extra"
    assert error.message.startswith("ZImage.extra")
    assert says in error.message


# --- slugs -------------------------------------------------------------------------------------


def test_a_model_without_a_documented_slug_says_how_to_give_one() -> None:
    error = refused(Wan27TextToVideo, prompt=TEXT)
    assert error.field == "slug"
    assert error.message == (
        "the slug of Wan27TextToVideo (WAN 2.7 - Text to Video) is not documented: say it as "
        "Wan27TextToVideo(slug=…), or once with models.configure({models.Wan27TextToVideo: "
        "\"…\"}); 'wan-2-7-text-to-video' is only a guess"
    )
    assert refused(Wan26TextToVideo, prompt=TEXT).message.endswith("there is not even a guess")
    assert refused(Wan26TextToVideo, prompt=TEXT, strict=False).field == "slug"


def test_a_slug_is_given_with_the_input_or_configured_once() -> None:
    mine = Wan27TextToVideo(prompt=TEXT, slug="wan-mine")
    assert (mine.slug, mine.payload()) == ("wan-mine", {"prompt": TEXT})
    configure({Wan27TextToVideo: "wan-ours"})
    ours = Wan27TextToVideo(prompt=TEXT)
    assert ours.slug == "wan-ours"
    assert ours != mine == attrs.evolve(ours, slug="wan-mine")
    configure({"Wan27TextToVideo": None})
    assert refused(Wan27TextToVideo, prompt=TEXT).field == "slug"


def test_an_input_keeps_the_slug_that_it_was_made_with() -> None:
    configure({Wan27TextToVideo: "wan-then"})
    made = Wan27TextToVideo(prompt=TEXT)
    sent = pickle.dumps(made)
    configure({Wan27TextToVideo: "wan-now"})
    assert made.slug == pickle.loads(sent).slug == attrs.evolve(made, seed=7).slug == "wan-then"
    assert "wan-then" in repr(made)
    assert len({made, pickle.loads(sent), Wan27TextToVideo(prompt=TEXT)}) == 2


def test_a_documented_slug_can_be_replaced() -> None:
    assert ZImage(prompt=TEXT).slug == "z-image"
    assert ZImage(prompt=TEXT, slug="z-image-v2").slug == "z-image-v2"
    configure({ZImage: "z-image-v3"})
    assert ZImage(prompt=TEXT).slug == "z-image-v3"
    for slug in ("z-image", "z-image-v3"):
        assert asked(slug, {"prompt": TEXT}).input() == ZImage(prompt=TEXT, slug=slug)


@pytest.mark.parametrize("slug", ["", "  ", 7, ["wan"]])
def test_a_slug_is_text(slug: Any) -> None:
    assert refused(Wan27TextToVideo, prompt=TEXT, slug=slug).field == "slug"
    with pytest.raises(InputError, match="slug must be a model's name"):
        configure({Wan27TextToVideo: slug})


@pytest.mark.parametrize("key", ["Wan27TextToVideos", "wan-2-7-text-to-video", RawInput, 7])
def test_only_models_are_configured_and_all_of_them_or_none(key: Any) -> None:
    with pytest.raises(InputError, match="is no model") as caught:
        configure({Wan26TextToVideo: "wan26", key: "wan27"})
    assert caught.value.field == "slugs"
    assert refused(Wan26TextToVideo, prompt=TEXT).field == "slug"


# --- back from a task --------------------------------------------------------------------------


def asked(slug: str, fields: Any) -> Task:
    return Task(id="t", model=slug, param={"model": slug, "input": fields})


def test_a_task_gives_back_the_input_that_made_it() -> None:
    made = ZImage(prompt=TEXT, seed=7, extra={"watermark": False})
    back = asked("z-image", {"prompt": TEXT, "seed": 7, "watermark": False}).input()
    assert back == made
    assert isinstance(back, ZImage)
    assert attrs.evolve(back, strict=None, seed=8).payload()["seed"] == 8


def test_what_the_service_took_is_given_back_without_a_word_whatever_we_think_of_it() -> None:
    fields = {"image_urls": [PNG], "seed": -1, "aspect_ratio": "5:4", "prompt": None}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        back = asked("seedream-v4-5-edit", fields).input()
    assert isinstance(back, SeedreamV45Edit)
    assert back.payload() == {"aspect_ratio": "5:4", "seed": -1, "image_urls": [PNG]}
    assert back.extra == {"image_urls": (PNG,)}


def test_a_task_knows_configured_slugs_and_guesses_and_leaves_the_rest_raw() -> None:
    fields = {"prompt": TEXT}
    assert asked("wan27", fields).input() == RawInput("wan27", fields)
    configure({Wan27TextToVideo: "wan27"})
    assert asked("wan27", fields).input() == Wan27TextToVideo(slug="wan27", prompt=TEXT)
    assert asked("kling-v3-std", fields).input() == KlingV3Std(slug="kling-v3-std", prompt=TEXT)
    endless = {"prompt": "\ud800"}
    assert asked("z-image", endless).input() == RawInput("z-image", endless)


def test_of_two_models_with_one_slug_a_task_is_the_one_that_fits() -> None:
    configure({"Wan27TextToVideo": "wan", "Wan27ImageToVideo": "wan"})
    assert isinstance(asked("wan", {"prompt": TEXT}).input(), Wan27TextToVideo)
    assert isinstance(asked("wan", {"start_image_url": PNG}).input(), Wan27ImageToVideo)


@pytest.mark.parametrize(
    "param",
    [None, {}, {"input": {"prompt": TEXT}}, {"model": "z-image"}, {"model": 7, "input": {}}],
)
def test_a_task_of_which_the_service_kept_nothing_gives_nothing_back(param: Any) -> None:
    assert Task(id="t", param=param).input() is None


def test_a_task_whose_param_names_no_model_has_its_own() -> None:
    task = Task(id="t", model="z-image", param={"input": {"prompt": TEXT}})
    assert task.input() == ZImage(prompt=TEXT)


# --- media, also where nothing is checked --------------------------------------------------------


def test_an_input_that_is_not_checked_takes_media_too() -> None:
    made = NanoBananaPro(prompt=TEXT, image_input=[Path("cat.png")] * 9, strict=False)
    assert made.payload()["image_input"] == [LocalMedia(Path("cat.png"))] * 9
    odd: Any = {"input_image": [b"cat", {"url": Path("cat.png")}]}
    assert Flux2Pro(prompt=TEXT, strict=False, **odd).payload()["input_image"] == [
        LocalMedia(b"cat"),
        {"url": LocalMedia(Path("cat.png"))},
    ]
    error = refused(Flux2Pro, prompt=TEXT, strict=False, input_image=io.BytesIO())
    assert "nothing left to read" in error.message


@pytest.mark.parametrize("model", [getattr(models, name) for name in models.__all__])
def test_every_field_for_media_takes_what_is_on_this_machine(model: Model) -> None:
    for name, fact in models.facts(model).items():
        if fact.media is not None:
            check = {each.name: each for each in _checks(model)}[name]
            given: Any = Path("cat.png") if fact.type == "string" else [Path("cat.png"), b"cat"]
            wrapped = [LocalMedia(Path("cat.png")), LocalMedia(b"cat")]
            assert check.read(check, given) in (wrapped[0], tuple(wrapped))
