"""Batch files: what a line may say, what it may not, and that the error names the line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import logging
import os
import pickle
import sys
import tracemalloc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liangxin import InferredLimitWarning, InputError, models
from liangxin._tasks import RawInput
from liangxin.batch import BadLine, Request, UnknownModelWarning, check, read
from liangxin.batch._reading.places import LONGEST_LINE
from liangxin.batch._reading.reader import already_warned
from liangxin.models import (
    Flux2Pro,
    KlingV3Pro,
    NanoBananaPro,
    SeedreamV5LiteEdit,
    Wan27ImageToVideo,
    Wan27TextToVideo,
    ZImage,
)
from liangxin.models._checks import CheckedInput

FOG = "a lighthouse in fog"
A, B = "https://example.com/a.png", "https://example.com/b.png"
GOOD = {"id": "fog", "model": "z-image", "input": {"prompt": FOG}}


@pytest.fixture(autouse=True)
def _nothing_warned_yet() -> Iterator[None]:
    already_warned.clear()
    yield
    already_warned.clear()


@pytest.fixture
def lines(tmp_path: Path) -> Any:
    """Write a file of JSON lines; what is not text or bytes is written as JSON."""

    def write(*lines: object, name: str = "posters.jsonl", end: bytes = b"\n") -> Path:
        path = tmp_path / name
        path.write_bytes(b"".join(encoded(line) + end for line in lines))
        return path

    return write


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Write a table as it is given."""

    def write(text: str, name: str = "posters.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


def encoded(line: object) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line)).encode()


def inputs(path: object, **options: Any) -> list[Any]:
    return [request.input for request in read(path, **options)]  # type: ignore[arg-type]


def keys(path: object, **options: Any) -> list[str]:
    return [request.key for request in read(path, **options)]  # type: ignore[arg-type]


def refused(path: object, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        list(read(path, **options))  # type: ignore[arg-type]
    return caught.value


# --- lines of JSON -----------------------------------------------------------------------------


def test_a_line_is_an_id_a_model_and_its_input(lines: Any) -> None:
    path = lines({"id": "fog", "model": "z-image", "input": {"prompt": FOG, "seed": 7}})
    assert list(read(path)) == [Request(key="fog", input=ZImage(prompt=FOG, seed=7), line=1)]


def test_a_model_is_named_by_its_slug_or_by_its_class(lines: Any) -> None:
    path = lines(GOOD, {**GOOD, "id": 2, "model": "ZImage"})
    assert inputs(path) == [ZImage(prompt=FOG)] * 2


@pytest.mark.parametrize("model", ["z-image", "ZImage", ZImage])
def test_lines_without_a_model_take_the_one_that_is_given(lines: Any, model: Any) -> None:
    path = lines({"input": {"prompt": FOG}}, {"model": "flux-2-pro", "input": {"prompt": FOG}})
    assert inputs(path, model=model) == [ZImage(prompt=FOG), Flux2Pro(prompt=FOG)]


@pytest.mark.parametrize(
    ("id", "key"), [("a b", "a b"), (7, "7"), (7.0, "7"), (7.5, "7.5"), (-1, "-1"), ("图", "图")]
)
def test_a_key_is_the_id_as_text(lines: Any, id: object, key: str) -> None:
    assert keys(lines({**GOOD, "id": id})) == [key]


def test_custom_id_is_another_word_for_id(lines: Any) -> None:
    assert keys(lines({"custom_id": "x", "model": "z-image", "input": {"prompt": FOG}})) == ["x"]


def test_a_body_holds_the_model_and_its_fields_side_by_side(lines: Any) -> None:
    body = {"model": "z-image", "prompt": FOG, "seed": 1}
    path = lines({"custom_id": "x", "method": "POST", "url": "/v1/images", "body": body})
    assert list(read(path)) == [Request(key="x", input=ZImage(prompt=FOG, seed=1), line=1)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_empty_lines_are_skipped_and_counted_whatever_the_ends(
    lines: Any, mark: bytes, end: bytes
) -> None:
    path = lines(mark + encoded({"id": 1, **GOOD}), b"", b" \t", {**GOOD, "id": 2}, end=end)
    assert [(request.key, request.line) for request in read(path)] == [("fog", 1), ("2", 4)]


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    path = tmp_path / "posters.ndjson"
    path.write_bytes(encoded(GOOD))
    assert keys(path) == ["fog"]


def test_an_empty_file_of_lines_holds_nothing(lines: Any) -> None:
    assert list(read(lines())) == []


def test_defaults_are_for_what_a_line_says_nothing_about(lines: Any) -> None:
    path = lines(
        {"model": "z-image", "input": {"prompt": FOG}},
        {"model": "z-image", "input": {"prompt": FOG, "seed": 2}},
        {"model": "z-image", "input": {"prompt": FOG, "seed": None}},
    )
    assert [made.seed for made in inputs(path, defaults={"seed": 1})] == [1, 2, None]


def test_a_default_prompt_is_a_template_in_lines_of_json_too(lines: Any) -> None:
    path = lines({"id": 5, "input": {"title": "Fog", "year": 1904, "seed": 1}})
    defaults = {"prompt": "{{{title}}} of {year}, {id}, {seed}"}
    assert inputs(path, model="z-image", defaults=defaults) == [
        ZImage(prompt="{Fog} of 1904, 5, 1", seed=1)
    ]


def test_a_prompt_of_a_line_of_json_is_no_template(lines: Any) -> None:
    path = lines({"input": {"prompt": "{title} {{x}} }"}})
    assert inputs(path, model="z-image") == [ZImage(prompt="{title} {{x}} }")]


# --- keys --------------------------------------------------------------------------------------


def test_without_an_id_the_key_is_a_hash_of_model_and_input(lines: Any) -> None:
    path = lines({"model": "z-image", "input": {"prompt": FOG}})
    hashed = sha256(f'{{"input":{{"prompt":"{FOG}"}},"model":"z-image"}}'.encode()).hexdigest()
    assert keys(path) == [f"sha256:{hashed[:16]}"]


def test_a_key_stays_when_lines_are_inserted_and_fields_change_places(lines: Any) -> None:
    one = {"model": "z-image", "input": {"prompt": FOG, "seed": 1}}
    two = {"model": "z-image", "input": {"prompt": FOG, "seed": 2}}
    turned = {"input": {"seed": 1, "prompt": FOG}, "model": "ZImage"}
    before = keys(lines(one, two))
    after = keys(lines({"model": "z-image", "input": {"prompt": "new"}}, two, b"", turned))
    assert after[1:] == before[::-1]


def test_equal_lines_without_an_id_get_numbers(lines: Any) -> None:
    line = {"model": "z-image", "input": {"prompt": FOG}}
    first, second, third = keys(lines(line, line, line))
    assert (second, third) == (f"{first}-2", f"{first}-3")


def test_an_id_that_stands_for_two_inputs_is_an_error_that_names_both_lines(lines: Any) -> None:
    path = lines(GOOD, b"", {**GOOD, "input": {"prompt": "another"}})
    error = refused(path)
    assert str(error) == "posters.jsonl line 3: the id 'fog' stands for another input in line 1"
    assert (error.field, error.value) == ("id", "fog")
    [bad] = check(path).bad_lines
    assert (bad.line, str(bad.error)) == (3, str(error))


def test_an_id_that_is_repeated_with_its_input_is_counted(lines: Any) -> None:
    checked = check(lines(GOOD, GOOD, {**GOOD, "id": "other"}, GOOD))
    assert (checked.ok, checked.total, checked.repeated) == (True, 4, 2)


@pytest.mark.campaign
def test_the_keys_of_a_hundred_thousand_lines_need_little_memory(tmp_path: Path) -> None:
    count = 20_000
    path = tmp_path / "posters.jsonl"
    with path.open("w") as file:
        for number in range(count):
            file.write(f'{{"id":"key {number}","input":{{"prompt":"{number}"}}}}\n')
    check(path, model="z-image")  # whatever is prepared only once
    tracemalloc.start()
    try:
        assert check(path, model="z-image").total == count
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak / count < 300


# --- models that are not known -----------------------------------------------------------------


def test_an_unknown_model_passes_with_one_warning(lines: Any) -> None:
    line = {"model": "some-new-model", "input": {"prompt": FOG, "quality": "high"}}
    path = lines(line, line)
    with pytest.warns(UnknownModelWarning, match="'some-new-model' is no model that") as caught:
        made = inputs(path)
    assert made == [RawInput("some-new-model", line["input"])] * 2  # type: ignore[arg-type]
    assert len(caught) == 1
    inputs(path)


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("z-iamge", "z-image"),
        ("Z-Image", "z-image"),
        ("z_image", "z-image"),
        ("zimage ", "z-image"),
        ("ZImagee", "z-image"),
        ("nano-bannana-pro", "nano-banana-pro"),
        ("nanobanana-pro-flash", "nano-banana-pro-flash"),
        ("seedream-4-5", "seedream-v4-5"),
        ("seedream-v4.5-edit", "seedream-v4-5-edit"),
        ("SeedreamV5LiteEdits", "SeedreamV5LiteEdit"),
        ("wan-27-text-to-video", "Wan27TextToVideo"),
        ("flux2-pro", "flux-2-pro"),
        ("kling-v3-pr", "kling-v3-pro"),
    ],
)
def test_a_slip_in_the_name_of_a_model_is_an_error_that_names_it(
    lines: Any, slip: str, meant: str
) -> None:
    line = {"model": slip, "input": {"prompt": FOG}}
    error = refused(lines(GOOD, line))
    assert str(error).startswith(f"posters.jsonl line 2: model is {slip!r}; did you mean {meant!r}")
    assert (error.field, error.value) == ("model", slip)
    [made] = inputs(lines({**line, "raw": True}))
    assert made == RawInput(slip, {"prompt": FOG})


