"""
The fault rules in force: which one hits, how often each did, and rules as documents.

A document is what TOML and JSON have in common: a table of a rule's members, as `Fault` has them;
`count = "all"` stands for None, which TOML has no word for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any

from liangxin.emulator._calls import Subject
from liangxin.emulator._faults import Fault, Target

_ALL = "all"


@dataclass(slots=True)
class Rule:
    """A fault in force: `met` counts the requests that met its conditions, `hits` those it hit."""

    id: int
    fault: Fault
    is_on: bool = True
    met: int = 0
    hits: int = 0


class FaultBook:
    """The rules in the order they were added; the first that hits is taken."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.drawn = 0
        self._last_id = 0
        self._random = Random()

    def __bool__(self) -> bool:
        return bool(self.rules)

    def add(self, fault: Fault) -> Rule:
        """Put a rule in force."""
        self._last_id += 1
        rule = Rule(self._last_id, fault)
        self.rules.append(rule)
        return rule

    def find(self, rule_id: int) -> Rule | None:
        """Return the rule of that id."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)

    def clear(self) -> None:
        """Drop all rules."""
        self.rules.clear()

    def seed(self, seed: int, drawn: int = 0) -> None:
        """Draw from the beginning again, as if `drawn` draws had been made."""
        self._random.seed(seed)
        for _ in range(drawn):
            self._random.random()
        self.drawn = drawn

    def restore(self, rules: Iterable[Rule]) -> None:
        """Put back rules with their counts."""
        self.rules[:] = rules
        self._last_id = max((rule.id for rule in self.rules), default=0)

    def take(self, target: Target, subject: Subject, *, early: bool = False) -> Fault | None:
        """Return the fault that hits this request, and count it as used."""
        for rule in self.rules:
            fault = rule.fault
            is_meant = rule.is_on and fault.endpoint == target and fault.is_early is early
            if is_meant and fault.concerns(subject) and self._hits(rule):
                return fault
        return None

    def _hits(self, rule: Rule) -> bool:
        rule.met += 1
        first, count = rule.fault.nth, rule.fault.count
        if rule.met < first or (count is not None and rule.met >= first + count):
            return False
        is_hit = self._random.random() < rule.fault.probability
        self.drawn += 1
        rule.hits += is_hit
        return is_hit


# --- rules as documents ------------------------------------------------------------------------


class BadRules(ValueError):
    """A document that holds no rules, or one that cannot be; says which, and what is allowed."""


def read_rules(document: object) -> list[Fault]:
    """Return the rules in a document: one, a list of them, or a table with a list `fault`."""
    if isinstance(document, Mapping) and set(document) == {"fault"}:
        document = document["fault"]
    if not isinstance(document, list):
        return [_read(document)]
    rules = []
    for number, each in enumerate(document, 1):
        try:
            rules.append(_read(each))
        except BadRules as bad:
            raise BadRules(f"fault {number}: {bad}") from None
    return rules


def read_rules_file(path: Path) -> list[Fault]:
    """Return the rules in a TOML file, in which each is a table `[[fault]]`."""
    try:
        return read_rules(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise BadRules(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # BadRules, TOML and UTF-8 alike
        raise BadRules(f"{path}: {error}") from None


def document_of(fault: Fault) -> dict[str, object]:
    """Return a rule as `read_rules` takes it, without what is as usual."""
    usual = Fault(fault.endpoint)
    told: dict[str, object] = {"endpoint": fault.endpoint}
    for member in fields(fault):
        value = getattr(fault, member.name)
        if value != getattr(usual, member.name):
            told[member.name] = list(value) if isinstance(value, tuple) else value
    if fault.count is None:
        told["count"] = _ALL
    return told


def _read(document: object) -> Fault:
    if not isinstance(document, Mapping):
        raise BadRules(f"a rule is a table, not {document!r:.60}")
    known = {member.name for member in fields(Fault)}
    unknown = [name for name in document if name not in known]
    if unknown:
        raise BadRules(f"{unknown[0]} is no member of a rule; these are {', '.join(sorted(known))}")
    if "endpoint" not in document:
        raise BadRules("endpoint is required")
    members = dict[str, Any](document)
    if members.get("count") == _ALL:
        members["count"] = None
    if isinstance(members.get("urls"), list):
        members["urls"] = tuple(members["urls"])
    try:
        return Fault(**members)
    except ValueError as error:
        raise BadRules(str(error)) from None
