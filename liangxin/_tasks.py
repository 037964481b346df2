"""
The values that users hold: what is asked for (`ModelInput`), and what becomes of it (`Task`).

Frozen, without I/O: a `Task` is what one answer of the service said, and never changes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from attrs import Factory, field, frozen

from liangxin._errors import InputError, LiangxinError, TaskFailed
from liangxin._media import Unfit, wrapped
from liangxin._text import quoted

Kind: TypeAlias = Literal["image", "video"]


class TaskState(enum.Enum):
    """
    Where a task stands, in the service's own words.

    `SUCCESS` and `FAIL` are final.  A word that this version has never heard of becomes
    `UNRECOGNIZED`, which is not final; the word itself is in `Task.raw`.
    """

    WAITING = "waiting"
    QUEUING = "queuing"
    GENERATING = "generating"
    SUCCESS = "success"
    FAIL = "fail"
    UNRECOGNIZED = "unrecognized"

    @property
    def is_final(self) -> bool:
        """Whether the task has ended."""
        return self is TaskState.SUCCESS or self is TaskState.FAIL


@frozen(kw_only=True)
class Task:
    """
    A snapshot of one task, as one answer of the service described it.

    `created_at`, `updated_at` and `completed_at` are aware datetimes in UTC, or None where the
    service said nothing (it documents none of the three).  `urls` are the results, in order; they
    expire.  `param` is the request as the service kept it.  `raw` is everything the answer said
    about the task, fields unknown to this version included.
    """

    id: str
    model: str | None = None
    state: TaskState = TaskState.WAITING
    urls: tuple[str, ...] = ()
    fail_code: str | None = None
    fail_message: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    param: Mapping[str, object] | None = field(default=None, repr=False, hash=False)
    raw: Mapping[str, object] = field(default=Factory(dict), repr=False, eq=False, hash=False)

    @property
    def is_final(self) -> bool:
        """Whether the task has ended, well or not."""
        return self.state.is_final

    def input(self) -> ModelInput | None:
        """
        Return what was asked for, by what the service kept of it (`param`); None if that is none.

        An input of the class in `liangxin.models` that has the task's slug, documented, configured
        or guessed; else a `RawInput`.  It is as it was sent, so checked by nobody (`strict=False`),
        and what the class has no field for is in its `extra`.  `attrs.evolve(input, strict=None)`
        makes one that is checked.
        """
        asked = self.param or {}
        slug, fields = asked.get("model", self.model), asked.get("input")
        if not isinstance(slug, str) or not slug.strip() or not isinstance(fields, Mapping):
            return None
        # By name, when it is asked for: values do not depend on the models, nor wait for them.
        made: ModelInput = import_module("liangxin.models._known").input_of(slug, fields)
        return made

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        told: dict[str, str] = import_module("liangxin._notebook").bundle(self)
        return told


class ModelInput:
    """
    What one model is asked to make.

    The classes in `liangxin.models` are the documented models; `RawInput` is any other.
    """

    slug: str
    """The value that goes out as `model`."""
    kind: ClassVar[Kind]
    """What comes back: an image or a video."""

    __slots__ = ()

    def payload(self) -> dict[str, object]:
        """
        The request's `input`: only what was set, in the documented order of fields.

        A picture, clip or sound on this machine stands in it as it was given; the client puts a
        data URI or a web address in its place before it sends.
        """
        raise TypeError(f"{type(self).__name__} does not say what its payload is")


@frozen
class RawInput(ModelInput):
    """
    The input of a model that this package has no class for: sent as it is, checked by nobody here.

        RawInput("some-new-model", {"prompt": "a lighthouse in fog"})

    A `Path`, bytes, an open file or a Pillow image anywhere in it is uploaded by the client's
    `uploader`, and its web address is sent.
    """

    slug: str = field()
    input: Mapping[str, object] = field(hash=False)

    def __attrs_post_init__(self) -> None:
        checked_slug(self.slug)
        if not isinstance(self.input, Mapping):
            raise InputError(
                f"input must be a mapping of fields, not {type(self.input).__name__}",
                field="input",
                value=self.input,
                allowed="a mapping of field names to JSON values",
            )
        media = {name: self._wrapped(name) for name in self.input}
        if any(media[name] is not self.input[name] for name in media):
            object.__setattr__(self, "input", media)

    def _wrapped(self, name: str) -> object:
        try:
            return wrapped(self.input[name])
        except Unfit as exc:
            raise InputError(f"{quoted(name)} of {quoted(self.slug)} {exc}", field=name) from exc

    def payload(self) -> dict[str, object]:
        """The fields, as given."""
        return dict(self.input)


@frozen(kw_only=True)
class Outcome:
    """
    What became of one input of many: a task that succeeded, or the error that ended it.

    `index` counts the inputs from 0 (None for one that was not among many).  `task` is the last
    snapshot, also beside an error if the task was created at all; None means that nothing was
    created, or that nobody can know (`AmbiguousCreate`).

    Of a batch: `key` is the request's, `files` are its results on disk, and `resumed` says that an
    earlier run had brought it to its end.
    """

    index: int | None = None
    key: str | None = None
    input: object
    task: Task | None = None
    error: LiangxinError | None = None
    files: tuple[Path, ...] = ()
    resumed: bool = False

    @property
    def ok(self) -> bool:
        """Whether the task succeeded."""
        return self.error is None

    def result(self) -> Task:
        """Return the succeeded task, or raise the error that ended it."""
        if self.error is not None:
            raise self.error
        assert self.task is not None
        return self.task

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        told: dict[str, str] = import_module("liangxin._notebook").bundle(self)
        return told


@frozen(kw_only=True)
class DurationStats:
    """What was learned of one model's durations; ages in seconds."""

    finished: int
    median: float
    p95: float


