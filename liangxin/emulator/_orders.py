"""
Reads a createTask body and refuses what the Market would refuse.

Knows nothing of time, keys or books.  Members of `input` that no rule names are let through, as
the service says nothing of refusing them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from liangxin.emulator._answers import Refused, gateway_error, market_error
from liangxin.emulator._catalogue import CATALOGUE, MarketModel
from liangxin.emulator._inputs import RULES
from liangxin.emulator._rules import Breach, ModelRules, is_blank


@dataclass(frozen=True, slots=True)
class Order:
    """An acceptable createTask body; `param` is its text as it came."""

    model: MarketModel
    input: dict[str, object]
    prompt: str
    callback_url: str | None
    param: str


def read_order(body: bytes) -> Order:
    """Return the order in `body`, or raise `Refused`."""
    text, document = _parse(body)
    model = _model(document)
    callback_url = _callback_url(document.get("callBackUrl"))
    given = document.get("input")
    if not isinstance(given, dict):
        raise _refused("input is required" if given is None else "input must be an object")
    members = {name: value for name, value in given.items() if value is not None}
    _check(RULES[model.slug], members)
    return Order(model, members, _prompt(members), callback_url, text)


def peek(body: bytes) -> tuple[str | None, str]:
    """Return the model and the prompt that `body` seems to name, acceptable or not."""
    try:
        _, document = _parse(body)
    except Refused:
        return None, ""
    model, given = document.get("model"), document.get("input")
    return (
        model if isinstance(model, str) else None,
        _prompt(given) if isinstance(given, dict) else "",
    )


def _parse(body: bytes) -> tuple[str, dict[str, object]]:
    try:
        text = body.decode()
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(gateway_error(400, "the request body is not valid JSON")) from error
    if not isinstance(document, dict):
        raise Refused(gateway_error(400, "the request body must be a JSON object"))
    return text, document


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _refused(message: str, status: int = 400) -> Refused:
    return Refused(market_error(status, message))


def _model(document: dict[str, object]) -> MarketModel:
    slug = document.get("model")
    if not isinstance(slug, str) or not slug:
        raise _refused("model is required")
    model = CATALOGUE.get(slug)
    if model is None:
        raise _refused(f"unsupported model: {slug[:80]}")
    return model


def _callback_url(value: object) -> str | None:
    if value is None or value == "":
        return None
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        parts = None
    if not isinstance(value, str) or parts is None:
        raise _refused("callBackUrl must be a URL")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _refused("callBackUrl must be an http(s) URL")
    return value


def _prompt(members: dict[str, object]) -> str:
    prompt = members.get("prompt")
    if not isinstance(prompt, str):
        return ""
    return prompt.encode("utf-8", "replace").decode()


def _check(rules: ModelRules, members: dict[str, object]) -> None:
    _check_prompt(rules, members)
    missing = [name for name in rules.required if name not in members]
    if missing:
        raise _refused(f"input.{missing[0]} is required", 422 if rules.upstream else 400)
    for name, rule in rules.fields.items():
        if name in members:
            _insist(name, rule.breach(members[name]))
    _check_together(rules, members)
    _check_pictures(rules, members)


def _insist(name: str, breach: Breach | None) -> None:
    if breach is not None:
        raise _refused(f"input.{name} {breach.text}", breach.status)


def _check_prompt(rules: ModelRules, members: dict[str, object]) -> None:
    prompt = members.get("prompt")
    is_missing = prompt is None or (isinstance(prompt, str) and is_blank(prompt))
    if is_missing and rules.needs_prompt:
        stands_in = rules.instead_of is not None and members.get(rules.instead_of)
        if prompt is None and stands_in:
            return
        raise _refused("input.prompt is required")
    if prompt is not None:
        _insist("prompt", rules.prompt.breach(prompt))


def _check_together(rules: ModelRules, members: dict[str, object]) -> None:
    present = [name for name in rules.together if name in members]
    if present and len(present) < len(rules.together):
        raise _refused(f"input.{' and input.'.join(rules.together)} must be sent together")


def _check_pictures(rules: ModelRules, members: dict[str, object]) -> None:
    given = [members[name] for name in rules.pictures if name in members]
    count = sum(len(value) if isinstance(value, list) else 1 for value in given)
    status = 422 if rules.upstream else 400
    if rules.at_most is not None and count > rules.at_most:
        names = ", ".join(rules.pictures)
        raise _refused(f"at most {rules.at_most} references are accepted over {names}", status)
    if count < rules.at_least:
        raise _refused(f"input.{rules.pictures[0]} needs at least {rules.at_least}", status)
