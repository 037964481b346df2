"""What a recording keeps of a text: enough to compare, nothing to steal."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liangxin.emulator._redaction import Redaction

CANARY = "c4n4ry-0123456789abcdef"
PICTURE = "iVBORw0KGgo" + "QUJD" * 40 + "=="
SIGNED = f"https://cdn.example/a/cat.png?X-Amz-Signature={CANARY}&Expires=1"


@pytest.mark.parametrize(
    "text",
    [
        SIGNED,
        f"a poster after {SIGNED} in blue",
        f"https://cdn.example/cat.png?{CANARY}",
        f"https://cdn.example/cat.png#access_token={CANARY}",
        f"HTTPS://user:{CANARY}@cdn.example/cat.png",
        f"//cdn.example/cat.png?sig={CANARY}",
        f"/files/cat.png?sig={CANARY}",
        f"cdn.example/cat.png?token={CANARY}",
        f"https://cdn.example/cat.png?a='b'&sig={CANARY}",
        json.dumps({"resultJson": json.dumps({"resultUrls": [SIGNED]})}),
        json.dumps({"a": {"b": json.dumps([json.dumps({"c": SIGNED})])}}),
        json.dumps({SIGNED: 1}),
        json.dumps(SIGNED).replace("/", r"\/"),
        json.dumps([SIGNED]).replace("/", r"\/").replace("&", r"\u0026"),
        # Cut in the middle, so no JSON.
        json.dumps({"resultJson": json.dumps({"resultUrls": [SIGNED]})})[:-3],
        json.dumps({"resultUrls": [SIGNED]}).replace("/", r"\/")[:-1],
        # A member twice: a reader of JSON sees only the last.
        f'{{"a": "{SIGNED}", "a": 1}}',
        json.dumps({"callBackUrl": f"https://me.example/hooks/{CANARY}"}),
        json.dumps({"data": {"callback_url": f"me.example/{CANARY}"}}),
        json.dumps({"api_key": CANARY}),
        json.dumps({"headers": {"Set-Cookie": [CANARY]}}),
        f"the key sk-{CANARY} is not known",
        f"sent with Authorization: Bearer {CANARY}",
        f"it said {CANARY}, in these words",
    ],
)
def test_no_secret_is_left(text: str) -> None:
    secrets = [CANARY] if text.startswith("it said") else []
    assert CANARY not in Redaction(secrets).body(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f"data:image/png;base64,{PICTURE}",
        f"DATA:image/png;charset=x;base64,{PICTURE}",
        f"data:;base64,{PICTURE}",
        f"data:image/png;base64,{PICTURE[:76]}\n{PICTURE[76:]}",
        f"data:text/plain,{PICTURE}",
        json.dumps({"input": {"image_input": [f"data:image/png;base64,{PICTURE}"]}}),
        json.dumps({"param": json.dumps({"i": f"data:image/png;base64,{PICTURE}"})})[:-4],
        json.dumps({"image": "QUJD" * 80}),
    ],
)
def test_no_picture_is_left(text: str) -> None:
    assert "QUJDQUJD" not in Redaction().body(text.encode())


def test_of_a_data_uri_remain_its_type_length_and_hash() -> None:
    digest = hashlib.sha256(PICTURE.encode()).hexdigest()
    kept = Redaction().text(f"data:image/png;base64,{PICTURE}")
    assert kept == f"data:image/png;length={len(PICTURE)};sha256={digest}"


def test_of_a_callback_url_remains_its_origin() -> None:
    body = {"callBackUrl": f"https://u:p@me.example:8443/hooks/{CANARY}?a=1"}
    assert json.loads(Redaction().text(json.dumps(body))) == {
        "callBackUrl": "https://me.example:8443/***"
    }


def test_the_path_at_a_known_origin_of_callbacks_is_masked_in_any_words() -> None:
    told = Redaction(callback_origins=["https://me.example"])
    text = told.text(f"https://me.example/hooks/{CANARY} did not answer; https://me.example.org/x")
    assert text == "https://me.example/*** did not answer; https://me.example.org/x"


def test_of_a_query_remains_the_tasks_id() -> None:
    query = f"taskId=task_z-image_1&key={CANARY}&{CANARY}".encode()
    assert Redaction().query(query) == "taskId=task_z-image_1"


@pytest.mark.parametrize(
    "text",
    [
        "a lighthouse in fog? yes, a=b",
        "ein Leuchtturm, 灯塔",
        "https://cdn.example/cat.png",
        "ask-me-anything-about-it",
        "a standard bearer walking",
        '{"code":200,"msg":"success","data":{"n":1.5,"taskId":"task_z-image_1777600000000"}}',
        '{"data":{"param":"{\\"model\\":\\"z-image\\"}","state":"waiting"}}',
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert Redaction().body(text.encode()) == text


def test_bytes_that_are_no_utf_8_can_be_had_back() -> None:
    garbage = b'{"a": \x00\xff\xfe'
    assert Redaction().body(garbage).encode("utf-8", "surrogateescape") == garbage


def test_of_a_compressed_body_nothing_is_kept() -> None:
    assert Redaction().body(CANARY.encode(), "gzip") == "*** (gzip)"


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists, max_leaves=20))
def test_any_json_stays_json_that_can_be_written(value: object) -> None:
    kept = Redaction().body(json.dumps([value]).encode())
    assert isinstance(json.loads(kept.encode()), list)


@given(st.text(alphabet=st.sampled_from("a/?&=#:'\\<>{}[]%. ")))
def test_a_query_is_masked_whatever_stands_before_it(before: str) -> None:
    kept = Redaction().text(f"{before} https://cdn.example/{before}?sig={CANARY}")
    assert not re.search(CANARY, kept)
