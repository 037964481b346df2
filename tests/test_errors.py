"""The exception tree: its shape, what it says, and how it travels."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import traceback

import httpx
import pytest

import liangxin
from liangxin import LiangxinError, Task, TaskState, _errors

KEY = "sk-canary-0123456789abcdef"
TASK = Task(
    id="task_1",
    model="z-image",
    state=TaskState.FAIL,
    fail_code="500",
    param={"input": {"prompt": "雨"}},
    raw={"taskId": "task_1", "progress": [1, {"of": 2}]},
)
ANSWERED: dict[str, object] = {"status": 400, "code": "odd_code", "request_id": "r-17"}
DOUBT: dict[str, object] = {
    "model": "z-image",
    "client_ref": "c1",
    "request_sha256": "ab" * 32,
    "sent_at": 1777600000.5,
    "elapsed": 2.25,
    "http_status": 502,
    "raw": b"<html>\xff</html>",
    "task_id": "task_1",
}


def every_exception() -> dict[str, type[Exception]]:
    public = {name: getattr(liangxin, name) for name in liangxin.__all__}
    return {
        name: value
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, Exception)
    }


def sample(kind: type[Exception], message: str = "what happened, and what now") -> Exception:
    """One of each kind, with every field set."""
    if issubclass(kind, liangxin.APIError):
        error: Exception = kind(message, **ANSWERED)  # type: ignore[arg-type]
        if isinstance(error, (liangxin.RateLimited, liangxin.ServiceUnavailable)):
            error.retry_after = 12.5
        return error
    if kind is liangxin.AmbiguousCreate:
        return liangxin.AmbiguousCreate(message, **DOUBT)  # type: ignore[arg-type]
    if kind is liangxin.UnexpectedReply:
        return liangxin.UnexpectedReply(message, raw=b"\x00junk", status=200)
    if issubclass(kind, (liangxin.TaskFailed, liangxin.TaskLost, liangxin.WaitTimeout)):
        return kind(TASK, message)
    if kind is _errors.LedgerLocked:
        return _errors.LedgerLocked(message, pid=4711, host="mill")
    if kind is _errors.LedgerHeld:
        return _errors.LedgerHeld(message, key="poster-1", holder="process 4711 on mill")
    if kind is _errors.LedgerConflict:
        return _errors.LedgerConflict(message, key="poster-1")
    if kind is liangxin.InputError:
        return liangxin.InputError(message, field="seed", value="'-1'", allowed="0 and more")
    return kind(message)


each_kind = pytest.mark.parametrize("name", every_exception())
each_protocol = pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))


def travelled(error: Exception, protocol: int = pickle.DEFAULT_PROTOCOL) -> Exception:
    revived = pickle.loads(pickle.dumps(error, protocol))
    assert isinstance(revived, Exception)
    return revived


# --- the tree ----------------------------------------------------------------------------------


def drawn_tree() -> dict[str, str]:
    """Child and parent, as the module's docstring draws them."""
    tree: dict[str, str] = {}
    parents = ["LiangxinError"]
    for line in (_errors.__doc__ or "").splitlines():
        mark = re.search("[├└]── ", line)
        if mark is None:
            continue
        depth = (mark.start() - 4) // 4 + 1
        drawn = re.split(r"\s{4,}", line[mark.end() :])[0]
        names = re.findall(r"\b[A-Z]+[a-z]\w+", re.sub(r"\([^)]*\)", "", drawn))
        tree |= dict.fromkeys(names, parents[depth - 1])
        parents[depth:] = names[-1:]
    return tree


def public_base(kind: type[Exception]) -> str:
    return next(base.__name__ for base in kind.__mro__[1:] if base.__name__ in every_exception())


def test_the_tree_is_the_one_that_the_docstring_draws() -> None:
    real = {
        name: public_base(kind)
        for name, kind in every_exception().items()
        if issubclass(kind, LiangxinError) and kind is not LiangxinError
    }
    assert drawn_tree() == real


def test_every_public_exception_is_in_the_tree_but_the_warning() -> None:
    strangers = [
        name for name, kind in every_exception().items() if not issubclass(kind, LiangxinError)
    ]
    assert strangers == ["InferredLimitWarning"]
    assert issubclass(liangxin.InferredLimitWarning, UserWarning)


@pytest.mark.parametrize(
    ("kind", "familiar"),
    [
        (liangxin.WaitTimeout, TimeoutError),
        (liangxin.InputError, ValueError),
        (liangxin.ClientStateError, RuntimeError),
    ],
)
def test_some_are_also_what_python_calls_them(
    kind: type[Exception], familiar: type[Exception]
) -> None:
    with pytest.raises(familiar, match=r"^what happened, and what now$"):
        raise sample(kind)


