"""What is known about all models, as values: for tables, pages, forms and other programs."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs
from attrs import frozen

from liangxin._tasks import Kind, ModelInput
from liangxin.models._checks import CheckedInput
from liangxin.models._known import classes, is_configured, slug_of
from liangxin.models._rules import FieldFacts, Limits, Provenance, Rule, SlugProvenance, facts

Coverage: TypeAlias = Literal["full", "partial", "name-only"]


@frozen(kw_only=True)
class RuleFacts:
    """What several fields of a model must satisfy, in words."""

    words: str
    provenance: Provenance


@frozen(kw_only=True)
class ModelFacts:
    """
    What is known about one model.

    `slug` is the one that was configured or is documented, which `slug_provenance` tells; where it
    is None, `slug_guess` may say what it could be.  `provenance` is documented if any field is;
    `coverage` is full if all are, and name-only without a page.  `summary` is the beginning of the
    docstring of `model`, the class.
    """

    name: str
    model: type[ModelInput]
    title: str
    kind: Kind
    family: str
    operation: str
    slug: str | None
    slug_provenance: SlugProvenance | Literal["configured"]
    slug_guess: str | None
    page: str | None
    provenance: Provenance
    coverage: Coverage
    summary: str
    fields: tuple[FieldFacts, ...]
    rules: tuple[RuleFacts, ...]

    def to_json(self) -> dict[str, object]:
        """The same in what JSON has; of a field, only what is known."""
        plain: dict[str, object] = {
            attribute.name: getattr(self, attribute.name)
            for attribute in attrs.fields(ModelFacts)
            if attribute.name != "model"
        }
        plain["fields"] = [field_as_json(field) for field in self.fields]
        plain["rules"] = [attrs.asdict(rule) for rule in self.rules]
        return plain


def catalogue() -> tuple[ModelFacts, ...]:
    """Return what is known about every model, in the order of the documentation."""
    return tuple(model_facts(model) for model in classes().values())


def model_facts(model: type[CheckedInput]) -> ModelFacts:
    """What is known about one model."""
    fields = tuple(facts(model).values())
    return ModelFacts(
        name=model.__name__,
        model=model,
        title=model.title,
        kind=model.kind,
        family=model.family,
        operation=model.operation,
        slug=slug_of(model),
        slug_provenance="configured" if is_configured(model) else model.slug_provenance,
        slug_guess=model.slug_guess,
        page=model.page,
        provenance=(
            "documented" if any(f.provenance == "documented" for f in fields) else "inferred"
        ),
        coverage=_coverage(model, fields),
        summary=" ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split()),
        fields=fields,
        rules=tuple(_rule_facts(rule) for rule in model.rules),
    )


def _coverage(model: type[CheckedInput], fields: tuple[FieldFacts, ...]) -> Coverage:
    if model.page is None:
        return "name-only"
    return "full" if all(f.provenance == "documented" for f in fields) else "partial"


def _rule_facts(rule: Rule) -> RuleFacts:
    return RuleFacts(words=rule.words, provenance=rule.provenance)


def field_as_json(field: Limits) -> dict[str, object]:
    """What is known about a field, in what JSON has."""
    plain: dict[str, object] = {}
    for attribute in attrs.fields(type(field)):
        value = getattr(field, attribute.name)
        if isinstance(value, Limits):
            value = field_as_json(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        elif isinstance(value, tuple):
            value = list(value)
        if attribute.name == "required" or value not in (None, "", {}, []):
            plain[attribute.name] = value
    if not isinstance(field, FieldFacts) and not plain["required"]:
        del plain["required"]
    return plain
