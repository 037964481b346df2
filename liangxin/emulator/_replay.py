"""
`Replay`: serves a recording again, to the same client code, without the service it was made of.

It answers what was recorded, and what was not, it refuses: no answer is made up.  Only the results
are stand-ins, since the recorded addresses of them are dead: pictures and clips of the right kind.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs

from liangxin.emulator import _tape as tape
from liangxin.emulator._addresses import app_of, only
from liangxin.emulator._answers import Answer, Refused, encode, market_error
from liangxin.emulator._app import CREATE_PATH, LOOK_PATH
from liangxin.emulator._calls import Call
from liangxin.emulator._catalogue import CATALOGUE, MarketModel
from liangxin.emulator._orders import peek, read_order
from liangxin.emulator._redaction import Redaction, compact
from liangxin.emulator._results import Gallery
from liangxin.emulator._running import Runnable
from liangxin.emulator._sizes import result_names
from liangxin.emulator._tape import Exchange
from liangxin.emulator._tasks import TaskRecord
from liangxin.emulator._time import Timeline

_CLIPS = {".mp4", ".mov", ".webm", ".m4v"}
_JPEGS = {".jpg", ".jpeg"}
_PICTURES = _JPEGS | {".png", ".webp", ".gif", ".avif"}


class Replay(Runnable):
    """
    The service as it is in a recording by `Recorder`, for any key or none.

    A createTask with a recorded body (`callBackUrl` aside) gets the recorded answer; where there
    are several, one after the other, and the last again.  A recorded task goes through its recorded
    states from the moment of its create, `speed` times as fast, by `clock`
    (`anyio.current_time` for virtual time).  A refusal or a lost answer comes once, when its time
    has come.  `seed` is that of the pictures.  Callbacks are not recorded, so none is posted.
    """

    def __init__(
        self,
        file: str | os.PathLike[str],
        *,
        speed: float = 1.0,
        seed: int = 0,
        clock: Callable[[], float] | None = None,
    ) -> None:
        exchanges = sorted(tape.read(Path(file)).exchanges, key=lambda exchange: exchange.at)
        self._creates: dict[str, _Create] = {}
        self._stories: dict[str, _Story] = {}
        self._results: dict[str, TaskRecord] = {}
        for exchange in exchanges:
            self._learn(exchange)
        self._time = Timeline(clock, None, speed)
        gallery = Gallery(self._results, self._time, seed, None)
        self.app = app_of(
            {
                CREATE_PATH: only("POST", self._create),
                LOOK_PATH: only("GET", self._look),
                "/results/{task_id}/{name}": gallery.serve,
                "/_emulator/reset": only("POST", self._reset),
            },
            self._time,
        )

    def reset(self) -> None:
        """Begin again: nothing has been created yet."""
        for create in self._creates.values():
            create.answered = 0
        for story in self._stories.values():
            story.begin(None)

    # What is in the recording

    def _learn(self, exchange: Exchange) -> None:
        if exchange.path == CREATE_PATH:
            order = _canonical(exchange.request_body)
            self._creates.setdefault(order, _Create()).answers.append(exchange)
            task_id = _task_created(exchange)
        else:
            task_id = parse_qs(exchange.query).get("taskId", [""])[0].strip()
        if task_id is None:
            return
        story = self._stories.setdefault(task_id, _Story(exchange.at))
        if exchange.path == LOOK_PATH:
            story.learn(exchange)
            _with_results(exchange.response_body, functools.partial(self._give_stand_in, story))

    def _give_stand_in(self, story: _Story, url: str, param: str) -> str:
        if url not in story.results:
            record = _stand_in(len(self._results) + 1, url, param)
            self._results[record.id] = record
            story.results[url] = f"/results/{record.id}/{result_names(record)[0]}"
        return story.results[url]

    # What it answers

    async def _create(self, call: Call) -> Answer:
        order = _canonical(Redaction().body(call.body, call.header(b"content-encoding")))
        create = self._creates.get(order)
        if create is None:
            return market_error(404, self._missing(order))
        exchange = create.next()
        task_id = _task_created(exchange)
        if task_id is not None:
            self._stories[task_id].begin(call.at)
        return _answer(exchange, exchange.response_body)

    async def _look(self, call: Call) -> Answer:
        story = self._stories.get(call.task_id)
        if story is None and not call.task_id:
            return market_error(400, "taskId is required")
        if story is None:
            return market_error(404, "Task not found")
        if not story.states and not story.refusals:
            return market_error(404, "this recording has the task's createTask, and no recordInfo")
        exchange = story.look(call.at)
        body = _with_results(
            exchange.response_body, lambda url, _: f"{call.origin}{story.results[url]}"
        )
        return _answer(exchange, body)

    async def _reset(self, call: Call) -> Answer:
        self.reset()
        return Answer(200, encode({"reset": True}))

    def _missing(self, order: str) -> str:
        nearest = max(self._creates, key=functools.partial(_likeness, order), default=None)
        if nearest is None:
            return "this recording has no createTask at all"
        model, prompt = _peek(nearest)
        return (
            f"this recording has no createTask like this one; the nearest is of {model} with the "
            f"prompt {prompt[:200]!r}, and differs in {_differences(order, nearest)}"
        )


@dataclass
class _Create:
    """All that was answered to one body; `answered` counts what the replay has used of it."""

    answers: list[Exchange] = field(default_factory=list)
    answered: int = 0

    def next(self) -> Exchange:
        exchange = self.answers[min(self.answered, len(self.answers) - 1)]
        self.answered += 1
        return exchange


@dataclass
class _Story:
    """
    What recordInfo said of one task, from second `begins` of the recording on.

    `refusals` are all answers that tell no state, lost ones too; `told` counts those that the
    replay has used, since it `began`.  `results` has the paths here by the recorded URLs.
    """

    begins: float
    states: list[Exchange] = field(default_factory=list)
    refusals: list[Exchange] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    began: float | None = None
    told: int = 0

    def learn(self, look: Exchange) -> None:
        """Add what was answered next."""
        (self.states if _tells_state(look) else self.refusals).append(look)

    def begin(self, at: float | None) -> None:
        """Begin again at `at`, or with the next look."""
        self.began, self.told = at, 0

    def look(self, at: float) -> Exchange:
        """Return the answer for `at`: a refusal that is due and untold, or the present state."""
        if self.began is None:
            self.began = at
        elapsed = round(self.begins + at - self.began, 6)  # as finely as it is recorded
        untold = self.refusals[self.told :]
        if untold and untold[0].at <= elapsed:
            self.told += 1
            return untold[0]
        past = [state for state in self.states if state.at <= elapsed]
        return (past or self.states[:1] or self.refusals)[-1]


def _canonical(body: str) -> str:
    """Return a createTask body such that equal orders are equal texts."""
    document = _parsed(body)
    if not isinstance(document, dict):
        return body
    document.pop("callBackUrl", None)
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _bytes(text: str) -> bytes:
    """Return the bytes of a recorded body."""
    return text.encode("utf-8", "surrogateescape")


def _peek(order: str) -> tuple[str, str]:
    """Return the model and the prompt of an order, empty where it names none."""
    model, prompt = peek(_bytes(order))
    return model or "", prompt


def _parsed(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _data(body: str) -> dict[str, object]:
    """Return the `data` of an answer, empty if it has none."""
    document = _parsed(body)
    data = document.get("data") if isinstance(document, dict) else None
    return data if isinstance(data, dict) else {}


def _task_created(exchange: Exchange) -> str | None:
    task_id = _data(exchange.response_body).get("taskId")
    return task_id if isinstance(task_id, str) else None


def _tells_state(look: Exchange) -> bool:
    return look.status == 200 and isinstance(_data(look.response_body).get("state"), str)


def _with_results(body: str, place: Callable[[str, str], str]) -> str:
    """Return a record with its result URLs as `place` has them, which is told the `param` too."""
    document = _parsed(body)
    data = _data(body)
    results = _parsed(data.get("resultJson"))
    if not isinstance(document, dict) or not isinstance(results, dict):
        return body
    param = data.get("param")
    order = param if isinstance(param, str) else ""
    placed = _each_url(results, lambda url: place(url, order))
    return compact(document | {"data": data | {"resultJson": compact(placed)}})


def _each_url(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, dict):
        return {name: _each_url(each, change) for name, each in value.items()}
    if isinstance(value, list):
        return [_each_url(each, change) for each in value]
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return change(value)
    return value


def _stand_in(number: int, url: str, param: str) -> TaskRecord:
    """Return a finished task that results in what the URL seems to have led to."""
    slug, prompt = _peek(param)
    suffix = PurePosixPath(re.split(r"[?#]", url)[0]).suffix.lower()
    model = CATALOGUE.get(slug) or MarketModel(slug, slug, slug, "image", 0, "guessed")
    if suffix in _CLIPS | _PICTURES:
        model = replace(model, kind="video" if suffix in _CLIPS else "image")
    try:
        members = read_order(_bytes(param)).input
    except Refused:
        members = {"prompt": prompt}
    if model.kind == "image":
        members |= {"output_format": "jpeg" if suffix in _JPEGS else "png"}
    return TaskRecord(
        id=str(number),
        number=number,
        model=model,
        prompt=prompt,
        input=members,
        param=param,
        callback_url=None,
        key_hash="",
        origin="",
        created_at=0.0,
        created_ms=0,
        duration=0.0,
    )


def _answer(exchange: Exchange, body: str) -> Answer:
    if exchange.status is None:
        return Answer(0, b"", delivery="drop")
    headers = dict(exchange.response_headers)
    content_type = headers.pop("content-type", "application/octet-stream")
    return Answer(exchange.status, _bytes(body), content_type, tuple(headers.items()))


def _likeness(order: str, other: str) -> tuple[bool, float]:
    """Return how near two orders are: the model first, then the words of the prompt."""
    (model, prompt), (other_model, other_prompt) = _peek(order), _peek(other)
    words = difflib.SequenceMatcher(None, prompt[:200], other_prompt[:200])
    return model == other_model, words.ratio()


def _differences(order: str, other: str) -> str:
    """Return the names of the members in which two orders differ."""
    one, two = _members(order), _members(other)
    names = [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
    return ", ".join(names) or "its form"


def _members(order: str) -> dict[str, object]:
    """Return what an order says, by name: `model`, and the members of `input` with their place."""
    document = _parsed(order)
    if not isinstance(document, dict):
        return {}
    given = document.get("input")
    inner = given if isinstance(given, dict) else {}
    outer = {name: value for name, value in document.items() if name != "input"}
    return outer | {f"input.{name}": value for name, value in inner.items()}
