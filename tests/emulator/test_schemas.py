"""The schemas of the inputs say what the checker does, and claim no more than is documented."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from liangxin.emulator import Emulator
from liangxin.emulator._catalogue import CATALOGUE
from liangxin.emulator._schema import example_input, input_schema
from tests.emulator.service import client_of, post
from tests.emulator.test_rules import ACCEPTED, REFUSED, wanted

FACTS = Path(__file__).parents[2].parent / "shared" / "api" / "models.json"
needs_facts = pytest.mark.skipif(not FACTS.exists(), reason=f"no collected facts at {FACTS}")
each_model = pytest.mark.parametrize("slug", CATALOGUE)

LIMITS = {
    "enum": "enum",
    "min": "minimum",
    "max": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "max_items": "maxItems",
}
"""The name of each limit in the collected facts, and in JSON Schema."""

BEYOND_JSON_SCHEMA: list[tuple[str, dict[str, Any], int]] = [
    # To JSON Schema 8.0 is an integer, and nothing can be added up.
    ("z-image", {"num_inference_steps": 8.0}, 400),
    ("kling-v3-pro", {"multi_prompt": [{"duration": "8"}, {"duration": "8"}]}, 422),
]


def is_valid(slug: str, members: dict[str, Any]) -> bool:
    """Whether these members are, without those that are null, which stands for absent."""
    given = {name: value for name, value in members.items() if value is not None}
    return Draft202012Validator(input_schema(slug)).is_valid(given)


def asked(slug: str, members: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": "a cat"} | wanted(slug) | members


@cache
def collected() -> dict[str, dict[str, Any]]:
    """The collected facts by the slug they have here."""
    every = json.loads(FACTS.read_text(encoding="utf-8"))
    return {entry["slug"] or entry["slug_guess"] or entry["key"]: entry for entry in every}


def documented_fields(slug: str) -> dict[str, dict[str, Any]]:
    return {
        field["name"]: field
        for field in collected()[slug]["fields"]
        if field["path"].startswith("input.") and field["provenance"] == "documented"
    }


def described_as_documented(slug: str) -> dict[str, dict[str, Any]]:
    members: dict[str, dict[str, Any]] = input_schema(slug)["properties"]  # type: ignore[assignment]
    return {
        name: member for name, member in members.items() if member["x-provenance"] == "documented"
    }


@each_model
def test_a_schema_is_one(slug: str) -> None:
    Draft202012Validator.check_schema(input_schema(slug))


@pytest.mark.parametrize(("slug", "members"), ACCEPTED)
def test_what_is_accepted_is_valid(slug: str, members: dict[str, Any]) -> None:
    assert is_valid(slug, asked(slug, members))


@pytest.mark.parametrize(
    ("slug", "members"), [case[:2] for case in REFUSED if case not in BEYOND_JSON_SCHEMA]
)
def test_what_is_refused_is_invalid(slug: str, members: dict[str, Any]) -> None:
    assert not is_valid(slug, asked(slug, members))


@each_model
def test_the_example_of_a_model_is_valid(slug: str) -> None:
    assert is_valid(slug, example_input(slug))


@pytest.mark.anyio
@each_model
async def test_the_example_of_a_model_is_accepted(emulator: Emulator, slug: str) -> None:
    reply = await post(emulator, {"model": slug, "input": example_input(slug)})
    assert reply.status_code == 200, reply.text


@needs_facts
def test_the_facts_are_about_the_same_models() -> None:
    assert set(collected()) == set(CATALOGUE)


@needs_facts
@each_model
def test_the_documented_members_are_those_on_the_pages(slug: str) -> None:
    assert set(described_as_documented(slug)) == set(documented_fields(slug))


@needs_facts
@each_model
def test_no_inferred_limit_is_presented_as_documented(slug: str) -> None:
    fields = documented_fields(slug)
    for name, member in described_as_documented(slug).items():
        stated = {ours for theirs, ours in LIMITS.items() if fields[name][theirs] is not None}
        ours = {limit for limit in LIMITS.values() if limit in member}
        assert ours - set(member.get("x-inferred", [])) <= stated, name


@needs_facts
@each_model
def test_how_far_a_slug_is_known_is_said(slug: str) -> None:
    known = collected()[slug]["slug_provenance"]
    assert input_schema(slug)["x-slug-provenance"] == {"unknown": "guessed"}.get(known, known)


@pytest.mark.anyio
async def test_the_catalogue_lists_every_model_with_its_input(emulator: Emulator) -> None:
    async with client_of(emulator, key=None) as client:
        models = (await client.get("/_emulator/models")).json()["models"]
    assert [model["slug"] for model in models] == list(CATALOGUE)
    assert all(model["input"] == input_schema(model["slug"]) for model in models)
