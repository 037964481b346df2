"""
What goes over the wire, and how every kind of answer is read.

The bodies in `payloads/` are named for their HTTP status and their case; each is judged as the
answer to a recordInfo, to a createTask, or to both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from attrs import evolve, frozen

import liangxin
from liangxin import APIError, ModelInput, RawInput, Task, TaskState, models
from liangxin._text import quoted
from liangxin._wire import (
    CREATE_PATH,
    RECORD_PATH,
    CreateRequest,
    Doubt,
    Reply,
    create_request,
    decipher_record,
    judge_create,
    record_request,
    retry_after,
    task_named_early_in,
    task_named_in,
)

PAYLOADS = Path(__file__).parent / "payloads"
ID = "task_z-image_1777600000000"
PARAM: Mapping[str, object] = {"model": "z-image", "input": {"prompt": "street cafe after rain"}}
URL = "https://cdn.example.com/out/1.png"
OTHER_URL = "https://cdn.example.com/out/2.png"
BORN = datetime(2026, 5, 1, 1, 46, 40, tzinfo=UTC)
DONE = datetime(2026, 5, 1, 1, 46, 55, 250_000, tzinfo=UTC)

CREATE = CreateRequest("POST", CREATE_PATH, b"{}", model="z-image", client_ref="c1")


@frozen
class No:
    """An error, as a table row: what it is, what it carries, what it says."""

    kind: type[liangxin.LiangxinError]
    status: int | None
    code: int | str | None
    says: str


def no(error: liangxin.LiangxinError, about: str) -> No:
    status, code = getattr(error, "status", None), getattr(error, "code", None)
    says = str(error)
    assert says.startswith(f"{about}: ")
    return No(type(error), status, code, says.removeprefix(f"{about}: "))


def payload(name: str, headers: Mapping[str, str] | None = None) -> Reply:
    """The recorded reply: its status is the beginning of its name."""
    return Reply(int(name[:3]), headers or {}, (PAYLOADS / name).read_bytes())


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, json.dumps(value).encode())


# --- recordInfo --------------------------------------------------------------------------------

GENERATING = Task(id=ID, model="z-image", state=TaskState.GENERATING, param=PARAM)
SUCCESS = evolve(GENERATING, state=TaskState.SUCCESS)
FAIL = evolve(GENERATING, state=TaskState.FAIL)
FAILED_501 = evolve(FAIL, fail_code="501", fail_message="generation failed")

RECORDS: dict[str, Task | No] = {
    # states
    "200-waiting.json": evolve(GENERATING, state=TaskState.WAITING),
    "200-queuing.json": evolve(GENERATING, state=TaskState.QUEUING),
    "200-generating.json": GENERATING,
    "200-unknown-state.json": evolve(GENERATING, state=TaskState.UNRECOGNIZED),
    "200-state-upper-case.json": evolve(GENERATING, state=TaskState.UNRECOGNIZED, urls=(URL,)),
    "200-state-absent.json": evolve(GENERATING, state=TaskState.WAITING),
    "200-state-null.json": No(
        liangxin.UnexpectedReply, 200, None, "the record cannot be read (None is not a string)"
    ),
    "200-state-number.json": No(
        liangxin.UnexpectedReply, 200, None, "the record cannot be read (3 is not a string)"
    ),
    # results
    "200-success.json": evolve(
        SUCCESS, urls=(URL,), created_at=BORN, updated_at=DONE, completed_at=DONE
    ),
    "200-success-several-urls.json": evolve(SUCCESS, urls=(OTHER_URL, URL)),
    "200-result-json-object.json": evolve(SUCCESS, urls=(URL,)),
    "200-result-json-list.json": evolve(SUCCESS, urls=(URL, OTHER_URL)),
    "200-result-json-list-in-string.json": evolve(SUCCESS, urls=(URL,)),
    "200-result-json-one-url.json": evolve(SUCCESS, urls=(URL,)),
    "200-result-json-odd-items.json": evolve(SUCCESS, urls=(URL, OTHER_URL)),
    "200-result-json-null.json": SUCCESS,
    "200-result-json-null-in-string.json": SUCCESS,
    "200-result-json-empty.json": SUCCESS,
    "200-result-json-blank.json": SUCCESS,
    "200-result-json-absent.json": SUCCESS,
    "200-result-json-garbage.json": SUCCESS,
    "200-result-json-number.json": SUCCESS,
    "200-result-json-without-urls.json": SUCCESS,
    # failures
    "200-fail.json": evolve(FAIL, fail_code="500", fail_message="upstream error"),
    "200-fail-code-number.json": FAILED_501,
    "200-fail-code-null.json": FAIL,
    "200-fail-without-words.json": FAIL,
    "200-fail-code-object.json": evolve(
        FAIL,
        fail_code="{'upstream': {'status': 'NSFW'}}",
        fail_message="['refused', 'by the filter']",
    ),
    "200-chinese.json": evolve(
        FAIL, fail_code="500", fail_message="当前分组上游负载已饱和，请稍后再试"
    ),
    "200-hostile-words.json": evolve(
        FAIL,
        fail_code="\x1b[31m",
        fail_message="\u202eevil\x1b]0;title\x07\r\nAuthorization: x",
    ),
    # what we have never heard of, and other spellings
    "200-unknown-fields-and-model.json": evolve(GENERATING, model="veo-9"),
    "200-model-null.json": evolve(GENERATING, model=None),
    "200-model-absent.json": evolve(GENERATING, model=None, param=None),
    "200-message-instead-of-msg.json": GENERATING,
    "200-without-code.json": GENERATING,
    "200-param-object.json": GENERATING,
    "200-param-garbage.json": evolve(GENERATING, param=None),
    "200-param-list.json": evolve(GENERATING, param=None),
    "200-integers-as-strings.json": evolve(
        FAILED_501, created_at=BORN, updated_at=DONE, completed_at=DONE
    ),
    "200-times-in-seconds.json": evolve(
        GENERATING,
        created_at=BORN,
        updated_at=DONE.replace(microsecond=0),
        completed_at=DONE.replace(microsecond=0),
    ),
    "200-times-odd.json": GENERATING,
    "200-times-far.json": GENERATING,
    "200-times-in-words.json": GENERATING,
    "200-not-a-number.json": GENERATING,
    "200-with-bom.json": GENERATING,
    "200-utf-16.json": GENERATING,
    # not this task, not a task, not an answer
    "200-other-task.json": No(
        liangxin.UnexpectedReply,
        200,
        None,
        "the answer is about 'task_z-image_1777600000001' instead",
    ),
    "200-created-id-blank.json": No(
        liangxin.UnexpectedReply, 200, None, "the answer is about ' ' instead"
    ),
    "200-task-id-null.json": No(
        liangxin.UnexpectedReply, 200, None, "the record cannot be read (None is not a string)"
    ),
    "200-task-id-number.json": No(
        liangxin.UnexpectedReply,
        200,
        None,
        "the record cannot be read (1777600000000 is not a string)",
    ),
    "200-task-id-absent.json": No(
        liangxin.UnexpectedReply, 200, None, "the record cannot be read ('taskId')"
    ),
    "200-data-null.json": No(liangxin.TaskNotFound, 200, 200, "the service answered without data"),
    "200-data-absent.json": No(
        liangxin.TaskNotFound, 200, 200, "the service answered without data"
    ),
    "200-data-empty.json": No(
        liangxin.UnexpectedReply, 200, None, "the record cannot be read ('taskId')"
    ),
    "200-data-list.json": No(
        liangxin.UnexpectedReply,
        200,
        None,
        "the record cannot be read ([{'taskId': 'task_z-image_1777600000000', 'model': 'z-image… "
        "is not an object)",
    ),
    "200-data-string.json": No(
        liangxin.UnexpectedReply,
        200,
        None,
        'the record cannot be read (\'{"taskId": "task_z-image_1777600000000", "model": "z-image… '
        "is not an object)",
    ),
    **dict.fromkeys(
        [
            "200-list.json",
            "200-scalar.json",
            "200-null.json",
            "200-empty.json",
            "200-page.html",
            "200-cut.json",
            "200-invalid-utf-8.json",
        ],
        No(liangxin.UnexpectedReply, 200, None, "the answer is not a JSON object"),
    ),
    # HTTP 200, and yet an error
    "200-code-400.json": No(
        liangxin.BadRequest, 200, 400, "the service answered 400, input.prompt is required"
    ),
    "200-code-400-as-string.json": No(
        liangxin.BadRequest, 200, 400, "the service answered 400, input.prompt is required"
    ),
    "200-code-401.json": No(
        liangxin.Unauthorized, 200, 401, "the service answered 401, invalid token"
    ),
    "200-code-402.json": No(APIError, 200, 402, "the service answered 402, no credits"),
    "200-code-404.json": No(
        liangxin.TaskNotFound, 200, 404, "the service answered 404, Task not found"
    ),
    "200-code-429.json": No(
        liangxin.RateLimited, 200, 429, "the service answered 429, too many requests"
    ),
    "200-code-500.json": No(
        liangxin.ServerError, 200, 500, "the service answered 500, internal error"
    ),
    "200-code-503.json": No(
        liangxin.ServiceUnavailable, 200, 503, "the service answered 503, channel not available"
    ),
    "200-code-in-words.json": No(
        APIError, 200, "task_not_exist", "the service answered 200, no such task"
    ),
    "200-code-two-minus-signs.json": No(APIError, 200, "--5", "the service answered 200, odd"),
    "200-code-0.json": No(APIError, 200, 0, "the service answered 0, ok"),
    "200-error-envelope.json": No(APIError, 200, None, "the service answered 200, invalid token"),
    "200-error-string.json": No(APIError, 200, None, "the service answered 200, something broke"),
    # refusals in words
    "302-moved.html": No(
        APIError,
        302,
        None,
        "the service answered 302, with '<a href=\"https://elsewhere.example/login\">Found</a>.'",
    ),
    "400-missing-prompt.json": No(
        liangxin.BadRequest, 400, 400, "the service answered 400, input.prompt is required"
    ),
    "401-gateway-envelope.json": No(
        liangxin.Unauthorized, 401, None, "the service answered 401, invalid token"
    ),
    "403-quota-gateway-envelope.json": No(
        liangxin.Forbidden,
        403,
        "insufficient_user_quota",
        "the service answered 403, 用户额度不足",
    ),
    "404-task-not-found.json": No(
        liangxin.TaskNotFound, 404, 404, "the service answered 404, Task not found"
    ),
    "404-unknown-route.json": No(
        liangxin.TaskNotFound,
        404,
        None,
        "the service answered 404, Invalid URL (GET /api/v1/x)",
    ),
    "408-upstream-silent.json": No(
        APIError, 408, 408, "the service answered 408, upstream gave no answer"
    ),
    "422-record-null.json": No(
        liangxin.InvalidInput, 422, 422, "the service answered 422, recordInfo is null"
    ),
    "429-third-envelope.json": No(
        liangxin.RateLimited,
        429,
        "rate_limit_exceeded",
        "the service answered 429, the current group's upstream load is saturated",
    ),
    "429-empty.json": No(
        liangxin.RateLimited, 429, None, "the service answered 429, without a word"
    ),
    # the service's own troubles
    "500-application-envelope.json": No(
        liangxin.ServerError, 500, 500, "the service answered 500, internal error"
    ),
    "500-code-400.json": No(
        liangxin.ServerError, 500, 400, "the service answered 500, input.prompt is required"
    ),
    "501-gateway-envelope.json": No(
        liangxin.ServerError, 501, "not_implemented", "the service answered 501, not implemented"
    ),
    "502-proxy-page.html": No(
        liangxin.ServerError,
        502,
        None,
        "the service answered 502, a page titled '502 Bad Gateway'",
    ),
    "503-model-not-found.json": No(
        liangxin.ServiceUnavailable,
        503,
        "model_not_found",
        "the service answered 503, no channel serves z-image",
    ),
    "503-proxy-page.html": No(
        liangxin.ServiceUnavailable,
        503,
        None,
        "the service answered 503, a page titled '503 Service Temporarily Unavailable'",
    ),
    "504-plain.txt": No(
        liangxin.ServerError,
        504,
        None,
        "the service answered 504, with 'upstream request timeout'",
    ),
    "524-page.html": No(
        liangxin.ServerError,
        524,
        None,
        "the service answered 524, a page titled 'A timeout occurred'",
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_every_answer_to_a_look_is_read_as_the_table_says(name: str) -> None:
    reply = payload(name)
    expected = RECORDS[name]
    if isinstance(expected, Task):
        task = decipher_record(reply, ID)
        assert task == expected
        assert json.dumps(task.raw) == json.dumps(json.loads(reply.body)["data"])
        return
    with pytest.raises(liangxin.LiangxinError) as caught:
        decipher_record(reply, ID)
    assert no(caught.value, f"task {ID}") == expected
    if isinstance(caught.value, liangxin.UnexpectedReply):
        assert caught.value.raw == reply.body


BOMB = b"[" * 100_000
LONG_INTEGER = b"9" * 10_000
RECORD = b'{"code":200,"data":{"taskId":"%b","state":"success","x":%b}}'

BOMBS: dict[str, bytes] = {
    "brackets that never close": BOMB,
    "brackets that close": BOMB + b"]" * 100_000,
    "objects": b'{"a":' * 100_000,
    "brackets within a record": RECORD % (ID.encode(), BOMB + b"]" * 100_000),
    "an integer of 10,000 digits": LONG_INTEGER,
    "an integer of 10,000 digits within a record": RECORD % (ID.encode(), LONG_INTEGER),
    "an integer of 10,000 digits for a code": b'{"code":%b,"data":null}' % LONG_INTEGER,
}


@pytest.mark.parametrize("body", BOMBS.values(), ids=list(BOMBS))
def test_a_bomb_is_an_unexpected_reply_to_a_look_and_a_doubt_about_a_create(body: bytes) -> None:
    with pytest.raises(liangxin.UnexpectedReply) as caught:
        decipher_record(Reply(200, {}, body), ID)
    assert caught.value.raw == body[: 64 * 1024]
    verdict = judge_create(Reply(200, {}, body), CREATE)
    assert isinstance(verdict, Doubt)
    assert verdict.task_id is None


@pytest.mark.parametrize("field", ["resultJson", "param"])
@pytest.mark.parametrize("inner", [BOMB.decode(), LONG_INTEGER.decode(), "NaN", "\ufeff{}"])
def test_a_bomb_inside_a_string_of_json_leaves_the_rest_of_the_record_readable(
    field: str, inner: str
) -> None:
    data = {"taskId": ID, "model": "z-image", "state": "success", field: inner}
    task = decipher_record(json_reply({"code": 200, "data": data}), ID)
    assert task == Task(id=ID, model="z-image", state=TaskState.SUCCESS)
    assert task.raw == data


@pytest.mark.parametrize("field", ["taskId", "state", "model", "failCode", "resultJson", "msg"])
@pytest.mark.parametrize("depth", [*range(300, 960, 60), *range(960, 1000, 4), 1490, 9990])
def test_nesting_that_is_barely_readable_is_no_recursion_error(field: str, depth: int) -> None:
    data = {"taskId": ID, "state": "success", field: "here"}
    text = json.dumps({"code": 200, "data": data} | ({"msg": "here"} if field == "msg" else {}))
    body = text.replace('"here"', "[" * depth + "]" * depth).encode()
    for status in (200, 500):
        with suppress(liangxin.UnexpectedReply, liangxin.ServerError):
            decipher_record(Reply(status, {}, body), ID)
        judge_create(Reply(status, {}, body), CREATE)


def test_the_request_id_of_an_error_comes_from_either_header() -> None:
    for header in ("x-request-id", "x-oneapi-request-id"):
        with pytest.raises(liangxin.BadRequest) as caught:
            decipher_record(payload("400-missing-prompt.json", {header: "r-17"}), ID)
        assert caught.value.request_id == "r-17"
    with pytest.raises(liangxin.BadRequest) as caught:
        decipher_record(payload("400-missing-prompt.json"), ID)
    assert caught.value.request_id is None


def test_hostile_words_of_the_service_reach_no_terminal() -> None:
    message = "\x1b[2J\u202e" + "long " * 1000 + "\r\n"
    with pytest.raises(liangxin.BadRequest) as caught:
        decipher_record(json_reply({"code": 400, "msg": message}, 400), "x\x1b]0;" + "y" * 1000)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) <= 500
    assert "long long" in said


@pytest.mark.parametrize("message", [["a", 1], {"b": None}, 17, 1e300, True])
def test_a_message_that_is_not_text_is_shown_as_it_stands(message: object) -> None:
    with pytest.raises(liangxin.BadRequest, match="the service answered 400, ") as caught:
        decipher_record(json_reply({"code": 400, "msg": message}, 400), ID)
    assert str(caught.value).endswith(repr(message))


def test_the_message_of_the_error_object_goes_before_msg_and_msg_before_message() -> None:
    both = {"error": {"message": "first"}, "msg": "second", "message": "third"}
    for expected in ("first", "second", "third"):
        with pytest.raises(liangxin.BadRequest, match=f", {expected}$"):
            decipher_record(json_reply(both, 400), ID)
        both.pop(next(iter(both)))


# --- Retry-After -------------------------------------------------------------------------------

NOON = "Wed, 21 Oct 2026 12:00:00 GMT"

WAITS: dict[str, tuple[str, str | None, float | None]] = {
    "seconds": ("120", None, 120.0),
    "a fraction": ("0.25", None, 0.25),
    "nothing": ("0", None, 0.0),
    "blanks around": ("  7 ", None, 7.0),
    "more than a lifetime": ("999999999", None, 999999999.0),
    "forever": ("1e9", None, None),
    "beyond any float": ("1e400", None, None),
    "infinity": ("inf", None, None),
    "not a number": ("nan", None, None),
    "negative": ("-5", None, None),
    "empty": ("", None, None),
    "garbage": ("soon", None, None),
    "garbage beside a date": ("soon", NOON, None),
    "a date": ("Wed, 21 Oct 2026 12:02:30 GMT", NOON, 150.0),
    "a date of another zone": ("Wed, 21 Oct 2026 14:02:30 +0200", NOON, 150.0),
    "a date of the old forms": ("Wed Oct 21 12:00:09 2026", "Wed Oct 21 12:00:00 2026", 9.0),
    "a date gone by": ("Wed, 21 Oct 2026 11:00:00 GMT", NOON, 0.0),
    "a date, and no Date": ("Wed, 21 Oct 2026 12:02:30 GMT", None, None),
    "a date, and garbage for Date": ("Wed, 21 Oct 2026 12:02:30 GMT", "noon", None),
    "a day that is none": ("Wed, 32 Oct 2026 12:00:00 GMT", NOON, None),
    "a year beyond all": ("Wed, 21 Oct 99999999999999999999 12:00:00 GMT", NOON, None),
    "an hour beyond all": ("Wed, 21 Oct 2026 99999999999999999999:00:00 GMT", NOON, None),
    "a zone beyond all": ("Wed, 21 Oct 2026 12:00:00 +99999999999999999999", NOON, None),
}


@pytest.mark.parametrize(("value", "date", "seconds"), WAITS.values(), ids=list(WAITS))
def test_retry_after_is_read_as_seconds_or_against_the_answers_own_clock(
    value: str, date: str | None, seconds: float | None
) -> None:
    headers = {"retry-after": value} | ({"date": date} if date else {})
    assert retry_after(Reply(429, headers, b"")) == seconds


def test_no_retry_after_is_none() -> None:
    assert retry_after(Reply(429, {"date": NOON}, b"")) is None


@pytest.mark.parametrize("name", ["429-empty.json", "200-code-429.json", "503-proxy-page.html"])
def test_an_error_for_now_carries_what_the_service_asked_for(name: str) -> None:
    reply = payload(name, {"retry-after": "17"})
    with pytest.raises(APIError) as caught:
        decipher_record(reply, ID)
    for error in (caught.value, judge_create(reply, CREATE)):
        assert isinstance(error, (liangxin.RateLimited, liangxin.ServiceUnavailable))
        assert error.retry_after == 17


# --- createTask: what an answer means ----------------------------------------------------------

ACCEPTED = Task(id=ID, model="z-image")

CREATES: dict[str, Task | No | Doubt] = {
    # accepted: a valid id with HTTP 2xx, whatever stands beside it
    "200-created.json": Task(id="task_nano_banana_flash_1765166238716", model="z-image"),
    "200-created-more-fields.json": ACCEPTED,
    "200-created-odd-code.json": ACCEPTED,
    "200-created-beside-error.json": ACCEPTED,
    "200-code-0.json": ACCEPTED,
    # no id is no task
    "200-created-id-null.json": Doubt("HTTP 200 with no task id"),
    "200-created-id-number.json": Doubt("HTTP 200 with 1777600000000 where a task id belongs"),
    "200-created-id-list.json": Doubt("HTTP 200 with ['task_1'] where a task id belongs"),
    "200-created-id-none.json": Doubt("HTTP 200 with 'None' where a task id belongs"),
    "200-created-id-null-in-string.json": Doubt("HTTP 200 with 'NULL' where a task id belongs"),
    "200-created-id-blank.json": Doubt("HTTP 200 with ' ' where a task id belongs"),
    "200-created-id-empty.json": Doubt("HTTP 200 with '' where a task id belongs"),
    "200-created-id-padded.json": Doubt("HTTP 200 with ' task_1 ' where a task id belongs"),
    "200-created-id-control-character.json": Doubt(
        r"HTTP 200 with 'task_1\x00' where a task id belongs"
    ),
    "200-created-id-two-lines.json": Doubt(
        r"HTTP 200 with 'task_1\ntask_2' where a task id belongs"
    ),
    "200-created-id-lone-surrogate.json": Doubt(
        r"HTTP 200 with 'task_\ud800' where a task id belongs"
    ),
    "200-created-id-at-top-level.json": Doubt("HTTP 200 with no task id"),
    "200-data-null.json": Doubt("HTTP 200 with no task id"),
    "200-data-list.json": Doubt("HTTP 200 with no task id"),
    # refused
    "400-missing-prompt.json": No(
        liangxin.BadRequest, 400, 400, "the service answered 400, input.prompt is required"
    ),
    "400-price-gateway-envelope.json": No(
        liangxin.BadRequest,
        400,
        "model_price_error",
        "the service answered 400, price not configured (request id: 20260501050441)",
    ),
    "401-gateway-envelope.json": No(
        liangxin.Unauthorized, 401, None, "the service answered 401, invalid token"
    ),
    "403-quota-gateway-envelope.json": No(
        liangxin.Forbidden,
        403,
        "insufficient_user_quota",
        "the service answered 403, 用户额度不足",
    ),
    "404-unknown-route.json": No(
        liangxin.TaskNotFound,
        404,
        None,
        "the service answered 404, Invalid URL (GET /api/v1/x)",
    ),
    "405-page.html": No(
        APIError, 405, None, "the service answered 405, a page titled '405 Not Allowed'"
    ),
    "413-proxy-page.html": No(
        liangxin.PayloadTooLarge,
        413,
        None,
        "the service answered 413, a page titled '413 Request Entity Too Large'",
    ),
    "413-gateway-envelope.json": No(
        liangxin.PayloadTooLarge,
        413,
        "read_request_body_failed",
        "the service answered 413, request body too large",
    ),
    "415-plain.txt": No(
        APIError, 415, None, "the service answered 415, with 'Unsupported Media Type'"
    ),
    "422-third-envelope.json": No(
        liangxin.InvalidInput,
        422,
        "invalid_parameter",
        "the service answered 422, aspect_ratio is not supported",
    ),
    "200-code-400.json": No(
        liangxin.BadRequest, 200, 400, "the service answered 400, input.prompt is required"
    ),
    "200-code-400-as-string.json": No(
        liangxin.BadRequest, 200, 400, "the service answered 400, input.prompt is required"
    ),
    "200-code-401.json": No(
        liangxin.Unauthorized, 200, 401, "the service answered 401, invalid token"
    ),
    # refused for now
    "429-third-envelope.json": No(
        liangxin.RateLimited,
        429,
        "rate_limit_exceeded",
        "the service answered 429, the current group's upstream load is saturated",
    ),
    "429-gateway-envelope.json": No(
        liangxin.RateLimited, 429, 429, "the service answered 429, too many requests"
    ),
    "429-empty.json": No(
        liangxin.RateLimited, 429, None, "the service answered 429, without a word"
    ),
    "200-code-429.json": No(
        liangxin.RateLimited, 200, 429, "the service answered 429, too many requests"
    ),
    "503-model-not-found.json": No(
        liangxin.ServiceUnavailable,
        503,
        "model_not_found",
        "the service answered 503, no channel serves z-image",
    ),
    "200-code-503.json": No(
        liangxin.ServiceUnavailable, 200, 503, "the service answered 503, channel not available"
    ),
    # nobody can know
    "400-says-success.json": Doubt("HTTP 400, code 200, success"),
    "400-beside-task-id.json": Doubt("HTTP 400 beside a task id", ID),
    "500-beside-task-id.json": Doubt("HTTP 500 beside a task id", ID),
    "500-beside-null-id.json": Doubt("HTTP 500, lost upstream"),
    "200-code-402.json": Doubt("HTTP 200, code 402, no credits"),
    "200-code-500.json": Doubt("HTTP 200, code 500, internal error"),
    "200-code-in-words.json": Doubt("HTTP 200, code task_not_exist, no such task"),
    "200-code-two-minus-signs.json": Doubt("HTTP 200, code --5, odd"),
    "200-error-envelope.json": Doubt("HTTP 200, invalid token"),
    "200-page.html": Doubt("HTTP 200, a page titled 'Scheduled maintenance'"),
    "200-scalar.json": Doubt("HTTP 200, with '\"success\"'"),
    "200-empty.json": Doubt("HTTP 200, without a word"),
    "302-moved.html": Doubt(
        "HTTP 302, with '<a href=\"https://elsewhere.example/login\">Found</a>.'"
    ),
    "402-no-credits.json": Doubt("HTTP 402, credits insufficient"),
    "408-upstream-silent.json": Doubt("HTTP 408, upstream gave no answer"),
    "409-conflict.json": Doubt("HTTP 409, conflict"),
    "500-application-envelope.json": Doubt("HTTP 500, internal error"),
    "500-third-envelope.json": Doubt("HTTP 500, code fail_to_fetch_task, upstream error"),
    "500-code-400.json": Doubt("HTTP 500, code 400, input.prompt is required"),
    "502-proxy-page.html": Doubt("HTTP 502, a page titled '502 Bad Gateway'"),
    "503-proxy-page.html": Doubt("HTTP 503, a page titled '503 Service Temporarily Unavailable'"),
    "503-empty-object.json": Doubt("HTTP 503, with '{}'"),
    "504-plain.txt": Doubt("HTTP 504, with 'upstream request timeout'"),
    "524-page.html": Doubt("HTTP 524, a page titled 'A timeout occurred'"),
}


@pytest.mark.parametrize("name", CREATES)
def test_every_answer_to_a_create_means_what_the_table_says(name: str) -> None:
    verdict = judge_create(payload(name), CREATE)
    if isinstance(verdict, APIError):
        assert no(verdict, "z-image was not created") == CREATES[name]
    else:
        assert verdict == CREATES[name]


def test_every_recorded_reply_is_in_a_table() -> None:
    assert {path.name for path in PAYLOADS.iterdir()} == RECORDS.keys() | CREATES.keys()


REFUSED: dict[int, type[APIError]] = {
    400: liangxin.BadRequest,
    401: liangxin.Unauthorized,
    403: liangxin.Forbidden,
    404: liangxin.TaskNotFound,
    405: APIError,
    413: liangxin.PayloadTooLarge,
    415: APIError,
    422: liangxin.InvalidInput,
}
DOUBTFUL = [
    *(200, 201, 202, 204, 300, 301, 302, 303, 304, 307, 308),
    *(402, 406, 408, 409, 410, 411, 412, 414, 418, 423, 424, 425, 428, 431, 433, 451, 455, 499),
    *(500, 501, 502, 504, 505, 507, 511, *range(520, 528), 529, 530, 599, 999),
]


def bodies(status: int) -> dict[str, bytes]:
    """One body of each kind that an answer with this status may have."""
    return {
        "application": b'{"code":%d,"msg":"no","data":null}' % status,
        "gateway": b'{"error":{"message":"no","type":"new_api_error","code":""}}',
        "third": b'{"code":"some_code","message":"no","data":null}',
        "page": b"<html><head><title>No</title></head></html>",
        "text": b"no",
        "list": b"[]",
        "object": b"{}",
        "success": b'{"code":200,"msg":"success","data":{"taskId":null}}',
        "empty": b"",
        "blank": b" \r\n",
    }


IN_WORDS = {"application", "gateway", "third"}
NOTHING = {"empty", "blank"}


@pytest.mark.parametrize("header", [None, "3", "garbage"], ids=lambda value: f"after-{value}")
@pytest.mark.parametrize("kind", bodies(0))
def test_the_evidence_table_of_creates(kind: str, header: str | None) -> None:
    headers = {} if header is None else {"retry-after": header}
    verdicts: dict[int, object] = {}
    for status in [*REFUSED, 429, 503, *DOUBTFUL]:
        verdict = judge_create(Reply(status, headers, bodies(status)[kind]), CREATE)
        verdicts[status] = type(verdict)
    refused = REFUSED if kind not in {*NOTHING, "success"} else dict.fromkeys(REFUSED, Doubt)
    asked = header is not None and kind != "success"
    expected: dict[int, object] = {
        **refused,
        429: liangxin.RateLimited,
        503: liangxin.ServiceUnavailable if asked or kind in IN_WORDS else Doubt,
        **dict.fromkeys(DOUBTFUL, Doubt),
    }
    assert verdicts == expected


@pytest.mark.parametrize("spell", [int, str, float], ids=["integer", "string", "float"])
def test_a_code_in_an_answer_with_http_200_is_judged_in_the_same_table(
    spell: type[int] | type[str] | type[float],
) -> None:
    expected: dict[int, object] = {
        **REFUSED,
        429: liangxin.RateLimited,
        503: liangxin.ServiceUnavailable,
        **dict.fromkeys(DOUBTFUL, Doubt),
    }
    verdicts: dict[int, object] = {}
    for code in expected:
        body = json.dumps({"code": spell(code), "msg": "no", "data": None}).encode()
        verdicts[code] = type(judge_create(Reply(200, {}, body), CREATE))
    assert verdicts == expected


@pytest.mark.parametrize("code", [200, 0, 400, 500, "200", "", "odd", None])
def test_a_valid_id_is_a_task_with_http_2xx_and_a_doubt_that_names_it_with_any_other(
    code: object,
) -> None:
    for status in [*REFUSED, 429, 503, *DOUBTFUL, 203, 299, 199]:
        for headers in ({}, {"retry-after": "3"}):
            body = json.dumps({"code": code, "msg": "", "data": {"taskId": ID}}).encode()
            verdict = judge_create(Reply(status, headers, body), CREATE)
            if 200 <= status < 300:
                assert verdict == ACCEPTED
                assert isinstance(verdict, Task)
                assert verdict.raw == {"taskId": ID}
            else:
                assert verdict == Doubt(f"HTTP {status} beside a task id", ID)


NO_IDS: list[object] = [
    *(None, True, False, 0, 17, 1.5, [], [ID], {}, {"id": ID}),
    *(
        "",
        " ",
        "\t",
        "\u3000",
        "None",
        "none",
        "NULL",
        "null",
        " x",
        "x\n",
        "a\tb",
        "a\x00",
        "a\x7f",
    ),
    *("a\u202eb", "a\u200b", "\ud800", "\ufeff" + ID, "x" * 513),
]


@pytest.mark.parametrize("value", NO_IDS, ids=ascii)
def test_what_does_not_read_as_an_id_is_none(value: object) -> None:
    for status in (200, 201, 500):
        verdict = judge_create(json_reply({"code": 200, "data": {"taskId": value}}, status), CREATE)
        assert isinstance(verdict, Doubt)
        assert verdict.task_id is None
        assert verdict.reason.isprintable()
        assert len(verdict.reason) < 200


@pytest.mark.parametrize("value", ["0", "任务-1", "a b", "../..", "x" * 512, "nonesuch", "{}"])
def test_whatever_else_is_text_reads_as_an_id(value: str) -> None:
    verdict = judge_create(json_reply({"code": 200, "data": {"taskId": value}}), CREATE)
    assert verdict == Task(id=value, model="z-image")


def test_the_reason_of_a_doubt_is_short_and_printable() -> None:
    hostile = "\x1b]0;\u202e" + "x" * 100_000
    for body in ({"code": hostile, "msg": hostile}, {"error": {"message": hostile}}, [hostile]):
        verdict = judge_create(json_reply(body, 500), CREATE)
        assert isinstance(verdict, Doubt)
        assert verdict.reason.isprintable()
        assert len(verdict.reason) < 200


# --- createTask: what goes out -----------------------------------------------------------------

ICON = models.NanoBananaProFlash(
    prompt="A clean app icon for an AI video editor, vivid but minimal",
    aspect_ratio="1:1",
    resolution="1K",
    use_google_search_tool=False,
    output_format="png",
)
# The example of the documentation's page about Nano Banana Pro Flash, as it stands there.
DOCUMENTED = """\
{
  "model": "nano-banana-pro-flash",
  "callBackUrl": "https://your-domain.com/api/callback",
  "input": {
    "prompt": "A clean app icon for an AI video editor, vivid but minimal",
    "aspect_ratio": "1:1",
    "resolution": "1K",
    "use_google_search_tool": false,
    "output_format": "png"
  }
}"""


def test_the_documentations_example_goes_out_byte_for_byte() -> None:
    request = create_request(
        ICON, callback_url="https://your-domain.com/api/callback", client_ref="c1"
    )
    assert request.body == DOCUMENTED.encode()


def test_without_a_callback_its_line_is_absent() -> None:
    lines = DOCUMENTED.splitlines(keepends=True)
    assert create_request(ICON, client_ref="c1").body.decode() == "".join(lines[:2] + lines[3:])


def test_a_create_says_everything_that_an_error_about_it_needs() -> None:
    request = create_request(ICON, client_ref="c1")
    assert (request.method, request.target) == ("POST", "/api/v1/jobs/createTask")
    assert request.model == "nano-banana-pro-flash"
    assert request.client_ref == "c1"
    assert request.sha256 == sha256(request.body).hexdigest()
    assert dict(request.headers) == {
        b"Content-Type": b"application/json",
        b"Content-Length": str(len(request.body)).encode(),
        b"Idempotency-Key": b"c1",
    }


def test_content_length_counts_bytes_and_chinese_stays_utf_8() -> None:
    prompt = "窗外的雨 🌧"
    request = create_request(models.ZImage(prompt=prompt), client_ref="c1")
    assert prompt.encode() in request.body
    assert int(dict(request.headers)[b"Content-Length"]) == len(request.body)
    assert json.loads(request.body) == {"model": "z-image", "input": {"prompt": prompt}}


def test_raw_fields_go_out_in_their_order_and_as_they_are() -> None:
    fields = {"z": [1, 2.5, None, True], "a": {"nested": ("x",)}, "": ""}
    request = create_request(RawInput("new-model", fields), client_ref="c1")
    sent = json.loads(request.body)
    assert sent == {
        "model": "new-model",
        "input": {"z": [1, 2.5, None, True], "a": {"nested": ["x"]}, "": ""},
    }
    assert list(sent) == ["model", "input"]
    assert list(sent["input"]) == ["z", "a", ""]


class Brick:
    """Something that cannot even be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


