"""
What happens to an input when it is made: every limit that is known is held against it.

Breaking a documented limit raises `InputError`; breaking an inferred one warns, once per model and
field, and the value is sent all the same.  `strict=True` raises for both, `strict=False` for none.
What no JSON request could carry is always an error.  Nothing is opened or sent here; a file that is
open already is read.
"""

from __future__ import annotations

import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, NoReturn, TypeAlias

import attrs
from attrs import field, frozen

from liangxin._errors import InferredLimitWarning, InputError
from liangxin._media import LocalMedia, MediaKind, Unfit, is_local
from liangxin._tasks import ModelInput
from liangxin.models._known import slug_to_send
from liangxin.models._rules import (
    LONGEST_INTEGER,
    Breach,
    FieldFacts,
    FieldType,
    Limits,
    Provenance,
    Rule,
    SlugProvenance,
    facts,
    shown,
)

DEEPEST = 32
"""How many levels of lists and mappings an object may nest."""

already_warned: set[tuple[type[CheckedInput], str]] = set()
"""The fields of models whose inferred limits have been warned about."""


@frozen(kw_only=True)
class CheckedInput(ModelInput):
    """
    The input of a model that this package knows: checked when made, never changed after.


    Three keywords are about the input and are no fields of it.  `slug` is the model's name at the
    service, where it is not documented, or no longer what is documented.  `strict` says what
    happens where a limit is broken: True raises also where it is only inferred; None warns of
    those; False checks nothing, and sends whatever JSON can carry.  `extra` are further fields, by
    name, that go out beside the declared ones.

    What a field for pictures was given that is not text stands in it as `LocalMedia`.
    """

    documented_slug: ClassVar[str | None] = None
    """The slug that the documentation states; None: one has to be given."""
    slug_provenance: ClassVar[SlugProvenance] = "documented"
    """Whether the documentation states the slug, or its pattern, or nothing."""
    slug_guess: ClassVar[str | None] = None
    """What an undocumented slug may be; never sent unless somebody says so."""
    title: ClassVar[str]
    """The model's name in the documentation."""
    family: ClassVar[str]
    operation: ClassVar[str]
    page: ClassVar[str | None] = None
    """The path of the model's page in the documentation, if its content is known."""
    rules: ClassVar[tuple[Rule, ...]] = ()
    """What the fields must satisfy together."""

    slug: str = field(default=None)
    """The value that goes out as `model`."""
    strict: bool | None = field(default=None, repr=False, eq=False)
    extra: Mapping[str, object] | None = field(default=None, hash=False)

    def __attrs_post_init__(self) -> None:
        model = type(self)
        if self.strict is not None and not isinstance(self.strict, bool):
            raise InputError(
                f"{model.__name__}.strict is {shown(self.strict)}; it takes True, False or None",
                field="strict",
                value=self.strict,
                allowed="True, False or None",
            )
        object.__setattr__(self, "slug", slug_to_send(model, self.slug))
        if self.extra is not None:
            object.__setattr__(self, "extra", _read_extra(model, self.extra))
        if self.strict is False:
            self._keep_as_json()
        else:
            self._check()

    def _check(self) -> None:
        """Read every field as its type, and judge the limits that are broken."""
        model = type(self)
        breaches: list[Breach] = []
        for check in _checks(model):
            value = getattr(self, check.name)
            if value is None and not check.required:
                continue
            read = check.read(check, value)
            if read is not value:
                object.__setattr__(self, check.name, read)
            if check.needs_look:
                breaches += check.breaches(read)
        for rule in model.rules:
            breaches += rule.breaches(self)
        if breaches:
            _raise_or_warn(model, breaches, bool(self.strict))

    def _keep_as_json(self) -> None:
        """Read every field as what JSON has, whatever its type should be."""
        for check in _checks(type(self)):
            value = getattr(self, check.name)
            if value is not None:
                object.__setattr__(self, check.name, _json(check, value, "", 0))

    def payload(self) -> dict[str, object]:
        """The request's `input`: only what was set, in the documented order of fields."""
        sent = {
            check.name: _plain(value)
            for check in _checks(type(self))
            if (value := getattr(self, check.name)) is not None
        }
        if self.extra is not None:
            sent |= {name: _plain(value) for name, value in self.extra.items()}
        return sent


