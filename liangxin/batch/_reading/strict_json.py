"""Strict JSON: no name twice, no NaN, no endless number, no nest that is deeper than allowed."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import NoReturn

from liangxin._errors import InputError
from liangxin._text import printable, quoted

LONGEST_INTEGER = 300
"""In digits: what a model's field takes at the most."""
DEEPEST = 64
"""How many levels of lists and objects a line may nest."""

ONE_OBJECT = "one JSON object a line"
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def decode(text: str, field: str | None = None) -> object:
    """Read JSON: a line, or the cell of a field."""
    if field is None:
        return _strictly(text, ONE_OBJECT)
    try:
        return _strictly(text, "JSON")
    except InputError as error:
        raise InputError(
            f"{field}: {error.message}",
            field=error.field or field,
            value=error.value,
            allowed=error.allowed,
        ) from None


def _strictly(text: str, allowed: str) -> object:
    """Read JSON with no name twice, no NaN, no endless numbers and no deep nests."""
    try:
        if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
            raise RecursionError
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        said = f"it is not JSON ({exc.msg}, at column {exc.colno}); it takes {allowed}"
    except RecursionError:
        allowed = f"at most {DEEPEST} levels of lists and objects"
        said = f"it nests too deep; it takes {allowed}"
    raise InputError(said, value=printable(text), allowed=allowed)


def _depth(text: str) -> int:
    """How deep lists and objects nest, counted no further than is allowed."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
        if deepest > DEEPEST:
            break
    return deepest


def object_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A dictionary of pairs, each name of which stands there once."""
    made = dict(pairs)
    if len(made) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise InputError(f"{quoted(twice)} stands twice", field=twice, allowed="each name once")
    return made


def _json_integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise InputError(
            f"there is an integer of {len(digits)} digits",
            value=printable(digits),
            allowed=f"at most {LONGEST_INTEGER} digits",
        )
    return int(digits)


def _json_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse_constant(text)
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise InputError(
        f"there is the number {printable(text, 40)}",
        value=printable(text),
        allowed="finite numbers, as JSON has them",
    )


_DECODER = json.JSONDecoder(
    object_pairs_hook=object_of,
    parse_int=_json_integer,
    parse_float=_json_float,
    parse_constant=_refuse_constant,
)