def circle() -> dict[str, object]:
    knot: dict[str, object] = {}
    knot["self"] = knot
    return knot


def nested(depth: int) -> object:
    return [nested(depth - 1)] if depth else "core"


def deep() -> object:
    tower: object = "core"
    for _ in range(100_000):
        tower = [tower]
    return tower


UNWRITABLE: dict[str, object] = {
    "nan": float("nan"),
    "infinity": [float("inf")],
    "a set": {1},
    "an object": object(),
    "a circle": circle(),
    "a lone surrogate": "\ud800",
    "a lone surrogate as a key": {"\udfff": 1},
    "bytes as a key": {b"a": 1},
    "an integer of 5,000 digits": 10**5000,
    "a brick": Brick(),
}


@pytest.mark.parametrize("value", UNWRITABLE.values(), ids=list(UNWRITABLE))
def test_what_json_cannot_carry_is_an_input_error_that_names_the_model(value: object) -> None:
    given = RawInput("new-model", {"prompt": "x", "odd": value})
    with pytest.raises(liangxin.InputError, match="input of new-model cannot be") as caught:
        create_request(given, client_ref="c1")
    assert caught.value.field == "input"
    assert caught.value.value == given.payload()
    assert caught.value.allowed
    assert caught.value.__cause__ is not None
    assert str(caught.value).isprintable()