@pytest.mark.parametrize("retried", [TimeoutError, OSError, ConnectionError, ValueError])
def test_nobody_who_retries_what_python_calls_passing_retries_a_doubtful_create(
    retried: type[Exception],
) -> None:
    assert not issubclass(liangxin.AmbiguousCreate, retried)
    assert not issubclass(liangxin.AmbiguousCreate, liangxin.NotSent)


def test_every_class_says_in_a_sentence_what_it_means() -> None:
    for kind in every_exception().values():
        assert (inspect.getdoc(kind) or "").rstrip()[-1] in ".:"
        assert kind.__doc__ != (kind.__mro__[1].__doc__)


# --- fields ------------------------------------------------------------------------------------


def test_fields_are_what_they_were_made_of() -> None:
    refused = liangxin.BadRequest("no", status=400, code="odd_code", request_id="r-17")
    assert (refused.status, refused.code, refused.request_id) == (400, "odd_code", "r-17")
    assert liangxin.RateLimited("later", status=429).retry_after is None
    assert liangxin.ServiceUnavailable("later", status=503).retry_after is None
    assert vars(sample(liangxin.AmbiguousCreate)) == DOUBT
    late = liangxin.WaitTimeout(TASK, "too late")
    assert late.task is TASK
    assert late.args == ("too late",)
    assert late.errno is None


def test_a_raw_answer_is_kept_up_to_64_kib() -> None:
    raw = bytes(range(256)) * 1024
    doubt = liangxin.AmbiguousCreate("?", **(DOUBT | {"raw": raw}))  # type: ignore[arg-type]
    for kept in (doubt.raw, liangxin.UnexpectedReply("?", raw=raw).raw):
        assert kept == raw[: 64 * 1024]


# --- what they say -----------------------------------------------------------------------------

HOSTILE = {
    "huge": "words " * 1_000_000,
    "huge without blanks": "x" * 5_000_000,
    "controls": "\x1b[2J\x1b]0;owned\x07" * 200,
    "directions": "\u202e\u2066\u200f" * 400,
    "lines": "one\r\ntwo\u2028three\x85" * 200,
    "surrogates": "\ud800\udfff" * 500,
    "blanks": " \t\n" * 10_000,
}


@pytest.mark.parametrize("message", HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.parametrize("name", ["LiangxinError", *drawn_tree()])
def test_no_error_says_more_than_500_printable_characters(name: str, message: str) -> None:
    error = sample(every_exception()[name], message)
    assert isinstance(error, LiangxinError)
    said = str(error)
    assert len(said) <= 500
    assert said.isprintable()
    assert error.message == message
    assert str(travelled(error)) == said


def test_an_error_made_without_a_message_still_has_words() -> None:
    error = LiangxinError.__new__(LiangxinError)
    assert str(error) == ""
    assert error.message == ""


def test_a_traceback_ends_with_the_clipped_sentence() -> None:
    error = LiangxinError("\x1b[2J" + "x" * 10_000)
    last = "".join(traceback.format_exception_only(error))
    assert last.isprintable() or last.removesuffix("\n").isprintable()
    assert len(last) < 600


# --- how they travel ---------------------------------------------------------------------------


@each_protocol
@each_kind
def test_every_exception_pickles_with_its_fields(name: str, protocol: int) -> None:
    error = sample(every_exception()[name])
    revived = travelled(error, protocol)
    assert type(revived) is type(error)
    assert revived.args == error.args == ("what happened, and what now",)
    assert str(revived) == str(error)
    fields = {**vars(error)}
    if name == "InputError":
        fields["value"] = repr(fields["value"])  # the user's values may not pickle: their words do
    assert vars(revived) == fields
    if "task" in fields:
        assert vars(revived)["task"].raw == TASK.raw  # which equality leaves out


@each_protocol
def test_a_cause_that_pickles_travels_with_its_error(protocol: int) -> None:
    error = liangxin.AmbiguousCreate("?", **DOUBT)  # type: ignore[arg-type]
    error.__cause__ = httpx.ReadTimeout("silence")
    cause = travelled(error, protocol).__cause__
    assert isinstance(cause, httpx.ReadTimeout)
    assert cause.args == ("silence",)


def test_a_chain_of_ours_travels_whole() -> None:
    root = OSError(111, "refused")
    middle = liangxin.NotSent("not sent")
    middle.__cause__ = root
    top = liangxin.TaskLost(TASK, "lost")
    top.__cause__ = middle
    revived = travelled(top).__cause__
    assert isinstance(revived, liangxin.NotSent)
    assert isinstance(revived.__cause__, ConnectionRefusedError)
    assert revived.__cause__.errno == 111


class Stubborn(Exception):
    def __reduce__(self) -> tuple[object, ...]:
        raise RuntimeError("no pickling here")


class Needy(Exception):
    """Pickles, and cannot be unpickled."""

    def __init__(self, one: str, *, two: str) -> None:
        super().__init__(one)


class Brick(Exception):
    def __reduce__(self) -> tuple[object, ...]:
        raise RuntimeError("no pickling here")

    def __repr__(self) -> str:
        raise RuntimeError("no words either")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Stubborn("why"), "Stubborn('why')"),
        (Needy("why", two="x"), "Needy('why')"),
        (ValueError(lambda: None), "ValueError(<function "),
        (Stubborn("\x1b[2J" + "x" * 10_000), r"Stubborn('\x1b[2Jxxx"),
        (Brick(), "<Brick>"),
    ],
    ids=["stubborn", "needy", "with a function", "huge", "a brick"],
)
@each_protocol
def test_a_cause_that_does_not_pickle_leaves_its_words(
    cause: Exception, words: str, protocol: int
) -> None:
    error = liangxin.TransportError("broken")
    error.__cause__ = cause
    revived = travelled(error, protocol).__cause__
    assert type(revived) is RuntimeError
    assert str(revived).startswith(words)
    assert str(revived).isprintable()
    assert len(str(revived)) <= 200


