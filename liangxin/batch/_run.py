"""
A batch: many requests over one ledger, each brought to its end once, however often it is run.

What the ledger knows is not created again: finished requests are told from it, tasks that were
accepted are waited for, doubts stay doubts.  The rest is created, `max_in_flight` at a time.
"""

from __future__ import annotations

import os
import re
import secrets
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import anyio.abc
import anyio.to_thread
from attrs import evolve, frozen

from liangxin._creation import Creation, Done
from liangxin._errors import (
    DownloadError,
    Forbidden,
    InputError,
    LedgerConflict,
    LedgerError,
    LedgerHeld,
    LiangxinError,
    Unauthorized,
)
from liangxin._many import Drawn, OutcomeStream
from liangxin._owned import OwnedTasks
from liangxin._recording import Recorder, refusal_of, task_of
from liangxin._tasks import ModelInput, Outcome, Task, final_or_raise
from liangxin._text import in_words, quoted
from liangxin.batch._lines import Manifest, OutcomeLines, part_of
from liangxin.batch._read import Request, RequestFile
from liangxin.batch._report import BatchReport
from liangxin.ledger import LedgerRow, LedgerState, Move, Renew, input_sha256, now

if TYPE_CHECKING:
    from liangxin._files import SavedFile  # and with it httpx, for those who download

Named: TypeAlias = Request | tuple[str, ModelInput]
Requests: TypeAlias = str | os.PathLike[str] | Iterable[Named] | AsyncIterable[Named]

