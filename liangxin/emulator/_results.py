"""
Serves the results: pictures painted when first asked for, clips shipped with the package.

Ranges, entity tags and HEAD work as on a good file host, because clients resume downloads.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass

import anyio.to_thread

from liangxin.emulator._answers import Answer, html_error
from liangxin.emulator._calls import Call
from liangxin.emulator._clips import clip_for
from liangxin.emulator._faults import Fault
from liangxin.emulator._sizes import result_names
from liangxin.emulator._tasks import TaskRecord
from liangxin.emulator._time import Timeline

_KEPT_BYTES = 64 * 1024 * 1024
_TYPES = {"png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4"}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Result:
    """A file and its strong entity tag."""

    content: bytes
    media_type: str
    etag: str


class Gallery:
    """Results by task; `ttl` seconds after the end of a task they are gone."""

    def __init__(
        self, tasks: dict[str, TaskRecord], time: Timeline, seed: int, ttl: float | None
    ) -> None:
        self._tasks = tasks
        self._time = time
        self.seed = seed
        self._ttl = ttl
        self._kept: OrderedDict[str, Result] = OrderedDict()
        self._kept_bytes = 0

    async def serve(self, call: Call, fault: Fault | None = None) -> Answer:
        """Answer a request for a result."""
        task = self._tasks.get(call.path_params["task_id"])
        name = call.path_params["name"]
        if call.method not in {"GET", "HEAD"} or task is None or not self._is_there(task, name):
            return html_error(404, "Not Found")
        return _part_of(await self._result(task), call)

    def clear(self, seed: int | None = None) -> None:
        """Forget the painted pictures, and paint from `seed` on."""
        self._kept.clear()
        self._kept_bytes = 0
        if seed is not None:
            self.seed = seed

    def _is_there(self, task: TaskRecord, name: str) -> bool:
        now = self._time.now()
        if name not in result_names(task) or task.state_at(now) != "success":
            return False
        return self._ttl is None or now < task.final_at + self._ttl

    async def _result(self, task: TaskRecord) -> Result:
        kept = self._kept.get(task.id)
        if kept is not None:
            self._kept.move_to_end(task.id)
            return kept
        if self._time.is_real:
            result = await anyio.to_thread.run_sync(_make, task, self.seed)
        else:
            # A virtual clock would jump ahead while the loop waits for a thread.
            result = _make(task, self.seed)
        self._keep(task.id, result)
        return result

    def _keep(self, task_id: str, result: Result) -> None:
        if task_id in self._kept:
            return
        self._kept[task_id] = result
        self._kept_bytes += len(result.content)
        while self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].content)


def _make(task: TaskRecord, seed: int) -> Result:
    from liangxin.emulator._pictures import paint  # late, since Pillow is slow to import

    content = clip_for(task, seed) if task.kind == "video" else paint(task, seed)
    media_type = _TYPES[result_names(task)[0].rpartition(".")[2]]
    return Result(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _part_of(result: Result, call: Call) -> Answer:
    size = len(result.content)
    common = (("ETag", result.etag), ("Accept-Ranges", "bytes"))
    if call.header(b"if-none-match") == result.etag:
        return Answer(304, b"", result.media_type, common)
    span = _span(call, result.etag, size)
    if span is None:
        return Answer(200, result.content, result.media_type, common)
    first, last = span
    if first > last:
        return Answer(416, b"", result.media_type, (*common, ("Content-Range", f"bytes */{size}")))
    part = result.content[first : last + 1]
    placed = ("Content-Range", f"bytes {first}-{last}/{size}")
    return Answer(206, part, result.media_type, (*common, placed))


def _span(call: Call, etag: str, size: int) -> tuple[int, int] | None:
    """Return the first and last byte asked for, None for all; first > last if there is none."""
    asked = _RANGE.fullmatch((call.header(b"range") or "").strip())
    if asked is None or asked[0] == "bytes=-" or call.method != "GET":
        return None
    if call.header(b"if-range") not in {None, etag}:
        return None
    if not asked[1]:
        length = min(int(asked[2]), size)
        return (size - length, size - 1) if length else (1, 0)
    first = int(asked[1])
    last = min(int(asked[2]), size - 1) if asked[2] else size - 1
    if asked[2] and int(asked[2]) < first:
        return None
    return (first, last) if first < size else (1, 0)
