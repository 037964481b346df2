"""
What is known about the fields of a model, and from where.

The words in which the model classes are written: `documented(...)` and `inferred(...)` describe a
field, the rules below it describe several fields together.  Nothing here decides what happens
when a limit is broken; that is `liangxin.models._checks`.

A fact is *documented* if LiangXin's own page states it, and *inferred* if it comes from elsewhere:
from the upstream that the service evidently forwards to, or from a sister model.  The two never
mix: what is inferred about a documented field stands in `FieldFacts.inferred`.
"""

from __future__ import annotations

import re
import reprlib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypedDict,
    Unpack,
    is_typeddict,
)

import attrs
from attrs import frozen

from liangxin._media import LocalMedia, Media, MediaKind
from liangxin._text import printable

if TYPE_CHECKING:
    from liangxin.models._checks import CheckedInput

Provenance: TypeAlias = Literal["documented", "inferred"]
SlugProvenance: TypeAlias = Literal["documented", "inferred", "unknown"]
FieldType: TypeAlias = Literal[
    "string", "integer", "number", "boolean", "string[]", "object", "object[]"
]

UPSTREAM = "Magnific API (the upstream), specification of May 2026"

LONGEST_INTEGER = 1000
"""In bits: more than any field needs, less than Python refuses to write out or to make a float."""

_METADATA = "liangxin"
_TYPES: dict[object, FieldType] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
}
_MEDIA = frozenset(typing.get_args(Media))
_NO_ALIASES: Mapping[str, str | None] = types.MappingProxyType({})

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60
_short.maxlist = _short.maxtuple = _short.maxdict = 4


def shown(value: object) -> str:
    """A value as a sentence can hold it: its beginning and its end, on one line."""
    if isinstance(value, int) and value.bit_length() > LONGEST_INTEGER:
        return f"an integer of {value.bit_length()} bits"
    return printable(_short.repr(value), 120)


# --- one field ---------------------------------------------------------------------------------


@frozen(kw_only=True)
class Limits:
    """
    What a field takes.  None and empty mean that nothing is known.

    Lengths are in characters (code points).  `aliases` maps a further accepted value to the choice
    it stands for, or to None where that is unknown.  `default` is what the service takes when the
    field is absent; it is never sent by itself.
    """

    default: object = None
    choices: tuple[str | int, ...] = ()
    aliases: Mapping[str, str | None] = _NO_ALIASES
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    required: bool = False
    source: str = UPSTREAM
    notes: str = ""


@frozen(kw_only=True)
class FieldFacts(Limits):
    """
    All that is known about one field.

    `provenance` is that of the field and of the limits beside it; `inferred` holds those limits
    that are less certain than the field itself.  `source` is a page of the documentation, or says
    what the field was inferred from.

    `media` is what the addresses in the field lead to.  `data_uri` tells who says that the field
    takes data URIs too; None: nobody does.
    """

    name: str = ""
    type: FieldType = "string"
    provenance: Provenance
    source: str = ""
    inferred: Limits | None = None
    media: MediaKind | None = None
    data_uri: Provenance | None = None


class _Stated(TypedDict, total=False):
    """The facts that a class states; name, type, choices and `required` are read from the class."""

    default: object
    aliases: Mapping[str, str | None]
    minimum: float
    maximum: float
    min_length: int
    max_length: int
    min_items: int
    max_items: int
    source: str
    notes: str
    inferred: Limits
    media: MediaKind
    data_uri: Provenance


def documented(**stated: Unpack[_Stated]) -> dict[str, object]:
    """Metadata of a field that LiangXin documents, with the limits that it documents."""
    return {_METADATA: FieldFacts(provenance="documented", **stated)}


def inferred(**stated: Unpack[_Stated]) -> dict[str, object]:
    """Metadata of a field that LiangXin does not document, or not for this model."""
    return {_METADATA: FieldFacts(provenance="inferred", **stated)}


_facts_of: dict[type[CheckedInput], Mapping[str, FieldFacts]] = {}


