"""
`AsyncClient`: the verbs, each a few lines over the floors below.

`liangxin/_sync.py` is generated from this file (run: nox -s generate), docstrings included, so
they speak of neither `async` nor `await`.
"""

from __future__ import annotations

import json
import logging
import os
import ssl
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from inspect import iscoroutinefunction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import anyio

from liangxin import _wire as wire
from liangxin._admission import LocalLimits
from liangxin._connection import Evidence
from liangxin._creation import Creations
from liangxin._errors import (
    ClientStateError,
    InputError,
    LedgerError,
    LiangxinError,
    TaskFailed,
    TaskLost,
    WaitTimeout,
)
from liangxin._many import Inputs, OutcomeStream, Start
from liangxin._origin import named_base_url, named_key
from liangxin._owned import OwnedTasks
from liangxin._pacing import Durations, FixedSchedule, PollBudget, Schedule
from liangxin._policy import DownloadPolicy, DownloadProgress
from liangxin._poller import Poller
from liangxin._quota import RateLimit, SharedQuota
from liangxin._tasks import DurationStats, ModelInput, Outcome, Stats, Task, final_or_raise, task_id
from liangxin._text import in_words
from liangxin._transport import Transport

if TYPE_CHECKING:
    import httpx

    from liangxin._callbacks import Callbacks
    from liangxin._creation import Creation, Done
    from liangxin._download import Downloader
    from liangxin._observer import Observer
    from liangxin._recording import Recorder
    from liangxin._resolver import Resolver
    from liangxin.batch import BatchReport
    from liangxin.batch._run import Named, Requests, Rules
    from liangxin.callbacks import CallbackReceiver
    from liangxin.hooks import Hook
    from liangxin.ledger import Store
    from liangxin.uploads import Uploader

log = logging.getLogger("liangxin")


