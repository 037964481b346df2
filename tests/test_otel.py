"""Spans and metrics, as the SDK's in-memory exporters have them, against the emulator's books."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, Tracer

import liangxin
from liangxin import RawInput
from liangxin.emulator import Emulator, Fault
from liangxin.hooks import CreateStarted, Event, LookScheduled, TaskCreated
from liangxin.models import ZImage
from liangxin.otel import NAMES, Telemetry
from tests.test_batch import QuickLedger

POSTER = RawInput("z-image", {"prompt": "a lighthouse in fog"})
PAGE = Path(__file__).parents[1] / "docs" / "observability.md"
Clients = Callable[..., liangxin.AsyncClient]
Attributes = dict[str, Any]


class Backend:
    """Where spans and metrics arrive."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        self._tracing = TracerProvider(shutdown_on_exit=False)
        self._tracing.add_span_processor(SimpleSpanProcessor(self._spans))
        self._metering = MeterProvider([self._metrics], shutdown_on_exit=False)
        self.telemetry = Telemetry(tracer_provider=self._tracing, meter_provider=self._metering)

    @property
    def tracer(self) -> Tracer:
        """A tracer of the program's own."""
        return self._tracing.get_tracer("program")

    @property
    def spans(self) -> list[ReadableSpan]:
        """The package's spans that have ended."""
        finished = self._spans.get_finished_spans()
        return [each for each in finished if each.instrumentation_scope.name == "liangxin"]  # type: ignore[union-attr]

    def points(self) -> dict[str, list[tuple[Attributes, float]]]:
        """Each metric, as its attributes and its sum."""
        data = self._metrics.get_metrics_data()
        found: dict[str, list[tuple[Attributes, float]]] = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            found[metric.name] = [
                (dict(point.attributes or {}), _value(point)) for point in metric.data.data_points
            ]
        return found

    def total(self, name: str) -> float:
        """The sum of a metric over all attributes."""
        return sum(value for _, value in self.points()[name])

    def close(self) -> None:
        """Shut both providers down."""
        self._tracing.shutdown()
        self._metering.shutdown()


def _value(point: object) -> float:
    assert isinstance(point, (NumberDataPoint, HistogramDataPoint))
    return point.sum if isinstance(point, HistogramDataPoint) else point.value


def attributes(span: ReadableSpan) -> Attributes:
    return dict(span.attributes or {})


def event_names(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.close()


@pytest.fixture
def emulator() -> Emulator:
    """Every task takes 20 seconds."""
    return Emulator(seed=1, clock=anyio.current_time, durations=20.0)


# --- spans ----------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_a_task_is_one_span_however_often_it_is_looked_at(
    emulator: Emulator, client_of: Clients, backend: Backend
) -> None:
    async with client_of(hooks=backend.telemetry, poll_interval=1) as client:
        task = await client.run(ZImage(prompt="a lighthouse", slug="z-image"))
    [span] = backend.spans
    assert (span.name, span.kind) == ("generate_content z-image", SpanKind.CLIENT)
    found = attributes(span)
    assert len(found.pop("liangxin.create.ref")) == 32
    assert found == {
        "gen_ai.operation.name": "generate_content",
        "gen_ai.output.type": "image",
        "gen_ai.provider.name": "liangxin",
        "gen_ai.request.model": "z-image",
        "gen_ai.response.id": task.id,
        "liangxin.create.attempts": 1,
        "liangxin.task.looks": emulator.looks_of(task.id),
        "liangxin.task.state": "success",
        "server.address": "127.0.0.1",
        "server.port": 9,
    }
    assert emulator.looks_of(task.id) > 10
    assert set(event_names(span)) == {"liangxin.task.state_change"}
    assert len(span.events) <= 3
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.virtual_time
async def test_the_parent_is_where_the_create_was_called(
    client_of: Clients, backend: Backend
) -> None:
    async with client_of(hooks=backend.telemetry) as client:
        with backend.tracer.start_as_current_span("page") as page:
            task = await client.create_task(POSTER)
        await client.wait(task)
    [span] = backend.spans
    assert span.parent is not None
    assert span.parent.span_id == page.get_span_context().span_id


