"""The contact sheet: complete, and deaf to what other people's words ask of a browser."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liangxin._sheet import SheetEntry, contact_sheet

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
        if tag not in ("meta", "img"):
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


def page_of(*entries: SheetEntry, title: str = "Results", note: str = "") -> Page:
    return Page(contact_sheet(entries, title=title, note=note))


def hostile_entry(words: str, *, kind: str = "image", failed: bool = False) -> SheetEntry:
    return SheetEntry(
        title=words,
        model=words,
        prompt=words,
        state=words,
        kind=kind,  # type: ignore[arg-type]  # one of the two, as the callers below say
        file=None if failed else words,
        error=words if failed else None,
        seconds=1.0,
        task_id=words,
        facts=[(words, words)],
    )


def test_a_picture_is_shown_with_all_that_is_known_of_it() -> None:
    page = page_of(LEAF)
    [picture] = page.all("img")
    assert picture["src"] == "./12-imagen4-fast.jpg"
    assert picture["loading"] == "lazy"
    assert picture["alt"] == "Frost on a red maple leaf"
    assert [link["href"] for link in page.all("a")] == ["./12-imagen4-fast.jpg"]
    shown = [text for _, text in page.texts]
    for words in (
        "Frost on a red maple leaf",
        "Google - imagen4-fast",
        "success",
        "6.6 s",
        "task_imagen4-fast_1",
        "ratio",
        "16:9",
    ):
        assert words in shown


def test_a_clip_waits_to_be_played_and_makes_no_noise() -> None:
    entry = SheetEntry(
        title="K", model="k", prompt="p", state="success", kind="video", file="a.mp4"
    )
    page = page_of(entry)
    [clip] = page.all("video")
    assert clip["src"] == "./a.mp4"
    assert {"controls", "muted", "loop", "playsinline"} <= clip.keys()
    assert "autoplay" not in clip
    assert clip["preload"] == "metadata"


def test_a_failure_says_why_in_words() -> None:
    failed = SheetEntry(title="Z", model="z", prompt="p", state="fail", error="content refused")
    page = page_of(failed)
    assert "content refused" in page.words("p")
    assert page.all("img") == []
    [card] = page.all("li")
    assert card["class"] == "card failed"


def test_what_has_no_result_and_no_error_says_where_it_stands() -> None:
    page = page_of(SheetEntry(title="Z", model="z", prompt="p", state="generating"))
    assert page.all("li")[0]["class"] == "card pending"
    assert any("last seen generating" in text for text in page.words("p"))


def test_entries_keep_their_order_and_carry_what_a_filter_needs() -> None:
    entries = [SheetEntry(title=m, model=m, prompt=m, state="success", file=m) for m in "cab"]
    cards = page_of(*entries).all("li")
    assert [card["data-model"] for card in cards] == ["c", "a", "b"]
    assert [card["id"] for card in cards] == ["item-1", "item-2", "item-3"]
    assert {card["data-state"] for card in cards} == {"success"}


@pytest.mark.parametrize(
    ("entries", "summary"),
    [
        ([], "nothing here yet"),
        ([LEAF], "1 picture"),
        ([LEAF, LEAF], "2 pictures"),
        (
            [
                LEAF,
                SheetEntry(
                    title="K", model="k", prompt="", state="success", kind="video", file="k"
                ),
                SheetEntry(title="Z", model="z", prompt="", state="fail", error="no"),
            ],
            "1 picture · 1 clip · 1 without a result",
        ),
    ],
)
def test_the_head_sums_up(entries: list[SheetEntry], summary: str) -> None:
    assert page_of(*entries).words("p")[0] == summary


def test_the_note_follows_the_sum() -> None:
    assert page_of(LEAF, note="made up").words("p")[0] == "1 picture · made up"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (83, "1 min 23 s")],
)
def test_time_reads_like_time(seconds: float, words: str) -> None:
    entry = SheetEntry(title="t", model="m", prompt="p", state="success", seconds=seconds)
    assert words in page_of(entry).words("dd")


# --- other people's words ----------------------------------------------------------------------


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_words(words: str) -> None:
    page = page_of(hostile_entry(words), title=words, note=words)
    assert page.shape == page_of(hostile_entry("harmless"), title="harmless", note="x").shape
    assert words in page.words("p")
    assert words in page.words("h1")


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_errors_stay_words(words: str) -> None:
    page = page_of(hostile_entry(words, failed=True))
    assert page.shape == page_of(hostile_entry("harmless", failed=True)).shape


@given(words=st.text(), kind=st.sampled_from(["image", "video"]), failed=st.booleans())
def test_no_words_change_what_the_page_is_made_of(words: str, kind: str, failed: bool) -> None:
    page = page_of(hostile_entry(words, kind=kind, failed=failed), title=words)
    plain = page_of(hostile_entry("harmless", kind=kind, failed=failed), title="harmless")
    assert page.shape == plain.shape


@pytest.mark.parametrize("char", ["\u202e", "\u2066", "\u200f", "\x00", "\x1b", "\x7f", "\ud800"])
def test_characters_that_nobody_sees_are_shown_as_such(char: str) -> None:
    source = contact_sheet([hostile_entry(f"a{char}b")], title="t")
    assert char not in source
    assert "a\ufffdb" in Page(source).words("p")
    source.encode()


def test_what_holds_letters_together_stays() -> None:
    family, persian = "👩\u200d👩\u200d👧", "می\u200cخواهم"
    page = page_of(SheetEntry(title="t", model="m", prompt=f"{family} {persian}", state="success"))
    assert f"{family} {persian}" in page.words("p")


def test_lines_of_a_prompt_stay_lines() -> None:
    page = page_of(
        SheetEntry(title="t", model="m", prompt="one\r\ntwo\u2028three", state="success")
    )
    assert "one\ntwo\nthree" in page.words("p")


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
    assert page_of(entry).all("img")[0]["src"] == address


# --- the page ----------------------------------------------------------------------------------


def test_the_browser_may_run_and_style_only_what_the_page_itself_says() -> None:
    source = contact_sheet([LEAF], title="t")
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
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", source, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy
    for _, attrs in page.elements:
        assert not [name for name in attrs if name == "style" or name.startswith("on")]


def test_the_page_needs_no_network() -> None:
    source = contact_sheet([LEAF], title="t")
    assert "http:" not in source
    assert "https:" not in source
    assert "@import" not in source
    assert "url(" not in source


def test_the_same_entries_make_the_same_page() -> None:
    assert contact_sheet([LEAF], title="t") == contact_sheet(iter([LEAF]), title="t")