class AsyncClient:
    """
    A client of the LiangXin Market.

    `api_key` and `base_url` default to the environment's `LIANGXIN_API_KEY` and
    `LIANGXIN_BASE_URL`; the service's documents name no host, so there is no default for it.

    Times are seconds.  `timeout` is the deadline of one request, from its first byte to the last
    of its answer, and `create_timeout` that of a create; how long to wait for a task is said with
    each wait.  `max_connections` bounds the connections, not the tasks in flight, which need
    none.  `max_retries` bounds how often a create is sent again that provably never left, or that
    the service refused for now; one that may have been accepted is never sent again.

    `rate_limit` is how many creates may leave in a time, such as "20/10s"; streams and single
    callers take turns; a `RateLimit` with a `store` is kept by all processes together.  Without it,
    the pace is found out from the service's refusals (429).

    When to look at a task is learned from how long the tasks of its model take: `lag_weight` is
    what one look is worth, in seconds between the end of a task and its discovery.  No pause
    between two looks at one task is shorter than `min_interval`, nor longer than `max_interval`
    unless looks are scarce: `poll_budget` is how many a second all tasks together may take.
    `poll_interval` is a fixed pause instead.  `durations` is a file in which what was learned is
    kept for the next client.

    `ledger` is a `Ledger`, or the path of one: every create is on record there before its first
    byte leaves, and its answer before anything else is done with it.  What was learned of
    durations is kept there too, unless `durations` says where.

    `uploader` is asked for a web address of a picture, clip or sound on this machine (see
    `liangxin.uploads`): where the model is not documented to take data URIs, and for those of more
    than `max_data_uri` bytes.

    `callbacks` is a `CallbackReceiver`: every create then gives an address of its own there, unless
    it was given a `callback_url`, and a callback makes the client look at the task at once.  It
    still looks by itself, the less the more callbacks arrive; where the answer to a create was
    lost, a callback may find its task.

    `download_policy` says what a download may take, and from whom.

    `hooks` is a function that is told of everything that happens, or several (see
    `liangxin.hooks`).  It is called in the event loop, so it must be quick and must not wait; what
    it raises is logged.

    `proxy` is a URL (default: what the environment says), `verify` an `ssl.SSLContext` or the
    path of a file of certificates.  `transport` is an httpx transport of your own, used for all
    requests to the service.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 30.0,
        create_timeout: float = 60.0,
        max_connections: int = 50,
        max_retries: int = 5,
        poll_budget: float = 50.0,
        rate_limit: RateLimit | str | None = None,
        lag_weight: float = 0.2,
        min_interval: float = 0.5,
        max_interval: float = 60.0,
        poll_interval: float | None = None,
        durations: str | os.PathLike[str] | None = None,
        ledger: Store | str | os.PathLike[str] | None = None,
        uploader: Uploader | None = None,
        max_data_uri: int = 4 * 1024 * 1024,
        callbacks: CallbackReceiver | None = None,
        download_policy: DownloadPolicy | None = None,
        hooks: Hook | Iterable[Hook] | None = None,
        proxy: str | None = None,
        verify: ssl.SSLContext | str | os.PathLike[str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        _require(timeout > 0, "timeout", timeout, "a number of seconds above 0")
        _require(create_timeout > 0, "create_timeout", create_timeout, "seconds above 0")
        _require(max_connections >= 1, "max_connections", max_connections, "at least 1")
        _require(max_retries >= 0, "max_retries", max_retries, "0 or more")
        _require(poll_budget > 0, "poll_budget", poll_budget, "looks a second, above 0")
        _require(lag_weight > 0, "lag_weight", lag_weight, "seconds above 0")
        _require(min_interval > 0, "min_interval", min_interval, "seconds above 0")
        _require(max_interval >= min_interval, "max_interval", max_interval, "≥ min_interval")
        _require(
            poll_interval is None or poll_interval > 0, "poll_interval", poll_interval, "above 0"
        )
        _require(uploader is None or callable(uploader), "uploader", uploader, "what can be called")
        # The record of a task repeats its request, and three such pictures have to fit into it.
        _require(
            0 <= max_data_uri <= wire.MAX_REPLY // 5,
            "max_data_uri",
            max_data_uri,
            f"bytes, 0 to {wire.MAX_REPLY // 5}",
        )
        self._timeout = timeout
        self._transport = Transport(
            named_base_url(base_url),
            named_key(api_key),
            max_connections=max_connections,
            proxy=proxy,
            verify=verify,
            transport=transport,
        )
        self._own_transport = transport
        self._observer = self._observing(_checked_hooks(hooks))
        self._max_connections = max_connections
        self._owned = OwnedTasks()
        self._durations_file = None if durations is None else Path(durations)
        self._durations = _load_durations(self._durations_file)
        self._budget = PollBudget(poll_budget)
        self._callbacks = None if callbacks is None else self._expecting(callbacks)
        self._poller = Poller(
            self._look_again,
            self._owned,
            schedule=Schedule(
                lag_weight=lag_weight, min_interval=min_interval, max_interval=max_interval
            )
            if poll_interval is None
            else FixedSchedule(poll_interval),
            budget=self._budget,
            durations=self._durations,
            max_workers=max_connections,
            ended=self._ended,
            callback_share=self._callbacks.share_of if self._callbacks else lambda task_id: 0.0,
            observer=self._observer,
        )
        self._uploader = uploader
        self._max_data_uri = max_data_uri
        self._resolver: Resolver | None = None
        if rate_limit is not None and not isinstance(rate_limit, RateLimit):
            rate_limit = RateLimit(rate_limit)
        self._quota: SharedQuota | None = None
        if rate_limit is not None and rate_limit.store is not None:
            self._quota = SharedQuota(rate_limit, self._owned)
        window = None if rate_limit is None else rate_limit.window
        self._creations = Creations(
            self._transport,
            self._owned,
            self._media,
            timeout=create_timeout,
            max_retries=max_retries,
            limits=self._quota or LocalLimits(window),
            accepted=self._poller.created,
            callbacks=self._callbacks,
            observer=self._observer,
        )
        self._download_policy = download_policy
        self._ledger = ledger
        self._recorder: Recorder | None = None
        self._recorders: list[Recorder] = []
        """Those of our own ledger and of the batches that run over others."""
        self._ledgers = AsyncExitStack()
        self._downloader: Downloader | None = None
        self._opened = False
        self._closed = False

    async def __aenter__(self) -> AsyncClient:
        if self._opened:
            raise ClientStateError("a client is opened once; make another one")
        self._opened = True
        await self._owned.__aenter__()
        try:
            if self._ledger is not None:
                await self._open_ledger(self._ledger)
            if self._quota is not None:
                await self._open_quota(self._quota)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._ledgers.aclose()
            await self._owned.__aexit__(None, None, None)
            raise
        if self._callbacks is not None:
            self._callbacks.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            # What has left is seen through, whatever ends the block; bounded by create_timeout.
            with anyio.CancelScope(shield=True):
                await self.aclose()
        finally:
            await self._owned.__aexit__(exc_type, exc, traceback)

    async def aclose(self) -> None:
        """
        Close the client.

        Creates that have not left are given up, those that have are seen through: this takes up
        to `create_timeout`.  Whoever still waits for a task gets a `ClientStateError`; the tasks
        go on at the service.  What nobody took is in `unclaimed` afterwards.
        """
        self._closed = True
        await self._creations.aclose()
        if self._callbacks is not None:
            self._callbacks.close()
        self._poller.close()
        await self._ledgers.aclose()
        await self._owned.cancel()
        if self._downloader is not None:
            await self._downloader.aclose()
        await self._transport.aclose()
        _save_durations(self._durations, self._durations_file)

    @property
    def base_url(self) -> str:
        """Where the service is, without a trailing slash."""
        return self._transport.origin.url

    @property
    def unclaimed(self) -> tuple[Outcome, ...]:
        """
        What became of paid work whose caller had gone.

        A caller that is cancelled, or leaves `run_many` early, gets no result for what it had
        begun; every task that was accepted all the same is here, and every create of which nobody
        knows.
        """
        return tuple(self._creations.unclaimed)

    def stats(self) -> Stats:
        """Say what the client is doing now, and how well it has found what it waited for."""
        learned = self._durations.learned().items()
        return Stats(
            waiting=self._poller.waiting,
            looks=self._poller.looks,
            found=self._poller.found,
            mean_lag=self._poller.mean_lag,
            poll_rate=self._budget.rate,
            poll_price=self._budget.price,
            create_rate=self._creations.admission.rate,
            callback_share=self._callbacks.share if self._callbacks else None,
            connections=self._transport.open_connections,
            busy_connections=self._transport.in_use,
            durations={
                name: DurationStats(
                    finished=model.finished, median=model.quantile(0.5), p95=model.quantile(0.95)
                )
                for name, model in learned
            },
        )

    async def create_task(
        self, input: ModelInput, *, key: str | None = None, callback_url: str | None = None
    ) -> Task:
        """
        Create a task and return at once.

        Sent at most once: the service documents no idempotency key, so a second attempt could be
        a second charge.  Sent again by itself only what provably never left, or was refused for
        now.  `callback_url` is a public https address that the service posts the final state to.

        `key` names the request in the client's ledger: if it is there already, with the same
        input, its task is returned instead of paying for another.

        Raises `InputError` before anything is sent; the `APIError` leaf of a refusal; `NotSent`
        when nothing left, also because an upload failed; `AmbiguousCreate` when the answer was
        lost, now or when the key was sent before; `LedgerConflict` for a key that stands for
        another input; `LedgerError` when the ledger cannot be written, and then nothing was sent.
        """
        self._check_open()
        return await self._creations.create(
            input, callback_url, recorder=self._recorder, key=self._checked_key(key)
        )

    async def get_task(self, task: Task | str) -> Task:
        """
        Fetch a fresh snapshot of a task, which costs nothing: one recordInfo.

        Raises the `APIError` leaf of a refusal (`TaskNotFound` for an unknown id),
        `TransportError` without an answer, `UnexpectedReply` for one that cannot be read.
        """
        self._check_open()
        return await self._look(task_id(task))

    async def watch(self, task: Task | str, *, timeout: float | None = None) -> AsyncIterator[Task]:
        """
        Yield a snapshot at every change of a task's state; the last one is final.

        The first is what the first look finds; a snapshot that is final already is the only one.
        Does not raise when the task ends with `fail`.
        Raises `WaitTimeout` after `timeout` seconds in all, and `TaskLost` or the `APIError` leaf
        when the service no longer tells.
        """
        self._check_open()
        news: deque[Task | LiangxinError] = deque()
        arrived = anyio.Event()

        def listener(item: Task | LiangxinError) -> None:
            news.append(item)
            arrived.set()

        snapshot = _snapshot(task)
        if snapshot.is_final:
            yield snapshot
            return
        self._poller.add(snapshot, listener, timeout=_checked_timeout(timeout))
        try:
            while not snapshot.is_final:
                while not news:
                    arrived = anyio.Event()
                    await arrived.wait()
                item = news.popleft()
                if isinstance(item, LiangxinError):
                    raise item
                snapshot = item
                yield item
        finally:
            self._poller.remove(snapshot.id, listener)

    async def wait(self, task: Task | str, *, timeout: float | None = None) -> Task:
        """
        Wait until a task has succeeded, and return it with its `urls`.

        Looks at the task at growing intervals; an answer that fails is a reason to look again
        later, not to give up.  Raises `TaskFailed` when it ends with `fail`; `WaitTimeout` after
        `timeout` seconds, while the task goes on: wait again to pick it up; `TaskLost` when the
        service has not known it for a minute and more; `Unauthorized` or `Forbidden` when the key
        is refused three times in a row.
        """
        self._check_open()
        if isinstance(task, Task) and task.is_final:
            return final_or_raise(task)
        snapshot = _snapshot(task)
        ended = anyio.Event()
        news: list[Task | LiangxinError] = []

        def listener(item: Task | LiangxinError) -> None:
            if isinstance(item, LiangxinError) or item.is_final:
                news.append(item)
                ended.set()

        self._poller.add(snapshot, listener, timeout=_checked_timeout(timeout))
        try:
            await ended.wait()
        finally:
            self._poller.remove(snapshot.id, listener)
        if isinstance(news[0], LiangxinError):
            raise news[0]
        return final_or_raise(news[0])

    async def run(
        self,
        input: ModelInput,
        *,
        key: str | None = None,
        callback_url: str | None = None,
        timeout: float | None = None,
    ) -> Task:
        """
        Create a task and wait until it has succeeded.

        `timeout` bounds the waiting; what is raised is said at `create_task` and `wait`.
        """
        _checked_timeout(timeout)
        task = await self.create_task(input, key=key, callback_url=callback_url)
        try:
            return await self.wait(task, timeout=timeout)
        except (TaskFailed, TaskLost, WaitTimeout):  # they carry the task
            raise
        except BaseException:
            if key is None:  # else the ledger knows
                self._creations.keep(Outcome(input=input, task=task))
            raise

    def run_many(
        self, inputs: Inputs, *, max_in_flight: int = 100, timeout: float | None = None
    ) -> AbstractAsyncContextManager[AsyncIterator[Outcome]]:
        """
        Create and wait for many tasks at a time, and yield what becomes of each as it ends.

        `inputs` may be endless: an input is drawn when there is room for it, that is when fewer
        than `max_in_flight` tasks are under way or wait to be taken from the stream.  An
        `Outcome` carries the task, or the error that ended it: one failure never stops the
        others.  An exception of `inputs` itself is raised when the outcomes of all that was drawn
        before have been taken.  `timeout` bounds the waiting for each task.

        Leaving the block early leaves tasks that were accepted at the service, and in
        `unclaimed`.
        """
        self._check_open()
        _checked_timeout(timeout)
        _require(max_in_flight >= 1, "max_in_flight", max_in_flight, "at least 1")

        def start(input: ModelInput, done: Done, source: object) -> Creation:
            return self._creations.start(input, None, done, source=source, recorder=self._recorder)

        stream = self._outcomes(inputs, start, self._creations.keep, max_in_flight, timeout)
        return self._streaming(stream)

    def batch(
        self,
        requests: Requests,
        *,
        ledger: Store | str | os.PathLike[str] | None = None,
        out: str | os.PathLike[str] | None = None,
        max_in_flight: int = 100,
        timeout: float | None = None,
        max_tasks: int | None = None,
        max_ambiguous: int = 10,
        shard: tuple[int, int] | None = None,
        retry_failed: bool = False,
        skip_bad_lines: bool = False,
        report: BatchReport | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Outcome]]:
        """
        Bring many requests to their ends over a ledger, and go on where an earlier run stopped.

        `requests` are pairs of a key and an input (or `batch.Request`), or the path of a file that
        `batch.read` reads, or what that returned: all of it is checked before anything is created,
        and a bad line raises `InputError` unless `skip_bad_lines`.  A key is created once, however
        often the batch is run: what has ended is told from the ledger (`Outcome.resumed`), what
        was accepted is waited for, and what may have been accepted is told as `AmbiguousCreate`
        and never sent again by itself.  With `retry_failed`, tasks that failed are created anew,
        which is paid again, and refused requests are made again.

        `ledger` is a `Ledger` or the path of one (default: the client's, or `ledger.db` in `out`).
        In `out`, results are saved as files called after their keys, with `results.jsonl` and
        `errors.jsonl`: a line for each request of this run.

        Yields an `Outcome` for each request as it ends.  The first refusal of the key or the
        quota (401, 403) ends the creating, as do `max_tasks` creates in this run and more than
        `max_ambiguous` doubts; what was accepted is still waited for, at most `timeout` seconds
        each.  `shard=(i, n)` takes the i-th of n parts, 0 ≤ i < n, by the hash of the key.
        `report` is filled while the batch runs, and may be read at any time.

        Leaving the block early loses nothing: run it again.
        """
        self._check_open()
        _checked_timeout(timeout)
        _require(max_in_flight >= 1, "max_in_flight", max_in_flight, "at least 1")
        _require(max_tasks is None or max_tasks >= 0, "max_tasks", max_tasks, "0 or more")
        _require(max_ambiguous >= 0, "max_ambiguous", max_ambiguous, "0 or more")
        _require(_is_shard(shard), "shard", shard, "(i, n) with 0 ≤ i < n")
        from liangxin.batch import BatchReport, read
        from liangxin.batch._run import Rules

        rules = Rules(
            out=None if out is None else Path(out),
            max_in_flight=max_in_flight,
            max_tasks=max_tasks,
            max_ambiguous=max_ambiguous,
            shard=shard,
            retry_failed=retry_failed,
        )
        if isinstance(requests, (str, os.PathLike)):
            requests = read(requests, skip_bad_lines=skip_bad_lines)
        if ledger is None and self._ledger is None:
            _require(out is not None, "ledger", ledger, "a Ledger, its path, or given by out=")
            ledger = Path(out or "") / "ledger.db"
        return self._batching(requests, rules, report or BatchReport(), ledger, timeout)

    async def download(
        self, task: Task, to: str | os.PathLike[str], *, name: str | None = None
    ) -> list[Path]:
        """
        Save all results of a task that has succeeded to the folder `to`, and return their paths.

        Files are called after the task's id, or `name`, with a number and an ending that fits the
        bytes; each appears whole or not at all.  The API key never goes to a result's host.  URLs
        expire: an expired one is asked for anew, once; a task is never created again.  Raises a
        leaf of `DownloadError`.
        """
        self._check_open()
        return await self._downloads().download(final_or_raise(task), Path(to), name=name)

    async def deliver(self, task: Task, to: Uploader, *, name: str | None = None) -> list[str]:
        """
        Hand all results of a task that has succeeded to `to`, and return what that returned.

        `to` is called as an uploader is (see `liangxin.uploads`): a bucket, the memory, or a
        function of yours, with the name that `download` would give the file.  Each result is
        fetched as `download` does it, and handed over when it is whole.  Raises a leaf of
        `DownloadError`, also for what `to` raises.
        """
        self._check_open()
        _require(callable(to), "to", to, "an uploader: what can be called; of a folder, `download`")
        return await self._downloads().deliver(final_or_raise(task), to, name=name)

    async def watch_download(
        self, task: Task, to: str | os.PathLike[str], *, name: str | None = None
    ) -> AsyncIterator[DownloadProgress]:
        """
        Save all results as `download` does, and yield how far that is.

        As often as it is asked for, and at least once for each file, when it is in its place.
        Whoever leaves early ends the download; files that are whole stay.
        """
        self._check_open()
        progress: deque[DownloadProgress] = deque()
        failures: list[LiangxinError] = []
        arrived, ended, scope = anyio.Event(), anyio.Event(), anyio.CancelScope()
        task = final_or_raise(task)

        def told(news: DownloadProgress) -> None:
            if progress and progress[-1].path is None:
                progress[-1] = news  # nobody has looked since
            else:
                progress.append(news)
            arrived.set()

        async def save() -> None:
            try:
                with scope:
                    await self._downloads().save(task, Path(to), name=name, told=told)
            except LiangxinError as exc:
                failures.append(exc)
            finally:
                ended.set()
                arrived.set()

        self._owned.start(save)
        try:
            while progress or not ended.is_set():
                while not progress and not ended.is_set():
                    arrived = anyio.Event()
                    await arrived.wait()
                while progress:
                    yield progress.popleft()
            if failures:
                raise failures[0]
        finally:
            scope.cancel()

    # --- below the verbs -------------------------------------------------------------------

    def _observing(self, hooks: tuple[Hook, ...]) -> Observer | None:
        """What tells the hooks, and the log; None, and no cost, where nobody wants to know."""
        if level := os.environ.get("LIANGXIN_LOG"):
            from liangxin._logging import log_to_stderr

            log_to_stderr(level)
        if log.isEnabledFor(logging.INFO):
            from liangxin._logging import log_event

            hooks += (log_event,)
        if not hooks:
            return None
        from liangxin._observer import Observer  # 40 ms that a client without hooks saves

        return Observer(hooks, self._transport.origin)

    def _downloads(self) -> Downloader:
        if self._downloader is None:
            from liangxin._download import Downloader  # 10 ms that a client without files saves

            self._downloader = Downloader(
                self._transport.origin,
                self._look,
                self._download_policy,
                tls=self._transport.verify,
                own=self._own_transport,
            )
        return self._downloader

    def _media(self) -> Resolver:
        if self._resolver is None:
            from liangxin._resolver import Resolver  # 5 ms that a client without pictures saves

            self._resolver = Resolver(
                self._owned, uploader=self._uploader, max_data_uri=self._max_data_uri
            )
        return self._resolver

    def _expecting(self, receiver: CallbackReceiver) -> Callbacks:
        from liangxin._callbacks import Callbacks

        return Callbacks(
            receiver,
            self._owned,
            look=self._look,
            hint=lambda task_id: self._poller.hint(task_id),
            follow=lambda task: self._poller.add(task, lambda news: None),
        )

    async def _look(self, task: str, known: Task | None = None) -> Task:
        request, evidence = wire.record_request(task), Evidence()
        try:
            reply = await self._transport.exchange(
                request, lane="look", timeout=self._timeout, evidence=evidence
            )
            found = wire.decipher_record(reply, task, known)
        except LiangxinError as exc:
            if self._observer is not None:
                self._observer.looked(task, evidence, exc)
            raise
        if self._observer is not None:
            self._observer.looked(task, evidence, None)
        return found

    async def _look_again(self, known: Task) -> Task:
        return await self._look(known.id, known)

    def _outcomes(
        self,
        inputs: Iterable[object] | AsyncIterable[object],
        start: Start,
        keep: Callable[[Outcome], None],
        max_in_flight: int,
        timeout: float | None,
    ) -> OutcomeStream:
        return OutcomeStream(
            inputs,
            max_in_flight=max_in_flight,
            max_creating=2 * self._max_connections,
            timeout=timeout,
            start=start,
            keep=keep,
            poller=self._poller,
        )

    @asynccontextmanager
    async def _streaming(self, stream: OutcomeStream) -> AsyncIterator[AsyncIterator[Outcome]]:
        feeding = anyio.CancelScope()
        fed = anyio.Event()

        async def feed() -> None:
            try:
                with feeding:
                    await stream.feed()
            finally:
                fed.set()

        self._owned.start(feed)
        try:
            yield stream
        finally:
            feeding.cancel()
            stream.close()
            with anyio.CancelScope(shield=True):
                await fed.wait()

    @asynccontextmanager
    async def _batching(
        self,
        requests: Iterable[Named] | AsyncIterable[Named],
        rules: Rules,
        report: BatchReport,
        ledger: Store | str | os.PathLike[str] | None,
        timeout: float | None,
    ) -> AsyncIterator[AsyncIterator[Outcome]]:
        from liangxin.batch._run import BatchRun

        if rules.out is not None:
            rules.out.mkdir(parents=True, exist_ok=True)

        def stream_of(items: AsyncIterator[object], start: Start) -> OutcomeStream:
            # What is not delivered is in the ledger, and need not be kept.
            return self._outcomes(items, start, lambda outcome: None, rules.max_in_flight, timeout)

        async with self._recording(ledger) as recorder:
            run = BatchRun(
                requests,
                rules,
                report,
                recorder=recorder,
                owned=self._owned,
                start=self._creations.start,
                asked_for=self._media().asked_for,
                stream_of=stream_of,
                download=lambda task, to, name: self._downloads().save(task, to, name=name),
            )
            async with run.running() as outcomes:
                yield outcomes

    async def _open_ledger(self, ledger: Store | str | os.PathLike[str]) -> None:
        self._recorder = await self._ledgers.enter_async_context(self._recording(ledger))
        if self._durations_file is None:
            store = self._recorder.ledger
            kept = await self._recorder.run(store.durations)
            if kept is not None:
                self._durations.adopt(_durations_of(kept, "the ledger"))
            self._ledgers.push_async_callback(self._keep_durations, self._recorder)

    async def _open_quota(self, quota: SharedQuota) -> None:
        """Ask the store of the rate limit, through our ledger if that is the same."""
        ours, store = self._recorder, quota.store
        opened = store if ours is None or store != self._ledger else ours.ledger
        await self._ledgers.enter_async_context(quota.asking(opened))

    async def _keep_durations(self, recorder: Recorder) -> None:
        if self._durations.learned():
            learned = self._durations.to_json()
            try:
                await recorder.run(lambda: recorder.ledger.keep_durations(learned))
            except LedgerError as exc:  # nothing is lost but a few looks
                log.warning("durations cannot be kept in the ledger: %s", exc)

    @asynccontextmanager
    async def _recording(
        self, ledger: Store | str | os.PathLike[str] | None
    ) -> AsyncIterator[Recorder]:
        """Open a ledger, unless it is open, and leave it as it was found."""
        if self._recorder is not None and ledger in (None, self._ledger, self._recorder.ledger):
            yield self._recorder
            return
        from liangxin._recording import Recorder
        from liangxin.ledger import Ledger

        assert ledger is not None
        store = Ledger(ledger) if isinstance(ledger, (str, os.PathLike)) else ledger
        recorder = Recorder(store, self._owned)
        was_open = store.is_open
        await recorder.run(store.open)
        self._recorders.append(recorder)
        try:
            if self._callbacks is not None:
                await self._callbacks.load(recorder)
            yield recorder
        finally:
            with anyio.CancelScope(shield=True):
                if self._callbacks is not None:
                    self._callbacks.unload(recorder)
                await recorder.aclose()
                self._recorders.remove(recorder)
                if not was_open:
                    await recorder.run(store.close)

    def _ended(self, task: Task) -> None:
        if self._callbacks is not None:
            self._callbacks.ended(task)
        for recorder in self._recorders:
            recorder.ended(task)

    def _checked_key(self, key: str | None) -> str | None:
        if key is not None:
            allowed = "text, and a client with a ledger: AsyncClient(ledger=…)"
            is_name = isinstance(key, str) and bool(key.strip()) and self._ledger is not None
            _require(is_name, "key", key, allowed)
        return key

    def _check_open(self) -> None:
        if self._closed:
            raise ClientStateError("the client is closed; make another one")
        if not self._opened:
            raise ClientStateError(
                "the client is not open: use it inside `async with AsyncClient(...) as client:`"
            )


def _load_durations(file: Path | None) -> Durations:
    if file is None or not file.exists():
        return Durations()
    try:
        kept: object = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        kept = exc
    return _durations_of(kept, str(file))


def _durations_of(kept: object, place: str) -> Durations:
    try:
        if isinstance(kept, Exception):
            raise ValueError(in_words(kept)) from kept
        return Durations.from_json(kept)
    except ValueError as exc:  # nothing is lost but a few looks
        log.warning("durations cannot be read from %s, and are learned anew: %s", place, exc)
        return Durations()


def _save_durations(durations: Durations, file: Path | None) -> None:
    if file is None or not durations.learned():
        return
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(durations.to_json()), encoding="utf-8")
        part.replace(file)
    except OSError as exc:
        log.warning("durations cannot be saved to %s: %s", file, exc)


def _snapshot(task: Task | str) -> Task:
    return task if isinstance(task, Task) else Task(id=task_id(task))


def _require(holds: bool, field: str, value: object, allowed: str) -> None:
    if not holds:
        raise InputError(
            f"{field} must be {allowed}, not {value!r}", field=field, value=value, allowed=allowed
        )


def _checked_hooks(given: Hook | Iterable[Hook] | None) -> tuple[Hook, ...]:
    if given is None:
        return ()
    hooks = (given,) if callable(given) or not isinstance(given, Iterable) else tuple(given)
    allowed = "a plain function of one event, or several in a list"
    for hook in hooks:
        _require(callable(hook) and not iscoroutinefunction(hook), "hooks", hook, allowed)
    return hooks


def _is_shard(shard: tuple[int, int] | None) -> bool:
    return shard is None or (len(shard) == 2 and 0 <= shard[0] < shard[1])


def _checked_timeout(timeout: float | None) -> float | None:
    _require(timeout is None or timeout >= 0, "timeout", timeout, "seconds, 0 or more, or None")
    return timeout