CHUNK = 256
"""How many keys are looked up in the ledger at a time."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
"""Seconds between two looks at what other processes have work with."""
DOWNLOADS = 8
"""How many results are fetched at a time."""


_OF_ONE_ROW = (LedgerConflict, LedgerHeld)
"""What a ledger says of one create, and of no other."""


@frozen(kw_only=True)
class Rules:
    """What the caller has said about how to run."""

    out: Path | None
    max_in_flight: int
    max_tasks: int | None
    max_ambiguous: int
    shard: tuple[int, int] | None
    retry_failed: bool


@frozen(eq=False)
class _Item:
    """A request that is not at its end yet."""

    request: Request
    is_new: bool
    """Whether it is to be created, not only waited for."""


class BatchRun(AsyncIterator[Outcome]):
    """One run of a batch: a stream of what became of each request."""

    def __init__(
        self,
        requests: Iterable[Named] | AsyncIterable[Named],
        rules: Rules,
        report: BatchReport,
        *,
        recorder: Recorder,
        owned: OwnedTasks,
        start: Callable[..., Creation],
        asked_for: Callable[[ModelInput], Awaitable[tuple[str, dict[str, object]]]],
        stream_of: Callable[..., OutcomeStream],
        download: Callable[[Task, Path, str], Awaitable[list[SavedFile]]],
    ) -> None:
        self.requests = requests
        self.rules = rules
        self.report = report
        self.recorder = recorder
        self._owned = owned
        self._start = start
        self._asked_for = asked_for
        self._download = download
        self._undecided = _Undecided(self)
        self._stream = stream_of(self._undecided, self._begin)
        self._creating: set[Creation] = set()
        self._flying: set[_Item] = set()
        self._ready: deque[Outcome] = deque()
        self._fetching = 0
        self._slots = anyio.Semaphore(DOWNLOADS)
        self._fetchers: anyio.abc.TaskGroup | None = None
        self._lines: OutcomeLines | None = None
        self._manifest: Manifest | None = None
        self._is_checked = False
        self._ended = False
        self._failure: Exception | None = None
        self._news = anyio.Event()
        self._room = anyio.Event()

    # --- the consumer's side ---------------------------------------------------------------

    def __aiter__(self) -> BatchRun:
        return self

    async def __anext__(self) -> Outcome:
        while not self._ready:
            if self._ended:
                failure, self._failure = self._failure, None
                raise failure or StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        self._room.set()
        return self._ready.popleft()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncIterator[Outcome]]:
        """Run while the block does; what is on record stays there, whenever it is left."""
        if isinstance(self.requests, (list, tuple)) and self.rules.shard is None:
            self.report.total = len(self.requests)
        # What the ledger knows may be told before all of the file is checked: to check first what
        # has ended long ago would take as long as to tell it.
        is_file = isinstance(self.requests, RequestFile)
        if is_file and not await self.recorder.run(self.recorder.ledger.counts):
            await self.check_file()
        if self.rules.out is not None:
            await anyio.to_thread.run_sync(_remove_abandoned, self.rules.out)
            is_shared = self.recorder.ledger.is_shared
            part = part_of(self.rules.shard, is_shared=is_shared)
            self._lines = OutcomeLines(self.rules.out, part)
            self._manifest = Manifest(self.rules.out)
        work, ended = anyio.CancelScope(), anyio.Event()

        async def run() -> None:
            try:
                with work:
                    await self._run()
            finally:
                ended.set()

        self._owned.start(run)
        try:
            yield self
        finally:
            self._stream.close()
            work.cancel()
            with anyio.CancelScope(shield=True):
                await ended.wait()
            self._undecided.close()
            if self._lines is not None:
                self._lines.close()
            if self._manifest is not None:
                self._manifest.close()

    # --- the run ---------------------------------------------------------------------------

    async def check_file(self) -> None:
        """Check all of a file, once, before anything is created; raise for a bad line."""
        if self._is_checked or not isinstance(self.requests, RequestFile):
            return
        self._is_checked = True
        found = await anyio.to_thread.run_sync(self.requests.require_good, abandon_on_cancel=True)
        if found is not None and self.rules.shard is None:
            self.report.total = found.total - found.repeated

    async def _run(self) -> None:
        try:
            async with anyio.create_task_group() as self._fetchers:
                self._fetchers.start_soon(self._stream.feed)
                async for outcome in self._stream:
                    await self._land(outcome)
        except* Exception as failures:  # of the caller's own iterable, or a file that has changed
            self._failure = _first(failures)
        else:
            await self.recorder.settled()
            if self.recorder.owes:
                self.stop(
                    f"the ledger could not be written in the end: {self.recorder.owes} changes are "
                    "missing, and tasks that were accepted may be in doubt in the next run"
                )
        finally:
            self._ended = True
            self._news.set()

    def _begin(self, item: _Item, done: Done, source: object) -> Creation:
        def counted(result: Task | LiangxinError) -> None:
            self._creating.discard(creation)
            self._stop_after(result)
            self.report.created += isinstance(result, Task) and not creation.is_known
            done(result)

        creation = self._start(
            item.request.input,
            None,
            counted,
            source=source,
            recorder=self.recorder,
            key=item.request.key,
        )
        self._creating.add(creation)
        self._flying.add(item)
        self.report.in_flight = len(self._flying)
        return creation

    async def _land(self, landed: Outcome) -> None:
        item = landed.input
        assert isinstance(item, _Item)
        self._flying.discard(item)
        self.report.in_flight = len(self._flying)
        self._undecided.landed.set()
        if isinstance(landed.error, LedgerHeld):
            self._undecided.leave(item.request)
            return
        await self.tell(evolve(landed, key=item.request.key, input=item.request.input, index=None))
        if self.report.ambiguous > self.rules.max_ambiguous:
            limit = self.rules.max_ambiguous
            self.stop(f"more than {limit} creates were sent and not answered (max_ambiguous)")

    def _stop_after(self, result: Task | LiangxinError) -> None:
        """Create nothing more after what the next request would meet as well."""
        if isinstance(result, (Unauthorized, Forbidden)):
            self.stop(str(result))
        elif isinstance(result, LedgerError) and not isinstance(result, _OF_ONE_ROW):
            self.stop(f"the ledger cannot be written: {result}")

    async def sha256_of(self, request: Request) -> str:
        """The hash of what is asked for; `InputError` of an input that does not say."""
        if request.sha256 is not None:
            return request.sha256
        return input_sha256(*await self._asked_for(request.input))

    def stop(self, reason: str, *, withdraw: bool = True) -> None:
        """Create nothing more; what was accepted is waited for."""
        self.report.stopped = self.report.stopped or reason
        if withdraw:
            for creation in self._creating:
                creation.withdraw()

    @property
    def is_flying(self) -> bool:
        """Whether a request is under way, of which may turn out that another process has it."""
        return bool(self._flying)

    async def tell(self, outcome: Outcome, *, fetches: bool = True) -> None:
        """Deliver what became of a request, with its files if it has any to fetch."""
        while len(self._ready) + self._fetching >= self.rules.max_in_flight:
            if self._room.is_set():
                self._room = anyio.Event()
            await self._room.wait()
        if fetches and outcome.ok and self.rules.out is not None and not outcome.files:
            assert self._fetchers is not None
            self._fetching += 1
            self._fetchers.start_soon(self._fetch, outcome, self.rules.out)
        else:
            self._deliver(outcome)

    def _deliver(self, outcome: Outcome) -> None:
        self.report.count(outcome)
        if self._lines is not None:
            self._lines.write(outcome)
        self._ready.append(outcome)
        self._news.set()

    async def _fetch(self, outcome: Outcome, out: Path) -> None:
        task = outcome.result()
        try:
            async with self._slots:
                saved = await self._download(task, out, file_name(outcome.key or task.id))
            if self._manifest is not None:
                for file in saved:
                    self._manifest.write(outcome.key, task, file)
            files = [file.path for file in saved]
            await self._record_files(task, files)
            outcome = evolve(outcome, files=tuple(files))
        except LiangxinError as exc:
            outcome = evolve(outcome, error=exc)
        except OSError as exc:
            failed = DownloadError(f"the results of {task.id} cannot be saved: {in_words(exc)}")
            failed.__cause__ = exc
            outcome = evolve(outcome, error=failed)
        self._fetching -= 1
        self._deliver(outcome)

    async def _record_files(self, task: Task, files: list[Path]) -> None:
        row = await self.recorder.run(lambda: self.recorder.ledger.find_task(task.id))
        if row is not None:
            names = tuple(path.name for path in files)
            move = Move(ref=row.ref, to=LedgerState.DOWNLOADED, at=now(), files=names)
            await self.recorder.record(move)


def _remove_abandoned(out: Path) -> None:
    """Remove what downloads of killed runs have left; other shards may be writing theirs."""
    parts: list[Path] = []
    with suppress(OSError), os.scandir(out) as entries:
        parts = [Path(entry.path) for entry in entries if entry.name.endswith(".part")]
    if parts:
        from liangxin._files import remove_abandoned  # and with it httpx

        remove_abandoned(parts)


def _first(failure: BaseException) -> Exception:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    assert isinstance(failure, Exception)
    return failure


class _Undecided(AsyncIterator[_Item]):
    """
    Draws the requests, tells of those that are at their end, and yields the others.

    What other processes have work with is left to them, and asked for again when all else has been
    drawn: one by one it has ended, or is free because its holder has gone.
    """

    def __init__(self, run: BatchRun) -> None:
        self._run = run
        self._source = _Source(run.requests, run.report)
        self._items: deque[_Item] = deque()
        self._seen: set[bytes] = set()
        self._begun = 0
        self._elsewhere: dict[bytes, Request | None] = {}
        """What others have; of a file that can be read again, the hashes of the keys alone."""
        self._is_drawn = False
        self._pause = FIRST_PAUSE
        self._took = 0.0
        """Seconds for reading the file once more: one of millions is not read all the time."""
        self.landed = anyio.Event()
        """Set when a request has landed."""

    def close(self) -> None:
        """Draw no more."""
        self._source.close()

    def leave(self, request: Request) -> None:
        """Leave a request to the process that has work with it."""
        keeps = not self._source.is_rereadable
        self._elsewhere[_digest(request)] = request if keeps else None
        self._run.report.elsewhere = len(self._elsewhere)

    async def __anext__(self) -> _Item:
        report, rules = self._run.report, self._run.rules
        while True:
            while not self._items:
                await self._draw()
            item = self._items.popleft()
            await self._run.check_file()
            if not item.is_new:
                return item
            if rules.max_tasks is not None and self._begun >= rules.max_tasks:
                self._run.stop(f"{rules.max_tasks} creates were begun (max_tasks)", withdraw=False)
            if report.stopped is None:
                self._begun += 1
                return item
            report.not_created += 1

    async def _draw(self) -> None:
        """Take in some more requests; `StopAsyncIteration` when there will be none."""
        report = self._run.report
        if not self._is_drawn:
            if report.stopped is not None and not self._source.is_finite:
                raise StopAsyncIteration
            requests = await self._source.draw()
            if requests:
                await self._sort([each for each in requests if self._is_ours(each)])
                return
            report.total = len(self._seen) if report.total is None else report.total
            self._is_drawn = True
        if not self._run.recorder.ledger.is_shared or report.stopped is not None:
            raise StopAsyncIteration
        if self._elsewhere:
            await self._ask_again()
        elif self._run.is_flying:
            self.landed = anyio.Event()
            await self.landed.wait()
        else:
            raise StopAsyncIteration

    async def _ask_again(self) -> None:
        """See what has become of all that others have work with."""
        await anyio.sleep(max(self._pause, 10 * self._took))
        self._pause = min(1.5 * self._pause, LONGEST_PAUSE)
        self._took = 0.0
        source = self._source.again(self._elsewhere.values())
        try:
            while requests := await self._drawn(source):
                found = {_digest(each): each for each in requests}  # a key may stand twice
                left = [each for digest, each in found.items() if digest in self._elsewhere]
                if left:
                    await self._sort(left, again=True)
        finally:
            source.close()

    async def _drawn(self, source: _Source) -> list[Request]:
        began = anyio.current_time()
        requests = await source.draw()
        self._took += anyio.current_time() - began
        return requests

    def _is_ours(self, request: Request) -> bool:
        """Whether a request is of our shard, and its key has not been there before."""
        digest = _digest(request)
        shard = self._run.rules.shard
        if shard is not None and int.from_bytes(digest[:8]) % shard[1] != shard[0]:
            return False
        if digest in self._seen:
            self._run.report.repeated += 1
            return False
        self._seen.add(digest)
        return True

    async def _sort(self, requests: list[Request], *, again: bool = False) -> None:
        recorder = self._run.recorder
        keys = [request.key for request in requests]
        rows = await recorder.run(lambda: recorder.ledger.find(keys, bare=True))
        for request in requests:
            row = rows.get(request.key)
            if row is not None and row.held_by is not None:
                self.leave(request)
                continue
            if again:
                self._have_back(request)
            if row is None or row.state in (LedgerState.PLANNED, LedgerState.SENDING):
                self._items.append(_Item(request, is_new=True))
            elif row.state is LedgerState.ACCEPTED:
                self._items.append(_Item(request, is_new=False))
            elif await self._is_to_be_renewed(request, row):
                self._items.append(_Item(request, is_new=True))
            else:
                # What another process has brought to its end, it has also fetched.
                await self._run.tell(await self._outcome_of(request, row), fetches=not again)

    def _have_back(self, request: Request) -> None:
        del self._elsewhere[_digest(request)]
        self._run.report.elsewhere = len(self._elsewhere)
        self._pause = FIRST_PAUSE

    async def _is_to_be_renewed(self, request: Request, row: LedgerRow) -> bool:
        if not self._run.rules.retry_failed or self._run.report.stopped is not None:
            return False
        if await self._conflict(request, row) is not None:
            return False  # which is told; the row stays as it is
        await self._run.check_file()
        if row.state is LedgerState.FAILED:
            reason = "the batch was run again with retry_failed"
            renew = Renew(
                key=row.key, ref=secrets.token_hex(16), replaces=row.ref, at=now(), reason=reason
            )
            # Refused where the row has changed since it was read: planning it then tells how.
            with suppress(LedgerError):
                await self._run.recorder.record(renew)
        return row.state in (LedgerState.FAILED, LedgerState.REFUSED)

    async def _outcome_of(self, request: Request, row: LedgerRow) -> Outcome:
        """What the ledger knows of a request that is at its end."""
        task: Task | None = None
        error: LiangxinError | None = await self._conflict(request, row)
        if error is None:
            try:
                if row.state is LedgerState.REFUSED:
                    raise refusal_of(row)
                task = task_of(row)
                final_or_raise(task)
            except LiangxinError as exc:
                error = exc
        return Outcome(
            key=request.key,
            input=request.input,
            task=task,
            error=error,
            files=() if error else self._files_of(row),
            resumed=True,
        )

    async def _conflict(self, request: Request, row: LedgerRow) -> LedgerConflict | None:
        """The error of a request that asks for something else than its row."""
        about = f"the key {quoted(row.key)} is in the ledger, {row.state.value}"
        try:
            if await self._run.sha256_of(request) == row.sha256:
                return None
            said = f"{about}, with another input: give the new request a key of its own"
            return LedgerConflict(said, key=row.key)
        except InputError as exc:
            said = f"{about}, and whether with this input cannot be told: {exc.message}"
            conflict = LedgerConflict(said, key=row.key)
            conflict.__cause__ = exc
            return conflict

    def _files_of(self, row: LedgerRow) -> tuple[Path, ...]:
        """The files of an earlier run, if all of them are still there."""
        out = self._run.rules.out
        if out is None or row.state is not LedgerState.DOWNLOADED:
            return ()
        for name in row.files:
            if not os.path.isfile(f"{out}/{name}"):  # a Path of it takes three times as long
                return ()
        return tuple(out / name for name in row.files)


class _Source:
    """Where the requests come from, drawn a chunk at a time where that holds up nobody."""

    def __init__(
        self, given: Iterable[Named] | AsyncIterable[Named], report: BatchReport | None
    ) -> None:
        self._report = report
        """Where skipped lines are counted, when it is drawn for the first time."""
        self._chunk = CHUNK
        self._file: RequestFile | None = None
        self._items: Iterator[Named] | None = None
        self._trickle: AsyncIterator[Named] | None = None
        if isinstance(given, RequestFile):
            self._chunk = CHUNK if given.is_rereadable else 1
            self._file = given
        elif isinstance(given, (list, tuple)):
            self._items = iter(given)
        else:
            self._trickle = aiter(given) if isinstance(given, AsyncIterable) else Drawn(given)
        self.is_finite = self._trickle is None and self._chunk > 1
        """Whether it can be read to its end also when nothing more is created."""
        self.is_rereadable = self._file is not None and self._file.is_rereadable
        """Whether `again` finds everything once more, without being told."""

    def again(self, kept: Iterable[Request | None]) -> _Source:
        """The same from the beginning; of what cannot be read again, what was kept of it."""
        if self.is_rereadable:
            assert self._file is not None
            return _Source(self._file.again(), None)
        return _Source([each for each in kept if each is not None], None)

    def close(self) -> None:
        """Close the file, if it is one."""
        if self._file is not None:
            self._file.close()

    async def draw(self) -> list[Request]:
        """Return the next requests; none at the end."""
        if self._file is not None:
            file = self._file
            drawn = await anyio.to_thread.run_sync(lambda: list(islice(file, self._chunk)))
            if self._report is not None:
                self._report.bad_lines = file.skipped
            return drawn
        if self._items is not None:
            return [_request(each) for each in islice(self._items, self._chunk)]
        assert self._trickle is not None
        async for each in self._trickle:
            return [_request(each)]
        return []


def _digest(request: Request) -> bytes:
    return sha256(request.key.encode("utf-8", "surrogatepass")).digest()[:16]


def _request(named: object) -> Request:
    if isinstance(named, Request):
        return named
    if isinstance(named, tuple) and len(named) == 2 and isinstance(named[0], str) and named[0]:
        return Request(key=named[0], input=named[1])
    allowed = "a pair of a key (text) and an input, or a batch.Request"
    raise InputError(
        f"a request of a batch is {allowed}, not {quoted(named)}",
        field="requests",
        value=named,
        allowed=allowed,
    )


def file_name(key: str) -> str:
    """
    A name for the files of a request: its key, and where that is not plain, a part of its hash.

    Plain are small letters, digits, `_` and `-`, so that no two keys share a file, also where
    `A` and `a` are one; and no number after the last `-`, which is that of one file of several.
    """
    if re.fullmatch(r"[a-z0-9_-]{1,80}", key) and not re.search(r"-\d+$", key):
        return key
    return f"{key[:80]}-{sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}x"