@pytest.mark.parametrize(
    "other",
    ["flux-3-pro", "seedream-v4-0", "kling-v3-ultra-pro", "veo-3-1", "seedream-v4-5-pro", "万"],
)
def test_another_number_or_word_is_another_model_and_not_a_slip(lines: Any, other: str) -> None:
    with pytest.warns(UnknownModelWarning):
        [made] = inputs(lines({"model": other, "input": {"prompt": FOG}}))
    assert made == RawInput(other, {"prompt": FOG})


def test_a_slug_that_is_not_documented_is_given_by_the_line_or_configured(lines: Any) -> None:
    fields = {"prompt": FOG, "duration": 5}
    by_name = lines({"model": "Wan27TextToVideo", "input": fields})
    error = refused(by_name)
    assert "the slug of Wan27TextToVideo (WAN 2.7 - Text to Video) is not documented" in str(error)
    assert error.field == "slug"
    with pytest.raises(InputError, match="the slug of Wan27TextToVideo"):
        read("none.jsonl", model=Wan27TextToVideo)
    [named] = inputs(lines({"model": "wan-2-7-text-to-video", "input": fields}))
    assert named == Wan27TextToVideo(slug="wan-2-7-text-to-video", prompt=FOG, duration=5)
    models.configure({Wan27TextToVideo: "wan27"})
    by_slug = lines({"model": "wan27", "input": fields})
    assert inputs(by_slug) == inputs(by_name) == [attrs.evolve(named, slug="wan27")]


def test_a_slug_that_several_models_go_by_needs_the_name_of_a_class(lines: Any) -> None:
    models.configure({"Wan27TextToVideo": "wan", "Wan27ImageToVideo": "wan"})
    error = refused(lines({"model": "wan", "input": {"prompt": FOG}}))
    assert error.allowed.endswith("go by it: Wan27TextToVideo or Wan27ImageToVideo")
    [made] = inputs(lines({"model": "Wan27ImageToVideo", "input": {"prompt": FOG}}))
    assert (type(made), made.slug) == (Wan27ImageToVideo, "wan")
    [raw] = inputs(lines({"model": "wan", "raw": True, "input": {"prompt": FOG}}))
    assert raw == RawInput("wan", {"prompt": FOG})


def test_raw_sends_the_fields_of_a_known_model_unchecked_and_without_a_warning(lines: Any) -> None:
    fields = {"prompt": FOG, "brand_new": 1}
    path = lines({"model": "ZImage", "raw": True, "input": fields}, {"raw": False, **GOOD})
    assert inputs(path) == [RawInput("z-image", fields), ZImage(prompt=FOG)]


def test_an_unknown_model_for_all_lines_is_warned_about_and_a_slip_is_refused(lines: Any) -> None:
    path = lines({"input": {"prompt": FOG}})
    with pytest.warns(UnknownModelWarning):
        assert inputs(path, model="some-new-model") == [RawInput("some-new-model", {"prompt": FOG})]
    with pytest.raises(InputError, match="did you mean 'z-image'"):
        read(path, model="z-imag")


# --- bad lines ---------------------------------------------------------------------------------


def test_an_error_of_a_field_keeps_what_the_model_says_about_it(lines: Any) -> None:
    path = lines(GOOD, b"", {"model": "Flux2Pro", "input": {"prompt": ""}})
    error = refused(path)
    assert str(error) == (
        "posters.jsonl line 3: Flux2Pro.prompt is '' (0 characters); it takes at least 1 character"
    )
    assert (error.field, error.value, error.allowed) == ("prompt", "", "at least 1 character")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_misspelt_field_is_an_error_that_names_the_nearest(lines: Any) -> None:
    error = refused(lines({"model": "z-image", "input": {"prompt": FOG, "sead": 1}}))
    assert str(error) == "posters.jsonl line 1: ZImage has no field 'sead'; did you mean 'seed'?"
    assert (error.field, error.value) == ("sead", 1)
    assert "image_size" in error.allowed


