"""
OpenTelemetry of what a client does: one span for each task, and metrics (extra `otel`)::

    async with AsyncClient(hooks=Telemetry()) as client: ...

It is a hook that needs the OpenTelemetry API alone; what becomes of spans and metrics is for the
SDK to say, which the program sets up.  `NAMES` has every name that is used.

A span begins with the create, in the context of whoever asked for it, and ends with its task: a
look is no span and no event, but counted.  A task that was created elsewhere has a span from the
first look on.  A span that ends without the end of its task says so (`liangxin.task.left`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from attrs import define

try:
    from opentelemetry.metrics import Histogram, MeterProvider, get_meter
    from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider, get_tracer
except ImportError as error:
    raise ImportError('liangxin.otel needs an extra: pip install "liangxin[otel]"') from error

from liangxin._tasks import TaskState
from liangxin._version import __version__
from liangxin.hooks import (
    CreateFailed,
    CreateStarted,
    Event,
    LookScheduled,
    RequestEnded,
    RetryScheduled,
    StateChanged,
    TaskCreated,
    TaskEnded,
    TaskLeft,
)

__all__ = ["NAMES", "Telemetry"]

NAMES: Final = MappingProxyType(
    {
        # Of the semantic conventions: `error`, `http` and `server` are stable, `gen_ai` is not yet.
        "error.type": "the name of the exception",
        "gen_ai.operation.name": "`generate_content`",
        "gen_ai.output.type": "`image` or `video`, where the input says so",
        "gen_ai.provider.name": "`liangxin`",
        "gen_ai.request.model": "the slug of the model",
        "gen_ai.response.id": "the id of the task",
        "http.request.method": "`POST` for a create, `GET` for a look",
        "http.response.status_code": "the status of the answer, if one came",
        "server.address": "the host of the service",
        "server.port": "its port",
        "gen_ai.client.operation.duration": "histogram, s: from a create to the end of its task",
        "http.client.request.duration": "histogram, s: from the first byte to the answer",
        # Our own.
        "liangxin.create.ambiguous": "true for a create of which nobody knows what became of it",
        "liangxin.create.attempts": "how often the create was tried",
        "liangxin.create.ref": "what was sent as `Idempotency-Key`",
        "liangxin.lane": "`create` or `look`",
        "liangxin.pause": "seconds until the next attempt",
        "liangxin.task.left": "true where nobody waits any more, and the task goes on",
        "liangxin.task.looks": "how many looks it took to find the end",
        "liangxin.task.state": "a state in the service's words",
        "liangxin.retry": "event: a create is tried again",
        "liangxin.task.state_change": "event: a look has found the task in another state",
        "liangxin.task.active": "up-down counter: tasks that are followed, by state",
        "liangxin.task.in_flight": "up-down counter: creates and tasks under way",
        "liangxin.task.lag": "histogram, s: from the end of a task to its discovery",
        "liangxin.task.queue.duration": "histogram, s: from a create until a look finds its task"
        " no longer `waiting` or `queuing`",
        "liangxin.looks": "counter: looks taken",
        "liangxin.retries": "counter: creates and looks that failed and are tried again",
        "liangxin.throttled": "counter: answers with HTTP 429",
    }
)
"""Every name of an attribute, an event or a metric, and what it stands for."""

_METHODS = {"create": "POST", "look": "GET"}
_QUEUED = (TaskState.WAITING, TaskState.QUEUING)
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TASK_BUCKETS = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)


@define(eq=False)
class _Open:
    """A span under way, and what its metrics are told with."""

    span: Span
    attributes: dict[str, str | int]
    state: TaskState | None = None
    """None as long as there is no task."""
    is_queued: bool = True


class Telemetry:
    """
    A hook that makes a span of each task, and metrics of all.

    The providers default to those that the program has set for the process.  One `Telemetry` may
    serve several clients.  It holds what is under way and nothing else.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._tracer = get_tracer("liangxin", __version__, tracer_provider)
        self._creates: dict[str, _Open] = {}
        self._tasks: dict[str, _Open] = {}
        meter = get_meter("liangxin", __version__, meter_provider)
        self._active = meter.create_up_down_counter("liangxin.task.active", "{task}")
        self._in_flight = meter.create_up_down_counter("liangxin.task.in_flight", "{task}")
        self._looks = meter.create_counter("liangxin.looks", "{look}")
        self._retries = meter.create_counter("liangxin.retries", "{retry}")
        self._throttled = meter.create_counter("liangxin.throttled", "{response}")

        def histogram(name: str, buckets: tuple[float, ...]) -> Histogram:
            return meter.create_histogram(name, "s", explicit_bucket_boundaries_advisory=buckets)

        self._duration = histogram("gen_ai.client.operation.duration", _TASK_BUCKETS)
        self._queue = histogram("liangxin.task.queue.duration", _TASK_BUCKETS)
        self._lag = histogram("liangxin.task.lag", _TASK_BUCKETS)
        self._request = histogram("http.client.request.duration", _REQUEST_BUCKETS)

    def __call__(self, event: Event) -> None:
        match event:
            case CreateStarted():
                self._create_started(event)
            case RequestEnded():
                self._request_ended(event)
            case RetryScheduled():
                self._retry_scheduled(event)
            case TaskCreated():
                self._task_created(event)
            case CreateFailed():
                self._create_failed(event)
            case LookScheduled():
                self._look_scheduled(event)
            case StateChanged():
                self._state_changed(event)
            case TaskEnded():
                self._task_ended(event)
            case TaskLeft():
                self._task_left(event)

    # --- creates ---------------------------------------------------------------------------

    def _create_started(self, event: CreateStarted) -> None:
        opened = self._creates[event.ref] = self._opened(event, event.model)
        opened.span.set_attribute("liangxin.create.ref", event.ref)
        if event.kind is not None:
            opened.span.set_attribute("gen_ai.output.type", event.kind)

    def _task_created(self, event: TaskCreated) -> None:
        opened = self._creates.pop(event.ref, None)
        if opened is not None:  # else a doubt that a callback has settled: its span has ended
            opened.span.set_attribute("liangxin.create.attempts", event.attempts)
            self._follow(event.task_id, opened)

    def _create_failed(self, event: CreateFailed) -> None:
        opened = self._creates.pop(event.ref, None)
        if opened is not None:
            opened.span.set_attribute("liangxin.create.attempts", event.attempts)
            opened.span.set_attribute("liangxin.create.ambiguous", event.is_ambiguous)
            self._fail(opened, event.error, event.message)
            self._duration.record(event.seconds, {**opened.attributes, "error.type": event.error})
            self._close(opened)

    # --- tasks -----------------------------------------------------------------------------

    def _look_scheduled(self, event: LookScheduled) -> None:
        if event.task_id not in self._tasks:  # created elsewhere, or waited for once more
            self._follow(event.task_id, self._opened(event, event.model))

    def _state_changed(self, event: StateChanged) -> None:
        opened = self._tasks.get(event.task_id)
        if opened is None:
            return
        opened.span.add_event(
            "liangxin.task.state_change", {"liangxin.task.state": event.new.value}
        )
        self._enter(opened, event.new)
        if opened.is_queued and event.new not in _QUEUED:
            opened.is_queued = False
            if event.seconds is not None:
                self._queue.record(event.seconds, opened.attributes)

    def _task_ended(self, event: TaskEnded) -> None:
        opened = self._tasks.pop(event.task_id, None)
        if opened is None:
            return
        attributes = dict(opened.attributes)
        if event.model is not None:  # known by now, also where the waiting began with a mere id
            opened.span.set_attribute("gen_ai.request.model", event.model)
        opened.span.set_attribute("liangxin.task.looks", event.looks)
        opened.span.set_attribute("liangxin.task.state", event.state.value)
        if event.error is not None:
            attributes["error.type"] = event.error
            self._fail(opened, event.error, event.message)
        if event.seconds is not None:
            self._duration.record(event.seconds, attributes)
        if event.lag is not None:
            self._lag.record(event.lag, opened.attributes)
        self._close(opened)

    def _task_left(self, event: TaskLeft) -> None:
        opened = self._tasks.pop(event.task_id, None)
        if opened is None:
            return
        opened.span.set_attribute("liangxin.task.left", True)
        if event.error is not None:
            self._fail(opened, event.error, None)
        self._close(opened)

    # --- requests --------------------------------------------------------------------------

    def _request_ended(self, event: RequestEnded) -> None:
        attributes: dict[str, str | int] = {
            "http.request.method": _METHODS[event.lane],
            "liangxin.lane": event.lane,
            "server.address": event.host,
            "server.port": event.port,
        }
        if event.status is not None:
            attributes["http.response.status_code"] = event.status
        if event.error is not None:
            attributes["error.type"] = event.error
        if event.seconds is not None:
            self._request.record(event.seconds, attributes)
        if event.lane == "look":
            self._looks.add(1, {"server.address": event.host})
        if event.status == 429:
            self._throttled.add(1, {"liangxin.lane": event.lane, "server.address": event.host})

    def _retry_scheduled(self, event: RetryScheduled) -> None:
        self._retries.add(1, {"liangxin.lane": event.lane, "error.type": event.error})
        opened = self._creates.get(event.ref or "")
        if opened is not None:
            opened.span.add_event(
                "liangxin.retry", {"error.type": event.error, "liangxin.pause": event.pause}
            )

    # --- what is under way -----------------------------------------------------------------

    def _opened(self, event: Event, model: str | None) -> _Open:
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "liangxin",
            "server.address": event.host,
            "server.port": event.port,
        }
        if model is not None:
            attributes["gen_ai.request.model"] = model
        span = self._tracer.start_span(
            f"generate_content {model or ''}".rstrip(), kind=SpanKind.CLIENT, attributes=attributes
        )
        self._in_flight.add(1, attributes)
        return _Open(span, attributes)

    def _follow(self, task_id: str, opened: _Open) -> None:
        earlier = self._tasks.pop(task_id, None)
        if earlier is not None:  # a callback was quicker than the answer to the create
            self._close(earlier)
        opened.span.set_attribute("gen_ai.response.id", task_id)
        self._tasks[task_id] = opened
        self._enter(opened, TaskState.WAITING)

    def _enter(self, opened: _Open, state: TaskState | None) -> None:
        """Count a task in its new state, and in its old one no more."""
        for each, change in ((opened.state, -1), (state, 1)):
            if each is not None:
                self._active.add(change, {**opened.attributes, "liangxin.task.state": each.value})
        opened.state = state

    def _fail(self, opened: _Open, error: str, message: str | None) -> None:
        opened.span.set_attribute("error.type", error)
        opened.span.set_status(StatusCode.ERROR, message)

    def _close(self, opened: _Open) -> None:
        self._enter(opened, None)
        self._in_flight.add(-1, opened.attributes)
        opened.span.end()
