"""
Which models there are, and the names they go by: that of the class, and the slug.

Classes are loaded by family, when one is asked for.  A slug that the documentation does not state
is never guessed in a request: it comes with the input, or from `configure`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from liangxin._errors import InputError
from liangxin._tasks import ModelInput, RawInput, checked_slug
from liangxin._text import quoted
from liangxin.models._rules import FieldFacts, facts

if TYPE_CHECKING:
    from liangxin.models._checks import CheckedInput

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "seedream": ("SeedreamV45", "SeedreamV45Edit", "SeedreamV5Lite", "SeedreamV5LiteEdit"),
    "z_image": ("ZImage",),
    "google": (
        "Gemini25FlashImagePreview",
        "NanoBananaPro",
        "NanoBananaProFlash",
        "Imagen4Fast",
        "Imagen4Ultra",
    ),
    "flux": ("Flux2Pro",),
    "kling": (
        "KlingV3Pro",
        "KlingV3Std",
        "KlingV3OmniPro",
        "KlingV3OmniStd",
        "KlingV3OmniProVideoReference",
        "KlingV3OmniStdVideoReference",
        "KlingV3MotionControlPro",
        "KlingV3MotionControlStd",
    ),
    "wan": (
        "Wan27TextToVideo",
        "Wan27ImageToVideo",
        "Wan27ReferenceToVideo",
        "Wan26ImageToVideo",
        "Wan26TextToVideo",
    ),
    "seedance": ("Seedance15ProTextToVideo", "Seedance15ProImageToVideo"),
    "veo": (
        "Veo31TextToVideo",
        "Veo31FastTextToVideo",
        "Veo31ImageToVideo",
        "Veo31FastImageToVideo",
        "Veo31ReferenceToVideo",
    ),
    "runway": (
        "RunwayGen45TextToVideo",
        "RunwayGen45ImageToVideo",
        "RunwayGen4TurboImageToVideo",
        "RunwayActTwo",
    ),
}
"""The modules of this package, and the classes in each, in the order of the documentation."""

FAMILY_OF: Mapping[str, str] = {name: each for each, names in FAMILIES.items() for name in names}

_configured: Mapping[str, str] = MappingProxyType({})
"""The slugs that `configure` was given, by the name of the class."""


def class_named(name: str) -> type[CheckedInput]:
    """The class of that name; its family is imported."""
    family = import_module(f"liangxin.models.{FAMILY_OF[name]}")
    model: type[CheckedInput] = getattr(family, name)
    return model


@cache
def classes() -> Mapping[str, type[CheckedInput]]:
    """Every class by its name, in the order of the documentation."""
    return MappingProxyType({name: class_named(name) for name in FAMILY_OF})


# --- slugs -------------------------------------------------------------------------------------


# A variable, since the keys of a Mapping are invariant: a dict of one class would not do.
_Named = TypeVar("_Named", bound="str | type[ModelInput]")


def configure(slugs: Mapping[_Named, str | None]) -> None:
    """
    Tell this process the slugs of models that are documented without one.

        models.configure({models.Wan27TextToVideo: "the-real-slug"})

    The keys are classes or their names.  Holds for inputs that are made from now on, and for what
    is read from batch files and from tasks; None takes a slug back.  An input keeps the slug that
    it was made with, also in another process.  Nothing changes where one entry is refused.
    """
    global _configured
    given = {_class_name(model): slug for model, slug in slugs.items()}
    merged = {**_configured, **{n: s if s is None else checked_slug(s) for n, s in given.items()}}
    _configured = MappingProxyType({n: s for n, s in merged.items() if s is not None})
    _by_slug.cache_clear()


def _class_name(model: object) -> str:
    name = model.__name__ if isinstance(model, type) else model
    if isinstance(name, str) and name in FAMILY_OF:
        return name
    allowed = "a class of liangxin.models, or its name"
    raise InputError(
        f"{quoted(name)} is no model{did_you_mean(name, FAMILY_OF)}; a key is {allowed}",
        field="slugs",
        value=model,
        allowed=allowed,
    )


def did_you_mean(name: object, known: Collection[str]) -> str:
    """What is near, in brackets; empty where nothing is."""
    near = get_close_matches(str(name)[:100], known, 3)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def slug_of(model: type[CheckedInput]) -> str | None:
    """The slug that was configured, or is documented; None: one has to be given."""
    return _configured.get(model.__name__, model.documented_slug)


def is_configured(model: type[CheckedInput]) -> bool:
    """Whether the slug of the model comes from `configure`."""
    return model.__name__ in _configured


def slug_to_send(model: type[CheckedInput], given: object) -> str:
    """The slug of an input that is made now; raises where nobody has said which it is."""
    if given is not None:
        return checked_slug(given)
    slug = slug_of(model)
    if slug is not None:
        return slug
    name, guess = model.__name__, model.slug_guess
    raise InputError(
        f"the slug of {name} ({model.title}) is not documented: say it as {name}(slug=…), or once "
        f'with models.configure({{models.{name}: "…"}}); '
        + (f"{guess!r} is only a guess" if guess else "there is not even a guess"),
        field="slug",
        allowed="the slug by which the service knows the model",
    )


def by_slug(slug: str) -> tuple[type[CheckedInput], ...]:
    """
    The classes of the models that go by a slug: hardly ever more than one.

    A guess counts here, where no better slug is known: who names it has said it himself.
    """
    return _by_slug().get(slug, ())


def slugs_in_use() -> Iterable[str]:
    """Every slug that is documented or configured: no guesses."""
    return (slug for model in classes().values() for slug in _said(model))


def _said(model: type[CheckedInput]) -> list[str]:
    """The slugs of a model that somebody has said: a configured one, and the documented one."""
    both = (_configured.get(model.__name__), model.documented_slug)
    return [slug for slug in both if slug is not None]


@cache
def _by_slug() -> Mapping[str, tuple[type[CheckedInput], ...]]:
    found: dict[str, tuple[type[CheckedInput], ...]] = {}
    for model in classes().values():
        guess = [] if model.slug_guess is None else [model.slug_guess]
        for slug in _said(model) or guess:
            found[slug] = (*found.get(slug, ()), model)
    return found


# --- an input, back from what was sent ---------------------------------------------------------


def input_of(slug: str, fields: Mapping[str, Any]) -> ModelInput:
    """
    The input that sends these fields: typed if a class is known, and checked by nobody.

    What the class has no field for is in its `extra`.  What no class can hold, such as text that
    is not Unicode, comes as a `RawInput`.
    """
    raw = RawInput(slug, fields)
    candidates = by_slug(slug)
    if not candidates:
        return raw
    model = min(candidates, key=lambda each: _misfits(facts(each), fields))
    known = facts(model)
    given: dict[str, Any] = {name: fields.get(name) for name in known}
    extra = {name: value for name, value in fields.items() if name not in known}
    try:
        return model(**given, slug=slug, strict=False, extra=extra)
    except InputError:
        return raw


def _misfits(known: Mapping[str, FieldFacts], fields: Mapping[str, object]) -> int:
    """How many fields are unknown, or missing."""
    required = {name for name, fact in known.items() if fact.required}
    return len(fields.keys() - known) + len(required - fields.keys())
