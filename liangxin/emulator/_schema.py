"""
What each model accepts in `input`, as JSON Schema (2020-12), written from the emulator's own rules.

`x-provenance` says of each member, and of each rule over several, whether the Market documents it
or it is inferred from the upstream; in a documented member, `x-inferred` names the keywords that
are inferred all the same.  What JSON Schema has no words for stands in a description.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from liangxin.emulator._catalogue import CATALOGUE
from liangxin.emulator._inputs import RULES, WITH_A_PROMPT, WITH_A_TABLE
from liangxin.emulator._rules import NOT_BLANK, Images, ModelRules, Rule, Schema

Provenance = Literal["documented", "inferred"]

_NULL: Schema = {"type": "null"}


def catalogue() -> dict[str, object]:
    """Return all models with what they accept, for a client that wants to offer them."""
    return {
        "models": [
            {
                "slug": model.slug,
                "name": model.name,
                "title": model.title,
                "kind": model.kind,
                "price": model.price,
                "source": model.source,
                "input": input_schema(model.slug),
            }
            for model in CATALOGUE.values()
        ]
    }


def input_schema(slug: str) -> Schema:
    """Return the schema of this model's `input`; members it does not name are let through."""
    rules = RULES[slug]
    schema: Schema = {
        "type": "object",
        "properties": {
            name: _member(slug, name, schema) for name, schema in _members(rules).items()
        },
        "required": _required(rules),
        "examples": [example_input(slug)],
        "x-slug-provenance": CATALOGUE[slug].source,
    }
    together = [_over(slug, *each) for each in _rules_over_several(rules)]
    return schema | ({"allOf": together} if together else {})


def example_input(slug: str) -> dict[str, object]:
    """Return the least that this model accepts, with a prompt."""
    rules = RULES[slug]
    needed = dict.fromkeys((*rules.required, *rules.pictures[: rules.at_least]))
    return {"prompt": "a lighthouse at dusk"} | {
        name: _example(rules.fields[name]) for name in needed
    }


def _example(rule: Rule) -> object:
    if not isinstance(rule, Images):
        return {"type": "image", "uri": "https://example.com/a.png"}
    url = "https://example.com/a." + {"image": "png", "video": "mp4"}[rule.of]
    return url if rule.single else [url]


def _members(rules: ModelRules) -> dict[str, Schema]:
    prompt = rules.prompt.schema()
    if rules.needs_prompt:
        # Pages say "not empty"; that blanks alone are as good as nothing is the emulator's reading.
        limits = {"pattern"} | ({"maxLength"} if "x-inferred" in prompt else set())
        prompt |= {"pattern": NOT_BLANK, "x-inferred": sorted(limits)}
    members = {"prompt": prompt} | {name: rule.schema() for name, rule in rules.fields.items()}
    for name in rules.pictures if rules.at_most is not None else ():
        if members[name]["type"] == "array":
            members[name]["maxItems"] = rules.at_most
    return members


def _required(rules: ModelRules) -> list[str]:
    is_always_needed = rules.needs_prompt and rules.instead_of is None
    return (["prompt"] if is_always_needed else []) + [*rules.required]


def _member(slug: str, name: str, schema: Schema) -> Schema:
    provenance = _provenance(slug, name)
    if provenance == "inferred":
        schema.pop("x-inferred", None)
    elif slug in WITH_A_PROMPT:
        schema["x-inferred"] = sorted({*schema} - {"type", "x-inferred"})
    return schema | {"x-provenance": provenance}


def _over(slug: str, members: tuple[str, ...], description: str, alternatives: object) -> Schema:
    return {
        "description": description,
        "anyOf": alternatives,
        "x-provenance": _provenance(slug, *members),
    }


def _provenance(slug: str, *members: str) -> Provenance:
    if slug in WITH_A_TABLE or (slug in WITH_A_PROMPT and members == ("prompt",)):
        return "documented"
    return "inferred"


# --- rules over several members: each a choice between simple schemas ----------------------------


def _rules_over_several(rules: ModelRules) -> Iterator[tuple[tuple[str, ...], str, list[Schema]]]:
    """Yield the members concerned, the rule in words, and the ways to keep it."""
    if rules.together:
        names = " and ".join(rules.together)
        yield rules.together, f"{names} are sent together or not at all.", _together(rules)
    if rules.instead_of is not None:
        members = ("prompt", rules.instead_of)
        words = f"A prompt, or {rules.instead_of} in its place."
        yield members, words, [_given("prompt", "string"), _filled(rules.instead_of)]
    names = ", ".join(rules.pictures)
    if rules.at_most is not None and len(rules.pictures) > 1:
        words = f"At most {rules.at_most} references over {names}."
        yield rules.pictures, words, list(_shares(rules, rules.pictures, rules.at_most))
    if rules.at_least:
        words = f"At least {rules.at_least} reference over {names}."
        yield rules.pictures, words, [_filled(name) for name in rules.pictures]


def _given(name: str, kind: str) -> Schema:
    return {"required": [name], "properties": {name: {"type": kind}}}


def _filled(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"type": "array", "minItems": 1}}}


def _together(rules: ModelRules) -> list[Schema]:
    kinds = {name: {"type": rules.fields[name].schema()["type"]} for name in rules.together}
    return [
        {"required": [*rules.together], "properties": kinds},
        {"properties": dict.fromkeys(rules.together, _NULL)},
    ]


def _shares(rules: ModelRules, names: tuple[str, ...], total: int) -> Iterator[Schema]:
    """Yield every way to share out `total` references among these members."""
    for caps in _caps(rules, names, total):
        yield {"properties": caps}


def _caps(rules: ModelRules, names: tuple[str, ...], total: int) -> Iterator[dict[str, Schema]]:
    name, *others = names
    is_one = rules.fields[name].schema()["type"] == "string"
    most = min(total, 1) if is_one else total
    for count in range(most + 1) if others else [most]:
        cap: Schema = {"maxItems": count}
        if is_one:
            cap = {} if count else _NULL
        for rest in _caps(rules, tuple(others), total - count) if others else [{}]:
            yield {name: cap} | rest
