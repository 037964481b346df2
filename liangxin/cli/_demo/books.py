"""Whether what we created is what the service charged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def disagreements(created: Iterable[str], charged: Iterable[str]) -> list[str]:
    """What is wrong, a clause for each task id; nothing if each was charged exactly once."""
    known, paid = Counter(created), Counter(charged)
    found = []
    for task in known | paid:
        if task not in paid:
            found.append(f"{task} was created but not charged")
        elif task not in known:
            found.append(f"{task} was charged but its creation was never confirmed")
        elif paid[task] != 1 or known[task] != 1:
            found.append(f"{task} was created {known[task]} and charged {paid[task]} times")
    return found
