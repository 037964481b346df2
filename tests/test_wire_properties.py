"""Whatever comes, only our own values and our own exceptions come out."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import liangxin
from liangxin import APIError, RawInput, Task, TaskState
from liangxin._tasks import final_or_raise
from liangxin._wire import (
    CREATE_PATH,
    CreateRequest,
    Doubt,
    Reply,
    create_request,
    decipher_record,
    judge_create,
    record_request,
    retry_after,
    task_named_in,
)

examples = settings(derandomize=True, deadline=None, max_examples=150)

ID = "task_1"
CREATE = CreateRequest("POST", CREATE_PATH, b"{}", model="z-image", client_ref="c1")

text = st.text(st.characters(), max_size=20)
numerals = st.from_regex(r"\A[ +-]{0,3}[0-9_.e]{0,22}[ ]?\Z")
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**11, 10**19)
    | st.floats()
    | text
    | numerals
)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=5,
)
statuses = st.sampled_from(
    [200, 200, 200, 201, 302, 400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 520]
) | st.integers(100, 999)

dates = st.from_regex(
    r"\A((Mon|Wed), )?[0-9]{1,3} (Jan|Oct|X) [0-9]{2,30} [0-9]{1,30}(:[0-9]{1,25}){0,2}"
    r"( GMT| -0000| [+-][0-9]{1,25})?\Z"
)
header_values = text | numerals | dates
headers = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("retry-after", "date", "x-request-id", "content-type"), header_values),
)


def bodies(value: st.SearchStrategy[object]) -> st.SearchStrategy[bytes]:
    return value.map(lambda given: json.dumps(given).encode())


record_values: dict[str, st.SearchStrategy[object]] = {
    "model": st.just("z-image") | json_values,
    "state": st.sampled_from([state.value for state in TaskState]) | json_values,
    "param": json_values | json_values.map(json.dumps),
    "resultJson": json_values
    | json_values.map(json.dumps)
    | st.fixed_dictionaries({"resultUrls": json_values}).map(json.dumps),
    "failCode": json_values,
    "failMsg": json_values,
    "createTime": json_values,
    "updateTime": json_values,
    "completeTime": json_values,
    "raw": json_values,
    "anything": json_values,
}
records = st.fixed_dictionaries({"taskId": st.just(ID) | json_values}, optional=record_values)
envelopes = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([200, "200", 400, "429", 500, 503, ""]) | json_values,
        "msg": json_values,
        "message": json_values,
        "error": st.fixed_dictionaries({}, optional=dict.fromkeys(("message", "code"), json_values))
        | json_values,
        "data": records | json_values,
    },
)
replies = st.builds(
    Reply,
    statuses,
    headers,
    st.binary(max_size=200) | bodies(json_values) | bodies(envelopes) | bodies(records),
)


def check_error(error: liangxin.LiangxinError) -> None:
    said = str(error)
    assert said
    assert len(said) <= 500
    assert said.isprintable()
    assert str(pickle.loads(pickle.dumps(error))) == said
    if isinstance(error, (liangxin.RateLimited, liangxin.ServiceUnavailable)):
        assert error.retry_after is None or 0 <= error.retry_after < 1e9


def check_record(reply: Reply) -> None:
    try:
        task = decipher_record(reply, ID)
    except (APIError, liangxin.UnexpectedReply) as exc:
        check_error(exc)
        return
    assert 200 <= reply.status < 300
    assert task.id == ID
    assert isinstance(task.state, TaskState)
    assert all(isinstance(url, str) and url for url in task.urls)
    for moment in (task.created_at, task.updated_at, task.completed_at):
        assert moment is None or moment.tzinfo is UTC
    for words in (task.model, task.fail_code, task.fail_message):
        assert words is None or (isinstance(words, str) and words)
    assert isinstance(task.param, dict | None)
    assert isinstance(task.raw, dict)
    hash(task)
    if task.state is TaskState.FAIL:
        with pytest.raises(liangxin.TaskFailed) as caught:
            final_or_raise(task)
        check_error(caught.value)


REFUSALS = {400, 401, 403, 404, 405, 413, 415, 422, 429, 503}


def check_create(reply: Reply) -> None:
    verdict = judge_create(reply, CREATE)
    if isinstance(verdict, Task):
        assert 200 <= reply.status < 300
        assert json.loads(reply.body)["data"]["taskId"] == verdict.id
        assert record_request(verdict.id).target.isascii()
    elif isinstance(verdict, APIError):
        check_error(verdict)
        assert reply.status in REFUSALS or (200 <= reply.status < 300 and verdict.code in REFUSALS)
    else:
        assert isinstance(verdict, Doubt)
        assert verdict.reason.isprintable()
        assert len(verdict.reason) < 300


@given(replies)
@example(Reply(200, {}, b'{"code":"--5"}'))
@example(Reply(429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 +99999999999999999999"}, b""))
@examples
def test_of_any_answer_to_a_look_comes_a_task_or_an_error_of_ours(reply: Reply) -> None:
    check_record(reply)


@given(replies)
@example(Reply(200, {}, b'{"code":"--5"}'))
@examples
def test_of_any_answer_to_a_create_comes_a_task_a_refusal_or_a_doubt(reply: Reply) -> None:
    check_create(reply)


@given(records, statuses.filter(lambda status: 200 <= status < 300) | st.just(200))
@examples
def test_any_values_in_a_record_are_read_or_refused_by_us(
    record: dict[str, object], status: int
) -> None:
    reply = Reply(status, {}, json.dumps({"code": 200, "data": record}).encode())
    check_record(reply)
    check_create(reply)


@pytest.mark.parametrize("field", sorted(record_values.keys() - {"state"}))
@given(json_values)
@settings(examples, max_examples=40)
def test_any_value_in_one_field_spoils_no_more_than_that_field(field: str, value: object) -> None:
    good = {"taskId": ID, "state": "generating", "createTime": 1777600000000}
    task = decipher_record(Reply(200, {}, json.dumps({"data": good | {field: value}}).encode()), ID)
    assert task.state is TaskState.GENERATING
    if field != "createTime":
        assert task.created_at == datetime(2026, 5, 1, 1, 46, 40, tzinfo=UTC)
    assert json.dumps(task.raw) == json.dumps(good | {field: value})


@given(st.binary(max_size=300), statuses, headers)
@examples
def test_any_bytes_are_survived(body: bytes, status: int, given_headers: dict[str, str]) -> None:
    reply = Reply(status, given_headers, body)
    check_record(reply)
    check_create(reply)


@given(st.binary(max_size=300) | bodies(json_values) | bodies(envelopes))
@examples
def test_any_body_of_a_callback_names_a_valid_task_or_none(body: bytes) -> None:
    named = task_named_in(body)
    assert named is None or (named.isprintable() and named == named.strip() != "")


@given(replies.filter(lambda reply: len(reply.body) > 4), st.data())
@examples
def test_any_cut_answer_is_survived(reply: Reply, data: st.DataObject) -> None:
    end = data.draw(st.integers(0, len(reply.body) - 1))
    cut = Reply(reply.status, reply.headers, reply.body[:end])
    check_record(cut)
    check_create(cut)


@given(header_values, header_values | st.none())
@examples
def test_any_retry_after_is_seconds_or_nothing(value: str, date: str | None) -> None:
    given_headers = {"retry-after": value} | ({} if date is None else {"date": date})
    seconds = retry_after(Reply(429, given_headers, b""))
    assert seconds is None or 0 <= seconds < 1e9


# --- there and back ----------------------------------------------------------------------------

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
words = st.text(st.characters(), min_size=1, max_size=20)
ids = words.filter(lambda name: name.isprintable() and name == name.strip())
finite = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
milliseconds = st.none() | st.integers(10**11 + 1, 4 * 10**12)


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Task, dict[str, object]]:
    """A task, and a record that says the same in one of the accepted spellings."""
    task_id, model = draw(ids), draw(st.none() | words)
    state = draw(st.sampled_from(list(TaskState)))
    urls = draw(st.lists(words, max_size=3))
    fail_code, fail_message = draw(st.none() | words), draw(st.none() | words)
    times = [draw(milliseconds) for _ in range(3)]
    param = draw(st.none() | st.dictionaries(text, finite, max_size=3))

    def spelled(*ways: object) -> object:
        return draw(st.sampled_from(ways))

    result = {"resultUrls": urls}
    blank = spelled("", None)
    record: dict[str, object] = {
        "taskId": task_id,
        "model": model,
        "state": state.value if state is not TaskState.UNRECOGNIZED else "never heard of",
        "resultJson": spelled(result, json.dumps(result), urls) if urls else blank,
        "failCode": blank if fail_code is None else fail_code,
        "failMsg": blank if fail_message is None else fail_message,
        "param": blank if param is None else spelled(param, json.dumps(param)),
    }
    names = ("createTime", "updateTime", "completeTime")
    for name, time in zip(names, times, strict=True):
        record[name] = (
            spelled(None, "", 0) if time is None else spelled(time, str(time), time * 1.0)
        )
    moments = [None if time is None else EPOCH + timedelta(milliseconds=time) for time in times]
    task = Task(
        id=task_id,
        model=model,
        state=state,
        urls=tuple(urls),
        fail_code=fail_code,
        fail_message=fail_message,
        created_at=moments[0],
        updated_at=moments[1],
        completed_at=moments[2],
        param=param,
    )
    return task, record


@given(tasks(), st.booleans())
@examples
def test_a_record_is_deciphered_to_the_task_that_it_was_made_of(
    pair: tuple[Task, dict[str, object]], escaped: bool
) -> None:
    task, record = pair
    answer = json.dumps({"code": 200, "data": record}, ensure_ascii=escaped)
    read = decipher_record(Reply(200, {}, answer.encode("utf-8", "surrogatepass")), task.id)
    assert read == task
    assert read.raw == record


@given(ids.filter(lambda name: name.lower() not in ("none", "null")))
@examples
def test_an_id_that_a_create_returns_is_the_one_that_a_look_asks_for(task_id: str) -> None:
    answer = Reply(200, {}, json.dumps({"code": 200, "data": {"taskId": task_id}}).encode())
    verdict = judge_create(answer, CREATE)
    assert isinstance(verdict, Task)
    assert verdict.id == task_id
    assert record_request(task_id).target.isascii()
    assert decipher_record(answer, task_id).id == task_id


# --- what goes out -----------------------------------------------------------------------------

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
sendable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=5,
)


@given(plain.filter(str.strip), st.dictionaries(plain, sendable, max_size=4))
@examples
def test_what_json_can_carry_arrives_as_it_was_given(slug: str, fields: dict[str, object]) -> None:
    request = create_request(RawInput(slug, fields), client_ref="c1")
    assert json.loads(request.body.decode("utf-8")) == {"model": slug, "input": fields}
    assert dict(request.headers)[b"Content-Length"] == b"%d" % len(request.body)


anything = st.recursive(
    scalars | st.binary(max_size=3) | st.just(object()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(text | st.integers() | st.binary(max_size=2), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=5,
)


@given(words.filter(str.strip), st.dictionaries(text, anything, max_size=4))
@example("new-model", {"odd": float("nan")})
@example("new-model", {"odd": "\ud800"})
@example("new-\ud800", {})
@examples
def test_whatever_is_given_is_sent_or_refused_by_us(slug: str, fields: dict[str, object]) -> None:
    try:
        request = create_request(RawInput(slug, fields), client_ref="c1")
    except liangxin.InputError as exc:
        check_error(exc)
    else:
        json.loads(request.body.decode("utf-8"))
