"""What is told about the models: the catalogue, schemas and pages; and what an import loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import liangxin
from liangxin import RawInput, models
from liangxin._errors import InputError
from liangxin._tools.generate_models import FOLDER, TITLES, main, pages
from liangxin.models import catalogue, configure, facts, json_schema
from liangxin.models._checks import CheckedInput
from liangxin.models._known import FAMILIES
from liangxin.models._rules import UPSTREAM
from liangxin.models._table import field_rows
from tests.models.strategies import MODELS, each_model


def row_of(model: type[CheckedInput]) -> models.ModelFacts:
    [row] = [row for row in catalogue() if row.model is model]
    return row


# --- the catalogue -----------------------------------------------------------------------------


def test_the_catalogue_has_a_row_for_each_model_that_is_json() -> None:
    rows = catalogue()
    assert len({row.name for row in rows}) == len(rows) == 35
    back = json.loads(json.dumps([row.to_json() for row in rows], allow_nan=False))
    assert [row["name"] for row in back] == [row.name for row in rows]
    [z_image] = [row for row in back if row["name"] == "ZImage"]
    assert (z_image["slug"], z_image["coverage"]) == ("z-image", "full")
    assert z_image["summary"] == "A picture from words, by Z-Image."
    assert z_image["rules"] == [
        {"words": "image_size wins over aspect_ratio", "provenance": "documented"}
    ]
    assert z_image["fields"][0] == {
        "name": "prompt",
        "type": "string",
        "required": True,
        "min_length": 1,
        "provenance": "documented",
        "source": "/34592180e0",
        "inferred": {"max_length": 4096, "source": UPSTREAM},
    }


@each_model
def test_the_json_of_a_field_loses_nothing_that_is_known(model: type[CheckedInput]) -> None:
    plain: Any = row_of(model).to_json()["fields"]
    for told, fact in zip(plain, facts(model).values(), strict=True):
        for name in ("name", "type", "required", "provenance", "source", "media", "data_uri"):
            assert told.get(name) == getattr(fact, name)
        for told_limits, limits in ((told, fact), (told.get("inferred", {}), fact.inferred)):
            assert told_limits.get("default") == (limits and limits.default)
            assert told_limits.get("choices", []) == list(limits.choices if limits else ())
            assert told_limits.get("aliases", {}) == dict(limits.aliases if limits else {})
            for name in ("minimum", "maximum", "min_length", "max_length", "max_items"):
                assert told_limits.get(name) == (limits and getattr(limits, name))


def test_a_configured_slug_is_told_as_one() -> None:
    configure({"Wan27TextToVideo": "wan27"})
    configured = row_of(models.Wan27TextToVideo)
    assert (configured.slug, configured.slug_provenance) == ("wan27", "configured")
    untold = row_of(models.Wan27ImageToVideo)
    assert (untold.slug, untold.slug_provenance) == (None, "unknown")
    assert untold.slug_guess == "wan-2-7-image-to-video"


@each_model
def test_what_leads_to_media_says_so(model: type[CheckedInput]) -> None:
    for fact in facts(model).values():
        kind = re.search(r"image|video|audio", fact.name)
        is_text = fact.type in ("string", "string[]") and fact.name not in (
            "image_size",  # a word
            "generate_audio",
        )
        assert fact.media == (kind[0] if kind and is_text else None), fact.name
        assert fact.media or not fact.data_uri


def test_who_takes_data_uris_is_known_from_the_pages_and_the_upstream() -> None:
    taken = {
        (model, fact.data_uri)
        for model in MODELS
        for fact in facts(model).values()
        if fact.data_uri is not None
    }
    assert taken == {
        (models.NanoBananaPro, "documented"),
        (models.NanoBananaProFlash, "documented"),
        (models.Gemini25FlashImagePreview, "inferred"),
        (models.SeedreamV45Edit, "inferred"),
        (models.SeedreamV5LiteEdit, "inferred"),
        (models.Veo31ImageToVideo, "inferred"),
        (models.Veo31FastImageToVideo, "inferred"),
    }


# --- schemas -----------------------------------------------------------------------------------


def test_a_documented_limit_is_a_keyword_and_an_inferred_one_a_note() -> None:
    properties: Any = json_schema(models.SeedreamV45)["properties"]
    assert properties["prompt"] == {
        "type": "string",
        "minLength": 1,
        "x-liangxin-provenance": "documented",
        "x-liangxin-source": "/34591205e0",
        "x-liangxin-inferred": {"maxLength": 4096},
    }
    strictly: Any = json_schema(models.SeedreamV45, strict=True)["properties"]
    assert strictly["prompt"]["maxLength"] == 4096
    assert strictly["prompt"]["x-liangxin-inferred"] == {"maxLength": 4096}


def test_rules_over_several_fields_are_keywords_where_there_are_any() -> None:
    flux = json_schema(models.Flux2Pro)
    assert flux["dependentRequired"] == {"width": ["height"], "height": ["width"]}
    assert "anyOf" not in json_schema(models.KlingV3Pro)
    kling = json_schema(models.KlingV3Pro, strict=True)
    valid = jsonschema.Draft202012Validator(kling).is_valid
    assert valid({"multi_prompt": [{"prompt": "fog"}]})
    assert not valid({"prompt": "", "multi_prompt": []})
    words: Any = kling["x-liangxin-rules"]
    assert {"words": "text in prompt or multi_prompt", "provenance": "inferred"} in words


def test_a_schema_says_which_model_it_is_for_and_that_its_slug_is_a_guess() -> None:
    schema = json_schema(models.Wan27TextToVideo)
    assert schema["x-liangxin-model"] == "Wan27TextToVideo"
    assert (schema["x-liangxin-slug"], schema["x-liangxin-slug-guess"]) == (
        None,
        "wan-2-7-text-to-video",
    )


@pytest.mark.parametrize("model", [RawInput, "ZImage", None])
def test_only_a_model_has_a_schema(model: Any) -> None:
    with pytest.raises(InputError, match="model must be a class"):
        json_schema(model)


# --- pages -------------------------------------------------------------------------------------


def test_the_committed_pages_say_what_would_be_generated() -> None:
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")} == pages()
    assert list(TITLES) == list(FAMILIES)


def test_a_stale_page_is_named_and_mended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], tmp_path) == main(["--check"], tmp_path) == 0
    (tmp_path / "veo.md").write_text("# Veo\n", encoding="utf-8")
    (tmp_path / "gone.md").write_text("# Gone\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["--check"], tmp_path) == 1
    told = capsys.readouterr().out.splitlines()
    assert told == [
        f"docs/models/{name}.md is stale; run: nox -s generate" for name in ("veo", "gone")
    ]
    assert main([], tmp_path) == main(["--check"], tmp_path) == 0
    assert not (tmp_path / "gone.md").exists()


@each_model
def test_every_row_of_a_page_says_who_says_so(model: type[CheckedInput]) -> None:
    rows = list(field_rows(row_of(model)))
    assert [row.field for row in rows if row.field] == list(facts(model))
    for row in rows:
        assert row.known in ("documented", "inferred")
        if row.field:
            assert row.known == facts(model)[row.field].provenance


# --- imports -----------------------------------------------------------------------------------


def test_a_model_is_imported_with_its_family_and_no_other() -> None:
    script = """
import sys, liangxin
def families():
    return sorted(m for m in sys.modules if m.startswith("liangxin.models") and "._" not in m)
print(*families())
import liangxin.models
print(*families())
from liangxin.models import ZImage
print(*families())
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "",
        "liangxin.models",
        "liangxin.models liangxin.models.z_image",
    ]


def test_a_name_that_is_no_model_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'ZImagee'"):
        models.ZImagee  # type: ignore[attr-defined]  # noqa: B018
    assert {"ZImage", "configure", "catalogue"} <= set(dir(models))
    assert liangxin.models is models
