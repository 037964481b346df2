"""Rules as documents: TOML and JSON in, the same rules out, and clear words where one is wrong."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from liangxin.emulator import BadRules, Fault, read_rules, read_rules_file
from liangxin.emulator._faultbook import document_of
from liangxin.emulator._faults import HEADER_NAME, HEADER_VALUE

TOML = """
# the answer to every third create is lost
[[fault]]
endpoint = "create"
action = "withhold"
probability = 0.33
count = "all"

[[fault]]
endpoint = "look"
status = 429
headers = { Retry-After = "7" }
nth = 2
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(text, "utf-8", errors="surrogateescape")
    return path


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    assert read_rules_file(written(tmp_path, TOML)) == [
        Fault("create", "withhold", probability=0.33, count=None),
        Fault("look", status=429, headers={"Retry-After": "7"}, nth=2),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[fault]", "rules.toml: "),
        (
            '[[fault]]\nendpoint = "create"\n[[fault]]\naction = "cut"',
            "fault 2: endpoint is required",
        ),
        ('[[fault]]\nendpoint = "create"\nstatuss = 5', "fault 1: statuss is no member of a rule"),
        ('[[faults]]\nendpoint = "create"', "faults is no member of a rule"),
        ('[[fault]]\nendpoint = "create"\nnth = 1979-05-27', "fault 1: nth must be"),
        ("\udcff", "rules.toml: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(BadRules) as refused:
        read_rules_file(written(tmp_path, text))
    assert words in str(refused.value)
    assert "rules.toml" in str(refused.value)


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadRules, match="No such file"):
        read_rules_file(tmp_path / "none.toml")


FAULTS = st.builds(
    Fault,
    st.just("look"),
    st.sampled_from(["answer", "replace", "cut", "state", "urls", "delay"]),
    status=st.none() | st.integers(100, 599),
    body=st.none() | st.binary(max_size=8) | st.text("a\u4f60", max_size=8),
    headers=st.dictionaries(
        st.from_regex(HEADER_NAME, fullmatch=True),
        st.from_regex(HEADER_VALUE, fullmatch=True),
        max_size=2,
    ),
    urls=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    key=st.none() | st.text(max_size=9),
    count=st.none() | st.integers(1, 9),
    probability=st.floats(0, 1),
)


@given(FAULTS)
def test_any_rule_is_the_same_as_a_document_and_back(fault: Fault) -> None:
    assert read_rules(document_of(fault)) == [fault]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda each: (
            st.lists(each, max_size=3)
            | st.dictionaries(
                st.sampled_from(["fault", "endpoint", "create", "nth", "headers"]), each, max_size=3
            )
        ),
    )
)
def test_any_other_document_is_refused_by_name(document: Any) -> None:
    with contextlib.suppress(BadRules):
        assert all(isinstance(rule, Fault) for rule in read_rules(document))