@pytest.mark.virtual_time
async def test_a_batch_is_one_span_for_each_task_under_that_of_the_program(
    emulator: Emulator, client_of: Clients, backend: Backend, tmp_path: Path
) -> None:
    requests = [(f"poster-{number}", POSTER) for number in range(20)]
    with QuickLedger(tmp_path / "ledger.db") as ledger:
        async with client_of(ledger=ledger, hooks=backend.telemetry) as client:
            with backend.tracer.start_as_current_span("batch") as batch:
                async with client.batch(requests, max_in_flight=5) as outcomes:
                    told = {outcome.result().id async for outcome in outcomes}
    assert {attributes(span)["gen_ai.response.id"] for span in backend.spans} == told
    parents = {span.parent.span_id for span in backend.spans if span.parent}
    assert parents == {batch.get_span_context().span_id}
    assert len(backend.spans) == len(emulator.charges) == 20


def test_the_blocking_client_has_its_callers_span_for_a_parent(
    server: Emulator, options_of: dict[str, Any], backend: Backend
) -> None:
    with liangxin.Client(**options_of, hooks=backend.telemetry) as client:
        client.run(POSTER)
        with backend.tracer.start_as_current_span("view") as view:
            client.run(POSTER)
    first, second = backend.spans
    assert first.parent is None
    assert second.parent is not None
    assert second.parent.span_id == view.get_span_context().span_id


@pytest.mark.virtual_time
async def test_a_failed_task_is_a_span_in_error_with_its_reason(
    emulator: Emulator, client_of: Clients, backend: Backend
) -> None:
    emulator.fail_next_task(message="no foxes")
    async with client_of(hooks=backend.telemetry) as client:
        with pytest.raises(liangxin.TaskFailed):
            await client.run(POSTER)
    [span] = backend.spans
    assert span.status.status_code is StatusCode.ERROR
    assert "no foxes" in (span.status.description or "")
    assert attributes(span)["error.type"] == "TaskFailed"


@pytest.mark.virtual_time
async def test_a_doubt_is_marked(emulator: Emulator, client_of: Clients, backend: Backend) -> None:
    emulator.add_fault(Fault("create", "withhold", count=1))
    async with client_of(hooks=backend.telemetry) as client:
        with pytest.raises(liangxin.AmbiguousCreate) as caught:
            await client.create_task(POSTER)
    [span] = backend.spans
    found = attributes(span)
    assert found["liangxin.create.ambiguous"] is True
    assert found["error.type"] == "AmbiguousCreate"
    assert found["liangxin.create.ref"] == caught.value.client_ref


@pytest.mark.virtual_time
async def test_a_create_that_is_sent_again_has_an_event_for_it(
    emulator: Emulator, client_of: Clients, backend: Backend
) -> None:
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "60"}, count=1))
    async with client_of(hooks=backend.telemetry) as client:
        await client.run(POSTER)
    [span] = backend.spans
    retry = span.events[0]
    assert retry.name == "liangxin.retry"
    assert (retry.attributes or {})["error.type"] == "RateLimited"
    assert attributes(span)["liangxin.create.attempts"] == 2


@pytest.mark.virtual_time
async def test_looks_that_fail_add_nothing_to_the_span(
    emulator: Emulator, client_of: Clients, backend: Backend
) -> None:
    emulator.add_fault(Fault("look", status=502, count=5))
    async with client_of(hooks=backend.telemetry) as client:
        await client.run(POSTER)
    [span] = backend.spans
    assert "liangxin.retry" not in event_names(span)


@pytest.mark.virtual_time
async def test_a_task_that_was_created_elsewhere_has_a_span_from_the_first_look_on(
    client_of: Clients, backend: Backend
) -> None:
    async with client_of() as other:
        task = await other.create_task(POSTER)
    async with client_of(hooks=backend.telemetry) as client:
        await client.wait(task.id)
    [span] = backend.spans
    assert attributes(span)["gen_ai.response.id"] == task.id
    assert attributes(span)["gen_ai.request.model"] == "z-image"


@pytest.mark.virtual_time
async def test_a_client_that_closes_ends_the_spans_of_what_goes_on(
    client_of: Clients, backend: Backend
) -> None:
    async with client_of(hooks=backend.telemetry) as client:
        task = await client.create_task(POSTER)
    [span] = backend.spans
    assert attributes(span)["gen_ai.response.id"] == task.id
    assert attributes(span)["liangxin.task.left"] is True
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.virtual_time
async def test_a_task_that_is_waited_for_once_more_has_a_second_span(
    client_of: Clients, backend: Backend
) -> None:
    async with client_of(hooks=backend.telemetry) as client:
        with pytest.raises(liangxin.WaitTimeout) as caught:
            await client.run(POSTER, timeout=5)
        await client.wait(caught.value.task)
    assert [attributes(span).get("liangxin.task.left") for span in backend.spans] == [True, None]
    assert len({attributes(span)["gen_ai.response.id"] for span in backend.spans}) == 1