def test_a_required_field_that_is_missing_is_an_error(lines: Any) -> None:
    error = refused(lines({"model": "SeedreamV45Edit", "input": {"prompt": FOG}}))
    assert "SeedreamV45Edit.reference_images is missing" in str(error)
    assert error.field == "reference_images"


def test_a_field_beside_the_input_is_an_error_that_says_where_it_goes(lines: Any) -> None:
    error = refused(lines({**GOOD, "seed": 1}))
    assert "no 'seed'; the fields of the model go into input: 'seed'" in str(error)


def test_a_misspelt_name_of_a_line_is_an_error_that_names_the_nearest(lines: Any) -> None:
    error = refused(lines({"id": 1, "modle": "z-image", "input": {}}))
    assert "a line has no 'modle'; did you mean 'model'?" in str(error)


def test_what_comes_before_a_bad_line_has_been_yielded(lines: Any) -> None:
    requests = read(lines(GOOD, b"oops"))
    assert next(requests).key == "fog"
    with pytest.raises(InputError, match=r"posters\.jsonl line 2: "):
        next(requests)


def test_skipped_lines_are_handed_over_and_the_rest_is_read(lines: Any) -> None:
    skipped: list[BadLine] = []
    path = lines(b"oops", GOOD, b"[]", {**GOOD, "id": 2})
    requests = list(read(path, skip_bad_lines=True, on_bad_line=skipped.append))
    assert [request.line for request in requests] == [2, 4]
    assert [bad.line for bad in skipped] == [1, 3]
    assert all(isinstance(bad.error, InputError) for bad in skipped)


def test_lines_skipped_without_a_listener_are_logged(
    lines: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "liangxin"):
        assert keys(lines(b"oops", GOOD), skip_bad_lines=True) == ["fog"]
    assert "skipped: posters.jsonl line 1: it is not JSON" in caplog.text


def test_a_check_finds_all_bad_lines_and_counts_the_good_ones(lines: Any) -> None:
    flux = {"model": "flux-2-pro", "input": {"prompt": FOG}}
    checked = check(lines(GOOD, b"oops", flux, flux, {"model": "z-image", "input": {}}))
    assert not checked.ok
    assert (checked.total, checked.models) == (3, {"z-image": 1, "flux-2-pro": 2})
    assert checked.bad_total == 2
    assert [bad.line for bad in checked.bad_lines] == [2, 5]
    with pytest.raises(InputError, match=r"line 2: .* \(and 1 more bad line\)$"):
        checked.raise_if_bad()


def test_a_check_of_good_lines_raises_nothing(lines: Any) -> None:
    checked = check(lines(GOOD))
    assert checked.ok
    checked.raise_if_bad()


def test_a_check_keeps_a_hundred_bad_lines_and_counts_all(lines: Any) -> None:
    checked = check(lines(*[b"oops"] * 250, GOOD))
    assert (checked.total, checked.bad_total, len(checked.bad_lines)) == (1, 250, 100)


def test_kept_errors_hold_neither_their_line_nor_a_large_value(lines: Any) -> None:
    [bad] = check(
        lines({"model": "z-image", "input": {"prompt": FOG, "seed": "9" * 10**6}})
    ).bad_lines
    assert bad.error.__traceback__ is None
    assert bad.error.__context__ is None
    assert len(str(bad.error.value)) <= 200


NESTED = b'{"input":' + b"[" * 100_000

HOSTILE: Mapping[str, bytes] = {
    "no JSON": b"oops",
    "a cut line": b'{"id": 1, "model": "z-image", "input": {"prompt": "a light',
    "two objects": b'{"id": 1} {"id": 2}',
    "an object over several lines": b"{",
    "a list": b"[1]",
    "a string": b'"prompt"',
    "a number": b"17",
    "a boolean": b"true",
    "null": b"null",
    "single quotes": b"{'id': 1}",
    "a trailing comma": b'{"id": 1,}',
    "a comment": b'{"id": 1} // first',
    "an empty object": b"{}",
    "not UTF-8": b'{"id": "\xff", "model": "z-image", "input": {"prompt": "x"}}',
    "Latin-1": '{"id": 1, "model": "z-image", "input": {"prompt": "Zürich"}}'.encode("latin-1"),
    "UTF-16": '{"id": 1}'.encode("utf-16")[:-1],
    "a surrogate as bytes": b'{"model": "z-image", "input": {"prompt": "\xed\xa0\x80"}}',
    "a surrogate as an escape": b'{"model": "z-image", "input": {"prompt": "\\ud800"}}',
    "a raw surrogate": b'{"model": "x", "raw": true, "input": {"prompt": "\\ud800"}}',
    "a surrogate in the id": b'{"id": "\\ud800", "model": "z-image", "input": {"prompt": "x"}}',
    "a byte order mark inside": b'\xef\xbb\xbf{"id": 1}',
    "NUL": b"\x00",
    "a control character in text": b'{"id": "a\x01"}',
    "a control character in the id": b'{"id": "\\u001b[2J", "model": "z-image", "input": {}}',
    "a name twice": b'{"id": 1, "id": 2, "model": "z-image", "input": {"prompt": "x"}}',
    "a field twice": b'{"model": "z-image", "input": {"prompt": "x", "prompt": "y"}}',
    "a name twice in an item": b'{"model": "x", "raw": true, "input": {"a": [{"b": 1, "b": 2}]}}',
    "NaN": b'{"model": "x", "raw": true, "input": {"a": NaN}}',
    "Infinity": b'{"model": "x", "raw": true, "input": {"a": Infinity}}',
    "minus Infinity": b'{"model": "x", "raw": true, "input": {"a": -Infinity}}',
    "a number without bounds": b'{"model": "x", "raw": true, "input": {"a": 1e999}}',
    "a long integer": b'{"model": "x", "raw": true, "input": {"a": %s}}' % (b"1" * 10_000),
    "a longer integer": b'{"id": %s}' % (b"1" * 1_000_000),
    "an integer of 301 digits": b'{"model": "z-image", "input": {"prompt": "x", "seed": %s}}'
    % (b"1" * 301),
    "lists without end": NESTED,
    "nested lists": NESTED + b"]" * 100_000 + b"}",
    "nested objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "65 levels": b'{"model": "x", "raw": true, "input": ' + b'{"a":' * 64 + b"1" + b"}" * 65,
    "quotes without end": b'{"a": "' + b'\\"' * 500_000 + b"[" * 100,
    "a million names": b"{" + b",".join(b'"%d":1' % n for n in range(100_000)) + b',"1":1}',
    "a long name": b'{"%s": 1}' % (b"x" * 1_000_000),
    "a long field": b'{"model": "z-image", "input": {"%s": 1}}' % (b"x" * 1_000_000),
    "a long model": b'{"model": "%s", "input": {"prompt": "x"}}' % (b"z" * 1_000_000),
    "a long id": b'{"id": "%s", "model": "z-image", "input": {"prompt": "x"}}' % (b"z" * 257),
    "an empty id": b'{"id": "", "model": "z-image", "input": {"prompt": "x"}}',
    "a blank id": b'{"id": " ", "model": "z-image", "input": {"prompt": "x"}}',
    "true as the id": b'{"id": true, "model": "z-image", "input": {"prompt": "x"}}',
    "a list as the id": b'{"id": [1], "model": "z-image", "input": {"prompt": "x"}}',
    "two ids": b'{"id": 1, "custom_id": 1, "model": "z-image", "input": {"prompt": "x"}}',
    "no model": b'{"id": 1, "input": {"prompt": "x"}}',
    "an empty model": b'{"id": 1, "model": "", "input": {"prompt": "x"}}',
    "a number as the model": b'{"id": 1, "model": 7, "input": {"prompt": "x"}}',
    "an object as the model": b'{"id": 1, "model": {}, "input": {"prompt": "x"}}',
    "a control character in the model": b'{"model": "a\\nb", "input": {"prompt": "x"}}',
    "a slip in the model": b'{"id": 1, "model": "z-imge", "input": {"prompt": "x"}}',
    "no input": b'{"id": 1, "model": "z-image"}',
    "null as the input": b'{"id": 1, "model": "z-image", "input": null}',
    "a list as the input": b'{"id": 1, "model": "z-image", "input": [["prompt", "x"]]}',
    "text as the input": b'{"id": 1, "model": "z-image", "input": "prompt"}',
    "no prompt": b'{"id": 1, "model": "z-image", "input": {}}',
    "null as the prompt": b'{"id": 1, "model": "z-image", "input": {"prompt": null}}',
    "a field of another model": b'{"model": "z-image", "input": {"prompt": "x", "width": 512}}',
    "a number as text": b'{"model": "z-image", "input": {"prompt": "x", "seed": "1"}}',
    "a float as an integer": b'{"model": "z-image", "input": {"prompt": "x", "seed": 1.0}}',
    "a broken limit": b'{"model": "flux-2-pro", "input": {"prompt": "x", "width": 1}}',
    "text as raw": b'{"model": "z-image", "raw": "true", "input": {"prompt": "x"}}',
    "a body and a model": b'{"model": "x", "body": {"model": "z-image", "prompt": "x"}}',
    "a body and an input": b'{"input": {}, "body": {"model": "z-image", "prompt": "x"}}',
    "an endless number as the id": b'{"id": 1e999, "model": "z-image", "input": {"prompt": "x"}}',
    "a body that is text": b'{"custom_id": 1, "body": "z-image"}',
    "an empty body": b'{"custom_id": 1, "body": {}}',
    "a callback": b'{"model": "z-image", "input": {"prompt": "x"}, "callBackUrl": "https://e.x"}',
    "a line that is too long": b'{"id": "%s"}' % (b"x" * LONGEST_LINE),
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_line_is_one_bad_line_between_good_ones(lines: Any, line: bytes) -> None:
    path = lines(GOOD, line, {**GOOD, "id": "after"})
    skipped: list[BadLine] = []
    requests = list(read(path, skip_bad_lines=True, on_bad_line=skipped.append))
    assert [request.line for request in requests] == [1, 3]
    [bad] = skipped
    assert bad.line == 2
    assert str(bad.error).startswith("posters.jsonl line 2: ")
    assert str(bad.error).isprintable()
    assert len(str(bad.error)) <= 500
    assert bad.error.allowed


