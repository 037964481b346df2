"""
The contact sheet: results as one HTML page that needs nothing else, neither a server nor a network.

Pure: entries go in, text comes out.  The entries travel as JSON, and `sheet.js` draws those that
are near the window, so ten thousand open as quickly as ten.  Prompts and errors are other people's
words: here they are made legible and escaped, there they only ever become text, and the page's own
policy lets the browser run and style nothing but what is written in this folder.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from attrs import frozen

from liangxin._endings import is_clip
from liangxin._text import as_html, legible, printable

GENERATOR: Final = '<meta name="generator" content="liangxin contact sheet">'
"""Stands near the beginning of every sheet, and tells it from other people's pages."""

PLAIN: Final = 200
"""How many entries are also listed for browsers that run no script."""

_UNDER_WAY = frozenset({"waiting", "queuing", "generating", "unrecognized", "accepted"})
_ENDED_BADLY = frozenset({"fail", "refused", "abandoned"})

_IN_SCRIPT = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&"})
"""JSON that begins no tag and no comment, whatever it holds."""


@frozen(kw_only=True)
class SheetEntry:
    """
    One result, or the failure that stands in its place.

    `title` is the model's name for people, `model` the one it is called by.  `state` is the task's
    last state, or `in doubt`, `refused`, `not created` where there is no task.  `error` says in
    words why there is no result.  `file` and `poster`, a still of a clip, are relative to the page,
    with `/` between folders.  `seconds` is how long it took.  `facts` are shown in order, as names
    and values.
    """

    title: str
    model: str
    prompt: str
    state: str
    key: str | None = None
    file: str | None = None
    poster: str | None = None
    error: str | None = None
    seconds: float | None = None
    task_id: str | None = None
    facts: Sequence[tuple[str, str]] = ()


def sheet(entries: Iterable[SheetEntry], *, title: str, note: str = "") -> Iterator[str]:
    """Yield the page that shows all entries in order, piece by piece; each is drawn once."""
    plain: list[str] = []
    count = 0
    yield _head(title, note)
    for count, entry in enumerate(entries, start=1):
        if count <= PLAIN:
            plain.append(_plain(entry))
        yield f"{',' if count > 1 else ''}\n{_data(entry)}"
    yield _tail(count, plain)


# --- one entry ---------------------------------------------------------------------------------


def _data(entry: SheetEntry) -> str:
    """An entry as the script reads it: legible words, addresses, and nothing that is absent."""
    told: dict[str, object] = {
        "title": legible(entry.title),
        "model": legible(entry.model),
        "prompt": legible(entry.prompt),
        "state": legible(entry.state),
        "standing": _standing(entry),
    }
    if entry.key is not None:
        told["key"] = legible(entry.key)
    if entry.task_id is not None:
        told["task"] = legible(entry.task_id)
    if entry.seconds is not None:
        told["time"] = _duration(entry.seconds)
    if entry.file is not None:
        told |= {"file": _address(entry.file), "clip": is_clip(entry.file)}
    if entry.poster is not None:
        told["poster"] = _address(entry.poster)
    if entry.file is None or entry.error is not None:
        told["why"] = legible(_why(entry))
    if entry.facts:
        told["facts"] = [[legible(name), legible(value)] for name, value in entry.facts]
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).translate(_IN_SCRIPT)


def _standing(entry: SheetEntry) -> str:
    """How an entry stands, as far as its looks go."""
    if entry.state == "in doubt":
        return "doubt"
    if entry.state in _UNDER_WAY:
        return "pending"
    if entry.error is not None or entry.state in _ENDED_BADLY:
        return "failed"
    return "pending" if entry.file is None else "done"


def _why(entry: SheetEntry) -> str:
    if entry.error:
        return entry.error
    if entry.state == "success":
        return "made, but not downloaded to this folder"
    return f"no result: {entry.state}"


def _plain(entry: SheetEntry) -> str:
    name = printable(entry.prompt or entry.file or entry.key or entry.title, 200)
    words = f'<span dir="auto">{as_html(name)}</span>'
    if entry.file is not None:
        words = f'<a href="{_address(entry.file)}">{words}</a>'
    told = [entry.title, entry.state]
    if entry.file is None or entry.error is not None:
        told.append(printable(_why(entry), 300))
    return f"<li>{words} · {as_html(' · '.join(told))}</li>"


def _duration(seconds: float) -> str:
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _address(file: str) -> str:
    # "./" keeps a name that begins like a scheme or a host from being taken for one.
    parts = (quote(part, safe="", errors="surrogatepass") for part in file.split("/"))
    return "./" + "/".join(parts)


# --- the page ----------------------------------------------------------------------------------


def _head(title: str, note: str) -> str:
    policy = (
        "default-src 'none'; img-src 'self' file:; media-src 'self' file:; "
        f"style-src '{_hash_of(_ours('sheet.css'))}'; script-src '{_hash_of(_ours('sheet.js'))}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{GENERATOR}
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{as_html(title)}</title>
<style>{_ours("sheet.css")}</style>
</head>
<body>
<header>
<div>
<h1 dir="auto">{as_html(title)}</h1>
<p class="summary" data-note="{as_html(note)}">{as_html(note)}</p>
</div>
</header>
{_ours("sheet.html")}
<script type="application/json" id="entries">["""


def _tail(count: int, plain: Sequence[str]) -> str:
    rest = f" The first {PLAIN:,} of {count:,} are:" if count > PLAIN else ""
    return f"""
]</script>
<noscript>
<p>Filters and large views need JavaScript.{rest}</p>
<ol>
{"".join(f"{each}{chr(10)}" for each in plain)}</ol>
</noscript>
<script>{_ours("sheet.js")}</script>
</body>
</html>
"""


@cache
def _ours(name: str) -> str:
    """What a file of this folder holds."""
    return (files(__name__) / name).read_text(encoding="utf-8")


def _hash_of(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
