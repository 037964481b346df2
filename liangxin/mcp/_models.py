"""The models as an agent sees them: by name, and by what they make and of what."""

from __future__ import annotations

from liangxin._errors import InputError
from liangxin._text import quoted
from liangxin.models import ModelFacts, catalogue
from liangxin.models._known import did_you_mean

_WORDS = {"image": "picture", "video": "clip"}


def model_named(name: str) -> ModelFacts:
    """The model of this name, or of this slug if it is documented or configured."""
    known = catalogue()
    by_name = {each.name: each for each in known} | {each.slug: each for each in known if each.slug}
    if name not in by_name:
        raise InputError(
            f"there is no model {quoted(name)}{did_you_mean(name, by_name)}; list_models has all",
            field="model",
            value=name,
            allowed="a name or a slug that list_models gives",
        )
    return by_name[name]


def slug_of(known: ModelFacts) -> str:
    """The slug to send; raises where nobody has said which it is."""
    if known.slug is None:
        raise InputError(
            f"no page states the slug of {known.name}, and nothing is guessed that costs money: "
            f"whoever runs this server can say it: liangxin mcp --slug {known.name}=SLUG",
            field="model",
            value=known.name,
            allowed="a model of list_models that has a slug",
        )
    return known.slug


def models_that(makes: str | None, takes: str | None) -> list[dict[str, object]]:
    """A row for each model that makes, and can be made of, what is asked for."""
    return [
        {
            "model": known.name,
            "slug": known.slug,
            "makes": _WORDS[known.kind],
            "takes": _takes(known),
            "summary": known.summary,
        }
        for known in catalogue()
        if makes in (None, _WORDS[known.kind]) and (takes is None or takes in _takes(known))
    ]


def _takes(known: ModelFacts) -> list[str]:
    """What it works from; text, if that is enough."""
    media = {field.media for field in known.fields}
    text = ["text"] if "text-to-" in known.operation else []
    return text + [word for kind, word in _WORDS.items() if kind in media]