def test_sixty_four_levels_and_three_hundred_digits_pass(lines: Any) -> None:
    deep = b'{"model": "x", "raw": true, "input": ' + b'{"a":' * 63 + b"1" + b"}" * 64
    text = {"model": "x", "raw": True, "input": {"a": "[{" * 1000, "b": int("1" * 300)}}
    assert len(list(read(lines(deep, text)))) == 2


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "posters.jsonl"
    with path.open("wb") as file:
        file.truncate(20 * LONGEST_LINE)
    with path.open("ab") as file:
        file.write(b"\n" + encoded(GOOD))
    tracemalloc.start()
    try:
        checked = check(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (checked.total, checked.bad_total) == (1, 1)
    assert "longer than 16 MiB" in str(checked.bad_lines[0].error)
    assert peak < 4 * LONGEST_LINE


# --- tables ------------------------------------------------------------------------------------


def test_a_table_has_a_header_and_a_row_for_each_request(table: Any) -> None:
    path = table(f"id,model,prompt,seed\nfog,z-image,{FOG},7\n2,Flux2Pro,{FOG},\n")
    assert list(read(path)) == [
        Request(key="fog", input=ZImage(prompt=FOG, seed=7), line=2),
        Request(key="2", input=Flux2Pro(prompt=FOG), line=3),
    ]


def test_columns_of_tabs_are_read_too(table: Any) -> None:
    path = table("id\tprompt\n1\tfog, and more fog\n", "posters.tsv")
    assert inputs(path, model="z-image") == [ZImage(prompt="fog, and more fog")]


def test_a_table_and_lines_of_json_give_the_same_keys(table: Any, lines: Any) -> None:
    tabled = keys(table(f"seed,prompt\n7,{FOG}\n"), model="z-image")
    assert tabled == keys(lines({"model": "z-image", "input": {"prompt": FOG, "seed": 7}}))


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("seed", "7", 7),
        ("seed", " 007 ", 7),
        ("seed", "7.0", 7),
        ("enable_safety_checker", "TRUE", True),
        ("enable_safety_checker", "no", False),
        ("enable_safety_checker", "0", False),
        ("aspect_ratio", "1:1", "1:1"),
    ],
)
def test_a_cell_is_read_as_its_field_says(
    table: Any, column: str, cell: str, value: object
) -> None:
    [made] = inputs(table(f"prompt,{column}\n{FOG},{cell}\n"), model="z-image")
    read_value = getattr(made, column)
    assert (read_value, type(read_value)) == (value, type(value))


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("cfg_scale", "0.5", 0.5),
        ("cfg_scale", "1", 1),
        ("cfg_scale", "5e-1", 0.5),
        ("duration", "5", "5"),
        ("multi_prompt", '"[{""prompt"": ""x"", ""duration"": ""3""}]"', None),
    ],
)
def test_numbers_words_and_lists_of_objects_are_read(
    table: Any, column: str, cell: str, value: object
) -> None:
    [made] = inputs(table(f"prompt,{column}\n{FOG},{cell}\n"), model="kling-v3-pro")
    expected = ({"prompt": "x", "duration": "3"},) if value is None else value
    assert getattr(made, column) == expected


@pytest.mark.parametrize("cell", [f"{A}|{B}", f" {A} | {B} ", f'"[""{A}"", ""{B}""]"'])
def test_a_list_of_addresses_is_json_or_separated_by_bars(table: Any, cell: str) -> None:
    [made] = inputs(table(f"prompt,image_input\n{FOG},{cell}\n"), model="nano-banana-pro")
    assert made == NanoBananaPro(prompt=FOG, image_input=[A, B])


