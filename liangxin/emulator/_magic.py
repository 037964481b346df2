"""
Magic prompts: what a prompt asks of the emulator, for people without rules.

`!slow:30s` takes that long, `!fail` and `!fail:why` (to the end of the line) end in `fail`,
`!lost-answer` is accepted and charged and not answered, `!refuse:403` is refused with that status
and not charged, `!lost-task` is denied by recordInfo, `!no-callback` calls nobody back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from liangxin.emulator._tasks import Failure

_WORD = re.compile(
    r"(?:^|(?<=\s))!(?:"
    r"slow:(?P<slow>\d{1,6}(?:\.\d+)?)s?\b"
    r"|fail(?::(?P<why>[^\n]*)|(?P<fail>\b))"
    r"|refuse:(?P<refuse>[45]\d\d)\b"
    r"|(?P<word>lost-answer|lost-task|no-callback)\b"
    r")"
)


@dataclass(slots=True)
class Magic:
    """What is to be different about the task of a prompt."""

    duration: float | None = None
    failure: Failure | None = None
    refusal: int | None = None
    is_withheld: bool = False
    is_lost: bool = False
    is_silent: bool = False


_NONE = Magic()


def magic_in(prompt: str) -> Magic:
    """Return what the magic words in `prompt` ask for."""
    if "!" not in prompt:
        return _NONE
    magic = Magic()
    for found in _WORD.finditer(prompt):
        _heed(magic, found)
    return magic


def _heed(magic: Magic, found: re.Match[str]) -> None:
    if found["slow"] is not None:
        magic.duration = float(found["slow"])
    elif found["refuse"] is not None:
        magic.refusal = int(found["refuse"])
    elif found["word"] == "lost-answer":
        magic.is_withheld = True
    elif found["word"] == "lost-task":
        magic.is_lost = True
    elif found["word"] == "no-callback":
        magic.is_silent = True
    else:
        why = (found["why"] or "").strip()
        magic.failure = Failure("500", why or "the prompt asked to fail")
