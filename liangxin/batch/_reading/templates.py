"""Prompts that name columns in braces, and are filled from the other columns of their row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from liangxin._errors import InputError
from liangxin._text import printable
from liangxin.batch._reading.names import did_you_mean

_SLOT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def names_in(template: object) -> Set[str]:
    """The columns that a template names, whether it is well-formed or not."""
    if not isinstance(template, str) or "{" not in template:
        return frozenset()
    return {slot[1] for slot in _SLOT.finditer(template) if slot[1] is not None}


def fill(template: str, columns: Mapping[str, object]) -> tuple[str, Set[str]]:
    """The template with its slots filled, and the names of the columns that it used."""
    if "{" not in template and "}" not in template:
        return template, frozenset()

    def filled(slot: re.Match[str]) -> str:
        if slot[0] in ("{{", "}}"):
            return slot[0][0]
        if slot[1] is None:
            raise _bad_template(template, f"a single {slot[0]}", f"{slot[0] * 2} for a brace")
        return _filling(template, slot[1], columns)

    return _SLOT.sub(filled, template), names_in(template)


def _filling(template: str, name: str, columns: Mapping[str, object]) -> str:
    if not name or any(char in name for char in ".[]!:"):
        raise _bad_template(template, f"{{{name}}}", "the name of a column in braces, nothing else")
    value = columns.get(name)
    if value is None:
        hint = did_you_mean([name], (known for known in columns if columns[known] is not None))
        allowed = "names of columns that the row fills, and {{ }} for braces"
        raise _bad_template(template, f"{{{name}}}, which this row does not have{hint}", allowed)
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise _bad_template(template, f"{{{name}}}, which is no text", "columns of text or numbers")
    return str(value)


def _bad_template(template: str, said: str, allowed: str) -> InputError:
    return InputError(
        f"prompt has {printable(said, 200)}; it takes {allowed}",
        field="prompt",
        value=template,
        allowed=allowed,
    )