@pytest.mark.parametrize(
    ("model", "column", "cell"),
    [
        ("z-image", "seed", "seven"),
        ("z-image", "seed", "7.5"),
        ("z-image", "seed", "1e3"),
        ("z-image", "seed", "٧"),
        ("z-image", "seed", "1" * 400),
        ("z-image", "enable_safety_checker", "perhaps"),
        ("kling-v3-pro", "cfg_scale", "NaN"),
        ("kling-v3-pro", "cfg_scale", "inf"),
        ("kling-v3-pro", "cfg_scale", "1e999"),
        ("kling-v3-pro", "cfg_scale", "half"),
        ("kling-v3-pro", "multi_prompt", "x"),
        ("kling-v3-pro", "multi_prompt", "[{]"),
        ("kling-v3-pro", "multi_prompt", "[NaN]"),
        ("flux-2-pro", "reference_images", f"{A}||{B}"),
        ("flux-2-pro", "reference_images", f"{A}|"),
        ("flux-2-pro", "reference_images", "[1]"),
        ("flux-2-pro", "reference_images", "[" * 100_000),
        ("flux-2-pro", "aspect_ratio", " 1:1"),
    ],
)
def test_a_cell_that_is_not_of_its_type_is_an_error(
    table: Any, model: str, column: str, cell: str
) -> None:
    error = refused(table(f"prompt,{column}\n{FOG},{cell}\n"), model=model)
    assert str(error).startswith("posters.csv line 2: ")
    assert error.field == column
    assert error.allowed


def test_an_empty_cell_says_nothing_and_an_empty_row_is_skipped(table: Any) -> None:
    path = table(f"id,prompt,seed\n,{FOG}, \n,,\n\n2,{FOG},3\n")
    requests = list(read(path, model="z-image", defaults={"seed": 1}))
    assert [request.input for request in requests] == [
        ZImage(prompt=FOG, seed=1),
        ZImage(prompt=FOG, seed=3),
    ]
    assert [request.line for request in requests] == [2, 5]
    assert requests[0].key.startswith("sha256:")


def test_the_line_of_a_row_is_where_it_begins(table: Any) -> None:
    path = table('id,prompt\r\n1,"two\r\nlines"\r\n\r\n2,"and\nthree\nmore"\r\n3,\r\n4,x\r\n')
    skipped: list[BadLine] = []
    requests = list(read(path, model="z-image", skip_bad_lines=True, on_bad_line=skipped.append))
    assert [(request.key, request.line) for request in requests] == [("1", 2), ("2", 5), ("4", 9)]
    assert [bad.line for bad in skipped] == [8]
    assert requests[0].input == ZImage(prompt="two\r\nlines")


@pytest.mark.parametrize(("row", "count"), [("1", "1 cell"), ("1,x,y", "3 cells"), ('"1"', "1 ")])
def test_a_row_with_more_or_fewer_cells_than_columns_is_bad(
    table: Any, row: str, count: str
) -> None:
    [bad] = check(table(f"id,prompt\n{row}\n2,x\n"), model="z-image").bad_lines
    assert f"posters.csv line 2: the row has {count}" in str(bad.error)


def test_a_row_that_is_not_utf8_is_bad_and_ends_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "posters.csv"
    path.write_bytes(b'id,prompt\n1,"Z\xfcrich\n9,not a row"\n2,x\n')
    checked = check(path, model="z-image")
    assert checked.total == 1
    [bad] = checked.bad_lines
    assert str(bad.error) == "posters.csv line 2: the line is not UTF-8: it has the byte 0xfc"


@pytest.mark.parametrize(
    "text", ['1,"never\nclosed\n2,x\n', '1,"a"b\n2,x\n', "1,a\rb\n2,x\n", '1,"x"\n2,"']
)
def test_a_broken_quote_ends_the_file_even_where_bad_lines_are_skipped(
    table: Any, text: str
) -> None:
    error = refused(table(f"id,prompt\n{text}"), model="z-image", skip_bad_lines=True)
    assert "the row cannot be read, nor what follows" in str(error)
    assert str(error).startswith("posters.csv line ")


