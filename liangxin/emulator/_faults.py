"""
Scripted faults: which request is hit, and how its answer goes wrong.

Rules decide and rewrite answers; they open no connection and close none.  An answer says how it
travels, and `_endpoint.py` does it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from liangxin.emulator._answers import Answer, Envelope, encode, error
from liangxin.emulator._books import key_name
from liangxin.emulator._calls import Subject
from liangxin.emulator._tasks import Failure

Target = Literal["create", "look", "result", "callback"]
Action = Literal[
    "answer",
    "replace",
    "drop_before",
    "withhold",
    "cut",
    "drip",
    "garbage",
    "null_task_id",
    "wrong_task_id",
    "lost",
    "fail",
    "state",
    "urls",
    "delay",
    "twice",
    "early",
    "forged",
]

_ANY: frozenset[Target] = frozenset(get_args(Target))
_ANSWERED = _ANY - {"callback"}
_NAMED = _ANY - {"result"}
APPLIES: Mapping[Action, frozenset[Target]] = {
    "answer": _ANY,
    "replace": _ANSWERED,
    "drop_before": _ANY,
    "withhold": _ANSWERED,
    "cut": _ANSWERED,
    "drip": _ANSWERED,
    "garbage": _ANY,
    "null_task_id": _NAMED,
    "wrong_task_id": _NAMED,
    "lost": _NAMED,
    "fail": frozenset({"create"}),
    "state": frozenset({"look"}),
    "urls": frozenset({"create", "look"}),
    "delay": _ANY,
    "twice": frozenset({"callback"}),
    "early": frozenset({"callback"}),
    "forged": frozenset({"callback"}),
}
"""Where each action means something."""

_GARBAGE = b'{"code": 200, "msg": "success", "data": {"taskId": \x00\xff\xfe'
_FORGED_URLS = ("https://results.invalid/not-yours.png",)


@dataclass(frozen=True)
class Fault:
    """
    One rule.  `endpoint` and the conditions say which requests it hits, `action` what happens.

    Of the requests that meet `model`, `prompt` (a substring), `task_id` and `key` (an API key, or
    its hash as in the books), the `nth` and the following ones, `count` in all, are hit
    (`count=None`: all from there on).  A request that an earlier rule took is not counted.

    Without touching the service's state:
    - "answer": `status` (500), in `envelope` with `message`, or with a raw `body`;
    - "drop_before": the connection goes down.
    After the service did its work, so a create is charged:
    - "withhold": the connection goes down instead of an answer;
    - "replace": the answer gives way to `status` (200), `envelope` or `body`;
    - "cut": the connection goes down in the middle of the answer's body;
    - "drip": the answer's body comes in up to sixteen pieces, spread over `delay`;
    - "garbage": bytes that are no JSON, under the answer's status;
    - "null_task_id", "wrong_task_id": the answer names no task, or another;
    - "lost": recordInfo denies the task from then on (create), or this once (look);
    - "fail": the created task ends in `fail` with `fail_code` and `message`;
    - "state": recordInfo tells of `state`, be it a step back or unheard of;
    - "urls": the results are said to be at `urls`, for good (create) or this once (look);
    - "delay": nothing but the delay.
    `delay` (seconds of the service) holds back any answer.  Of those that would be hit, a share of
    `probability` is, drawn by the emulator's seed.

    For "callback", "drop_before" and "lost" mean never posted, "twice" posted two times, "early"
    posted in the moment of the create, before its answer, "forged" likewise and full of lies;
    "garbage", "wrong_task_id" and `body` change what is posted.
    """

    endpoint: Target
    action: Action = "answer"
    status: int | None = None
    envelope: Envelope = "market"
    message: str = "emulated fault"
    body: str | bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    fail_code: str = "500"
    state: str = "waiting"
    urls: tuple[str, ...] = ()
    model: str | None = None
    prompt: str | None = None
    task_id: str | None = None
    key: str | None = None
    nth: int = 1
    count: int | None = 1
    probability: float = 1.0

    def __post_init__(self) -> None:
        for name, (fits, words) in _CHECKS.items():
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"{name} must be {words}, not {value!r:.60}")
        if self.endpoint not in APPLIES[self.action]:
            allowed = [action for action, targets in APPLIES.items() if self.endpoint in targets]
            raise ValueError(
                f"action {self.action!r} means nothing for {self.endpoint!r}; "
                f"there, it is one of {', '.join(allowed)}"
            )
        # In one form whichever it was given in, and without the key itself.
        if isinstance(self.body, bytes):
            object.__setattr__(self, "body", self.body.decode("utf-8", "surrogateescape"))
        if self.key is not None:
            object.__setattr__(self, "key", key_name(self.key))

    def concerns(self, subject: Subject) -> bool:
        """Return whether `subject` meets the conditions, counting aside."""
        return (
            (self.model is None or self.model == subject.model)
            and (self.task_id is None or self.task_id == subject.task_id)
            and (self.prompt is None or self.prompt in subject.prompt)
            and (self.key is None or self.key == subject.key_hash)
        )

    @property
    def is_early(self) -> bool:
        """Whether it acts in the moment of the create, on a callback before its time."""
        return self.action in {"early", "forged"}

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
            case "cut" | "drip":
                return replace(answer, delivery=self.action)
            case "garbage":
                return replace(answer, body=_GARBAGE)
            case _ if members := self._lies():
                return replace(answer, body=_retold(answer.body, members))
        return answer

    def _lies(self) -> dict[str, object]:
        """Return the members of an answer's `data` that are not what they should be."""
        match self.action:
            case "null_task_id":
                return {"taskId": None}
            case "wrong_task_id":
                return {"taskId": "task_someone-else_1"}
            case "state":
                return {"state": self.state, "resultJson": ""}
            case "urls" if self.endpoint == "look":
                return {"resultJson": _result_json(self.urls)}
            case "forged":
                return {"state": "success", "resultJson": _result_json(self.urls or _FORGED_URLS)}
        return {}

    def instead(self, status: int) -> Answer:
        """Return what this fault answers by itself, with `status` if it names none."""
        headers = tuple(self.headers.items())
        if self.body is not None:
            return Answer(self.status or status, _raw(self.body), headers=headers)
        return replace(error(self.envelope, self.status or status, self.message), headers=headers)

    def posted(self, payload: bytes) -> bytes:
        """Return what a callback under this fault posts instead of `payload`."""
        if self.body is not None:
            return self.instead(200).body
        return self._spoilt(Answer(200, payload)).body


