"""
Who may ask: which API keys there are, what each may spend, and how often it may ask.

Knows keys by their hashes only.  The statuses are those that the Market lists; the words, the
order of the checks and `Retry-After` are this emulator's.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from liangxin.emulator._answers import Refused, gateway_error, relay_error
from liangxin.emulator._books import key_hash
from liangxin.emulator._calls import Call
from liangxin.emulator._time import Timeline

_LIMIT = re.compile(r"([1-9]\d{0,8})/(\d+(?:\.\d+)?)?(s|m|h)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` requests in any span of `seconds`, for each key."""

    count: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read "20/10s", "100/m" or "1/s"."""
        found = _LIMIT.fullmatch(text.replace(" ", ""))
        seconds = float(found[2] or 1) * _UNITS[found[3]] if found else 0.0
        if found is None or not seconds:
            raise ValueError(f'a rate is written "20/10s", "100/m" or "1/s", not {text!r}')
        return cls(int(found[1]), seconds)


class Keys:
    """
    The API keys: those in `api_keys`, or any; `quota` is what a key may spend, if it names no more.

    `limits` are the rates by endpoint; `says_when` that a 429 has `Retry-After`.
    """

    def __init__(
        self,
        time: Timeline,
        api_keys: Collection[str] | Mapping[str, int | None] | None,
        quota: int | None,
        limits: Mapping[str, str | None],
        says_when: bool,
    ) -> None:
        self.spent: defaultdict[str, int] = defaultdict(int)
        self._time = time
        self._allowed = None if api_keys is None else {key_hash(key) for key in api_keys}
        self._quota = quota
        named = api_keys if isinstance(api_keys, Mapping) else {}
        self._quotas = {key_hash(key): most for key, most in named.items()}
        self._limits = {name: Limit.parse(text) for name, text in limits.items() if text}
        self._says_when = says_when
        self._asked: defaultdict[tuple[str, str], deque[float]] = defaultdict(deque)

    @property
    def are_any(self) -> bool:
        """Whether every key will do."""
        return self._allowed is None

    def clear(self) -> None:
        """Nobody has asked or spent anything."""
        self.restore({})

    def restore(self, spent: Mapping[str, int]) -> None:
        """Each key has spent that much, and has not asked lately."""
        self.spent.clear()
        self.spent.update(spent)
        self._asked.clear()

    def admit(self, call: Call, endpoint: str) -> str:
        """Return who asks, or raise `Refused`: 401 without a good key, 429 too often."""
        holder = call.key_hash
        if holder is None:
            raise Refused(gateway_error(401, "no API key provided"))
        if self._allowed is not None and holder not in self._allowed:
            raise Refused(gateway_error(401, "invalid API key"))
        limit = self._limits.get(endpoint)
        if limit is not None:
            self._count(limit, self._asked[endpoint, holder], call.at)
        return holder

    def spend(self, holder: str, price: int) -> None:
        """Charge a key, or raise `Refused`: 403 if it has not that much left."""
        quota = self._quotas.get(holder, self._quota)
        if quota is not None and self.spent[holder] + price > quota:
            left = quota - self.spent[holder]
            text = f"insufficient quota: {left} credits are left, {price} are needed"
            raise Refused(gateway_error(403, text, "insufficient_user_quota"))
        self.spent[holder] += price

    def _count(self, limit: Limit, asked: deque[float], now: float) -> None:
        while asked and asked[0] <= now - limit.seconds:
            asked.popleft()
        if len(asked) < limit.count:
            asked.append(now)
            return
        answer = relay_error(429, "the load of the current group is saturated, try again later")
        if self._says_when:
            wait = self._time.outside(asked[0] + limit.seconds - now)
            after = "3600" if math.isinf(wait) else str(max(1, math.ceil(wait)))
            answer = replace(answer, headers=(("Retry-After", after),))
        raise Refused(answer)