@pytest.mark.parametrize("line", [b"x" * 1000 + b"\n", b"x" * 1000 + b'","y\n'])
def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "posters.csv"
    with path.open("wb") as file:
        file.write(b'prompt,seed\n"')
        for _ in range(10 * LONGEST_LINE // len(line)):
            file.write(line)
    tracemalloc.start()
    try:
        error = refused(path, model="z-image", skip_bad_lines=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "posters.csv line 2: the row cannot be read" in str(error)
    assert "the row is longer than 16 MiB; is there a quote that is never closed?" in str(error)
    assert peak < 8 * LONGEST_LINE


def test_a_cell_may_hold_a_picture(table: Any) -> None:
    picture = "data:image/png;base64," + "A" * 1_000_000
    [made] = inputs(
        table(f'prompt,image_input\n{FOG},"[""{picture}""]"\n'), model="nano-banana-pro"
    )
    assert made.image_input == (picture,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "posters.csv is empty"),
        ("\n\n", "posters.csv is empty"),
        ("prompt,seed,prompt\nx,1,y\n", "there are several columns 'prompt'"),
        (",prompt\n0,x\n", "column 1 has no name"),
        ("id;prompt\n1;x\n", "the column 'id;prompt' is neither a field of ZImage"),
        ("Prompt\nx\n", "the column 'Prompt' is neither a field of ZImage nor used in a prompt; "),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error_of_the_file(
    table: Any, text: str, said: str
) -> None:
    error = refused(table(text), model="z-image", skip_bad_lines=True)
    assert said in str(error)
    assert str(error).startswith("posters.csv")
    assert "line" not in str(error)


def test_a_table_may_be_longer_than_the_longest_row(table: Any) -> None:
    row = f"{FOG},{'A' * (LONGEST_LINE // 4)}\n"
    path = table("prompt,input_image\n" + row * 5)
    assert check(path, model="flux-2-pro").total == 5


def test_a_header_may_begin_with_a_byte_order_mark_and_hold_blanks(table: Any) -> None:
    assert inputs(table(f"\ufeffprompt , seed\n{FOG},1\n"), model="z-image") == [
        ZImage(prompt=FOG, seed=1)
    ]


def test_a_table_without_rows_holds_nothing(table: Any) -> None:
    assert list(read(table("prompt\n"), model="z-image")) == []


def test_a_table_needs_a_model_from_somewhere(table: Any) -> None:
    error = refused(table(f"prompt\n{FOG}\n"))
    assert str(error) == "posters.csv has no column for the model, and no model= was given"


def test_a_column_may_hold_the_input_as_json(table: Any) -> None:
    path = table('id,input,aspect_ratio\n1,"{""prompt"": ""{x}"", ""seed"": 3}",1:1\n')
    assert inputs(path, model="z-image") == [ZImage(prompt="{x}", seed=3, aspect_ratio="1:1")]


def test_a_field_in_the_input_and_in_a_column_is_an_error(table: Any) -> None:
    error = refused(table('input,seed\n"{""prompt"": ""x"", ""seed"": 3}",3\n'), model="z-image")
    assert "'seed' stands both in input and in a column of its own" in str(error)


def test_a_column_that_is_for_raw_models_only_may_have_any_name(table: Any) -> None:
    path = table(f"model,raw,prompt,brand_new\nz-image,no,{FOG},\nz-image,yes,{FOG},x\n")
    assert inputs(path) == [
        ZImage(prompt=FOG),
        RawInput("z-image", {"prompt": FOG, "brand_new": "x"}),
    ]


def test_a_filled_cell_that_is_a_field_of_another_model_is_an_error(table: Any) -> None:
    path = table(f"model,prompt,image_size\nz-image,{FOG},square\nflux-2-pro,{FOG},square\n")
    error = refused(path)
    assert "posters.csv line 3: Flux2Pro has no field 'image_size'" in str(error)


def test_the_cells_of_an_unknown_model_stay_text(table: Any) -> None:
    path = table(f"model,raw,prompt,duration,seed\nveo-9,yes,{FOG},5,\nz-image,,{FOG},,5\n")
    assert inputs(path) == [
        RawInput("veo-9", {"prompt": FOG, "duration": "5"}),
        ZImage(prompt=FOG, seed=5),
    ]


# --- prompts with columns ----------------------------------------------------------------------


def test_a_prompt_is_filled_from_the_other_columns_of_its_row(table: Any) -> None:
    path = table(
        "id,title,year,prompt,seed\n"
        "1,Fog,1904,a poster of {title} ({year}),7\n"
        "2,Rain,,{title} no. {id} {{sic}} {seed},8\n"
        "3,,,no title,\n"
    )
    assert inputs(path, model="z-image") == [
        ZImage(prompt="a poster of Fog (1904)", seed=7),
        ZImage(prompt="Rain no. 2 {sic} 8", seed=8),
        ZImage(prompt="no title"),
    ]


def test_a_default_prompt_is_for_the_rows_without_one(table: Any) -> None:
    path = table("title,prompt\nFog,\nRain,only rain\n")
    assert inputs(path, model="z-image", defaults={"prompt": "a poster of {title}"}) == [
        ZImage(prompt="a poster of Fog"),
        ZImage(prompt="only rain"),
    ]


def test_what_is_filled_in_is_not_a_template(table: Any) -> None:
    path = table("title,prompt\n{prompt}{x}{{,{title}\n")
    assert inputs(path, model="z-image") == [ZImage(prompt="{prompt}{x}{{")]


def test_a_column_that_any_row_uses_is_not_sent_by_the_others(table: Any) -> None:
    path = table("model,raw,title,prompt\nveo-9,yes,Fog,fog\nveo-9,yes,Fog,{title}\n")
    assert inputs(path) == [
        RawInput("veo-9", {"prompt": "fog", "title": "Fog"}),
        RawInput("veo-9", {"prompt": "Fog"}),
    ]
    path = table("title,prompt\nFog,fog\nFog,{title}\n")
    assert inputs(path, model="z-image") == [ZImage(prompt="fog"), ZImage(prompt="Fog")]


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("{titel}", "{titel}, which this row does not have; did you mean 'title'?"),
        ("{empty}", "{empty}, which this row does not have"),
        ("{prompt}", "{prompt}, which this row does not have"),
        ("{title.upper}", "{title.upper}; it takes the name of a column"),
        ("{title[0]}", "{title[0]}; it takes the name of a column"),
        ("{title!r}", "{title!r}; it takes the name of a column"),
        ("{title:>9}", "{title:>9}; it takes the name of a column"),
        ("{title.__class__}", "{title.__class__}; it takes the name of a column"),
        ("{}", "{}; it takes the name of a column"),
        ("{title", "a single {; it takes {{ for a brace"),
        ("title}", "a single }; it takes }} for a brace"),
        ("{{title}", "a single }; it takes }} for a brace"),
        ("{a{title}}", "a single {; it takes {{ for a brace"),
    ],
)
def test_a_template_that_cannot_be_filled_is_an_error_of_its_line(
    table: Any, prompt: str, said: str
) -> None:
    path = table(f"title,empty,prompt\nFog,1,{{title}} {{empty}}\nFog,,{prompt}\n")
    error = refused(path, model="z-image")
    assert str(error).startswith(f"posters.csv line 3: prompt has {said}")
    assert error.field == "prompt"


@pytest.mark.parametrize("value", [True, [1], {"a": 1}])
def test_only_text_and_numbers_stand_in_a_prompt(lines: Any, value: object) -> None:
    path = lines({"model": "z-image", "input": {"title": value}})
    assert "{title}, which is no text" in str(refused(path, defaults={"prompt": "{title}"}))


def test_unknown_columns_are_an_error_before_anything(table: Any) -> None:
    path = table(f"prompt,sead,colour\n{FOG},1,red\n")
    error = refused(path, model="z-image", skip_bad_lines=True)
    assert str(error) == (
        "posters.csv: the columns 'colour', 'sead' are neither fields of ZImage "
        "nor used in a prompt; did you mean 'seed'?"
    )
    with pytest.raises(InputError, match="the columns 'colour', 'sead'"):
        check(path, model="z-image")


def test_an_unknown_column_is_an_error_beside_a_column_of_models(table: Any) -> None:
    path = table(f"model,prompt,sead\nz-image,{FOG},\n")
    assert "'sead' is neither a field of a model nor used in a prompt" in str(refused(path))


def test_a_column_that_only_a_later_row_uses_is_found_in_a_file_and_not_in_a_stream(
    table: Any,
) -> None:
    path = table("title,prompt\nFog,fog\nRain,{title}\n")
    assert len(inputs(path, model="z-image")) == 2
    with path.open("rb") as stream:
        error = refused(stream, model="z-image", format="csv")
    assert "the column 'title' is neither" in str(error)


def test_a_stream_whose_first_row_uses_the_columns_is_read_whole() -> None:
    stream = io.StringIO("title,prompt\nRain,{title}\nFog,fog\n")
    assert inputs(stream, model="z-image", format="csv") == [
        ZImage(prompt="Rain"),
        ZImage(prompt="fog"),
    ]


# --- Parquet -----------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path: Path) -> Any:
    """Write a Parquet file of columns."""
    arrow = pytest.importorskip("pyarrow")
    writer = pytest.importorskip("pyarrow.parquet")

    def write(columns: Mapping[str, Any], **options: Any) -> Path:
        path = tmp_path / "posters.parquet"
        writer.write_table(arrow.table(dict(columns)), path, **options)
        return path

    return write


def test_parquet_has_the_columns_of_a_table(parquet: Any) -> None:
    path = parquet(
        {
            "id": ["fog", "2"],
            "model": ["nano-banana-pro", "z-image"],
            "title": ["Fog", None],
            "prompt": ["a poster of {title}", FOG],
            "image_input": [[A, B], None],
            "seed": [None, 7],
        }
    )
    assert list(read(path)) == [
        Request(
            key="fog",
            input=NanoBananaPro(prompt="a poster of Fog", image_input=[A, B]),
            line=1,
        ),
        Request(key="2", input=ZImage(prompt=FOG, seed=7), line=2),
    ]


