"""
The wire format, without the wire: builds requests, reads replies, opens no socket.

Tolerant about everything that may grow (states, fields, spellings of numbers), strict about what
decides money or endings: a task id is a non-empty string or it is not one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from hashlib import sha256
from typing import Any, TypeGuard, cast
from urllib.parse import quote

from attrs import evolve, field, frozen

from liangxin import _errors as errors
from liangxin._errors import APIError, InputError, UnexpectedReply
from liangxin._media import Content, LocalMedia, Place, local_in, replaced, wrapped
from liangxin._tasks import ModelInput, Task, TaskState
from liangxin._text import in_words, printable, quoted

CREATE_PATH = "/api/v1/jobs/createTask"
RECORD_PATH = "/api/v1/jobs/recordInfo"
MAX_REPLY = 32 * 1024 * 1024
"""
How many bytes of an answer are read at the most.

A record repeats its request, and with it the pictures that were data URIs: with less room, a task
that was paid for could never be read.
"""


@frozen
class Request:
    """One request, ready to send: `target` is path and query below the base URL."""

    method: str
    target: str
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rest: list[bytes] = field(factory=list, repr=False, hash=False)
    """
    What follows `body`, in pieces that other requests may share: large, so never joined.

    Emptied when the request has had its answer: the frames of an error would hold it otherwise.
    """


@frozen
class Reply:
    """One answer as it came: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


# --- requests ----------------------------------------------------------------------------------


@frozen
class Held:
    """A medium on this machine in a request, and what stands for it in the body."""

    place: Place
    media: LocalMedia
    stand_in: bytes
    content: Content | None = None
    """What it holds, once that is known."""


@frozen
class CreateRequest(Request):
    """A createTask, with what an error about it needs to say."""

    model: str = ""
    client_ref: str = ""
    fields: Mapping[str, object] = field(factory=dict, repr=False)
    """The input as it is in the body; what stands for a medium in the place of its text."""
    media: tuple[Held, ...] = field(default=(), repr=False)
    """The media on this machine in it: until `carrying`, the body has stand-ins for them."""

    @property
    def sha256(self) -> str:
        """The hash of the body, in hexadecimal."""
        digest = sha256(self.body)
        for piece in self.rest:
            digest.update(piece)
        return digest.hexdigest()

    def identified(self, contents: Sequence[Content]) -> CreateRequest:
        """The same request, now that it is known what each medium in it holds."""
        found = zip(self.media, contents, strict=True)
        media = tuple(evolve(held, content=content) for held, content in found)
        names = iter(content.identity for content in contents)
        fields = replaced(self.fields, lambda _: next(names))
        assert isinstance(fields, dict)
        return evolve(self, fields=fields, media=media)

    def carrying(self, texts: Sequence[bytes]) -> CreateRequest:
        """The request as it leaves: each stand-in replaced by a text, which is not copied."""
        pieces, left = [], self.body
        for held, text in zip(self.media, texts, strict=True):
            before, _, left = left.partition(held.stand_in)
            pieces += [before, text]
        head, *rest = [*pieces, left]
        size = (b"Content-Length", b"%d" % sum(map(len, (head, *rest))))
        headers = tuple(size if name == size[0] else (name, text) for name, text in self.headers)
        return evolve(self, body=head, rest=rest, headers=headers)

    def with_ref(self, client_ref: str) -> CreateRequest:
        """The same request under the name that an earlier attempt gave it."""
        headers = (*self.headers[:-1], (b"Idempotency-Key", client_ref.encode("ascii")))
        return evolve(self, headers=headers, client_ref=client_ref)


def create_request(
    input: ModelInput, *, callback_url: str | None = None, client_ref: str
) -> CreateRequest:
    """Build a createTask; `client_ref` goes out as `Idempotency-Key`, which nobody documents."""
    if not isinstance(input, ModelInput):
        raise InputError(
            f"input must be a model's input such as models.ZImage(prompt=…) or RawInput(slug, "
            f"fields), not {type(input).__name__}",
            field="input",
            value=input,
            allowed="a class of liangxin.models, or RawInput",
        )
    slug, fields = asked_for(input)
    media = tuple(
        # A secret of this request, so that no text of the user's can be one.
        Held(place, each, f"{client_ref}/{number}".encode("ascii"))
        for number, (place, each) in enumerate(local_in(fields))
    )
    call: dict[str, object] = {"model": slug}
    if callback_url is not None:
        call["callBackUrl"] = _checked_callback_url(callback_url)
    call["input"] = fields
    body = _encode(call, media)
    return CreateRequest(
        "POST",
        CREATE_PATH,
        body,
        (
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Idempotency-Key", client_ref.encode("ascii")),
        ),
        model=slug,
        client_ref=client_ref,
        fields=fields,
        media=media,
    )


