"""
A Ray dataset of requests, made into one of their results (extra `ray`)::

    prompts = ray.data.read_parquet("prompts")
    made = liangxin.ray.generate(prompts, model="z-image", ledger="postgresql://db/ledger")
    made.write_parquet("made")

Ray moves the rows and starts what has died; the ledger, which all workers share, sees to it that a
block that is done again pays for nothing again.  No engine is built here.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from copy import copy
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import anyio.to_thread
from anyio.from_thread import start_blocking_portal
from attrs import evolve, field, frozen

try:
    import pyarrow as pa
    import ray.cloudpickle
    import ray.data

    from liangxin.ledger._shared import SharedLedger
except ImportError as error:
    raise ImportError('liangxin.ray needs an extra: pip install "liangxin[ray]"') from error

from liangxin._client import AsyncClient
from liangxin._errors import DownloadError, InputError, LedgerError, LiangxinError
from liangxin._tasks import ModelInput, Outcome
from liangxin._text import in_words, quoted
from liangxin.batch import BatchReport, Request
from liangxin.batch._reading.records import Records
from liangxin.batch._run import file_name
from liangxin.ledger import LedgerState, Move, is_address, now
from liangxin.uploads import ObstoreUploader, Uploader

__all__ = ["generate"]

Place: TypeAlias = str | os.PathLike[str] | Uploader

_TEXTS = pa.list_(pa.string())
_MADE = pa.schema(
    [
        ("task_id", pa.string()),
        ("state", pa.string()),
        ("urls", _TEXTS),
        ("error", pa.string()),
        ("path", _TEXTS),
    ]
)


def generate(
    dataset: Any,
    *,
    ledger: str,
    model: str | type[ModelInput] | None = None,
    defaults: Mapping[str, object] | None = None,
    key: str = "id",
    keep: Collection[str] = (),
    rate: Any = None,
    out: Place | None = None,
    max_in_flight: int = 256,
    rows_per_block: int = 32,
    timeout: float | None = None,
    lease: float = 60.0,
    client: Mapping[str, Any] | None = None,
    compute: Any = None,
    **ray_options: Any,
) -> Any:
    """
    Return the dataset with what became of each row: `task_id`, `state`, `urls`, `error`, `path`.

    Lazy, as all of Ray Data: nothing is created before the result is consumed.  The columns are
    those of a batch file (`liangxin.batch.read`): `id`, `model`, and a column for each field;
    `model` and `defaults` are for the rows that do not say.  What is neither must be named in
    `keep`: it passes through, and prompts may name it in braces.

    `ledger` is the address of a ledger in PostgreSQL.  A row is named there by its `key` column, or
    by the hash of its model and input: rows that ask for the same are then one request.  A key is
    created once, in however many processes, jobs and attempts.  What another process has begun is
    waited for; if that process dies, until its lease of `lease` seconds has lapsed.

    A row that fails has an `error`, and ends nothing: the name of an exception of this package and
    its words.  `state` is that of the task, None where no task is known; `AmbiguousCreate` may have
    been paid.  What failed is not created anew.

    `rate` is the client's `rate_limit`: of a text, every process has a window of its own.  `out` is
    where workers save results: a folder that all of them see, the URL of an object store
    (`s3://bucket/prefix`), or an uploader; `path` has what became of each.

    Each worker is one process with one client, `max_in_flight` rows under way in it at a time, in
    blocks of `rows_per_block`: so many rows does Ray look at again when a worker dies.  `timeout`
    bounds the waiting for each task.  `client` has more options of `AsyncClient`; the key and the
    address of the service are by default those of each worker's environment.  How many workers
    there are, says `compute`, a `ray.data.ActorPoolStrategy`; by default it is one.  The other
    options are those of `Dataset.map_batches`.
    """
    _require(is_address(ledger), "ledger", ledger, "the address of a database, postgresql://…")
    _require(rows_per_block >= 1, "rows_per_block", rows_per_block, "at least 1")
    _require(max_in_flight >= 1, "max_in_flight", max_in_flight, "at least 1")
    taken = [name for name in keep if name in _MADE.names]
    _require(not taken, "keep", taken, f"columns other than {', '.join(_MADE.names)}")
    rows = min(rows_per_block, max_in_flight)
    records = Records(model=model, defaults=dict(defaults or {}), key=key, keep=tuple(keep))
    schema = dataset.schema(fetch_if_missing=False)
    if schema is not None:
        records.judge_columns(schema.names)
    workers = ray.data.ActorPoolStrategy(size=1) if compute is None else copy(compute)
    if workers.max_concurrent_calls_per_actor is None:
        workers.max_concurrent_calls_per_actor = max_in_flight // rows
    job = _Job(
        records=records,
        ledger=ledger,
        lease=lease,
        out=_absolute(out),
        timeout=timeout,
        client={"rate_limit": rate, **(client or {})},
    )
    return dataset.repartition(target_num_rows_per_block=rows).map_batches(
        _Generate,
        # Pickled here: Ray keeps the words of what it pickles, and among them may be a password.
        fn_constructor_args=(ray.cloudpickle.dumps(job),),
        batch_size=rows,
        batch_format="pyarrow",
        compute=workers,
        **ray_options,
    )


@frozen(kw_only=True)
class _Job:
    """What every worker is told."""

    records: Records
    ledger: str = field(repr=False)
    lease: float
    out: str | Uploader | None
    timeout: float | None
    client: Mapping[str, Any] = field(repr=False)

    def place(self) -> Path | Uploader | None:
        """Where results go."""
        if not isinstance(self.out, str):
            return self.out
        return _store(self.out) if "://" in self.out else Path(self.out)


def _absolute(out: Place | None) -> str | Uploader | None:
    """The same folder for workers, which have current folders of their own."""
    if not isinstance(out, (str, os.PathLike)):
        return out
    return os.fspath(out) if "://" in os.fspath(out) else os.path.abspath(out)


def _store(url: str) -> Uploader:
    """What puts files under a URL, and names them by theirs, which does not expire."""
    try:
        from obstore.store import from_url
    except ImportError as error:
        raise ImportError(
            'To save to an object store needs an extra: pip install "liangxin[objects]"'
        ) from error
    return ObstoreUploader(
        from_url(url), prefix="", url_for=lambda name: f"{url.rstrip('/')}/{name}"
    )


class _Generate:
    """
    One process of Ray's, with one client that all of its blocks share.

    The client has a loop of its own: Ray's stands still while its output is held back, and a client
    in it would take answers for lost.
    """

    def __init__(self, job: bytes) -> None:
        self._job: _Job = ray.cloudpickle.loads(job)
        self._place = self._job.place()
        self._ledger = SharedLedger(self._job.ledger, lease=self._job.lease)
        client = AsyncClient(ledger=self._ledger, **self._job.client)
        self._open = ExitStack()
        self._portal = self._open.enter_context(start_blocking_portal())
        self._client = self._open.enter_context(self._portal.wrap_async_context_manager(client))
        threading.Thread(target=self._close_in_the_end, name="liangxin-ray").start()

    def _close_in_the_end(self) -> None:
        # Nobody else closes it, and its threads would keep a process that Ray ends from ending.
        threading.main_thread().join()
        self._open.close()

    async def __call__(self, block: Any) -> Any:
        return await asyncio.wrap_future(self._portal.start_task_soon(self._made, block))

    async def _made(self, block: Any) -> Any:
        """The block with what became of each row."""
        asked = await anyio.to_thread.run_sync(self._asked, block)
        requests = {each.key: each for each in asked if isinstance(each, Request)}
        made = await self._ended(requests)
        lines = [
            _line(Outcome(input=None, error=each))
            if isinstance(each, InputError)
            else made[each.key]
            for each in asked
        ]
        for name, column in zip(
            _MADE.names, pa.Table.from_pylist(lines, _MADE).columns, strict=True
        ):
            block = block.append_column(name, column)
        return block

    def _asked(self, block: Any) -> list[Request | InputError]:
        records = self._job.records
        try:
            records.judge_columns(block.schema.names)
        except InputError as error:  # the driver could not know the columns
            return [error] * len(block)
        return records.requests(block.to_pylist())

    async def _ended(self, requests: Mapping[str, Request]) -> dict[str, dict[str, object]]:
        """Bring requests to their ends; the lines of all of them, by key."""
        lines: dict[str, dict[str, object]] = {}
        report = BatchReport()

        async def tell(outcome: Outcome) -> None:
            assert outcome.key is not None
            lines[outcome.key] = await self._saved(outcome)

        async with anyio.create_task_group() as group:
            try:
                async with self._client.batch(
                    list(requests.values()),
                    max_in_flight=max(1, len(requests)),
                    timeout=self._job.timeout,
                    report=report,
                ) as outcomes:
                    async for outcome in outcomes:
                        group.start_soon(tell, outcome)
            except LiangxinError as error:  # the ledger cannot be read
                report.stopped = report.stopped or str(error)
        left = LiangxinError(f"not created: {report.stopped}")
        return {key: lines.get(key) or _line(Outcome(input=None, error=left)) for key in requests}

    # --- results ---------------------------------------------------------------------------

    async def _saved(self, outcome: Outcome) -> dict[str, object]:
        """The line of an outcome, with its results where they belong."""
        if self._place is None or not outcome.ok:
            return _line(outcome)
        try:
            if isinstance(self._place, Path):
                return _line(outcome, await self._in_folder(outcome, self._place))
            name = file_name(outcome.key or outcome.result().id)
            to = self._place
            return _line(outcome, await self._client.deliver(outcome.result(), to, name=name))
        except LiangxinError as exc:
            return _line(evolve(outcome, error=exc))
        except OSError as exc:
            said = f"the results of {outcome.result().id} cannot be saved: {in_words(exc)}"
            return _line(evolve(outcome, error=DownloadError(said)))

    async def _in_folder(self, outcome: Outcome, folder: Path) -> list[str]:
        """The files of a task, fetched unless the ledger knows them and they are there."""
        task = outcome.result()
        row = await anyio.to_thread.run_sync(self._ledger.find_task, task.id)
        if row is not None and row.files and all((folder / name).is_file() for name in row.files):
            return [str(folder / name) for name in row.files]
        name = file_name(outcome.key or task.id)
        files = await self._client.download(task, folder, name=name)
        if row is not None:  # one that still says `accepted` refuses this, and is fetched again
            names = tuple(path.name for path in files)
            move = Move(ref=row.ref, to=LedgerState.DOWNLOADED, at=now(), files=names)
            with suppress(LedgerError):  # then they are fetched once more, one day
                await anyio.to_thread.run_sync(self._ledger.apply, [move])
        return [str(path) for path in files]


def _line(outcome: Outcome, paths: Collection[str] = ()) -> dict[str, object]:
    """What the result says of one row."""
    task, error = outcome.task, outcome.error
    return {
        "task_id": task and task.id,
        "state": task and task.state.value,
        "urls": list(task.urls) if task else [],
        "error": error and f"{type(error).__name__}: {error}",
        "path": list(paths),
    }


def _require(holds: bool, field: str, value: object, allowed: str) -> None:
    if not holds:
        said = f"{field} must be {allowed}, not {quoted(value)}"
        raise InputError(said, field=field, value=value, allowed=allowed)