def test_an_error_without_a_cause_gets_none_and_hides_no_context() -> None:
    revived = travelled(liangxin.NotSent("not sent"))
    assert revived.__cause__ is None
    assert not revived.__suppress_context__


def test_notes_travel() -> None:
    error = LiangxinError("x")
    error.add_note("row 17")
    assert travelled(error).__notes__ == ["row 17"]


@each_kind
def test_every_exception_can_be_copied(name: str) -> None:
    error = sample(every_exception()[name])
    error.__cause__ = Stubborn("stays as it is")
    twin = copy.copy(error)
    assert type(twin) is type(error)
    assert twin is not error
    assert twin.args == error.args
    assert vars(twin) == vars(error)
    assert str(twin) == str(error)
    if isinstance(error, LiangxinError):
        assert twin.__cause__ is error.__cause__
    assert type(copy.deepcopy(sample(type(error)))) is type(error)


def test_a_copy_of_an_input_error_keeps_the_value_itself() -> None:
    value = object()
    error = liangxin.InputError("no", field="seed", value=value)
    assert copy.copy(error).value is value


# --- values of the user's own ------------------------------------------------------------------


class Speechless:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


VALUES: dict[str, tuple[object, str]] = {
    "text": ("a\nb", r"'a\nb'"),
    "a function": (len, "<built-in function len>"),
    "an integer of 5,000 digits": (10**5000, "<int>"),
    "one within a list": ([10**5000], "<list>"),
    "no words": (Speechless(), "<Speechless>"),
    "megabytes": (b"x" * 5_000_000, "b'" + "x" * 197 + "…"),
}


@pytest.mark.parametrize(("value", "words"), VALUES.values(), ids=list(VALUES))
def test_an_input_error_pickles_with_the_words_for_its_value(value: object, words: str) -> None:
    error = liangxin.InputError("no", field="seed", value=value, allowed="a number")
    assert error.value is value
    revived = travelled(error)
    assert isinstance(revived, liangxin.InputError)
    assert (revived.field, revived.value, revived.allowed) == ("seed", words, "a number")
    assert len(pickle.dumps(error)) < 1000


# --- the key -----------------------------------------------------------------------------------


def test_the_request_in_a_cause_of_httpx_does_not_take_the_key_along() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    request = httpx.Request("POST", "https://api.example/x", headers=headers)
    error = liangxin.AmbiguousCreate("?", **DOUBT)  # type: ignore[arg-type]
    cause = httpx.ReadTimeout("silence", request=request)
    error.__cause__ = cause
    assert KEY.encode() in pickle.dumps(cause)
    assert KEY.encode() not in pickle.dumps(error)
    assert KEY not in "".join(traceback.format_exception(error))
    revived = travelled(error).__cause__
    assert isinstance(revived, httpx.ReadTimeout)
    assert str(revived) == "silence"
    assert cause.request is request


def test_the_response_in_a_cause_of_httpx_does_not_take_the_key_along_either() -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    request = httpx.Request("POST", "https://api.example/x", headers=headers)
    response = httpx.Response(500, request=request)
    error = liangxin.TransportError("broken")
    error.__cause__ = httpx.HTTPStatusError("500", request=request, response=response)
    assert KEY.encode() not in pickle.dumps(error)
    assert str(travelled(error).__cause__) == "HTTPStatusError('500')"
