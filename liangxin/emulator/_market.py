"""
The service itself: takes orders, tells states, keeps the books.  No network, no clock.

Each method is told what came and when, and returns the answer.  None of them waits between
reading the state and changing it, so a caller that is cancelled leaves nothing half done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import replace

from liangxin.emulator._answers import (
    Answer,
    Refused,
    encode,
    gateway_error,
    market_error,
    route_error,
    success,
)
from liangxin.emulator._books import Books, Charge, key_hash
from liangxin.emulator._callbacks import Courier
from liangxin.emulator._calls import Call
from liangxin.emulator._faults import Fault, FaultBook, Magic, Subject, magic_in
from liangxin.emulator._orders import Order, peek, read_order
from liangxin.emulator._sizes import result_names
from liangxin.emulator._tasks import DurationSource, TaskRecord
from liangxin.emulator._time import Timeline


class Market:
    """State and books of one emulated Market."""

    def __init__(
        self,
        *,
        api_keys: Collection[str] | None,
        time: Timeline,
        durations: DurationSource,
        public_url: str | None,
        books: Books,
        faults: FaultBook,
        courier: Courier,
    ) -> None:
        self.tasks: dict[str, TaskRecord] = {}
        self.books = books
        self.faults = faults
        self._allowed = None if api_keys is None else {key_hash(key) for key in api_keys}
        self._time = time
        self._durations = durations
        self._public_url = public_url
        self._courier = courier
        self._last_ms = 0

    def clear(self) -> None:
        """Forget all tasks, books and faults; the next task is the first again."""
        self.tasks.clear()
        self.books.clear()
        self.faults.clear()
        self._courier.clear()
        self._last_ms = 0

    async def create(self, call: Call, fault: Fault | None = None) -> Answer:
        """Answer createTask: accept, charge, and name the task; or refuse."""
        if call.method != "POST":
            return await self.unknown(call)
        try:
            holder = self._key_holder(call)
            if call.is_too_large:
                raise Refused(gateway_error(413, "request body too large"))
            order = read_order(call.body)
        except Refused as refusal:
            return refusal.answer
        magic = magic_in(order.prompt)
        task = self._accept(order, call, holder, fault, magic)
        answer = success({"taskId": task.id}, task_id=task.id)
        return replace(answer, delivery="drop") if magic.is_withheld else answer

    async def look(self, call: Call, fault: Fault | None = None) -> Answer:
        """Answer recordInfo."""
        if call.method != "GET":
            return await self.unknown(call)
        try:
            self._key_holder(call)
        except Refused as refusal:
            return refusal.answer
        if not call.task_id:
            return market_error(400, "taskId is required")
        task = self.tasks.get(call.task_id)
        if task is None or task.is_lost or (fault is not None and fault.action == "lost"):
            return replace(market_error(404, "Task not found"), task_id=call.task_id)
        body = self.record(task, call.at, self._public_url or call.origin)
        return Answer(200, body, task_id=task.id)

    async def unknown(self, call: Call, fault: Fault | None = None) -> Answer:
        """Answer an address that does not exist."""
        return route_error(call.method, call.path)

    def record(self, task: TaskRecord, now: float, origin: str) -> bytes:
        """Return the recordInfo body of `task` at `now`."""
        state = task.state_at(now)
        failure = task.failure if state == "fail" else None
        is_final = state in {"success", "fail"}
        changed_ms = self._time.unix_ms(task.changed_at(now))
        data = {
            "taskId": task.id,
            "model": task.model.slug,
            "state": state,
            "param": task.param,
            "resultJson": _result_json(task, origin) if state == "success" else "",
            "failCode": failure.code if failure else "",
            "failMsg": failure.message if failure else "",
            "costTime": round(task.duration * 1000) if is_final else None,
            "completeTime": changed_ms if is_final else None,
            "createTime": task.created_ms,
            "updateTime": changed_ms,
        }
        return encode({"code": 200, "msg": "success", "data": data})

    def subject_of_create(self, call: Call) -> Subject:
        """Return what a createTask is about, for faults."""
        return Subject(*peek(call.body))

    def subject_of_task(self, task_id: str) -> Subject:
        """Return what a request about `task_id` is about, for faults."""
        task = self.tasks.get(task_id)
        if task is None:
            return Subject(task_id=task_id)
        return Subject(task.model.slug, task.prompt, task_id)

    def _key_holder(self, call: Call) -> str:
        key = call.key
        if key is None:
            raise Refused(gateway_error(401, "no API key provided"))
        holder = key_hash(key)
        if self._allowed is not None and holder not in self._allowed:
            raise Refused(gateway_error(401, "invalid API key"))
        return holder

    def _accept(
        self, order: Order, call: Call, holder: str, fault: Fault | None, magic: Magic
    ) -> TaskRecord:
        number = len(self.tasks) + 1
        duration = magic.duration
        if duration is None:
            duration = self._durations.draw(order.model, number)
        created_ms = self._time.unix_ms(call.at)
        task = TaskRecord(
            id=self._name(order.model.slug, created_ms),
            number=number,
            model=order.model,
            prompt=order.prompt,
            input=order.input,
            param=order.param,
            callback_url=order.callback_url,
            key_hash=holder,
            origin=self._public_url or call.origin,
            created_at=call.at,
            created_ms=created_ms,
            duration=duration,
            failure=magic.failure or (fault.failure if fault else None),
            is_lost=fault is not None and fault.action == "lost",
        )
        self.tasks[task.id] = task
        self._charge(task, call)
        self._courier.expect(task)
        return task

    def _name(self, slug: str, created_ms: int) -> str:
        # The documented form has room for one task per millisecond, so the next free one is taken.
        self._last_ms = max(created_ms, self._last_ms + 1)
        return f"task_{slug}_{self._last_ms:013d}"

    def _charge(self, task: TaskRecord, call: Call) -> None:
        self.books.charges.append(
            Charge(
                task_id=task.id,
                model=task.model.slug,
                key_hash=task.key_hash,
                amount=task.model.price,
                created_at=task.created_ms,
                idempotency_key=call.header(b"idempotency-key"),
                body_sha256=hashlib.sha256(call.body).hexdigest(),
            )
        )


def _result_json(task: TaskRecord, origin: str) -> str:
    urls = [f"{origin}/results/{task.id}/{name}" for name in result_names(task)]
    return encode({"resultUrls": urls}).decode()
