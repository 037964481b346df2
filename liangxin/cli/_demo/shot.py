"""One request of the demo, from its creation to its file."""

from __future__ import annotations

from pathlib import Path

from attrs import define

from liangxin._errors import LiangxinError
from liangxin._tasks import ModelInput, Task


@define(eq=False)
class Shot:
    """
    What is known of one request; a board shows it while it changes.

    `began` and `ended` are seconds on the run's clock.
    """

    number: int
    input: ModelInput
    task: Task | None = None
    path: Path | None = None
    error: LiangxinError | None = None
    began: float | None = None
    ended: float | None = None

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return f"{self.number:02}-{self.input.slug}"

    @property
    def prompt(self) -> str:
        """What was asked for."""
        return str(self.input.payload().get("prompt", ""))

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.path is not None or self.error is not None

    @property
    def state(self) -> str:
        """Where it stands: the service's own words, with ours before and after."""
        if self.error is not None:
            return "failed"
        if self.path is not None:
            return "saved"
        return "planned" if self.task is None else self.task.state.value

    def age(self, now: float) -> float | None:
        """Seconds since it was begun, or that it took; None if it was not begun."""
        if self.began is None:
            return None
        return (now if self.ended is None else self.ended) - self.began
