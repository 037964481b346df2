# Generated from liangxin/_client.py. Do not edit; run: nox -s generate
"""The blocking client: every verb of `AsyncClient`, for callers without an event loop."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from liangxin._client import AsyncClient
from liangxin._policy import DownloadPolicy, DownloadProgress
from liangxin._portal import Portal
from liangxin._quota import RateLimit
from liangxin._tasks import ModelInput, Outcome, Stats, Task

if TYPE_CHECKING:
    import httpx

    from liangxin.batch import BatchReport
    from liangxin.batch._run import Named
    from liangxin.callbacks import CallbackReceiver
    from liangxin.hooks import Hook
    from liangxin.ledger import Store
    from liangxin.uploads import Uploader


class Client:
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

    Any thread may call.  The work is done in one event loop, in a thread of the client's own.
    Inputs other than a list or a tuple are drawn in a thread of their own: they may block, and they
    may call the client.
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
        self._client = AsyncClient(
            api_key,
            base_url=base_url,
            timeout=timeout,
            create_timeout=create_timeout,
            max_connections=max_connections,
            max_retries=max_retries,
            poll_budget=poll_budget,
            rate_limit=rate_limit,
            lag_weight=lag_weight,
            min_interval=min_interval,
            max_interval=max_interval,
            poll_interval=poll_interval,
            durations=durations,
            ledger=ledger,
            uploader=uploader,
            max_data_uri=max_data_uri,
            callbacks=callbacks,
            download_policy=download_policy,
            hooks=hooks,
            proxy=proxy,
            verify=verify,
            transport=transport,
        )
        self._portal = Portal(self._client, self._client._creations.keep)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the client.

        Creates that have not left are given up, those that have are seen through: this takes up
        to `create_timeout`.  Whoever still waits for a task gets a `ClientStateError`; the tasks
        go on at the service.  What nobody took is in `unclaimed` afterwards.
        """
        self._portal.close()

    @property
    def base_url(self) -> str:
        """Where the service is, without a trailing slash."""
        return self._client.base_url

    @property
    def unclaimed(self) -> tuple[Outcome, ...]:
        """
        What became of paid work whose caller had gone.

        A caller that is cancelled, or leaves `run_many` early, gets no result for what it had
        begun; every task that was accepted all the same is here, and every create of which nobody
        knows.
        """
        return self._client.unclaimed

    def stats(self) -> Stats:
        """Say what the client is doing now, and how well it has found what it waited for."""
        return self._client.stats()

    def create_task(
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
        return self._portal.run(self._client.create_task, input, key=key, callback_url=callback_url)

    def get_task(self, task: Task | str) -> Task:
        """
        Fetch a fresh snapshot of a task, which costs nothing: one recordInfo.

        Raises the `APIError` leaf of a refusal (`TaskNotFound` for an unknown id),
        `TransportError` without an answer, `UnexpectedReply` for one that cannot be read.
        """
        return self._portal.run(self._client.get_task, task)

    def watch(self, task: Task | str, *, timeout: float | None = None) -> Iterator[Task]:
        """
        Yield a snapshot at every change of a task's state; the last one is final.

        The first is what the first look finds; a snapshot that is final already is the only one.
        Does not raise when the task ends with `fail`.
        Raises `WaitTimeout` after `timeout` seconds in all, and `TaskLost` or the `APIError` leaf
        when the service no longer tells.
        """
        return self._portal.iterate(self._client.watch, task, timeout=timeout)

    def wait(self, task: Task | str, *, timeout: float | None = None) -> Task:
        """
        Wait until a task has succeeded, and return it with its `urls`.

        Looks at the task at growing intervals; an answer that fails is a reason to look again
        later, not to give up.  Raises `TaskFailed` when it ends with `fail`; `WaitTimeout` after
        `timeout` seconds, while the task goes on: wait again to pick it up; `TaskLost` when the
        service has not known it for a minute and more; `Unauthorized` or `Forbidden` when the key
        is refused three times in a row.
        """
        return self._portal.run(self._client.wait, task, timeout=timeout)

    def run(
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
        return self._portal.run(
            self._client.run, input, key=key, callback_url=callback_url, timeout=timeout
        )

    def run_many(
        self,
        inputs: Iterable[ModelInput],
        *,
        max_in_flight: int = 100,
        timeout: float | None = None,
    ) -> AbstractContextManager[Iterator[Outcome]]:
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
        return self._portal.enter(
            self._client.run_many,
            self._portal.drawn(inputs),
            max_in_flight=max_in_flight,
            timeout=timeout,
        )

    def batch(
        self,
        requests: str | os.PathLike[str] | Iterable[Named],
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
    ) -> AbstractContextManager[Iterator[Outcome]]:
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
        return self._portal.enter(
            self._client.batch,
            self._portal.drawn_or_file(requests),
            ledger=ledger,
            out=out,
            max_in_flight=max_in_flight,
            timeout=timeout,
            max_tasks=max_tasks,
            max_ambiguous=max_ambiguous,
            shard=shard,
            retry_failed=retry_failed,
            skip_bad_lines=skip_bad_lines,
            report=report,
        )

    def download(
        self, task: Task, to: str | os.PathLike[str], *, name: str | None = None
    ) -> list[Path]:
        """
        Save all results of a task that has succeeded to the folder `to`, and return their paths.

        Files are called after the task's id, or `name`, with a number and an ending that fits the
        bytes; each appears whole or not at all.  The API key never goes to a result's host.  URLs
        expire: an expired one is asked for anew, once; a task is never created again.  Raises a
        leaf of `DownloadError`.
        """
        return self._portal.run(self._client.download, task, to, name=name)

    def deliver(self, task: Task, to: Uploader, *, name: str | None = None) -> list[str]:
        """
        Hand all results of a task that has succeeded to `to`, and return what that returned.

        `to` is called as an uploader is (see `liangxin.uploads`): a bucket, the memory, or a
        function of yours, with the name that `download` would give the file.  Each result is
        fetched as `download` does it, and handed over when it is whole.  Raises a leaf of
        `DownloadError`, also for what `to` raises.
        """
        return self._portal.run(self._client.deliver, task, to, name=name)

    def watch_download(
        self, task: Task, to: str | os.PathLike[str], *, name: str | None = None
    ) -> Iterator[DownloadProgress]:
        """
        Save all results as `download` does, and yield how far that is.

        As often as it is asked for, and at least once for each file, when it is in its place.
        Whoever leaves early ends the download; files that are whole stay.
        """
        return self._portal.iterate(self._client.watch_download, task, to, name=name)
