"""
The kinds of rule an input member can be under, each able to say what is wrong with a value.

A rule that the Market states is broken with 400.  One that only its upstream is known to have
(`upstream=True`) is broken with 422, as the Market reports its upstream's refusals.  Each kind can
say itself as JSON Schema too, where `x-inferred` names the keywords that no page of the Market has.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Breach(NamedTuple):
    """What is wrong with a value, after the member's name; and the status it is refused with."""

    text: str
    status: int = 400


Schema = dict[str, object]

NOT_BLANK = r"[^\s\x1c-\x1f\x85\ufeff]"
"""Matches a character that is no space, to Python and to the ECMAScript of JSON Schema alike."""


class Rule(Protocol):
    """Something a value can break."""

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""


def is_blank(text: str) -> bool:
    """Return whether there is nothing but spaces in `text`."""
    return re.search(NOT_BLANK, text) is None


def _limit(text: str, upstream: bool) -> Breach:
    return Breach(text, 422 if upstream else 400)


def _limited(schema: Schema, limits: Schema, inferred: bool) -> Schema:
    marks: Schema = {"x-inferred": sorted(limits)} if inferred and limits else {}
    return schema | limits | marks


@dataclass(frozen=True, slots=True)
class Text:
    """A string of `shortest` to `longest` characters."""

    shortest: int = 0
    longest: int | None = None
    upstream: bool = False

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if not isinstance(value, str):
            return Breach("must be a string")
        if len(value) < self.shortest:
            return Breach(f"must have at least {self.shortest} characters")
        if self.longest is not None and len(value) > self.longest:
            return _limit(f"must have at most {self.longest} characters", self.upstream)
        return None

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        shortest: Schema = {"minLength": self.shortest} if self.shortest else {}
        longest: Schema = {} if self.longest is None else {"maxLength": self.longest}
        return _limited({"type": "string"} | shortest, longest, self.upstream)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few strings; `unlisted`: no page of the Market lists them all."""

    values: tuple[str, ...]
    upstream: bool = False
    unlisted: bool = False

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if not isinstance(value, str):
            return Breach("must be a string")
        if value in self.values:
            return None
        return _limit(f"must be one of {', '.join(self.values)}", self.upstream)

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        values: Schema = {"enum": [*self.values]}
        return _limited({"type": "string"}, values, self.upstream or self.unlisted)


@dataclass(frozen=True, slots=True)
class Number:
    """
    A number from `low` to `high`; a whole one unless `fractions`.

    `upstream_high`: only the upper end is known from the upstream alone.
    """

    low: float = -math.inf
    high: float = math.inf
    upstream: bool = False
    upstream_high: bool = False
    fractions: bool = False

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return Breach("must be a number" if self.fractions else "must be an integer")
        if not self.fractions and not isinstance(value, int):
            return Breach("must be an integer")
        if not self.low <= value <= self.high:
            upstream = self.upstream or (self.upstream_high and value > self.high)
            return _limit(f"must be from {self.low:.10g} to {self.high:.10g}", upstream)
        return None

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        schema: Schema = {"type": "number" if self.fractions else "integer"}
        low: Schema = {"minimum": self.low} if math.isfinite(self.low) else {}
        high: Schema = {"maximum": self.high} if math.isfinite(self.high) else {}
        if self.upstream_high:
            return _limited(schema | low, high, inferred=True)
        return _limited(schema, low | high, self.upstream)


@dataclass(frozen=True, slots=True)
class Seconds:
    """One of a few whole numbers of seconds, which only the upstream is known to insist on."""

    values: tuple[int, ...]

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if isinstance(value, bool) or not isinstance(value, int):
            return Breach("must be an integer")
        if value in self.values:
            return None
        return Breach(f"must be one of {', '.join(map(str, self.values))}", 422)

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        return _limited({"type": "integer"}, {"enum": [*self.values]}, inferred=True)


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        return None if isinstance(value, bool) else Breach("must be a boolean")

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Object:
    """An object, whatever its members."""

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        return None if isinstance(value, dict) else Breach("must be an object")

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        return {"type": "object"}


@dataclass(frozen=True, slots=True)
class Objects:
    """A list of at most `most` objects, whose durations are at most `seconds` in all."""

    most: int | None = None
    seconds: int | None = None

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            return Breach("must be an array of objects")
        if self.most is not None and len(value) > self.most:
            return Breach(f"must have at most {self.most} items", 422)
        lengths = [str(item.get("duration")) for item in value]
        total = sum(int(length) for length in lengths if re.fullmatch("[0-9]{1,4}", length))
        if self.seconds is not None and total > self.seconds:
            return Breach(f"must last at most {self.seconds} seconds in all", 422)
        return None

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        schema: Schema = {"type": "array", "items": {"type": "object"}}
        if self.seconds is not None:
            schema["description"] = f"Their durations are at most {self.seconds} seconds in all."
        most: Schema = {} if self.most is None else {"maxItems": self.most}
        return _limited(schema, most, inferred=True)


@dataclass(frozen=True, slots=True)
class Texts:
    """A list of at most `most` strings."""

    most: int

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return Breach("must be an array of strings")
        return (
            Breach(f"must have at most {self.most} items", 422) if len(value) > self.most else None
        )

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        schema: Schema = {"type": "array", "items": {"type": "string"}}
        return _limited(schema, {"maxItems": self.most}, inferred=True)


_TYPES = "([pP][nN][gG]|[jJ][pP][eE]?[gG]|[wW][eE][bB][pP])"
# JSON Schema has no flag for upper and lower case, so both are spelt out.
_BY_SUFFIX = (
    rf"^([hH][tT][tT][pP][sS]?://{NOT_BLANK}+\.{_TYPES}"
    rf"|[dD][aA][tT][aA]:[iI][mM][aA][gG][eE]/{_TYPES};[bB][aA][sS][eE]64,[A-Za-z0-9+/=_-]+)$"
)


@dataclass(frozen=True, slots=True)
class Images:
    """
    A list of references to pictures (or what `of` says), or one if `single`.

    With `by_suffix`, each is a URL that ends in .png, .jpg, .jpeg or .webp, or a data URI of one
    of these types.  The suffix is taken literally: a query string after it is refused.
    """

    single: bool = False
    by_suffix: bool = False
    of: str = "image"

    def breach(self, value: object) -> Breach | None:
        """Return what is wrong with `value`, or None."""
        if self.single:
            return None if self._fits(value) else Breach(f"must be the URL of one {self.of}")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return Breach("must be an array of strings")
        if all(self._fits(item) for item in value):
            return None
        if self.by_suffix:
            return Breach("must hold URLs ending in .png, .jpg, .jpeg or .webp, or image data URIs")
        return Breach(f"must hold {self.of} URLs")

    def _fits(self, item: object) -> bool:
        if not isinstance(item, str):
            return False
        return bool(re.fullmatch(_BY_SUFFIX, item)) if self.by_suffix else not is_blank(item)

    def schema(self) -> Schema:
        """Return the rule as JSON Schema."""
        pattern = _BY_SUFFIX if self.by_suffix else NOT_BLANK
        one: Schema = {"type": "string", "pattern": pattern}
        if self.single:
            return one | {"description": f"URL of one {self.of}."}
        return {"type": "array", "items": one, "description": f"{self.of.capitalize()} URLs."}


@dataclass(frozen=True, slots=True)
class ModelRules:
    """
    What one model asks of its `input`.

    `fields` are members and their rules; those not named are let through.  `required` are members
    beside the prompt that have to be there.  `instead_of` names a member that may stand in for the
    prompt.  `together`: all or none.  `at_most`: that many references over the members in
    `pictures`; `at_least` likewise.  `upstream`: what is needed is known from the upstream only.
    """

    prompt: Text
    fields: dict[str, Rule]
    needs_prompt: bool = True
    instead_of: str | None = None
    required: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    at_most: int | None = None
    at_least: int = 0
    upstream: bool = False
