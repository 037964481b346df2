"""
The service itself: takes orders, tells states, keeps the books.  No network, no clock.

Each method is told what came and when, and returns the answer.  None of them waits between
reading the state and changing it, so a caller that is cancelled leaves nothing half done.
"""

from __future__ import annotations

import hashlib
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
from liangxin.emulator._books import Books, Charge
from liangxin.emulator._callbacks import Courier
from liangxin.emulator._calls import Call, Subject
from liangxin.emulator._faultbook import FaultBook
from liangxin.emulator._faults import Fault
from liangxin.emulator._keys import Keys
from liangxin.emulator._magic import Magic, magic_in
from liangxin.emulator._orders import Order, peek, read_order
from liangxin.emulator._sizes import result_names
from liangxin.emulator._snapshot import Snapshot
from liangxin.emulator._tasks import DurationSource, TaskRecord
from liangxin.emulator._time import Timeline


class Market:
    """State and books of one emulated Market."""

    def __init__(
        self,
        *,
        keys: Keys,
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
        self.keys = keys
        self._time = time
        self._durations = durations
        self._public_url = public_url
        self._courier = courier
        self._last_ms = 0

    def clear(self, seed: int | None = None) -> None:
        """Forget all tasks, books and faults; the next task is the first again."""
        self.tasks.clear()
        self.books.clear()
        self.keys.clear()
        self.faults.clear()
        self._courier.clear()
        self._last_ms = 0
        if seed is not None:
            self._durations.seed = seed
        self.faults.seed(self._durations.seed)

    def snapshot(self) -> Snapshot:
        """Return all that is remembered."""
        books = self.books
        return Snapshot(
            seed=self._durations.seed,
            now=self._time.now(),
            epoch=self._time.epoch,
            last_ms=self._last_ms,
            tasks=list(self.tasks.values()),
            charges=list(books.charges),
            requests=list(books.requests),
            callbacks=list(books.callbacks),
            looks=dict(books.looks),
            spent=dict(self.keys.spent),
            rules=[replace(rule) for rule in self.faults.rules],
            drawn=self.faults.drawn,
            parcels=self._courier.parcels,
        )

    def restore(self, old: Snapshot) -> None:
        """Go back to what was, its time included."""
        self.clear(old.seed)
        self._time.set(old.now, old.epoch)
        self._last_ms = old.last_ms
        self.tasks.update((task.id, task) for task in old.tasks)
        self.books.restore(old.charges, old.requests, old.callbacks, old.looks)
        self.keys.restore(old.spent)
        self.faults.restore(replace(rule) for rule in old.rules)
        self.faults.seed(old.seed, old.drawn)
        self._courier.restore(old.parcels)

    async def create(self, call: Call, fault: Fault | None = None) -> Answer:
        """Answer createTask: accept, charge, and name the task; or refuse."""
        if call.method != "POST":
            return await self.unknown(call)
        try:
            holder = self.keys.admit(call, "create")
            if call.is_too_large:
                raise Refused(gateway_error(413, "request body too large"))
            order = read_order(call.body)
            magic = magic_in(order.prompt)
            if magic.refusal:
                raise Refused(market_error(magic.refusal, "the prompt asked to be refused"))
            self.keys.spend(holder, order.model.price)
        except Refused as refusal:
            return refusal.answer
        task = self._accept(order, call, holder, fault, magic)
        answer = success({"taskId": task.id}, task_id=task.id)
        return replace(answer, delivery="drop") if magic.is_withheld else answer

    async def look(self, call: Call, fault: Fault | None = None) -> Answer:
        """Answer recordInfo."""
        if call.method != "GET":
            return await self.unknown(call)
        try:
            self.keys.admit(call, "look")
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
        return Subject(*peek(call.body), key_hash=call.key_hash)

    def subject_of_look(self, call: Call) -> Subject:
        """Return what a recordInfo is about, for faults."""
        task = self.tasks.get(call.task_id)
        if task is None:
            return Subject(task_id=call.task_id, key_hash=call.key_hash)
        return replace(task.subject, key_hash=call.key_hash)

    def subject_of_result(self, call: Call) -> Subject:
        """Return what a request for a result is about, for faults."""
        task = self.tasks.get(call.path_params["task_id"])
        return Subject() if task is None else task.subject

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
            urls=fault.urls if fault and fault.action == "urls" else None,
            is_lost=magic.is_lost or (fault is not None and fault.action == "lost"),
        )
        self.tasks[task.id] = task
        self._charge(task, call)
        if not magic.is_silent:
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
    urls = task.urls
    if urls is None:
        urls = tuple(f"{origin}/results/{task.id}/{name}" for name in result_names(task))
    return encode({"resultUrls": urls}).decode()