# --- metrics --------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_the_metrics_of_a_run_agree_with_the_books(
    emulator: Emulator, client_of: Clients, backend: Backend
) -> None:
    emulator.add_fault(Fault("create", status=429, count=1))
    emulator.add_fault(Fault("look", status=502, count=2))
    async with client_of(hooks=backend.telemetry) as client:
        async with client.run_many([POSTER] * 10) as outcomes:
            assert [outcome.ok async for outcome in outcomes] == [True] * 10
    assert backend.total("liangxin.looks") == emulator.looks
    assert backend.total("liangxin.retries") == 3
    assert backend.total("liangxin.throttled") == 1
    assert backend.total("gen_ai.client.operation.duration") > 200
    assert 0 < backend.total("liangxin.task.queue.duration") <= 250


@pytest.mark.virtual_time
async def test_what_is_under_way_is_counted_by_state_and_falls_to_nothing(
    client_of: Clients, backend: Backend
) -> None:
    async with client_of(hooks=backend.telemetry) as client:
        tasks = [await client.create_task(POSTER) for _ in range(3)]
        assert backend.total("liangxin.task.in_flight") == 3
        waiting = [
            value
            for found, value in backend.points()["liangxin.task.active"]
            if found["liangxin.task.state"] == "waiting"
        ]
        assert waiting == [3]
        await client.wait(tasks[0])
        assert backend.total("liangxin.task.active") == 2
    for name in ("liangxin.task.active", "liangxin.task.in_flight"):
        assert {value for _, value in backend.points()[name]} == {0}


@pytest.mark.virtual_time
async def test_nothing_is_held_of_what_has_ended(client_of: Clients, backend: Backend) -> None:
    telemetry = backend.telemetry
    held: list[int] = []

    def hook(event: Event) -> None:
        telemetry(event)
        held.append(len(telemetry._creates) + len(telemetry._tasks))

    async with client_of(hooks=hook) as client:
        async with client.run_many([POSTER] * 50, max_in_flight=4) as outcomes:
            assert len([outcome async for outcome in outcomes]) == 50
    assert max(held) == 4
    assert held[-1] == 0


def test_a_callback_that_is_quicker_than_the_answer_leaves_no_span_open(backend: Backend) -> None:
    where: dict[str, Any] = {"host": "api.example.com", "port": 443, "model": "z-image"}
    backend.telemetry(CreateStarted(**where, ref="r1", kind="image"))
    backend.telemetry(LookScheduled(**where, task_id="t1", pause=0.0))
    backend.telemetry(TaskCreated(**where, ref="r1", task_id="t1", attempts=1, seconds=0.1))
    assert len(backend.spans) == 1
    assert backend.total("liangxin.task.in_flight") == 1


# --- names ----------------------------------------------------------------------------------


@pytest.mark.virtual_time
async def test_the_table_has_the_names_that_are_used_and_no_other(
    emulator: Emulator, client_of: Clients, backend: Backend
) -> None:
    emulator.add_fault(Fault("create", status=429, headers={"Retry-After": "1"}, count=1))
    emulator.add_fault(Fault("create", "withhold", count=1))
    async with client_of(hooks=backend.telemetry) as client:
        with pytest.raises(liangxin.AmbiguousCreate):
            await client.create_task(POSTER)
        await client.run(ZImage(prompt="a lighthouse", slug="z-image"))
        await client.create_task(POSTER)
    points = backend.points()
    used = {*points}
    used |= {name for series in points.values() for found, _ in series for name in found}
    for span in backend.spans:
        used |= {*attributes(span), *event_names(span)}
        used |= {name for event in span.events for name in event.attributes or {}}
    assert used == set(NAMES)


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| (.+?) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == list(NAMES.items())


def test_without_the_extra_one_sentence_says_which() -> None:
    code = "import sys; sys.modules['opentelemetry.metrics'] = None; import liangxin.otel"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = done.stderr.strip().splitlines()[-1]
    assert last == 'ImportError: liangxin.otel needs an extra: pip install "liangxin[otel]"'