def test_nesting_without_end_is_an_input_error_too() -> None:
    with pytest.raises(liangxin.InputError, match="input of new-model cannot be"):
        create_request(RawInput("new-model", {"odd": deep()}), client_ref="c1")
    assert create_request(RawInput("new-model", {"fine": nested(50)}), client_ref="c1")


@pytest.mark.parametrize(
    "given", [None, {}, {"prompt": "x"}, "z-image", 1, models.ZImage, ModelInput, object()]
)
def test_what_is_no_models_input_is_an_input_error(given: object) -> None:
    with pytest.raises(liangxin.InputError, match=r"models\.ZImage\(prompt=…\) or RawInput") as got:
        create_request(given, client_ref="c1")  # type: ignore[arg-type]
    assert got.value.field == "input"
    assert got.value.value is given


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "HTTPS://example.com", "http://127.0.0.1:8787/h?t=1"]
)
def test_a_callback_url_goes_out_as_given(url: str) -> None:
    request = create_request(ICON, callback_url=url, client_ref="c1")
    assert json.loads(request.body)["callBackUrl"] == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com",
        "//example.com",
        b"https://e",
        Brick(),
        "https://",
        "https://example.com/a b",
        "http://example.com/hook",
        "http://127.0.0.1.example.com/hook",
    ],
    ids=quoted,
)
def test_a_callback_url_that_is_none_is_an_input_error(url: object) -> None:
    with pytest.raises(liangxin.InputError, match="callback_url must be a public") as caught:
        create_request(ICON, callback_url=url, client_ref="c1")  # type: ignore[arg-type]
    assert caught.value.field == "callback_url"
    assert caught.value.value == url


