"""Names as people write them: which can be one, how an error says them, and which was meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from liangxin._text import quoted

LONGEST_KEY = 256
"""In characters."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def is_name(text: str) -> bool:
    """Whether it can be a key or a slug: not long, not blank, no control character."""
    is_plain = text.isprintable() or not _CONTROL.search(text)
    return 0 < len(text) <= LONGEST_KEY and not text.isspace() and is_plain


def did_you_mean(names: list[str], known: Iterable[str]) -> str:
    """The end of a sentence that names what is near; empty where nothing is."""
    known = sorted(known)
    # Only names as a person writes them: difflib is slow, and a line may hold a million letters.
    sane = [name for name in names[:8] if len(name) <= LONGEST_KEY]
    near = [match for name in sane for match in get_close_matches(name, known, 1)]
    return f"; did you mean {listed(near)}?" if near else ""


def listed(names: Sequence[str]) -> str:
    """Names as a sentence can hold them, however many and however long they are."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(quoted(name, 60) for name in names[:8]) + more
