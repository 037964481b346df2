"""
When to look, and when to try again.

Pure: everything here is told the time and returns a number.  Nothing sleeps, and nothing asks a
clock.

A look costs `lag_weight` seconds (what one look is worth to us in lag), a second between the end
of a task and its discovery costs one.  For a task whose hazard of ending at age t is h(t), the
cheapest density of looks is sqrt(h(t) / (2 · lag_weight)): the next look comes when its integral
has grown by one.  The hazard is learned, model by model, from what the looks find.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import backoff

MAX_RETRY_AFTER = 300.0
"""The longest wait, in seconds, that a `Retry-After` can ask of us."""


def retry_delays(factor: float = 0.25, longest: float = 30.0) -> Iterator[float]:
    """Seconds before each retry: exponential, fully jittered, without end."""
    ceilings = backoff.expo(factor=factor, max_value=longest)
    next(ceilings)  # backoff's generators yield None once, to be primed
    for ceiling in ceilings:
        yield backoff.full_jitter(ceiling)


# --- how long tasks take -----------------------------------------------------------------------

_PER_OCTAVE = 4
_EDGES = (0.0, *(0.25 * 2 ** (step / _PER_OCTAVE) for step in range(17 * _PER_OCTAVE)))
"""Ages in seconds at which the bins begin: four to a doubling, from 0.25 s to nine hours."""
_PRIORS: Mapping[str | None, tuple[float, float]] = {
    "image": (12.0, 0.8),
    "video": (90.0, 0.9),
    None: (20.0, 1.4),
}
"""Median in seconds and spread of the lognormal that stands in before anything is known."""
_PRIOR_TASKS = 3.0
"""How many finished tasks the prior is worth."""
_HALF_LIFE = 100.0
"""After so many finished tasks, what was learned before counts half."""
_DOUBT = 0.1
"""
Of an end between two looks, the share that goes to the ages between evenly.