@frozen(kw_only=True)
class Stats:
    """
    What a client is doing, and how well.

    `waiting` tasks are waited for; `looks` were taken at tasks, of which `found` ended.  `mean_lag`
    is how many seconds after a task's end it was found, on average over those whose duration the
    service told; None before the first.  `poll_rate` is how many looks a second are allowed now,
    `poll_price` by how much pauses are stretched because looks are scarce (1: not at all), and
    `create_rate` how many creates a second are let through now (infinite: no limit).
    `callback_share` is the share of ends that callbacks have told of lately; None without any.
    `connections` are open, `busy_connections` of them carry a request.  `durations` is what was
    learned, by model.
    """

    waiting: int
    looks: int
    found: int
    mean_lag: float | None
    poll_rate: float
    poll_price: float
    create_rate: float
    callback_share: float | None
    connections: int
    busy_connections: int
    durations: Mapping[str, DurationStats]

    @property
    def looks_per_task(self) -> float | None:
        """Looks for each task that was found ended; None before the first."""
        return self.looks / self.found if self.found else None


def checked_slug(slug: object) -> str:
    """The slug itself, if it can be the name of a model."""
    if not isinstance(slug, str) or not slug.strip():
        raise InputError(
            f"slug must be a model's name, not {quoted(slug)}", field="slug", value=slug
        )
    return slug


def task_id(task: Task | str) -> str:
    """The id of a task that is given as a `Task` or as its id."""
    name = task.id if isinstance(task, Task) else task
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InputError(
            f"a task is a Task or its id, not {quoted(task)}", field="task", value=task
        )
    return name


def final_or_raise(task: Task) -> Task:
    """Return a task that succeeded; raise `TaskFailed` for one that did not."""
    if task.state is TaskState.FAIL:
        reason = task.fail_message or "the service gave no reason"
        code = f" (code {task.fail_code})" if task.fail_code else ""
        raise TaskFailed(task, f"{task.id} failed{code}: {reason}")
    return task