def test_integers_that_became_floats_are_integers_and_nan_is_nothing(parquet: Any) -> None:
    path = parquet(
        {"id": [1.0, 2.0], "prompt": [FOG, FOG], "seed": [7.0, float("nan")]}, row_group_size=1
    )
    assert inputs(path, model="z-image") == [ZImage(prompt=FOG, seed=7), ZImage(prompt=FOG)]
    assert keys(path, model="z-image") == ["1", "2"]


def test_a_column_of_structs_holds_the_input(parquet: Any) -> None:
    path = parquet({"input": [{"prompt": FOG, "seed": 7}, {"prompt": "{x}", "seed": None}]})
    assert inputs(path, model="z-image") == [ZImage(prompt=FOG, seed=7), ZImage(prompt="{x}")]


def test_a_column_of_maps_holds_the_input_as_text(parquet: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    kind = arrow.map_(arrow.string(), arrow.string())
    column = arrow.array([[("prompt", "{x}"), ("seed", "7")], [("prompt", FOG)]], kind)
    assert inputs(parquet({"input": column}), model="z-image") == [
        ZImage(prompt="{x}", seed=7),
        ZImage(prompt=FOG),
    ]


def test_a_field_in_a_map_and_in_a_column_is_an_error(parquet: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    kind = arrow.map_(arrow.string(), arrow.string())
    path = parquet({"input": arrow.array([[("prompt", FOG)]], kind), "prompt": ["another"]})
    assert "'prompt' stands both in input and in a" in str(refused(path, model="z-image"))


def test_an_empty_row_of_parquet_is_skipped_and_blanks_around_a_column_are_no_part_of_it(
    parquet: Any,
) -> None:
    requests = list(read(parquet({" prompt ": [None, " ", FOG]}), model="z-image"))
    assert requests[0].input == ZImage(prompt=FOG)
    assert [request.line for request in requests] == [3]


def test_a_column_of_json_holds_the_input(parquet: Any) -> None:
    path = parquet({"input": ['{"prompt": "{x}", "seed": 7}', '{"prompt": "a", "prompt": "b"}']})
    checked = check(path, model="z-image")
    assert checked.total == 1
    assert str(checked.bad_lines[0].error) == "posters.parquet row 2: input: 'prompt' stands twice"


def test_a_bad_row_of_parquet_is_named_by_its_number(parquet: Any) -> None:
    path = parquet({"id": list(range(1500)), "prompt": [FOG] * 1400 + [""] + [FOG] * 99})
    checked = check(path, model="z-image")
    assert checked.total == 1499
    assert "posters.parquet row 1401: ZImage.prompt is missing" in str(checked.bad_lines[0].error)


def test_text_of_parquet_that_is_not_utf8_is_one_bad_row(parquet: Any) -> None:
    arrow = pytest.importorskip("pyarrow")
    broken = arrow.array([b"fog", b"\xff", b"rain"]).view(arrow.string())
    checked = check(parquet({"prompt": broken}), model="z-image")
    assert checked.total == 2
    assert [bad.line for bad in checked.bad_lines] == [2]


def test_an_integer_where_a_field_takes_text_is_an_error(parquet: Any) -> None:
    error = refused(parquet({"prompt": [FOG], "duration": [5]}), model="kling-v3-pro")
    assert 'KlingV3Pro.duration is 5 (int); it takes a string, so write "5"' in str(error)


def test_unknown_columns_of_parquet_are_an_error(parquet: Any) -> None:
    path = parquet({"prompt": [FOG], "sead": [1]})
    assert "the column 'sead' is neither a field of ZImage" in str(refused(path, model="z-image"))


def test_parquet_is_read_from_a_stream_that_can_seek(parquet: Any) -> None:
    path = parquet({"prompt": [FOG]})
    with path.open("rb") as stream:
        assert inputs(stream, model="z-image", format="parquet") == [ZImage(prompt=FOG)]
    with pytest.raises(InputError, match="the stream cannot be read as Parquet"):
        inputs(io.StringIO("PAR1"), model="z-image", format="parquet")


@pytest.mark.parametrize("damage", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_damaged_parquet_file_is_an_error_of_the_file(tmp_path: Path, damage: bytes) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "posters.parquet"
    path.write_bytes(damage)
    error = refused(path, model="z-image", skip_bad_lines=True)
    assert str(error).startswith("posters.parquet cannot be read as Parquet: ")


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "posters.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ImportError, match=r"liangxin\[parquet\]") as caught:
        inputs(path, model="z-image")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)
    assert caught.value.__cause__.name == "pyarrow"


# --- files and streams -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "A.JSONL"])
def test_the_ending_says_the_format(lines: Any, name: str) -> None:
    assert keys(lines(GOOD, name=name)) == ["fog"]


def test_the_format_may_be_said(lines: Any) -> None:
    assert keys(lines(GOOD, name="posters.txt"), format="jsonl") == ["fog"]
    error = refused(lines(GOOD, name="posters.txt"))
    assert str(error).startswith("posters.txt does not say its format; it takes .jsonl, ")
    with pytest.raises(InputError, match="format is 'xlsx'; it takes one of 'jsonl'"):
        read("posters.xlsx", format="xlsx")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl.gz", json.dumps(GOOD)), ("a.csv.gz", f"id,model,prompt\nfog,z-image,{FOG}\n")],
)
def test_text_may_be_packed(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()))
    assert keys(path) == ["fog"]


@pytest.mark.parametrize("damage", ["cut", "plain", "changed"])
def test_a_damaged_archive_is_an_error_of_the_file(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress("".join(json.dumps({**GOOD, "id": n}) for n in range(99)).encode())
    changed = whole[:40] + bytes(byte ^ 255 for byte in whole[40:60]) + whole[60:]
    path = tmp_path / "posters.jsonl.gz"
    path.write_bytes({"cut": whole[:-20], "plain": b"{}", "changed": changed}[damage])
    error = refused(path, skip_bad_lines=True)
    assert str(error).startswith("posters.jsonl.gz is no gzip file, or not a whole one: ")


@pytest.mark.parametrize("make", [io.StringIO, lambda text: io.BytesIO(text.encode())])
def test_a_stream_is_read_as_lines_of_json_and_left_open(make: Any) -> None:
    stream = make(f"\ufeff{json.dumps(GOOD)}\r\n\r\noops\n")
    requests = read(stream)
    assert next(requests).line == 1
    with pytest.raises(InputError, match=r"^the stream line 3: it is not JSON"):
        next(requests)
    assert not stream.closed


def test_a_minus_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO(encoded(GOOD) + b"\n\xff\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(packed, encoding="ascii"))
    skipped: list[BadLine] = []
    assert [r.key for r in read("-", skip_bad_lines=True, on_bad_line=skipped.append)] == ["fog"]
    assert str(skipped[0].error).startswith("standard input line 2: the line is not UTF-8")


def test_a_stream_of_text_that_is_not_utf8_ends_with_an_error() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b'{"id": "\xff"}\n'), encoding="utf-8")
    error = refused(stream, skip_bad_lines=True)
    assert str(error) == "the stream line 1: the line is not UTF-8: it has the byte 0xff"


