"""
The work of `liangxin batch`: a progress line on standard error, the outcome on standard output.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from attrs import define, field

import liangxin
from liangxin import AsyncClient, Forbidden, InputError, Outcome, RateLimit, Unauthorized
from liangxin._text import printable
from liangxin.batch import BatchReport, RequestFile, line_of, read
from liangxin.cli._callbacks import receiving
from liangxin.cli._exits import AUTH, INTERRUPTED, OK, SOME, USAGE
from liangxin.cli._fields import pairs
from liangxin.cli._live import drawn
from liangxin.cli._service import connection, say
from liangxin.cli._signals import interruptible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from liangxin.ledger import SharedLedger

SHOWN = 10
"""How many doubts are listed by name."""
PLAIN_EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def perform(
    file: str,
    *,
    out: Path | None,
    ledger: Path | str | None,
    model: str | None,
    fields: tuple[str, ...],
    read_as: Any,
    dry_run: bool,
    max_in_flight: int,
    rate: str | None,
    timeout: float | None,
    max_tasks: int | None,
    max_ambiguous: int,
    shard: tuple[int, int] | None,
    retry_failed: bool,
    skip_bad_lines: bool,
    callback_url: str | None,
    callback_host: str,
    callback_port: int,
    base_url: str | None,
    emulator: bool,
    form: str,
) -> int:
    """Run the batch, or only check it; return the exit code."""
    try:
        requests = read(
            file,
            model=model,
            defaults=pairs(fields, "--set"),
            format=read_as,
            skip_bad_lines=skip_bad_lines,
        )
        if dry_run:
            return _checked(requests, form)
        if out is None and ledger is None:
            raise click.UsageError("say where results go (--out), or at least a --ledger")
        run = _Run(form, out=out)
        shared = _shared(ledger) if isinstance(ledger, str) else None
        rules: dict[str, Any] = {
            "out": out,
            "ledger": shared or ledger,
            "max_in_flight": max_in_flight,
            "timeout": timeout,
            "max_tasks": max_tasks,
            "max_ambiguous": max_ambiguous,
            "shard": shard,
            "retry_failed": retry_failed,
        }
        with ExitStack() as served:
            told = served.enter_context(connection(base_url, emulator))
            told |= {"rate_limit": None if rate is None else RateLimit(rate, store=shared)}
            if callback_url is not None:
                receiver = receiving(callback_url, callback_host, callback_port)
                told["callbacks"] = served.enter_context(receiver)
            anyio.run(run.main, requests, told, rules)
    except InputError as error:
        raise click.UsageError(str(error)) from error
    run.show(None if isinstance(ledger, str) else ledger)
    run.conclude()
    return run.exit_code


def _shared(address: str) -> SharedLedger:
    from liangxin.ledger import SharedLedger

    return SharedLedger(address)


def _checked(requests: RequestFile, form: str) -> int:
    """What `--dry-run` says."""
    found = requests.check()
    if form in ("json", "jsonl"):
        bad = [{"line": each.line, "message": str(each.error)} for each in found.bad_lines]
        counts = {"total": found.total, "repeated": found.repeated, "models": dict(found.models)}
        print(json.dumps({**counts, "bad_total": found.bad_total, "bad_lines": bad}))
    elif form != "quiet":
        for model, count in sorted(found.models.items()):
            print(f"{count:>8,}  {printable(model)}")
        repeated = f", {found.repeated:,} of them repeated" if found.repeated else ""
        print(f"{found.total:>8,}  requests in all{repeated}; nothing was sent")
        for each in found.bad_lines:
            print(f"bad: {each.error}", file=sys.stderr)
        if found.bad_total:
            print(f"bad lines: {found.bad_total:,}", file=sys.stderr)
    return OK if found.ok else USAGE


@define(eq=False)
class _Run:
    """One run, from the first line to the summary."""

    form: str
    out: Path | None
    report: BatchReport = field(factory=BatchReport)
    doubts: list[str] = field(factory=list)
    refused_us: bool = False
    is_interrupted: bool = False
    page: Path | None = None
    client: AsyncClient | None = None

    async def main(
        self, requests: RequestFile, told: dict[str, Any], rules: dict[str, Any]
    ) -> None:
        """Run until the end, or until Ctrl-C."""

        async def work() -> None:
            with _progress(self):
                await self._work(requests, told, rules)

        await interruptible(work, self._interrupt)

    async def _work(
        self, requests: RequestFile, told: dict[str, Any], rules: dict[str, Any]
    ) -> None:
        async with (
            AsyncClient(**told) as self.client,
            self.client.batch(requests, report=self.report, **rules) as ended,
        ):
            async for outcome in ended:
                self._take(outcome)

    def _interrupt(self, work: anyio.CancelScope) -> None:
        if self.is_interrupted:
            say(f"\nStopped at once; the ledger has what is paid. To go on: {_again()}")
            os._exit(INTERRUPTED)
        self.is_interrupted = True
        say(
            "\nStopping: nothing more is created, and the answers to what has left are "
            "put on record. Ctrl-C again stops at once."
        )
        work.cancel()

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome.error, liangxin.AmbiguousCreate):
            self.doubts.append(printable(outcome.key or "", 80))
        self.refused_us |= isinstance(outcome.error, (Unauthorized, Forbidden))
        if self.form == "jsonl":
            print(json.dumps(line_of(outcome, self.out), ensure_ascii=False), flush=True)

    @property
    def exit_code(self) -> int:
        if self.is_interrupted:
            return INTERRUPTED
        if self.refused_us:
            return AUTH
        return OK if self.report.ok and not self.report.bad_lines else SOME

    def show(self, ledger: Path | None) -> None:
        """Write the contact sheet of all that is on record, this run's and earlier ones'."""
        if self.out is None:
            return
        try:
            self.page = liangxin.contact_sheet(self.out, ledger=ledger)
        except (liangxin.LiangxinError, OSError) as error:  # what was paid for is safe all the same
            say(f"The contact sheet could not be written: {printable(error, 300)}")

    def conclude(self) -> None:
        """The last word."""
        if self.form == "json":
            print(json.dumps(_as_json(self.report)))
        elif self.form in ("auto", "human"):
            print("\n".join(self._summary()))
        if self.form != "quiet" and (self.is_interrupted or not self.report.ok):
            say(f"To go on: {_again()}")

    def _summary(self) -> Iterator[str]:
        report = self.report
        yield f"{report.succeeded:>8,}  succeeded" + _of(report.resumed, "in an earlier run")
        for count, what in (
            (report.failed, "failed at the service, and were paid"),
            (report.waiting, "accepted and paid; not waited for to the end"),
            (report.refused, "refused; not paid"),
            (report.ambiguous, "in doubt: sent, not answered, MAYBE PAID"),
            (report.conflicts, "in conflict with the ledger; not sent"),
            (report.not_created, "not created; not paid"),
            (report.elsewhere, "are with other processes, which go on with them"),
            (
                report.in_flight if self.is_interrupted else 0,
                "were under way: the next run goes on with them",
            ),
            (report.download_failed, "of the succeeded could not be downloaded"),
            (report.bad_lines, "bad lines, skipped"),
        ):
            if count:
                yield f"{count:>8,}  {what}"
        if self.doubts:
            more = len(self.doubts) - SHOWN
            names = ", ".join(self.doubts[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")
            yield (
                f"In doubt: {names}. Look for them at the service, then say so with "
                "`liangxin ledger attach`, `resend` or `abandon`."
            )
        if report.stopped:
            yield f"Stopped: {printable(report.stopped, 400)}"
        if self.out is not None:
            yield f"Results: {self.page or self.out}"


def _of(count: int, what: str) -> str:
    return f" ({count:,} {what})" if count else ""


def _as_json(report: BatchReport) -> dict[str, object]:
    names = (each for each in BatchReport.__annotations__)
    return {name: getattr(report, name) for name in names} | {"ok": report.ok}


def _again() -> str:
    # A password in the address of a ledger is for nobody's log; whoever typed it knows it.
    words = [re.sub(r"^(postgres(?:ql)?://[^:@/]*):[^@/]*@", r"\1@", each) for each in sys.argv[1:]]
    return shlex.join(["liangxin", *words])


# --- progress ------------------------------------------------------------------------------------


@contextmanager
def _progress(run: _Run) -> Iterator[None]:
    """A bar on a terminal, a line now and then elsewhere, nothing where quiet is asked for."""
    if run.form == "quiet":
        yield
        return
    from rich.console import Console

    console = Console(stderr=True)
    with drawn(_Bar(run), console) if console.is_terminal else _PlainLines(run):
        yield


class _PlainLines:
    """A line of progress on standard error, every few seconds, from a thread."""

    def __init__(self, run: _Run) -> None:
        import threading

        self._run = run
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _tell(self) -> None:
        pace = _Pace(self._run)
        while not self._ended.wait(PLAIN_EVERY):
            say(" · ".join(pace.words()))


class _Pace:
    """How fast it goes, over the last minute."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def per_second(self) -> float:
        """Requests that came to their ends each second."""
        report = self._run.report
        now = time.monotonic()
        self._marks.append((now, report.done - report.resumed))
        while len(self._marks) > 2 and now - self._marks[0][0] > 60:
            self._marks.popleft()
        (start, before), (end, after) = self._marks[0], self._marks[-1]
        return (after - before) / max(end - start, 0.1)

    def words(self) -> Iterator[str]:
        """The figures, most important first."""
        report, client = self._run.report, self._run.client
        speed = self.per_second()
        yield f"{report.done:,}" + (f"/{report.total:,}" if report.total else "") + " done"
        yield f"{report.created:,} created"
        yield f"{report.in_flight:,} in flight"
        for count, what in (
            (report.failed, "failed"),
            (report.refused, "refused"),
            (report.ambiguous, "IN DOUBT"),
            (report.not_created, "not created"),
        ):
            if count:
                yield f"{count:,} {what}"
        yield f"{60 * speed:,.0f}/min"
        looks = client.stats().looks_per_task if client is not None else None
        if looks is not None:
            yield f"{looks:.1f} looks a task"
        if report.total and speed > 0:
            yield f"{_clock((report.total - report.done) / speed)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Bar:
    """A line of figures over a bar, which ends no line by itself."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._pace = _Pace(run)

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        report = self._run.report
        bar = ProgressBar(total=report.total or None, completed=report.done, pulse=not report.total)
        return Group(Text(" · ".join(self._pace.words()), overflow="fold"), bar)
