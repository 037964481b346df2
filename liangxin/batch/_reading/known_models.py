"""The model that a line names, and the fields that it has; a slip in either is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from typing import Any

from attrs import frozen

from liangxin import models
from liangxin._errors import InputError
from liangxin._text import quoted
from liangxin.batch._reading.errors import refused
from liangxin.batch._reading.names import did_you_mean, is_name
from liangxin.models._checks import CheckedInput
from liangxin.models._known import by_slug, classes, slug_to_send, slugs_in_use
from liangxin.models._rules import FieldFacts


@frozen
class Model:
    """A model as a line names it; `known` is None where this version has no class for it."""

    slug: str
    known: type[CheckedInput] | None = None

    @property
    def facts(self) -> Mapping[str, FieldFacts]:
        """What is known about its fields."""
        return {} if self.known is None else models.facts(self.known)


@cache
def fields_of_all() -> frozenset[str]:
    """The fields of all known models."""
    return frozenset(name for model in classes().values() for name in models.facts(model))


def is_known(named: str) -> bool:
    """Whether it is the slug of a class, or its name."""
    return named in classes() or bool(by_slug(named))


def model_named(named: object, *, is_raw: bool = False) -> Model:
    """
    The model that is named; a name that is close to that of a known one is an error.

    So is a class whose slug nobody has said.  A line that names a slug has said it, even where the
    class is found by a guess.
    """
    if isinstance(named, type) and issubclass(named, CheckedInput):
        return Model(slug_to_send(named, None), named)
    if not isinstance(named, str) or not is_name(named):
        raise refused("model", named, "a slug, or the name of a class of liangxin.models")
    if named in classes():
        return Model(slug_to_send(classes()[named], None), classes()[named])
    known = by_slug(named)
    if known:
        return Model(named, known[0] if is_raw else _the_one(named, known))
    meant = None if is_raw else _slip_of(named)
    if meant is not None:
        raise InputError(
            f"model is {quoted(named)}; did you mean {meant!r}?  If there is such a model, "
            'say "raw": true beside it',
            field="model",
            value=named,
            allowed=f"{meant!r}, or any name with raw",
        )
    return Model(named)


def _the_one(slug: str, known: tuple[type[CheckedInput], ...]) -> type[CheckedInput]:
    """The class that goes by a slug; several can, where the same was configured for them."""
    if len(known) > 1:
        names = " or ".join(model.__name__ for model in known)
        raise refused("model", slug, f"the name of a class, since several go by it: {names}")
    return known[0]


def _slip_of(name: str) -> str | None:
    """The slug, or the name of a class, that somebody who wrote `name` evidently meant."""
    return _near(name, (*classes(), *slugs_in_use()))


@lru_cache(maxsize=1024)
def _near(name: str, known: tuple[str, ...]) -> str | None:
    """
    The one of the known names that `name` is a slip of.

    Another number is another model, and so is a word more or less (flux-3-pro, kling-v3-omni-pro):
    the Market has models that we do not know.
    """
    by_letters = {_squeezed(each): each for each in known}
    squeezed = _squeezed(name)
    if squeezed in by_letters:
        return by_letters[squeezed]
    for near in get_close_matches(squeezed, by_letters, cutoff=0.8):
        same_numbers = re.sub(r"\D", "", near) == re.sub(r"\D", "", squeezed)
        if same_numbers and not _has_a_word_more(_words(name), _words(by_letters[near])):
            return by_letters[near]
    return None


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+|[0-9]+", name.lower()))


def _has_a_word_more(one: set[str], other: set[str]) -> bool:
    return (one <= other or other <= one) and any(len(word) > 2 for word in one ^ other)


def require_known(model: type[CheckedInput], fields: Mapping[str, object]) -> None:
    """Raise for a field that the model does not have."""
    known = models.facts(model)
    if fields.keys() <= known.keys():
        return
    name = next(name for name in fields if name not in known)
    raise InputError(
        f"{model.__name__} has no field {quoted(name)}{did_you_mean([name], known)}",
        field=name,
        value=fields[name],
        allowed=f"the fields {', '.join(known)}",
    )


def require_whole(model: type[CheckedInput], fields: Mapping[str, object]) -> None:
    """Raise where a field is missing that the model requires."""
    for fact in models.facts(model).values():
        if fact.required and fact.name not in fields:
            raise InputError(
                f"{model.__name__}.{fact.name} is missing",
                field=fact.name,
                allowed=f"a value ({fact.type}): the field is required",
            )


def typed_input(slug: str, model: type[CheckedInput], fields: dict[str, Any]) -> CheckedInput:
    """The input, checked by its model; every required field must be there."""
    require_known(model, fields)
    require_whole(model, fields)
    return model(slug=slug, **fields)
