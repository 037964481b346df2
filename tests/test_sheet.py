"""The contact sheet: complete, and deaf to what other people's words ask of a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liangxin._sheet import PLAIN, SheetEntry, sheet
from liangxin._text import legible

LEAF = SheetEntry(
    title="Google - imagen4-fast",
    model="imagen4-fast",
    prompt="Frost on a red maple leaf",
    state="success",
    file="12-imagen4-fast.jpg",
    seconds=6.64,
    task_id="task_imagen4-fast_1",
    facts=[("ratio", "16:9"), ("looks", "14")],
)

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; onload='alert(1)",
    "</p></li></ol><script src=//evil.example></script>",
    "<!-- --!> <![CDATA[ ]]> <svg/onload=alert(1)>",
    "&lt;script&gt; &#60;script&#62; &amp;",
    "javascript:alert(1)",
    "{{7*7}} ${7*7} `x`",
    "</style><style>*{display:none}",
    "</title><base href=//evil.example>",
    "</script><script>alert(1)</script>",
    "</noscript><script>alert(1)</script>",
    "<!--<script>",
]


class Page(HTMLParser):
    """Elements with their attributes, the text of each, in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    def words(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """What a browser builds: elements and the names of their attributes, without values."""
        return [(tag, tuple(attrs)) for tag, attrs in self.elements]


def source_of(*entries: SheetEntry, title: str = "Results", note: str = "") -> str:
    return "".join(sheet(entries, title=title, note=note))


def page_of(*entries: SheetEntry, title: str = "Results", note: str = "") -> Page:
    return Page(source_of(*entries, title=title, note=note))


def entries_in(source: str) -> list[dict[str, Any]]:
    """What the page's script draws."""
    [found] = re.findall(
        r'<script type="application/json" id="entries">(.*?)</script>', source, re.DOTALL
    )
    entries: list[dict[str, Any]] = json.loads(found)
    return entries


def told_of(entry: SheetEntry) -> dict[str, Any]:
    [told] = entries_in(source_of(entry))
    return told


def hostile_entry(words: str, *, ending: str = "", failed: bool = False) -> SheetEntry:
    return SheetEntry(
        title=words,
        model=words,
        prompt=words,
        state=words,
        key=words,
        file=None if failed else words + ending,
        poster=words,
        error=words if failed else None,
        seconds=1.0,
        task_id=words,
        facts=[(words, words)],
    )


def test_a_picture_is_told_with_all_that_is_known_of_it() -> None:
    assert told_of(LEAF) == {
        "title": "Google - imagen4-fast",
        "model": "imagen4-fast",
        "prompt": "Frost on a red maple leaf",
        "state": "success",
        "standing": "done",
        "task": "task_imagen4-fast_1",
        "time": "6.6 s",
        "file": "./12-imagen4-fast.jpg",
        "clip": False,
        "facts": [["ratio", "16:9"], ["looks", "14"]],
    }


def test_a_clip_is_known_by_its_ending_and_has_the_still_that_it_was_given() -> None:
    clip = SheetEntry(
        title="K", model="k", prompt="p", state="success", file="a.MP4", poster="a.poster.jpg"
    )
    told = told_of(clip)
    assert (told["clip"], told["poster"]) == (True, "./a.poster.jpg")
    assert "poster" not in told_of(LEAF)


@pytest.mark.parametrize(
    ("state", "error", "standing", "why"),
    [
        ("fail", "content refused", "failed", "content refused"),
        ("fail", None, "failed", "no result: fail"),
        ("success", "HTTP 404", "failed", "HTTP 404"),
        ("success", None, "pending", "made, but not downloaded to this folder"),
        ("generating", "still generating after 60 s", "pending", "still generating after 60 s"),
        ("generating", None, "pending", "no result: generating"),
        ("in doubt", "the answer was lost", "doubt", "the answer was lost"),
        ("refused", "bad input", "failed", "bad input"),
    ],
)
def test_what_has_no_result_says_why_in_words(
    state: str, error: str | None, standing: str, why: str
) -> None:
    told = told_of(SheetEntry(title="Z", model="z", prompt="p", state=state, error=error))
    assert (told["standing"], told["why"]) == (standing, why)
    assert "file" not in told


def test_entries_keep_their_order() -> None:
    entries = [SheetEntry(title=m, model=m, prompt=m, state="success", file=m) for m in "cab"]
    assert [told["model"] for told in entries_in(source_of(*entries))] == ["c", "a", "b"]
    assert entries_in(source_of()) == []


def test_the_note_stands_at_the_head_until_the_script_adds_the_sum() -> None:
    [summary] = [
        attrs for attrs in page_of(LEAF, note="made up").all("p") if attrs.get("class") == "summary"
    ]
    assert summary["data-note"] == "made up"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (83, "1 min 23 s")],
)
def test_time_reads_like_time(seconds: float, words: str) -> None:
    entry = SheetEntry(title="t", model="m", prompt="p", state="success", seconds=seconds)
    assert told_of(entry)["time"] == words