def test_a_file_is_named_by_its_last_part_only(tmp_path: Path) -> None:
    with (tmp_path / "posters.jsonl").open("w+b") as stream:
        stream.write(b"oops")
        stream.seek(0)
        assert str(refused(stream)).startswith("posters.jsonl line 1: ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX")
def test_a_pipe_is_opened_once(tmp_path: Path) -> None:
    path = tmp_path / "posters.csv"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    try:
        os.write(writer, b"title,prompt\nFog,{title}\n")
        assert next(read(path, model="z-image")).input == ZImage(prompt="Fog")
    finally:
        os.close(writer)


def test_a_file_that_is_not_there_is_the_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "none.jsonl"))


def test_a_file_is_closed_when_its_reader_is(lines: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        requests = read(lines(GOOD, {**GOOD, "id": 2}))
        assert next(requests).key == "fog"
        requests.close()


@pytest.mark.parametrize("path", [None, 7, b"posters.jsonl", [GOOD]])
def test_what_is_no_file_is_refused(path: object) -> None:
    with pytest.raises(InputError, match="it takes a path, '-' or an open stream"):
        read(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["", 7, RawInput, int, "z-iamge"])
def test_what_is_no_model_is_refused_before_the_file_is_opened(model: Any) -> None:
    with pytest.raises(InputError) as caught:
        read("none.jsonl", model=model)
    assert caught.value.field == "model"


def test_a_default_for_no_field_is_refused_before_the_file_is_opened() -> None:
    with pytest.raises(InputError, match="ZImage has no field 'sead'; did you mean 'seed'"):
        read("none.jsonl", model="z-image", defaults={"sead": 1})


# --- the same requests in every format ---------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=40).filter(
    lambda text: not text.isspace()
)
addresses = st.lists(st.sampled_from([A, B]), min_size=1, max_size=3)
shots = st.lists(
    st.fixed_dictionaries({"prompt": texts}, optional={"duration": st.sampled_from(["3", "5"])}),
    min_size=1,
    max_size=3,
)
FIELDS: dict[type[CheckedInput], st.SearchStrategy[dict[str, Any]]] = {
    ZImage: st.fixed_dictionaries(
        {"prompt": texts},
        optional={
            "image_size": st.sampled_from(["square", "portrait_3_4"]),
            "seed": st.integers(0, 2**32 - 1),
            "enable_safety_checker": st.booleans(),
        },
    ),
    KlingV3Pro: st.fixed_dictionaries(
        {"prompt": texts},
        optional={
            "multi_prompt": shots,
            "cfg_scale": st.floats(0, 1),
            "duration": st.sampled_from(["3", "15"]),
            "generate_audio": st.booleans(),
            "negative_prompt": texts,
        },
    ),
    NanoBananaPro: st.fixed_dictionaries({"prompt": texts}, optional={"image_input": addresses}),
    SeedreamV5LiteEdit: st.fixed_dictionaries({"prompt": texts, "reference_images": addresses}),
    Wan27TextToVideo: st.fixed_dictionaries(
        {"prompt": texts},
        optional={
            "seed": st.integers(0, 9),
            "additional_settings": st.fixed_dictionaries(
                {"words": texts, "watermark": st.booleans()}
            ),
        },
    ),
}
SLUGS: dict[type[CheckedInput], str] = {
    ZImage: "z-image",
    KlingV3Pro: "kling-v3-pro",
    NanoBananaPro: "nano-banana-pro",
    SeedreamV5LiteEdit: "seedream-v5-lite-edit",
    Wan27TextToVideo: "wan-2-7-text-to-video",
}


@st.composite
def requests(draw: st.DrawFn) -> list[tuple[str | None, CheckedInput]]:
    """Inputs of the models, with different ids or none."""
    made = []
    for number in range(draw(st.integers(1, 6))):
        model = draw(st.sampled_from(list(FIELDS)))
        key = draw(st.none() | st.just(f"key {number}"))
        made.append((key, model(**draw(FIELDS[model]), slug=SLUGS[model])))
    return made


def rows(asked: Sequence[tuple[str | None, CheckedInput]]) -> list[dict[str, Any]]:
    """The requests as rows of a table: what is a template there is written so that it is none."""
    made = []
    for key, asked_for in asked:
        fields = asked_for.payload()
        fields["prompt"] = str(fields["prompt"]).replace("{", "{{").replace("}", "}}")
        made.append({"id": key, "model": asked_for.slug, **fields})
    return made


def cell(value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "|".join(value)
    return value if isinstance(value, str) else json.dumps(value)


def write_lines(path: Path, asked: Sequence[tuple[str | None, CheckedInput]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        for key, made in asked:
            line = {"id": key, "model": made.slug, "input": made.payload()}
            file.write(json.dumps(line, ensure_ascii=key is None) + "\n")


def write_table(path: Path, asked: Sequence[tuple[str | None, CheckedInput]]) -> None:
    made = rows(asked)
    columns = sorted({name for row in made for name in row})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerow(columns)
        for row in made:
            writer.writerow("" if row.get(c) is None else cell(row[c]) for c in columns)


def write_parquet(path: Path, asked: Sequence[tuple[str | None, CheckedInput]]) -> None:
    arrow = pytest.importorskip("pyarrow")
    made = rows(asked)
    columns = sorted({name for row in made for name in row})
    table = arrow.table({c: [row.get(c) for row in made] for c in columns})
    pytest.importorskip("pyarrow.parquet").write_table(table, path, row_group_size=2)


WRITERS = {
    "posters.jsonl": write_lines,
    "posters.csv": write_table,
    "posters.tsv": write_table,
    "posters.parquet": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=requests())
def test_what_is_written_is_read(
    tmp_path: Path, name: str, asked: list[tuple[str | None, CheckedInput]]
) -> None:
    WRITERS[name](tmp_path / name, asked)
    write_lines(tmp_path / "same.jsonl", asked)
    came = list(read(tmp_path / name))
    assert [request.input for request in came] == [made for _, made in asked]
    assert [request.key for request in came] == keys(tmp_path / "same.jsonl")
    assert all(came[n].key == key for n, (key, _) in enumerate(asked) if key is not None)


@given(
    text=st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["posters.jsonl", "posters.csv", "posters.tsv"])
def test_whatever_a_file_holds_only_our_own_errors_come_out(
    tmp_path: Path, name: str, text: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes((b"" if name == "posters.jsonl" else b"prompt,seed\n") + text)
    with contextlib.suppress(InputError), warnings.catch_warnings():
        warnings.simplefilter("ignore", InferredLimitWarning)
        check(path, model="z-image", defaults={"prompt": FOG})
