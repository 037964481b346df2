"""
A task of the service: a record that never changes, and a state that follows from the time.

Nothing ticks.  Whoever asks says what time it is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from liangxin.emulator._calls import Subject
from liangxin.emulator._catalogue import Kind, MarketModel

# The share of a task's duration at which it leaves each state.
_LEAVES = (("waiting", 0.05), ("queuing", 0.15), ("generating", 1.0))

_SPREAD = 0.25

Durations = float | Callable[[str], float] | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Failure:
    """How a task ends that does not succeed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """
    One accepted task.

    Times are seconds of the service; `created_ms` is Unix time.  `param` is the createTask body as
    it came, `urls` where its results are said to be instead of here, `is_lost` that recordInfo
    denies knowing it.
    """

    id: str
    number: int
    model: MarketModel
    prompt: str
    input: Mapping[str, object]
    param: str
    callback_url: str | None
    key_hash: str
    origin: str
    created_at: float
    created_ms: int
    duration: float
    failure: Failure | None = None
    urls: tuple[str, ...] | None = None
    is_lost: bool = False

    @property
    def kind(self) -> Kind:
        """What the task makes: "image" or "video"."""
        return self.model.kind

    @property
    def subject(self) -> Subject:
        """What a request about this task is about, for faults."""
        return Subject(self.model.slug, self.prompt, self.id, self.key_hash)

    @property
    def final_at(self) -> float:
        """When the task ends."""
        return self.created_at + self.duration

    def state_at(self, now: float) -> str:
        """Return the state at `now`, in the service's words."""
        return self._phase(now)[0]

    def changed_at(self, now: float) -> float:
        """Return when the state that holds at `now` began."""
        return self._phase(now)[1]

    def _phase(self, now: float) -> tuple[str, float]:
        began = self.created_at
        for state, share in _LEAVES:
            leaves = self.created_at + self.duration * share
            if now < leaves:
                return state, began
            began = leaves
        return ("fail" if self.failure else "success"), self.final_at


class DurationSource:
    """
    How long each task takes: a seeded log-normal spread around what is usual for its model.

    `custom` overrides it with one number for all, a function of the model's slug, or numbers by
    slug or kind.
    """

    def __init__(self, seed: int, custom: Durations | None) -> None:
        self.seed = seed
        self._custom = custom

    def draw(self, model: MarketModel, number: int) -> float:
        """Return the duration in seconds of the `number`-th task."""
        fixed = self._fixed(model)
        if fixed is not None:
            return fixed
        chance = random.Random(f"{self.seed}/{number}/{model.slug}")
        return chance.lognormvariate(math.log(model.seconds), _SPREAD)

    def _fixed(self, model: MarketModel) -> float | None:
        if isinstance(self._custom, Mapping):
            return self._custom.get(model.slug, self._custom.get(model.kind))
        if callable(self._custom):
            return self._custom(model.slug)
        return self._custom