def test_without_a_script_the_first_entries_are_a_list_of_links_and_reasons() -> None:
    failed = SheetEntry(title="Z", model="z", prompt="q", state="fail", error="content refused")
    page = page_of(LEAF, failed)
    assert {"href": "./12-imagen4-fast.jpg"} in page.all("a")
    assert " · Z · fail · content refused" in page.words("li")
    many = page_of(*[LEAF] * (PLAIN + 1))
    assert len([item for item in many.all("li") if not item]) == PLAIN
    assert any(f"The first {PLAIN} of {PLAIN + 1} are:" in words for words in many.words("p"))


def test_an_entry_is_drawn_once_and_not_before_its_turn() -> None:
    drawn: list[int] = []

    def entries() -> Any:
        for number in range(3):
            drawn.append(number)
            yield LEAF

    pieces = sheet(entries(), title="t")
    next(pieces)
    assert drawn == []
    next(pieces)
    assert drawn == [0]
    assert len(entries_in(source_of(*entries()))) == 3


# --- other people's words ----------------------------------------------------------------------


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("failed", [False, True])
def test_hostile_words_stay_words(words: str, failed: bool) -> None:
    source = source_of(hostile_entry(words, failed=failed), title=words, note=words)
    plain = page_of(hostile_entry("harmless", failed=failed), title="harmless", note="x")
    assert Page(source).shape == plain.shape
    assert words in Page(source).words("h1")
    [told] = entries_in(source)
    for name in ("prompt", "title", "model", "state", "key", "task"):
        assert told[name] == words
    assert told["facts"] == [[words, words]]


@given(words=st.text(), ending=st.sampled_from([".png", ".mp4"]), failed=st.booleans())
def test_no_words_change_what_the_page_is_made_of(words: str, ending: str, failed: bool) -> None:
    source = source_of(hostile_entry(words, ending=ending, failed=failed), title=words)
    plain = page_of(hostile_entry("harmless", ending=ending, failed=failed), title="harmless")
    assert Page(source).shape == plain.shape
    [told] = entries_in(source)
    assert told["facts"] == [[legible(words), legible(words)]]
    source.encode()


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200f", "\x00", "\x1b", "\x7f", "\ud800"])
def test_characters_that_nobody_sees_are_shown_as_such(char: str) -> None:
    source = source_of(hostile_entry(f"a{char}b"), title="t")
    assert char not in source
    [told] = entries_in(source)
    assert told["prompt"] == "a\ufffdb"
    source.encode()


def test_what_holds_letters_together_stays() -> None:
    family, persian = "👩\u200d👩\u200d👧", "می\u200cخواهم"
    entry = SheetEntry(title="t", model="m", prompt=f"{family} {persian}", state="success")
    assert told_of(entry)["prompt"] == f"{family} {persian}"


def test_lines_of_a_prompt_stay_lines_and_wide_blanks_stay_blanks() -> None:
    prompt = "one\r\ntwo\u2028three\u3000four"
    entry = SheetEntry(title="t", model="m", prompt=prompt, state="success")
    assert told_of(entry)["prompt"] == "one\ntwo\nthree four"


@pytest.mark.parametrize(
    ("file", "address"),
    [
        ("a b#c?d.png", "./a%20b%23c%3Fd.png"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ("//evil.example/x.png", ".///evil.example/x.png"),
        ("https://evil.example/x", "./https%3A//evil.example/x"),
        ('"onerror="x', "./%22onerror%3D%22x"),
        ("水墨/1.png", "./%E6%B0%B4%E5%A2%A8/1.png"),
        ("a\\b.png", "./a%5Cb.png"),
    ],
)
def test_a_file_name_is_a_name_in_this_folder_and_nothing_else(file: str, address: str) -> None:
    entry = SheetEntry(title="t", model="m", prompt="p", state="success", file=file)
    assert told_of(entry)["file"] == address
    assert {"href": address} in page_of(entry).all("a")


# --- the page ----------------------------------------------------------------------------------


def test_the_browser_may_run_and_style_only_what_the_page_itself_says() -> None:
    source = source_of(LEAF, title="t")
    page = Page(source)
    [policy] = [
        meta["content"]
        for meta in page.all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)  # not the entries
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    for _, attrs in page.elements:
        assert not [name for name in attrs if name == "style" or name.startswith("on")]


def test_the_page_needs_no_network() -> None:
    source = source_of(LEAF, title="t")
    assert "http:" not in source
    assert "https:" not in source
    assert "@import" not in source
    assert "url(" not in source


def test_the_same_entries_make_the_same_page() -> None:
    assert source_of(LEAF) == source_of(LEAF)