With none, expectation confirms itself: 300 tasks of 1 s that were taken for videos cost 2.4 × the
best fixed interval instead of 1.6 ×.
"""


class DurationModel:
    """
    How long the tasks of one model take: finished tasks and time at risk, by age.

    A task that still runs counts as time at risk.  Learning from finished tasks alone would take
    the quick ones of a batch, which end first, for all.
    """

    def __init__(self, kind: str | None = None) -> None:
        self.kind = kind if kind in _PRIORS else None
        self._ended = [0.0] * len(_EDGES)
        self._at_risk = [0.0] * len(_EDGES)
        self._weight = 1.0
        """What a new observation counts; growing it is how old ones are forgotten."""
        self.finished = 0
        self._prior = _prior(*_PRIORS[self.kind])
        self._density: list[float] | None = None
        self._changes = 0

    def survived(self, start: float, end: float) -> None:
        """A task was found running at age `end`, having been known to run at `start` (seconds)."""
        self._expose(start, end)
        self._changes += 1
        if self._changes > min(self.finished, _HALF_LIFE):
            self._density = None

    def ended(self, start: float, end: float) -> None:
        """A task that ran at age `start` ended at age `end` (seconds)."""
        self._expose(start, end)
        self._ended[_bin(end)] += self._weight
        self._count()

    def ended_between(self, start: float, found: float) -> None:
        """
        A task that ran at age `start` had ended by age `found` (seconds); when is not known.

        The end is shared out among the ages between, mostly as the hazard learned so far has it
        (one step towards Turnbull's self-consistent estimate).  Put halfway, ends would be missing
        at the ages just before each look, and of those ages alone a burst learns what comes next:
        it cost up to 1.18 of the optimum instead of 1.10.
        """
        roots, shares, running = self.density(), [], 1.0
        for place, seconds in _pieces(start, found):
            ending = -running * math.expm1(-seconds * roots[place] ** 2)
            shares.append((place, seconds, ending))
            running -= ending
        total = sum(ending for _, _, ending in shares)
        if not total:
            self.ended(start, (start + found) / 2)
            return
        later = 0.0
        for place, seconds, ending in reversed(shares):
            share = (1 - _DOUBT) * ending / total + _DOUBT * seconds / (found - start)
            self._ended[place] += self._weight * share
            self._at_risk[place] += self._weight * seconds * (later + share / 2)
            later += share
        self._count()

    def _count(self) -> None:
        self.finished += 1
        self._weight *= 2 ** (1 / _HALF_LIFE)
        if self._weight > 1e9:
            self._rescale()
        self._changes += 1
        if self._changes * 20 > min(self.finished, 2 * _HALF_LIFE):
            self._density = None

    def _expose(self, start: float, end: float) -> None:
        for place, seconds in _pieces(start, end):
            self._at_risk[place] += seconds * self._weight

    def _rescale(self) -> None:
        self._ended = [value / self._weight for value in self._ended]
        self._at_risk = [value / self._weight for value in self._at_risk]
        self._weight = 1.0

    def density(self) -> list[float]:
        """The square root of the hazard, by bin."""
        if self._density is None:
            ended = _smooth(self._ended, self._prior[0], self._weight)
            at_risk = _smooth(self._at_risk, self._prior[1], self._weight)
            self._density = [
                math.sqrt(events / exposure) if exposure > 0 else 0.0
                for events, exposure in zip(ended, at_risk, strict=True)
            ]
            self._changes = 0
        return self._density

    def quantile(self, share: float) -> float:
        """The age in seconds by which this share of the tasks has ended."""
        left = -math.log1p(-share)
        for place, root in enumerate(self.density()):
            hazard = root * root
            end = _EDGES[place + 1] if place + 1 < len(_EDGES) else math.inf
            grown = hazard * (end - _EDGES[place]) if hazard else 0.0
            if grown >= left:
                return _EDGES[place] + left / hazard
            left -= grown
        return math.inf

    # --- kept between runs -----------------------------------------------------------------

    def to_json(self) -> dict[str, object]:
        """What was learned, as JSON has it; weights are relative to one new task."""
        return {
            "kind": self.kind,
            "finished": self.finished,
            "ended": _sparse(self._ended, self._weight),
            "at_risk": _sparse(self._at_risk, self._weight),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> DurationModel:
        """The reverse of `to_json`; of anything else `Durations.from_json` makes a ValueError."""
        kind = data["kind"]
        model = cls(kind if isinstance(kind, str) else None)
        model.finished = max(int(cast("int", data["finished"])), 0)
        for name, target in (("ended", model._ended), ("at_risk", model._at_risk)):
            for place, value in cast("Mapping[str, float]", data[name]).items():
                if not 0 <= value < 1e30 or not 0 <= int(place) < len(target):
                    raise ValueError(f"{name}[{place}] = {value}")
                target[int(place)] = float(value)
        return model


class Durations:
    """What is known of every model's durations; can be kept between runs."""

    def __init__(self) -> None:
        self._models: dict[str | None, DurationModel] = {}

    def of(self, model: str | None, kind: str | None = None) -> DurationModel:
        """What is known of a model, by its slug; `kind` says what to assume of a new one."""
        if model not in self._models:
            self._models[model] = DurationModel(kind)
        return self._models[model]

    def learned(self) -> dict[str, DurationModel]:
        """The models of which at least one task has ended."""
        return {
            name: model for name, model in list(self._models.items()) if name and model.finished
        }

    def adopt(self, other: Durations) -> None:
        """Take over what another has learned."""
        self._models.update(other._models)

    def to_json(self) -> dict[str, object]:
        """What was learned, as JSON has it."""
        models = {name: model.to_json() for name, model in self.learned().items()}
        return {"version": 1, "models": models}

    @classmethod
    def from_json(cls, data: object) -> Durations:
        """The reverse of `to_json`; raises ValueError for anything else."""
        durations = cls()
        try:
            version, models = data["version"], data["models"]  # type: ignore[index]
            if version != 1:
                raise ValueError(f"version {version!r}")
            for name, learned in models.items():
                durations._models[str(name)] = DurationModel.from_json(learned)
        except (AttributeError, KeyError, OverflowError, TypeError) as exc:
            raise ValueError(f"not what was saved: {exc!r}") from exc
        return durations


def _bin(age: float) -> int:
    return bisect_right(_EDGES, age) - 1 if age > 0 else 0


def _pieces(start: float, end: float) -> Iterator[tuple[int, float]]:
    """The bins between two ages, each with the seconds spent in it."""
    place = _bin(start)
    while start < end:
        stop = min(end, _EDGES[place + 1]) if place + 1 < len(_EDGES) else end
        yield place, stop - start
        start = stop
        place += 1


def _smooth(observed: list[float], prior: list[float], weight: float) -> list[float]:
    """Observations and prior together, each bin averaged with its neighbours (1 2 1)."""
    total = [value + share * weight for value, share in zip(observed, prior, strict=True)]
    padded = [total[0], *total, total[-1]]
    return [
        (padded[place] + 2 * padded[place + 1] + padded[place + 2]) / 4
        for place in range(len(total))
    ]


def _sparse(values: Iterable[float], weight: float) -> dict[str, float]:
    return {str(place): value / weight for place, value in enumerate(values) if value > 0}


def _prior(median: float, spread: float) -> tuple[list[float], list[float]]:
    """Ended tasks and time at risk by bin, of a lognormal, worth a few tasks."""

    def surviving(age: float) -> float:
        if age <= 0:
            return 1.0
        return math.erfc(math.log(age / median) / (spread * math.sqrt(2))) / 2

    ended, at_risk = [], []
    for place, start in enumerate(_EDGES):
        end = _EDGES[place + 1] if place + 1 < len(_EDGES) else 2 * start
        before, after = surviving(start), surviving(end)
        # Far out, where hardly a task of the prior is left, its hazard ends with a floor.
        at_risk.append(_PRIOR_TASKS * max((before + after) / 2 * (end - start), 1e-9))
        ended.append(_PRIOR_TASKS * max(before - after, 1e-9 / (start + 1.0)))
    return ended, at_risk


# --- when to look ------------------------------------------------------------------------------


class Schedule:
    """
    How long until the next look at a task, by its age and by how long such tasks take.

    `lag_weight` is what one look is worth, in seconds of lag.  No pause is shorter than
    `min_interval` or longer than `max_interval`, and each is jittered by a tenth, so that tasks
    that were created together do not stay together.
    """

    def __init__(
        self,
        *,
        lag_weight: float = 0.2,
        min_interval: float = 0.5,
        max_interval: float = 60.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._need = math.sqrt(2 * lag_weight)
        self._min_interval = min_interval
        self._max_interval = max_interval
        self._uniform = uniform

    def next_delay(
        self,
        age: float,
        durations: DurationModel,
        *,
        price: float = 1.0,
        callback_share: float = 0.0,
        trouble: int = 0,
    ) -> float:
        """
        Seconds until the next look at a task of this age (in seconds).

        `price` stretches the pauses when looks are scarce.  `callback_share` is the share of the
        tasks whose end we are told of by a callback: only the others need a look.  `trouble`
        counts the unusable answers since the last good one; each doubles the pause.
        """
        need = self._need * price / math.sqrt(max(1.0 - callback_share, 1e-4))
        pause = _until_grown(durations.density(), age, need, self._max_interval * price)
        pause = max(pause, self._min_interval) * float(2 ** min(trouble, 5))
        return min(pause, self._max_interval * price) * self._uniform(0.9, 1.1)


class FixedSchedule(Schedule):
    """The same pause every time, for those who insist; a price and trouble stretch it."""

    def __init__(
        self, interval: float, *, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        super().__init__(min_interval=interval, max_interval=interval, uniform=uniform)
        self._interval = interval

    def next_delay(
        self,
        age: float,
        durations: DurationModel,
        *,
        price: float = 1.0,
        callback_share: float = 0.0,
        trouble: int = 0,
    ) -> float:
        """Seconds until the next look, whatever the age."""
        pause = self._interval * price * float(2 ** min(trouble, 5))
        return pause * self._uniform(0.9, 1.1)


_PATIENCE = 1.5
"""With a steady hazard the lag to expect before a look is `lag_weight`; more than this times it
is never waited for."""


def _until_grown(density: list[float], age: float, need: float, longest: float) -> float:
    """
    Seconds until the integral of `density` from `age` has grown by `need`.

    Sooner where many tasks end within less than a pause: the integral hardly grows there, yet a
    task found running just before has most likely ended just after.
    """
    place = _bin(age)
    start, last = age, age + longest
    lag, running = _PATIENCE * need * need / 2, 1.0
    while start < last:
        end = _EDGES[place + 1] if place + 1 < len(_EDGES) else math.inf
        root = density[place]
        due = start + need / root if root > 0 else math.inf
        hazard = root * root
        still = running / (1 + hazard * (end - start))
        expected = (end - start) * (1 - (running + still) / 2)
        if expected > lag:
            due = min(due, start + _until_expected(lag, running, hazard))
        if due <= end:
            return min(due, last) - age
        need -= root * (end - start)
        lag = max(lag - expected, 0.0)
        start, running = end, still
        place += 1
    return longest


def _until_expected(lag: float, running: float, hazard: float) -> float:
    """Seconds, at least, until the lag to expect of a task that runs with this probability."""
    slope = 1.0 - running
    slope += math.sqrt(slope * slope + 2 * running * hazard * lag)
    return max(2 * lag / slope, lag) if slope > 0 else lag


class CallbackShare:
    """
    Which share of the tasks' ends a callback tells us of: learned, and quick to change.

    Half before anything is known: to assume nearly all where none come doubles the cost of
    looking.  Of what was seen, half the weight is gone after twenty ends.
    """

    PROMPT = 1.0
    """A callback that comes so many seconds after a look has found the end was on its way."""

    def __init__(self) -> None:
        self._told = self._ends = 0.0

    @property
    def value(self) -> float:
        """Between 0 and 1, neither of which it ever reaches."""
        return (self._told + 1.0) / (self._ends + 2.0)

    def ended(self, told: bool) -> None:
        """A task was found ended: because a callback said so, or by a look of our own."""
        self._ends = self._ends * _KEPT + 1.0
        self._told = self._told * _KEPT + told

    def told_late(self, seconds: float) -> None:
        """The callback of a task came so long after a look of our own had found its end."""
        if seconds <= self.PROMPT:
            self._told = min(self._told + 1.0, self._ends)


_KEPT = 2 ** (-1 / 20)


class PollBudget:
    """
    How many looks a second all tasks together may take, as one price.

    Every task announces the density at which it would be looked at if looks were free of charge;
    when the sum exceeds the rate, all pauses are stretched by the same factor, so that looks go
    where an end is likeliest.  What still comes too thick is spaced out: a burst of up to a
    second's worth may pass at once.

    A 429 halves the rate and holds every look for as long as the service asked; each good answer
    gives a little of the rate back.
    """

    def __init__(self, rate: float) -> None:
        self._full_rate = rate
        self.rate = rate
        self._wanted = 0.0
        self._next = 0.0
        """When the next look would be due if looks were spaced evenly."""
        self._held_until = 0.0

    @property
    def price(self) -> float:
        """By how much pauses are stretched: 1 while there are looks enough."""
        return max(1.0, self._wanted / self.rate)

    def want(self, density: float) -> None:
        """Add looks a second to what is wanted, or take them back with a negative number."""
        self._wanted = max(0.0, self._wanted + density)

    def delay(self, now: float) -> float:
        """Seconds until a look may leave; 0 for now."""
        return max(self._held_until - now, self._next - 1.0 - now, 0.0)

    def spend(self, now: float) -> None:
        """Count one look that leaves now."""
        self._next = max(self._next, now) + 1.0 / self.rate

    def throttled(self, now: float, retry_after: float | None) -> None:
        """Take note of a 429: halve the rate, once for all looks that were on their way."""
        if now >= self._held_until:
            self.rate = max(self.rate / 2, self._full_rate / 64)
        wait = min(retry_after or 1.0, MAX_RETRY_AFTER)
        self._held_until = max(self._held_until, now + wait)

    def answered(self) -> None:
        """Take note of a good answer: the rate recovers by a hundredth of the full one."""
        if self.rate < self._full_rate:
            self.rate = min(self.rate + self._full_rate / 100, self._full_rate)


# --- when to create ----------------------------------------------------------------------------


class RateWindow:
    """At most `count` creates in any `seconds`, counted from the moment in which each left."""

    def __init__(self, count: int, seconds: float) -> None:
        self.count = count
        self.seconds = seconds
        self._left: deque[float] = deque()
        self._admitted = 0

    @classmethod
    def parse(cls, text: str) -> RateWindow:
        """Read "20/10s", "5/s" or "100/min"; raises ValueError for anything else."""
        match = _RATE.fullmatch(text.strip())
        if match is None or not int(match[1]) or (match[2] and not float(match[2])):
            raise ValueError(f"{text!r} is not a rate")
        return cls(int(match[1]), float(match[2] or 1) * _SECONDS[match[3] or "s"])

    def delay(self, now: float) -> float:
        """Seconds until another create may be admitted; infinite until one of those leaves."""
        while self._left and self._left[0] <= now - self.seconds:
            self._left.popleft()
        if len(self._left) + self._admitted < self.count:
            return 0.0
        return self._left[0] + self.seconds - now if self._left else math.inf

    def admitted(self) -> None:
        """Count one that will leave soon."""
        self._admitted += 1

    def left(self, now: float | None) -> None:
        """The one that was admitted has left now, or (None) never will."""
        self._admitted -= 1
        if now is not None:
            self._left.append(now)


_RATE = re.compile(r"(\d{1,9})\s*/\s*(\d+(?:\.\d+)?)?\s*(s|sec|m|min|h)?")
_SECONDS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class CreatePace:
    """
    How fast creates may leave when the service says 429: found out, not told.

    Without a limit until the first 429; then nine tenths of what the service has accepted lately.
    From there a 429 slows down by a twentieth, and accepted creates speed up, the more so the
    longer none was refused, until there is no limit again.  While one refusal follows another the
    pace stays, and the pauses grow: a window that is full says nothing about its size.
    """

    SLOWER = 0.95
    NO_LIMIT = 200.0
    """Creates a second above which no limit is kept."""
    LATELY = 10.0
    """Seconds for which it is remembered what was accepted."""

    def __init__(self) -> None:
        self.rate = math.inf
        self._accepted: deque[float] = deque()
        self._since_refusal = 0
        self._refusals = 0
        """How many in a row."""
        self._next = 0.0
        self._held_until = 0.0

    def delay(self, now: float) -> float:
        """Seconds until the next create may leave."""
        return max(self._held_until - now, self._next - now, 0.0)

    def spend(self, now: float) -> None:
        """Count one create that leaves now."""
        self._next = max(self._next, now) + 1.0 / self.rate

    def accepted(self, now: float) -> None:
        """Take note of a create that was accepted."""
        self._accepted.append(now)
        self._forget(now)
        self._refusals = 0
        self._since_refusal += 1
        self.rate *= 1.0 + 0.002 * (1.0 + self._since_refusal / 20.0)
        if self.rate > self.NO_LIMIT:
            self.rate = math.inf

    def refused(self, now: float, retry_after: float | None) -> None:
        """Take note of a 429: slow down, and hold everything for as long as was asked."""
        if now >= self._held_until:  # the first of those that were on their way together
            self._refusals += 1
            self._slow_down(now)
            pause = 0.4 / self.rate * 1.5 ** min(self._refusals - 1, 10)
            self._next = self._held_until = now + min(pause, 30.0)
        if retry_after:
            self._held_until = max(self._held_until, now + min(retry_after, MAX_RETRY_AFTER))

    def _slow_down(self, now: float) -> None:
        if math.isinf(self.rate):
            self._forget(now)
            self.rate = max(0.9 * len(self._accepted) / self.LATELY, 1.0)
        elif self._refusals == 1:
            self.rate = max(self.rate * self.SLOWER, 1 / 60)
        self._since_refusal = 0

    def _forget(self, now: float) -> None:
        while self._accepted and self._accepted[0] <= now - self.LATELY:
            self._accepted.popleft()