def facts(model: type[CheckedInput]) -> Mapping[str, FieldFacts]:
    """
    Return what is known about each field of a model class, in the order of its documentation.

    The choices are those of the field's `Literal`.  Where the annotation also admits any `str`,
    the list itself is only inferred, and stands in `inferred.choices`.
    """
    if model not in _facts_of:
        hints = typing.get_type_hints(model)
        _facts_of[model] = types.MappingProxyType(
            {
                a.name: _complete(model, a, hints[a.name])
                for a in attrs.fields(model)
                if _METADATA in a.metadata
            }
        )
    return _facts_of[model]


def _complete(
    model: type[CheckedInput], attribute: attrs.Attribute[object], hint: object
) -> FieldFacts:
    """What the metadata states, and what the class itself says about the field."""
    stated: FieldFacts = attribute.metadata[_METADATA]
    kind, words, is_open = _read_annotation(hint)
    page = (model.page or "") if stated.provenance == "documented" else UPSTREAM
    known = attrs.evolve(
        stated,
        name=attribute.name,
        type=kind,
        required=attribute.default is attrs.NOTHING,
        source=stated.source or page,
    )
    if not is_open:
        return attrs.evolve(known, choices=tuple(w for w in words if w not in stated.aliases))
    guessed = stated.inferred or Limits()
    words = tuple(w for w in words if w not in guessed.aliases)
    return attrs.evolve(known, inferred=attrs.evolve(guessed, choices=words))


def _read_annotation(hint: object) -> tuple[FieldType, tuple[str | int, ...], bool]:
    """The type of a field, the words of its Literals, and whether it takes other words too."""
    words: list[str | int] = []
    found: set[FieldType] = set()
    for part in _alternatives(hint):
        origin = typing.get_origin(part)
        if origin is Literal:
            words += typing.get_args(part)
        elif origin is Sequence:
            is_text = typing.get_args(part) in ((str,), (Media,))
            found.add("string[]" if is_text else "object[]")
        elif part in _MEDIA:
            found.add("string")
        elif origin is Mapping or is_typeddict(part):
            found.add("object")
        elif part is not types.NoneType:
            found.add(_TYPES[part])
    [kind] = found or {_TYPES[type(word)] for word in words}
    return kind, tuple(words), bool(words) and bool(found)


def _alternatives(hint: object) -> Iterator[object]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        for part in typing.get_args(hint):
            yield from _alternatives(part)
    else:
        yield hint


# --- several fields ----------------------------------------------------------------------------


class Breach(NamedTuple):
    """One limit that an input breaks: `said` is what it has, `allowed` what it should have."""

    field: str
    value: object
    said: str
    allowed: str
    provenance: Provenance
    at: str = ""


class Rule(Protocol):
    """What several fields of a model must satisfy: `breaches` says how an input does not."""

    @property
    def provenance(self) -> Provenance: ...
    @property
    def words(self) -> str: ...
    def breaches(self, values: object) -> Iterable[Breach]: ...


@frozen
class AtMostTogether:
    """The fields hold at most so many pictures (or what `of` says), counted together."""

    fields: tuple[str, ...]
    maximum: int
    provenance: Provenance = "documented"
    of: str = "pictures"

    @property
    def words(self) -> str:
        """The rule in words."""
        where = " and ".join(self.fields) + (" together" if len(self.fields) > 1 else "")
        return f"at most {self.maximum} {self.of} in {where}"

    def breaches(self, values: object) -> Iterable[Breach]:
        """One, that names the last field which adds to the count."""
        count = 0
        last = ""
        for name in self.fields:
            value = getattr(values, name)
            if value is not None:
                count += len(value) if isinstance(value, tuple) else 1
                last = name
        if count <= self.maximum:
            return ()
        said = f"brings the number of {self.of} to {count}"
        return (Breach(last, getattr(values, last), said, self.words, self.provenance),)


@frozen
class AllOrNone:
    """The fields are sent together, or not at all."""

    fields: tuple[str, ...]
    provenance: Provenance = "documented"

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{' and '.join(self.fields)} together, or neither"

    def breaches(self, values: object) -> Iterable[Breach]:
        """One, that names the first field which is missing."""
        missing = [name for name in self.fields if getattr(values, name) is None]
        if not missing or len(missing) == len(self.fields):
            return ()
        return (Breach(missing[0], None, "is missing", self.words, self.provenance),)