def _raise_or_warn(model: type[CheckedInput], breaches: list[Breach], strict: bool) -> None:
    """Raise for the first limit that is broken and documented, or any if strict; else warn."""
    for breach in breaches:
        if breach.provenance == "documented":
            raise _refusal(model, breach, "")
    for breach in breaches:
        if strict:
            raise _refusal(model, breach, " (inferred, and refused because of strict=True)")
        if (model, breach.field) not in already_warned:
            warnings.warn(
                f"{_subject(model, breach)}; it probably takes {breach.allowed}, "
                "but that is inferred, not documented: sent as it is",
                InferredLimitWarning,
                stacklevel=_levels_to_the_caller(),
            )
            # After the warning: where a filter makes it an error, it stays one.
            already_warned.add((model, breach.field))


def _refusal(model: type[CheckedInput], breach: Breach, why: str) -> InputError:
    return InputError(
        f"{_subject(model, breach)}; it takes {breach.allowed}{why}",
        field=breach.field,
        value=breach.value,
        allowed=breach.allowed,
    )


def _subject(model: type[CheckedInput], breach: Breach) -> str:
    return f"{model.__name__}.{breach.field}{breach.at} {breach.said}"


def _read_extra(model: type[CheckedInput], extra: object) -> Mapping[str, object] | None:
    """Further fields, as JSON has them; None if there is none."""
    read = _read_object(_Check(model.__name__, "extra", required=False, read=_read_object), extra)
    for name in read:
        if name in facts(model):
            raise InputError(
                f"{model.__name__}.extra has {name!r}, which is a field of {model.__name__}: "
                f"write {name}=… instead",
                field="extra",
                value=extra,
                allowed=f"fields that {model.__name__} does not declare",
            )
    return read or None


_OURS = (
    os.path.dirname(os.path.dirname(__file__)) + os.sep,
    os.path.dirname(attrs.fields.__code__.co_filename) + os.sep,
    "<attrs generated",
)


