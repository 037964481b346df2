"""
The moments in which this process may create, of those that a quota of many processes has.

Pure: everything here is told the time and returns a number.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque

from attrs import define, field

MARGIN = 0.04
"""
The share by which a window is taken longer than it is.

For what the clock of a process and the way to the service differ by, from one create to another.
"""
SHORTEST_MARGIN, LONGEST_MARGIN = 0.02, 0.5
"""Seconds."""
AHEAD = 0.1
"""Seconds for which moments are reserved at a time, and before their use."""
LONGEST_LEAD = 0.5
_DRIFT = 1e-4
"""Seconds by which two clocks part each second, at the most."""


def margin(seconds: float) -> float:
    """By how much a window of so many seconds is taken longer."""
    return min(max(MARGIN * seconds, SHORTEST_MARGIN), LONGEST_MARGIN)


class ServerClock:
    """
    When, by our clock, something happens that another clock has a moment for.

    The answer that came quickest says it best; a later one replaces it when it is quicker, when
    that one has grown old, or when the other clock has been set.
    """

    def __init__(self) -> None:
        self._offset = 0.0
        self._width = math.inf
        """Of the span in which the other clock was read, grown by what the clocks part since."""
        self._at = 0.0

    def heard(self, asked: float, answered: float, says: float) -> None:
        """Between `asked` and `answered`, by our clock, the other one was at `says`."""
        width = answered - asked
        offset = says - (asked + answered) / 2
        self._width += (answered - self._at) * _DRIFT
        self._at = answered
        if width <= self._width or abs(offset - self._offset) > (width + self._width) / 2:
            self._offset, self._width = offset, width

    def ours(self, theirs: float) -> float:
        """The moment by our clock."""
        return theirs - self._offset


@define(eq=False)
class Slots:
    """
    What was reserved and is not used yet, and how long before its moment a create must be let in.

    A create is let in by `lead` seconds early, to be recorded and connected by its moment, and may
    leave until `grace` seconds after it.  The lead is twice what that took the slowest of late: who
    is early waits, on record as about to be sent, and who is late has lost a moment for all.
    """

    grace: float
    lead: float = 0.1
    _moments: deque[float] = field(init=False, factory=deque)
    """In their order."""

    def add(self, first: float, gap: float, count: int) -> None:
        """Take in moments that were reserved."""
        self._moments.extend(first + number * gap for number in range(count))

    def give_back(self, moment: float) -> None:
        """Take in a moment that was taken and not used."""
        insort(self._moments, moment)

    def drop(self, until: float) -> None:
        """Forget all moments before this one."""
        while self._moments and self._moments[0] < until:
            self._moments.popleft()

    def delay(self, now: float) -> float:
        """Seconds until another create may be let in; infinite without a moment for it."""
        self.drop(now - self.grace)
        return max(self._moments[0] - self.lead - now, 0.0) if self._moments else math.inf

    def take(self, now: float) -> float | None:
        """The next moment, for a create that is let in or was late for its own."""
        self.drop(now - self.grace)
        return self._moments.popleft() if self._moments else None

    def is_met(self, moment: float, now: float) -> bool:
        """Whether what may leave at this moment may leave now."""
        return moment <= now <= moment + self.grace

    def prepared(self, seconds: float) -> None:
        """A create was ready so long after it was let in."""
        needed = min(2 * seconds, LONGEST_LEAD)
        self.lead = max(needed, self.lead + (needed - self.lead) / 50)

    def wanted(self, now: float, waiting: int, gap: float) -> int:
        """How many moments to reserve now, where so many creates wait for one."""
        self.drop(now - self.grace)
        lacking = waiting - len(self._moments)
        if lacking <= 0 or (self._moments and self._moments[-1] - self.lead > now + AHEAD):
            return 0
        return min(lacking, max(math.ceil(AHEAD / gap), 1))
