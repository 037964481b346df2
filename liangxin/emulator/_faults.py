"""
Scripted faults: which request is hit, and how its answer goes wrong.

Rules decide and rewrite answers; they open no connection and close none.  An answer says how it
travels, and `_endpoint.py` does it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from liangxin.emulator._answers import Answer, Envelope, encode, error
from liangxin.emulator._tasks import Failure

Target = Literal["create", "look", "result", "callback"]
Action = Literal[
    "answer",
    "replace",
    "drop_before",
    "withhold",
    "cut",
    "garbage",
    "null_task_id",
    "wrong_task_id",
    "lost",
    "fail",
    "delay",
    "twice",
    "early",
]

_GARBAGE = b'{"code": 200, "msg": "success", "data": {"taskId": \x00\xff\xfe'


@dataclass(frozen=True, slots=True)
class Subject:
    """What a request is about, as far as it says."""

    model: str | None = None
    prompt: str = ""
    task_id: str | None = None


@dataclass(frozen=True)
class Fault:
    """
    One rule.  `endpoint` and the conditions say which requests it hits, `action` what happens.

    Of the requests that meet `model`, `prompt` (a substring) and `task_id`, the `nth` and the
    following ones, `count` in all, are hit (`count=None`: all from there on).  A request that an
    earlier rule took is not counted.

    Without touching the service's state:
    - "answer": `status` (500), in `envelope` with `message`, or with a raw `body`;
    - "drop_before": the connection goes down.
    After the service did its work, so a create is charged:
    - "withhold": the connection goes down instead of an answer;
    - "replace": the answer gives way to `status` (200), `envelope` or `body`;
    - "cut": the connection goes down in the middle of the answer's body;
    - "garbage": bytes that are no JSON, under the answer's status;
    - "null_task_id", "wrong_task_id": the answer names no task, or another;
    - "lost": recordInfo denies the task from then on (create), or this once (look);
    - "fail": the created task ends in `fail` with `fail_code` and `message`;
    - "delay": nothing but the delay.
    `delay` (seconds of the service) holds back any answer.  Of those that would be hit, a share of
    `probability` is, drawn by the emulator's seed.

    For "callback", "drop_before" and "lost" mean never posted, "twice" posted two times, "early"
    posted in the moment of the create, before its answer; "garbage", "wrong_task_id" and `body`
    change what is posted.
    """

    endpoint: Target
    action: Action = "answer"
    status: int | None = None
    envelope: Envelope = "market"
    message: str = "emulated fault"
    body: bytes | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fail_code: str = "500"
    model: str | None = None
    prompt: str | None = None
    task_id: str | None = None
    nth: int = 1
    count: int | None = 1
    probability: float = 1.0

    def concerns(self, subject: Subject) -> bool:
        """Return whether `subject` meets the conditions, counting aside."""
        return (
            (self.model is None or self.model == subject.model)
            and (self.task_id is None or self.task_id == subject.task_id)
            and (self.prompt is None or self.prompt in subject.prompt)
        )

    @property
    def failure(self) -> Failure | None:
        """How a task ends that was created under this fault."""
        return Failure(self.fail_code, self.message) if self.action == "fail" else None

    async def act(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer as this fault leaves it; `work` is what the service would do."""
        answer = await self._outcome(work)
        return replace(answer, delay=self.delay, fault=self.action)

    async def _outcome(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        if self.action == "drop_before":
            return Answer(0, b"", delivery="drop")
        if self.action == "answer":
            return self.instead(500)
        return self._spoilt(await work())

    def _spoilt(self, answer: Answer) -> Answer:
        match self.action:
            case "withhold":
                return replace(answer, delivery="drop")
            case "replace":
                return replace(self.instead(200), task_id=answer.task_id)
            case "cut":
                return replace(answer, delivery="cut")
            case "garbage":
                return replace(answer, body=_GARBAGE)
            case "null_task_id":
                return replace(answer, body=_renamed(answer.body, None))
            case "wrong_task_id":
                return replace(answer, body=_renamed(answer.body, "task_someone-else_1"))
        return answer

    def instead(self, status: int) -> Answer:
        """Return what this fault answers by itself, with `status` if it names none."""
        headers = tuple(self.headers.items())
        if self.body is not None:
            body = self.body.encode() if isinstance(self.body, str) else self.body
            return Answer(self.status or status, body, headers=headers)
        return replace(error(self.envelope, self.status or status, self.message), headers=headers)

    def posted(self, payload: bytes) -> bytes:
        """Return what a callback under this fault posts instead of `payload`."""
        if self.body is not None:
            return self.instead(200).body
        return self._spoilt(Answer(200, payload)).body


def _renamed(body: bytes, task_id: str | None) -> bytes:
    try:
        document = json.loads(body)
        document["data"]["taskId"] = task_id
    except (ValueError, TypeError, KeyError):
        return body
    return encode(document)


class FaultBook:
    """The rules in force, in the order they were added; the first that hits is taken."""

    def __init__(self, seed: int = 0) -> None:
        self._rules: list[tuple[Fault, list[int]]] = []
        self._seed = seed
        self._random = Random(seed)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        self._rules.append((fault, [0]))

    def clear(self) -> None:
        """Drop all rules."""
        self._rules.clear()
        self._random.seed(self._seed)

    def take(self, target: Target, subject: Subject, *, early: bool = False) -> Fault | None:
        """Return the rule that hits this request, and count it as used."""
        for fault, seen in self._rules:
            if fault.endpoint != target or not fault.concerns(subject):
                continue
            if early is not (fault.action == "early"):
                continue
            seen[0] += 1
            is_over = fault.count is not None and seen[0] >= fault.nth + fault.count
            if seen[0] >= fault.nth and not is_over and self._random.random() < fault.probability:
                return fault
        return None


_SLOW = re.compile(r"(?:^|\s)!slow:(\d{1,6}(?:\.\d+)?)s?\b")
_FAIL = re.compile(r"(?:^|\s)!fail(?::([^\n]*)|\b)")
_LOST = re.compile(r"(?:^|\s)!lost-answer\b")


@dataclass(frozen=True, slots=True)
class Magic:
    """What a prompt asks of the emulator, for people without rules."""

    duration: float | None = None
    failure: Failure | None = None
    is_withheld: bool = False


_NO_MAGIC = Magic()


def magic_in(prompt: str) -> Magic:
    """Read `!slow:30s`, `!fail`, `!fail:message` (to the end of the line) and `!lost-answer`."""
    if "!" not in prompt:
        return _NO_MAGIC
    slow, fail = _SLOW.search(prompt), _FAIL.search(prompt)
    message = (fail[1] or "").strip() if fail else ""
    return Magic(
        float(slow[1]) if slow else None,
        Failure("500", message or "the prompt asked to fail") if fail else None,
        bool(_LOST.search(prompt)),
    )