# --- recordInfo: what goes out -----------------------------------------------------------------

QUOTED = {
    ID: ID,
    "a b": "a%20b",
    "a&taskId=b": "a%26taskId%3Db",
    "a#b?c": "a%23b%3Fc",
    "../x/..": "..%2Fx%2F..",
    "100%": "100%25",
    "a+b": "a%2Bb",
    "任务": "%E4%BB%BB%E5%8A%A1",
    "a\r\nHost: evil": "a%0D%0AHost%3A%20evil",
}


@pytest.mark.parametrize(("task_id", "quoted"), QUOTED.items(), ids=ascii)
def test_an_odd_id_stays_one_parameter_of_the_query(task_id: str, quoted: str) -> None:
    request = record_request(task_id)
    assert request.method == "GET"
    assert request.target == f"{RECORD_PATH}?taskId={quoted}"
    assert request.body == b""
    assert request.headers == ()


# --- callbacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": 200, "msg": "ok", "data": {"taskId": "task_1", "state": "success"}}',
        b'{"code": 501, "msg": "failed", "data": {"taskId": "task_1", "state": "fail"}}',
        b'{"data": {"task_id": "task_1"}}',
        b'{"data": {"taskId": "task_1", "text": "' + b"[{" * 100 + b'\\"[["}}',
    ],
    ids=["a success", "a failure", "the other spelling", "brackets in a string"],
)
def test_a_callback_names_a_task(body: bytes) -> None:
    assert task_named_in(body) == "task_1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"taskId=task_1",
        b'{"data": null}',
        b'{"taskId": "task_1"}',
        b'{"data": {"taskId": null}}',
        b'{"data": {"taskId": 7}}',
        b'{"data": {"taskId": "null"}}',
        b'{"data": {"taskId": "a\\nb"}}',
        b'{"data": {"taskId": "' + b"a" * 513 + b'"}}',
        b'{"data": {"taskId": "task_1", "deep": ' + b"[" * 31 + b"]" * 31 + b"}}",
        b"[" * 100_000,
        b'{"data": {"taskId": "task_1", "n": ' + b"9" * 10_000 + b"}}",
        b"\xff\xfe{",
    ],
)
def test_of_any_other_body_no_name_is_taken(body: bytes) -> None:
    assert task_named_in(body) is None


@pytest.mark.parametrize(
    ("beginning", "named"),
    [
        (b'{"code":200,"data":{"taskId":"task_1","param":"{\\"taskId\\":\\"task_2\\"', "task_1"),
        (b'{"data": { "taskId" : "task_1", "param": "', "task_1"),
        (b'{"data":{"param":"{\\"taskId\\":\\"task_2\\"', None),
        (b'{"data":{"taskId":"null",', None),
        (b'{"data":{"taskId":"task_', None),
        (b"", None),
    ],
)
def test_the_beginning_of_a_long_callback_names_a_task(beginning: bytes, named: str | None) -> None:
    assert task_named_early_in(beginning) == named