def _raw(body: bytes | str) -> bytes:
    return body if isinstance(body, bytes) else body.encode("utf-8", "surrogateescape")


def _result_json(urls: tuple[str, ...]) -> str:
    return encode({"resultUrls": urls}).decode()


def _retold(body: bytes, members: Mapping[str, object]) -> bytes:
    try:
        document = json.loads(body)
        document["data"].update(members)
    except (ValueError, TypeError, KeyError, AttributeError):
        return body
    return encode(document)


# --- what a rule may say -----------------------------------------------------------------------

_Check = tuple[Callable[[object], bool], str]


def _one_of(values: tuple[object, ...]) -> _Check:
    return (
        lambda value: isinstance(value, str) and value in values,
        f"one of {', '.join(map(str, values))}",
    )


def _number(
    low: float, high: float, words: str, *, whole: bool = False, or_none: bool = False
) -> _Check:
    kinds = int if whole else (int, float)

    def fits(value: object) -> bool:
        if value is None:
            return or_none
        return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high

    return fits, words


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_body(value: object) -> bool:
    try:
        return value is None or (isinstance(value, str | bytes) and _raw(value) is not None)
    except UnicodeEncodeError:
        return False


HEADER_NAME = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"
HEADER_VALUE = r"^([!-~\xa0-\xff]([\t -~\xa0-\xff]*[!-~\xa0-\xff])?)?$"
"""What a server can send; others end the connection without an answer."""


def _is_headers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        _is_text(name)
        and _is_text(text)
        and re.fullmatch(HEADER_NAME, name)
        and re.fullmatch(HEADER_VALUE, text)
        for name, text in value.items()
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, tuple) and all(map(_is_text, value))


_TEXT: _Check = (_is_text, "a string")
_TEXT_OR_NONE: _Check = (_is_text_or_none, "a string")
_CHECKS: Mapping[str, _Check] = {
    "endpoint": _one_of(get_args(Target)),
    "action": _one_of(get_args(Action)),
    "status": _number(100, 599, "a whole number from 100 to 599", whole=True, or_none=True),
    "envelope": _one_of(get_args(Envelope)),
    "message": _TEXT,
    "body": (_is_body, "a string"),
    "headers": (_is_headers, "a table of strings that HTTP can carry"),
    "delay": _number(0, math.inf, "a number of seconds from 0"),
    "fail_code": _TEXT,
    "state": _TEXT,
    "urls": (_is_texts, "a list of strings"),
    "model": _TEXT_OR_NONE,
    "prompt": _TEXT_OR_NONE,
    "task_id": _TEXT_OR_NONE,
    "key": _TEXT_OR_NONE,
    "nth": _number(1, math.inf, "a whole number from 1", whole=True),
    "count": _number(1, math.inf, "a whole number from 1, or all", whole=True, or_none=True),
    "probability": _number(0, 1, "a number from 0 to 1"),
}
