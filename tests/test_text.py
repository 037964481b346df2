"""Text from elsewhere, made fit to show."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liangxin._text import printable, quoted

examples = settings(derandomize=True, deadline=None, max_examples=300)

# Lone surrogates, controls, marks of direction and odd blanks, oftener than they come by chance.
text = st.text(
    st.characters()
    | st.sampled_from(
        "\x00\x1b\r\n\t\x85\u2028\u2029\u202a\u202e\u2066\u200b\ufeff\xa0\u3000\ud800"
    )
)


class Brick:
    """Something that cannot be shown: not as a repr, not as a string."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("  two \r\n\t lines ", "two lines"),
        ("no\xa0break\u3000and\u2028more", "no break and more"),
        ("\x1b[31mred\x07", "�[31mred�"),
        ("abc\u202edcba", "abc�dcba"),
        ("a\u200bb\ufeffc\ud800", "a�b�c�"),
        ("雨 🌧 é", "雨 🌧 é"),
    ],
)
def test_printable_keeps_words_and_drops_what_moves_the_cursor(given_text: str, shown: str) -> None:
    assert printable(given_text) == shown


def test_printable_shows_what_was_cut() -> None:
    assert printable("x" * 200) == "x" * 200
    assert printable("x" * 201) == "x" * 199 + "…"
    assert printable("abc", 3) == "abc"
    assert printable("abcd", 3) == "ab…"
    assert printable("x" * 10_000_000, 10) == "xxxxxxxxx…"


def test_printable_takes_what_is_not_text() -> None:
    assert printable(None) == "None"
    assert printable(ValueError("a\nb")) == "a b"


@given(text, st.integers(1, 300))
@examples
def test_printable_is_one_short_line_of_printable_characters(given_text: str, limit: int) -> None:
    shown = printable(given_text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    # Controls, directions and other formats, surrogates, private use; separators but the space.
    assert not any(unicodedata.category(char).startswith("C") for char in shown)
    assert all(char == " " for char in shown if unicodedata.category(char).startswith("Z"))
    assert "  " not in shown


@given(text, st.integers(1, 300))
@examples
def test_printable_is_idempotent(given_text: str, limit: int) -> None:
    shown = printable(given_text, limit)
    assert printable(shown, limit) == shown


@given(st.text("abcdefg -雨é", max_size=100))
@examples
def test_printable_changes_nothing_of_plain_words_but_the_blanks(words: str) -> None:
    assert printable(words) == " ".join(words.split())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\nb", r"'a\nb'"),
        (b"\xff", r"b'\xff'"),
        (None, "None"),
        ([1, {"a": "\u202e"}], r"[1, {'a': '\u202e'}]"),
        (Brick(), "<Brick>"),
        ([Brick()], "<list>"),
    ],
    ids=["text", "bytes", "None", "nested", "a brick", "a brick in a list"],
)
def test_quoted_is_the_repr_and_the_name_of_the_type_where_there_is_none(
    value: object, shown: str
) -> None:
    assert quoted(value) == shown


def test_quoted_shows_integers_of_any_length() -> None:
    assert quoted(10**5000) == "<int>"
    assert quoted(10**4000, 10) == "100000000…"


def test_quoted_survives_nesting_without_end() -> None:
    tower: object = None
    for _ in range(100_000):
        tower = [tower]
    assert quoted(tower) == "<list>"


def test_quoted_lets_an_interrupt_through() -> None:
    class Interrupted:
        def __repr__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quoted(Interrupted())


@given(text, st.integers(1, 300))
@examples
def test_quoted_is_as_short_and_printable(given_text: str, limit: int) -> None:
    shown = quoted(given_text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