def in_body(text: str) -> bytes:
    """Text as it stands in a body, between its quotation marks."""
    return json.dumps(text, ensure_ascii=False).encode()[1:-1]


def asked_for(input: ModelInput) -> tuple[str, dict[str, object]]:
    """The slug and the fields of an input; a user's class that fails at that is an `InputError`."""
    try:
        slug, fields = input.slug, wrapped(input.payload())
        if not isinstance(fields, dict):
            raise TypeError("its payload() is no dict")
        return slug, fields
    except Exception as exc:  # one bad input must not stop the rest
        raise InputError(
            f"{type(input).__name__} does not say what to send: {in_words(exc)}",
            field="input",
            value=input,
            allowed="a class with a slug and a payload()",
        ) from exc


def record_request(task_id: str) -> Request:
    """Build a recordInfo for one task."""
    return Request("GET", f"{RECORD_PATH}?taskId={quote(task_id, safe='')}")


def _encode(call: dict[str, object], media: tuple[Held, ...]) -> bytes:
    # Indented like the documentation's own example: the bytes can be compared with it as they are.
    try:
        if media:
            texts = (held.stand_in.decode("ascii") for held in media)
            call = {**call, "input": replaced(call["input"], lambda _: next(texts))}
        return json.dumps(call, indent=2, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise InputError(
            f"the input of {printable(call['model'])} cannot be written as JSON: {exc}",
            field="input",
            value=call["input"],
            allowed="text, finite numbers, booleans, None, lists and mappings of these",
        ) from exc


_CALLBACK = re.compile(
    r"https://[^/\s]+(/\S*)?|http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(/\S*)?", re.I
)


def _checked_callback_url(url: str) -> str:
    if not is_callback_url(url):
        allowed = "a public https URL (or http on this machine, for the emulator)"
        raise InputError(
            f"callback_url must be {allowed}, not {quoted(url)}",
            field="callback_url",
            value=url,
            allowed=allowed,
        )
    return url


def is_callback_url(url: object) -> TypeGuard[str]:
    """Whether callbacks can be sent there: public https, or http on this machine."""
    # Documented: a public HTTPS URL.  Plain http on this machine is for the emulator.
    return isinstance(url, str) and _CALLBACK.fullmatch(url) is not None


# --- what every reply has ----------------------------------------------------------------------


@frozen
class _Envelope:
    """An answer's outer shape, whichever of the service's three it has."""

    status: int
    """The HTTP status, or the code in the body where that says otherwise."""
    code: int | str | None
    message: str
    data: object
    failed: bool
    is_json: bool


def _open(reply: Reply) -> _Envelope:
    """Read the envelope; a body that is not a JSON object is an envelope without data."""
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        body = None
    ok = 200 <= reply.status < 300
    if not isinstance(body, dict):
        return _Envelope(reply.status, None, "", None, failed=not ok, is_json=False)
    error = body.get("error")
    code = _code(body.get("code"))
    message = body.get("msg") or body.get("message") or ""
    if isinstance(error, dict):
        message = error.get("message") or message
        code = _code(error.get("code")) if code is None else code
    elif error:
        message = message or error
    status = code if ok and isinstance(code, int) and code != 200 else reply.status
    return _Envelope(
        status,
        code,
        message if isinstance(message, str) else quoted(message, 300),
        body.get("data"),
        failed=not ok or bool(error) or (body.get("code") is not None and code != 200),
        is_json=True,
    )


def _code(value: object) -> int | str | None:
    number = _integer(value)
    if number is not None:
        return number
    return value if isinstance(value, str) and value else None


_LEAVES: dict[int, type[APIError]] = {
    400: errors.BadRequest,
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.TaskNotFound,
    413: errors.PayloadTooLarge,
    422: errors.InvalidInput,
    429: errors.RateLimited,
    503: errors.ServiceUnavailable,
}


def leaf_of(status: int) -> type[APIError]:
    """The exception that stands for a status."""
    return _LEAVES.get(status, errors.ServerError if status >= 500 else APIError)


def _api_error(envelope: _Envelope, reply: Reply, what: str) -> APIError:
    leaf = leaf_of(envelope.status)
    said = printable(envelope.message, 300) or _page_title(reply.body)
    error = leaf(
        f"{what}: the service answered {envelope.status}, {said}",
        status=reply.status,
        code=envelope.code,
        request_id=reply.headers.get("x-request-id") or reply.headers.get("x-oneapi-request-id"),
    )
    if isinstance(error, (errors.RateLimited, errors.ServiceUnavailable)):
        error.retry_after = retry_after(reply)
    return error


def _page_title(body: bytes) -> str:
    text = body[:2048].decode("utf-8", "replace")
    start = text.lower().find("<title>")
    if start >= 0:
        return "a page titled " + repr(printable(text[start + 7 :].split("<")[0], 80))
    return f"with {printable(text, 80)!r}" if text.strip() else "without a word"


def retry_after(reply: Reply) -> float | None:
    """Seconds that the answer asks to wait: a number, or a date against the answer's own Date."""
    value = reply.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _until(value, reply.headers.get("date"))
    return seconds if 0 <= seconds < 1e9 else None  # NaN fails both comparisons


def _until(when: str, now: str | None) -> float:
    try:
        then = parsedate_to_datetime(when)
        reference = parsedate_to_datetime(now) if now else None
        return max(0.0, (then - reference).total_seconds()) if reference else float("nan")
    except (TypeError, ValueError, OverflowError):
        return float("nan")


# --- createTask --------------------------------------------------------------------------------

_REFUSALS = frozenset({400, 401, 403, 404, 405, 413, 415, 422})


@frozen
class Doubt:
    """An answer to a create that leaves open whether it was accepted."""

    reason: str
    task_id: str | None = None


def judge_create(reply: Reply, request: CreateRequest) -> Task | APIError | Doubt:
    """
    Say what an answer to a create means: accepted, refused, or nobody can know.

    An error that is `RateLimited` or `ServiceUnavailable` is a refusal for now; any other is one
    for good.  The rules, and why, are in docs/design.md.
    """
    envelope = _open(reply)
    data = envelope.data if isinstance(envelope.data, dict) else {}
    task_id = data.get("taskId")
    if _is_task_id(task_id):
        if 200 <= reply.status < 300:
            return Task(id=task_id, model=request.model, raw=data)
        return Doubt(f"HTTP {reply.status} beside a task id", task_id)
    denies = envelope.code != 200  # an answer that says both yes and no settles nothing
    refused = denies and envelope.status in _REFUSALS and reply.body.strip() != b""
    refused_for_now = envelope.status == 429 or (
        denies
        and envelope.status == 503
        and ("retry-after" in reply.headers or envelope.code is not None or envelope.message != "")
    )
    if refused or refused_for_now:
        return _api_error(envelope, reply, f"{request.model} was not created")
    if not envelope.failed and envelope.is_json:
        return Doubt(f"HTTP {reply.status} with {_without_id(task_id)}")
    odd = envelope.code not in (None, reply.status)
    what = f", code {printable(envelope.code, 40)}" if odd else ""
    said = printable(envelope.message, 100) or _page_title(reply.body)
    return Doubt(f"HTTP {reply.status}{what}, {said}")


def _is_task_id(value: object) -> TypeGuard[str]:
    return (
        isinstance(value, str)
        and 0 < len(value) <= 512
        and value.isprintable()
        and value == value.strip()
        and value.lower() not in ("none", "null")
    )


def _without_id(value: object) -> str:
    if value is None:
        return "no task id"
    return f"{quoted(value, 60)} where a task id belongs"


# --- recordInfo --------------------------------------------------------------------------------


def _mapping(value: object, _: object = None) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{quoted(value, 60)} is not an object")
    return value


def _strict_text(value: object, _: object = None) -> str:
    # Plain cattrs would turn null into the task id 'None'.
    if not isinstance(value, str):
        raise TypeError(f"{quoted(value, 60)} is not a string")
    return value


def _state(value: object, _: object) -> TaskState:
    word = _strict_text(value)
    try:
        return TaskState(word)
    except ValueError:
        return TaskState.UNRECOGNIZED


def _unpack(value: object) -> object:
    """JSON inside JSON: decode strings, leave what is decoded already."""
    if not isinstance(value, str):
        return value
    try:
        return cast("object", json.loads(value)) if value.strip() else None
    except (ValueError, RecursionError):
        return None


def _urls(value: object, _: object) -> tuple[str, ...]:
    result = _unpack(value)
    if isinstance(result, dict):
        result = result.get("resultUrls")
    if isinstance(result, str):
        result = [result]
    if not isinstance(result, list):
        return ()
    return tuple(url for url in result if isinstance(url, str) and url)


def _param(value: object, _: object) -> Mapping[str, object] | None:
    param = _unpack(value)
    return param if isinstance(param, dict) else None


def _words(value: object, _: object) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else quoted(value, 300)


def _integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
        return int(value)
    if isinstance(value, str) and len(value) < 20 and value.strip().removeprefix("-").isdecimal():
        return int(value)
    return None


def _moment(value: object, _: object) -> datetime | None:
    # Milliseconds at the look-alikes (inferred); below 1e11 they would be seconds before 1973.
    number = _integer(value)
    if not number or number < 0:
        return None
    try:
        return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
    except (OverflowError, OSError, ValueError):
        return None


@cache
def _structure() -> Callable[..., Task]:
    """Make the reader of records; cattrs is not needed before the first look, and takes 20 ms."""
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override

    def read(name: str, hook: Callable[[Any, Any], object]) -> Any:
        return override(rename=name, struct_hook=hook)

    # Documented down to failCode, named in the documents without a row: failMsg, inferred from
    # look-alikes: the three times.
    structure: Callable[..., Task] = make_dict_structure_fn(
        Task,
        Converter(),
        _cattrs_detailed_validation=False,
        id=read("taskId", _strict_text),
        model=read("model", _words),
        state=read("state", _state),
        urls=read("resultJson", _urls),
        fail_code=read("failCode", _words),
        fail_message=read("failMsg", _words),
        created_at=read("createTime", _moment),
        updated_at=read("updateTime", _moment),
        completed_at=read("completeTime", _moment),
        param=read("param", _param),
        raw=read("raw", _mapping),
    )
    return structure


def _is_old_news(data: dict[str, object], known: Task) -> bool:
    return (
        data.get("taskId") == known.id
        and data.get("state") == known.raw.get("state")
        and known.state is not TaskState.UNRECOGNIZED
        and not known.is_final
        and "state" in data
    )


def decipher_record(reply: Reply, task_id: str, known: Task | None = None) -> Task:
    """
    Read the answer to a recordInfo about one task.

    If the state is still that of the `known` snapshot, and not final, that snapshot is returned:
    most looks find nothing new, and need not be taken apart.

    Raises the matching `APIError` (`TaskNotFound` also for an answer without data), or
    `UnexpectedReply` for one that cannot be read or is about another task.
    """
    envelope = _open(reply)
    about = f"task {printable(task_id, 80)}"
    if envelope.failed:
        raise _api_error(envelope, reply, about)
    if not envelope.is_json:
        raise UnexpectedReply(
            f"{about}: the answer is not a JSON object", raw=reply.body, status=reply.status
        )
    if envelope.data is None:
        raise errors.TaskNotFound(
            f"{about}: the service answered without data", status=reply.status, code=envelope.code
        )
    try:
        data = _mapping(envelope.data)
        if known is not None and _is_old_news(data, known):
            return known
        task = _structure()({**data, "raw": data}, Task)
    except (KeyError, TypeError) as exc:
        raise UnexpectedReply(
            f"{about}: the record cannot be read ({printable(exc, 80)})",
            raw=reply.body,
            status=reply.status,
        ) from exc
    if task.id != task_id:
        raise UnexpectedReply(
            f"{about}: the answer is about {quoted(task.id, 80)} instead",
            raw=reply.body,
            status=reply.status,
        )
    return task


# --- callbacks ---------------------------------------------------------------------------------

DEEPEST_CALLBACK = 32
"""How many levels of lists and objects the body of a callback may nest."""
# Possessive, and content with a string that never ends: else 256 KiB of `\"` take minutes.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.S)


def task_named_in(callback: bytes) -> str | None:
    """
    The task id that a callback names, or None: a name to ask the service about, and nothing more.

    `data.taskId` is documented, by way of the record; `data.task_id` is what a look-alike's own
    sample code reads.
    """
    if _depth(callback) > DEEPEST_CALLBACK:
        return None
    try:
        body = json.loads(callback)
    except (ValueError, RecursionError):
        return None
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        return None
    task_id = data.get("taskId", data.get("task_id"))
    return task_id if _is_task_id(task_id) else None


_EARLY = re.compile(rb'"taskId"\s*:\s*"([^"\\]{1,512})"')


def task_named_early_in(callback: bytes) -> str | None:
    """
    The task id that the beginning of a callback names: of one that is too long to be read.

    A string cannot pretend to be that: inside of it, quotes have a backslash before them.
    """
    named = _EARLY.search(callback)
    task_id = None if named is None else named[1].decode("utf-8", "replace")
    return task_id if _is_task_id(task_id) else None


def _depth(text: bytes) -> int:
    deepest = depth = 0
    for byte in _STRINGS.sub(b"", text):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def callback_url_of(task: Task) -> str | None:
    """The address for its callback that a task was created with, where the record repeats it."""
    url = (task.param or {}).get("callBackUrl")
    return url if isinstance(url, str) else None