def _levels_to_the_caller() -> int:
    """The stacklevel of the first frame outside this package and attrs: our caller's line."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame = frame.f_back
        level += 1
    return level


# --- one field, prepared once per class --------------------------------------------------------


class _Span(NamedTuple):
    low: float
    high: float
    allowed: str
    provenance: Provenance


class _Check(NamedTuple):
    """What is looked at in one field."""

    model: str
    name: str
    required: bool
    read: _Reader
    words: frozenset[str | int] | None = None
    words_allowed: str = ""
    words_provenance: Provenance = "inferred"
    counted: str = ""
    spans: tuple[_Span, ...] = ()
    needs_look: bool = False
    media: MediaKind | None = None

    def breaches(self, value: _Value) -> list[Breach]:
        """The limits of this field alone that `value` breaks."""
        found: list[Breach] = []
        if isinstance(value, LocalMedia):
            return found
        if self.words is not None and value not in self.words:
            found.append(
                Breach(
                    self.name,
                    value,
                    f"is {shown(value)}",
                    self.words_allowed,
                    self.words_provenance,
                )
            )
        for low, high, allowed, provenance in self.spans:
            size = value if isinstance(value, (int, float)) else len(value)
            if not low <= size <= high:
                said = f"is {shown(value)}"
                if self.counted:
                    said += f" ({_count(size, self.counted)})"
                found.append(Breach(self.name, value, said, allowed, provenance))
        return found

    def refuse(self, value: object, allowed: str, at: str = "") -> NoReturn:
        """Raise the error for a value that no limit is needed to refuse."""
        kind = "" if value is None else f" ({type(value).__name__})"
        raise InputError(
            f"{self.model}.{self.name}{at} is {shown(value)}{kind}; it takes {allowed}",
            field=self.name,
            value=value,
            allowed=allowed,
        )


_Value: TypeAlias = str | float | tuple[object, ...] | dict[str, object] | LocalMedia
_Reader: TypeAlias = Callable[[_Check, object], _Value]


_checks_of: dict[type[CheckedInput], tuple[_Check, ...]] = {}


def _checks(model: type[CheckedInput]) -> tuple[_Check, ...]:
    """The checks of a model, prepared when its first input is made: not at import."""
    if model not in _checks_of:
        fields = facts(model).values()
        _checks_of[model] = tuple(_prepare(model.__name__, field) for field in fields)
    return _checks_of[model]


def _prepare(model: str, fact: FieldFacts) -> _Check:
    guessed = fact.inferred or Limits()
    words: tuple[str | int, ...]
    if fact.choices:
        words, provenance = (*fact.choices, *fact.aliases), fact.provenance
        accepted = frozenset((*words, *guessed.aliases))
    else:
        words, provenance = (*guessed.choices, *guessed.aliases), "inferred"
        accepted = frozenset(words)
    ranges = (*spans(fact, fact.type, fact.provenance), *spans(guessed, fact.type, "inferred"))
    return _Check(
        model=model,
        name=fact.name,
        required=fact.required,
        read=(_MEDIA_READERS if fact.media else _READERS)[fact.type],
        words=accepted or None,
        words_allowed=f"one of {', '.join(map(repr, words))}",
        words_provenance=provenance,
        counted=_COUNTED.get(fact.type, ""),
        spans=ranges,
        needs_look=bool(accepted or ranges),
        media=fact.media,
    )


_COUNTED: dict[FieldType, str] = {
    "string": "character",
    "string[]": "item",
    "object[]": "item",
}


def spans(limits: Limits, kind: FieldType, provenance: Provenance) -> tuple[_Span, ...]:
    """The ranges that limits allow, each with its words."""
    low, high, unit = limits.minimum, limits.maximum, ""
    if kind == "string":
        low, high, unit = limits.min_length, limits.max_length, "character"
    elif kind in _COUNTED:
        low, high, unit = limits.min_items, limits.max_items, "item"
    if low is None and high is None:
        return ()
    span = (-math.inf if low is None else low, math.inf if high is None else high)
    return (_Span(*span, _span_in_words(low, high, unit), provenance),)


def _span_in_words(low: float | None, high: float | None, unit: str) -> str:
    if low is None or (low == 0 and unit):
        return f"at most {_count(high, unit)}"
    if high is None:
        return f"at least {_count(low, unit)}"
    return f"{low} to {_count(high, unit)}"


def _count(size: object, unit: str) -> str:
    return f"{size} {unit}{'' if size == 1 else 's'}" if unit else f"{size}"


# --- reading a value: the right type, in a form that stays as it is -----------------------------

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def _read_string(check: _Check, value: object) -> str:
    if not isinstance(value, str):
        hint = ""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            hint = f', so write "{value}"'
        check.refuse(value, f"a string{hint}")
    return _text(check, value)


def _text(check: _Check, value: str, at: str = "") -> str:
    lone = None if value.isascii() else _LONE_SURROGATE.search(value)
    if lone is not None:
        check.refuse(
            value,
            f"text that UTF-8 can encode: at position {lone.start()} stands the lone surrogate "
            f"{lone[0]!r}",
            at,
        )
    # Exactly str, so that a member of an enumeration is sent as its value.
    return value if type(value) is str else str.__str__(value)


def _read_integer(check: _Check, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        check.refuse(value, f"an integer{_so_write(value, _INTEGER)}")
    return _whole(check, value)


_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")


def _so_write(value: object, form: re.Pattern[str]) -> str:
    """How to write a number that came as a string, or a whole one that came as a float."""
    if isinstance(value, float) and value.is_integer():
        value = f"{value:.0f}"
    return f", so write {value}" if isinstance(value, str) and form.fullmatch(value) else ""


def _whole(check: _Check, value: int, at: str = "") -> int:
    if value.bit_length() > LONGEST_INTEGER:
        check.refuse(value, f"integers of at most {LONGEST_INTEGER} bits", at)
    return value if type(value) is int else int(value)


def _read_number(check: _Check, value: object) -> float:
    if isinstance(value, int) and not isinstance(value, bool):
        return _whole(check, value)
    if not isinstance(value, float) or not math.isfinite(value):
        check.refuse(value, f"a finite number{_so_write(value, _NUMBER)}")
    return value if type(value) is float else float(value)


def _read_boolean(check: _Check, value: object) -> bool:
    if not isinstance(value, bool):
        check.refuse(value, "True or False")
    return value


def _items(check: _Check, value: object, of: str) -> Sequence[object]:
    if isinstance(value, (str, Mapping)) or (check.media and is_local(value)):
        check.refuse(value, f"a list of {of}, so write [...] around it")
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray, memoryview)):
        check.refuse(value, f"a list of {of}")
    return value


def _read_strings(check: _Check, value: object) -> tuple[str, ...]:
    read = []
    for index, item in enumerate(_items(check, value, "strings")):
        if not isinstance(item, str):
            check.refuse(item, "strings", f"[{index}]")
        read.append(_text(check, item, f"[{index}]"))
    return tuple(read)


def _read_object(check: _Check, value: object) -> dict[str, object]:
    if not isinstance(value, Mapping):
        check.refuse(value, "a mapping")
    return _mapping(check, value, "", 0)


def _read_objects(check: _Check, value: object) -> tuple[object, ...]:
    read = []
    for index, item in enumerate(_items(check, value, "mappings")):
        if not isinstance(item, Mapping):
            check.refuse(item, "mappings", f"[{index}]")
        read.append(_json(check, item, f"[{index}]", 0))
    return tuple(read)


def _read_medium(check: _Check, value: object, at: str = "") -> str | LocalMedia:
    if isinstance(value, str):
        return _text(check, value, at)
    media = _local(check, value, at)
    if media is None:
        check.refuse(value, _MEDIA_TAKEN, at)
    return media


def _read_media(check: _Check, value: object) -> tuple[str | LocalMedia, ...]:
    items = _items(check, value, f"{check.media}s")
    return tuple(_read_medium(check, item, f"[{index}]") for index, item in enumerate(items))


def _local(check: _Check, value: object, at: str = "") -> LocalMedia | None:
    try:
        return LocalMedia.of(value)
    except Unfit as exc:
        raise InputError(
            f"{check.model}.{check.name}{at} {exc}; it takes {_MEDIA_TAKEN}",
            field=check.name,
            allowed=_MEDIA_TAKEN,
        ) from exc


_MEDIA_TAKEN = "a URL, a data URI, a Path, bytes, an open binary file or a Pillow image"


def _json(check: _Check, value: object, at: str, depth: int) -> object:
    """A copy of `value` as JSON has it, that no one else can change."""
    if depth > DEEPEST:
        check.refuse(value, f"values nested at most {DEEPEST} deep", at)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(check, value, at)
    if isinstance(value, int):
        return _whole(check, value, at)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if is_local(value):
        return _local(check, value, at)
    if isinstance(value, Mapping):
        return _mapping(check, value, at, depth)
    if not isinstance(value, Sequence) or isinstance(value, (bytes, bytearray, memoryview)):
        check.refuse(value, "what JSON can hold", at)
    return tuple(_json(check, x, f"{at}[{i}]", depth + 1) for i, x in enumerate(value))


def _mapping(
    check: _Check, value: Mapping[object, object], at: str, depth: int
) -> dict[str, object]:
    copy: dict[str, object] = {}
    for key, item in value.items():
        if not isinstance(key, str):
            check.refuse(key, "strings as keys", f"{at} key")
        copy[_text(check, key, at)] = _json(check, item, f"{at}[{shown(key)}]", depth + 1)
    return copy


def _plain(value: object) -> object:
    """The same value in lists and fresh dicts, for the caller to keep."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


_READERS: dict[FieldType, _Reader] = {
    "string": _read_string,
    "integer": _read_integer,
    "number": _read_number,
    "boolean": _read_boolean,
    "string[]": _read_strings,
    "object": _read_object,
    "object[]": _read_objects,
}
_MEDIA_READERS: dict[FieldType, _Reader] = {
    "string": _read_medium,
    "string[]": _read_media,
}