@frozen
class NeedsOne:
    """At least one of the fields is there, and not empty."""

    fields: tuple[str, ...]
    provenance: Provenance = "documented"
    of: str = "text"

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.of} in {' or '.join(self.fields)}"

    def breaches(self, values: object) -> Iterable[Breach]:
        """One, that names the first field."""
        if any(getattr(values, name) for name in self.fields):
            return ()
        first, *others = self.fields
        value = getattr(values, first)
        said = "is missing" if value is None else "is empty"
        allowed = f"{self.of}, unless there is {' or '.join(others)}"
        return (Breach(first, value, said, allowed, self.provenance),)


@frozen
class SecondsTogether:
    """The shots of a video, objects with a `duration` in seconds, are at most so long in all."""

    field: str
    maximum: int
    provenance: Provenance = "documented"

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"shots of at most {self.maximum} seconds in all in {self.field}"

    def breaches(self, values: object) -> Iterable[Breach]:
        """One, if what can be read of the durations is too long already."""
        shots = getattr(values, self.field) or ()
        total = sum(_seconds(shot.get("duration")) for shot in shots)
        if total <= self.maximum:
            return ()
        said = f"lasts {total:g} seconds"
        return (Breach(self.field, shots, said, self.words, self.provenance),)


def _seconds(duration: object) -> float:
    """A duration as a number; 0 where it is none, which is not for this rule to say."""
    text = str(duration)[:20]
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) else 0.0


@frozen
class TakesPrecedence:
    """If both fields are sent, the service looks at `winner` only: worth knowing, not an error."""

    winner: str
    over: str
    provenance: Provenance = "documented"

    @property
    def words(self) -> str:
        """The rule in words."""
        return f"{self.winner} wins over {self.over}"

    def breaches(self, values: object) -> Iterable[Breach]:
        """None, ever."""
        return ()


@frozen
class PictureReferences:
    """
    Every item is a web address with one of the suffixes, or a data URI of one of the media types.

    The page says "ending in"; whether it looks past a query string, and whether it minds the case,
    is open, so both are let through.  The media types are inferred from the suffixes: a type that
    merely spells one of the suffixes (`image/jpg`) breaks an inferred limit, any other one breaks
    the documented limit.

    What is on this machine is no reference yet: the address that it gets is judged before it is
    sent.
    """

    fields: tuple[str, ...]
    suffixes: tuple[str, ...]
    media_types: tuple[str, ...]
    provenance: Provenance = "documented"

    @property
    def allowed(self) -> str:
        """The rule in words."""
        return (
            f"web addresses ending in {', '.join(self.suffixes)}, "
            f"or data URIs of the types {', '.join(self.media_types)}"
        )

    @property
    def words(self) -> str:
        """The rule with its fields, in words."""
        return f"in {' and '.join(self.fields)}, {self.allowed}"

    def breaches(self, values: object) -> Iterator[Breach]:
        """One for each item that is neither."""
        for name in self.fields:
            for index, item in enumerate(getattr(values, name) or ()):
                provenance = None if isinstance(item, LocalMedia) else self.judge(item)
                if provenance is not None:
                    said = f"is {shown(item)}"
                    yield Breach(name, item, said, self.allowed, provenance, at=f"[{index}]")

    def judge(self, item: str) -> Provenance | None:
        """The provenance of the limit that a reference breaks, None if it breaks none."""
        if item[:5].lower() == "data:":
            head, comma, data = item[5:105].partition(",")
            media_type = head.partition(";")[0].lower()
            if not (comma and data):
                return self.provenance
            if media_type in self.media_types:
                return None
            if media_type.replace("image/", ".") in self.suffixes:
                return "inferred"
            return self.provenance
        address = item.lower()
        if not address.startswith(("https://", "http://")):
            return self.provenance
        path = address.partition("#")[0].partition("?")[0]
        if address.endswith(self.suffixes) or path.endswith(self.suffixes):
            return None
        return self.provenance
