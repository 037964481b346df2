"""
How results look in a notebook: a picture where there is one, and words in every other case.

Nothing that came from elsewhere is trusted: words are escaped, and only http and https addresses
become links, which the browser follows without saying where it comes from.  A file is embedded if
it is small, so that the notebook can be passed on; a larger one is linked to.
"""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from liangxin._endings import is_clip, media_type
from liangxin._outcomes import model_of, prompt_of, seconds_of
from liangxin._tasks import Outcome, Task
from liangxin._text import as_html, printable

EMBED: Final = 4 * 1024 * 1024
"""Bytes up to which a file is embedded."""
EMBED_ALL: Final = 32 * 1024 * 1024
"""Bytes that a gallery embeds in all: a notebook is read whole before anything of it is shown."""

_HEIGHT, _SMALL = 320, 180
"""Pixels of one result, and of one among many."""


class Gallery:
    """Results side by side, as a notebook shows them; made by `gallery`."""

    def __init__(self, results: Iterable[Outcome | Task]) -> None:
        self._results = tuple(results)

    def __len__(self) -> int:
        return len(self._results)

    def __repr__(self) -> str:
        return f"<Gallery of {len(self)} results>"

    def _repr_html_(self) -> str:
        budget = _Budget(EMBED_ALL)
        figures = "".join(_figure(each, budget, _SMALL) for each in self._results)
        return f'<div style="display:flex;flex-wrap:wrap;gap:12px">{figures}</div>'


def gallery(results: Iterable[Outcome | Task]) -> Gallery:
    """
    Return what a notebook shows as pictures side by side.

    Small files of outcomes are embedded, 32 MiB in all, and the others linked to; tasks show the
    addresses of their results, which expire.
    """
    return Gallery(results)


def bundle(result: Outcome | Task) -> dict[str, str]:
    """What a notebook may choose from to show one result."""
    told = {"text/plain": repr(result)}
    if isinstance(result, Task) and not result.urls:
        return told
    return told | {"text/html": _figure(result, _Budget(EMBED), _HEIGHT)}


class _Budget:
    """How many bytes may still be embedded."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, size: int) -> bool:
        """Whether so many may be; then they are spent."""
        if size > min(self._left, EMBED):
            return False
        self._left -= size
        return True


# --- one result --------------------------------------------------------------------------------


def _figure(result: Outcome | Task, budget: _Budget, height: int) -> str:
    outcome = Outcome(input=None, task=result) if isinstance(result, Task) else result
    task = outcome.task
    if outcome.files:
        media = [_file(path, budget, height) for path in outcome.files]
    else:
        media = [_remote(url, height) for url in (task.urls if task else ())]
    prompt, seconds = prompt_of(outcome), seconds_of(task)
    told = [
        outcome.key,
        model_of(outcome),
        task.state.value if task else "no task",
        None if seconds is None else f"{seconds:.1f} s",
    ]
    return (
        f'<figure style="margin:0;max-width:{2 * height}px">{"".join(media)}'
        f'<figcaption style="font-size:.9em;overflow-wrap:anywhere">'
        f"{_line(prompt and printable(prompt, 300))}"
        f"{_line(' · '.join(each for each in told if each), 'opacity:.7')}"
        f"{_line(outcome.error and printable(outcome.error, 300), 'color:#c62828')}"
        "</figcaption></figure>"
    )


def _line(words: object, style: str = "") -> str:
    return f'<div dir="auto" style="{style}">{as_html(words)}</div>' if words else ""


def _file(path: Path, budget: _Budget, height: int) -> str:
    kind = media_type(path.name)
    try:
        if kind is not None and budget.take(path.stat().st_size):
            data = f"data:{kind};base64,{b64encode(path.read_bytes()).decode()}"
            return _media(data, path.name, height)
    except OSError as error:
        return _line(f"{path.name}: {error.strerror or error}", "color:#c62828")
    address = _beside_notebook(path)
    if address is None:
        return _line(path)
    shown = _media(address, path.name, height) if kind else ""
    return f'{shown}<div><a href="{address}">{as_html(path)}</a></div>'


def _remote(url: str, height: int) -> str:
    shown = as_html(printable(url, 200))
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"<div>{shown}</div>"
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return f"<div>{shown}</div>"
    address = as_html(quote(url, safe="%/:?#[]@!$&'()*+,;=~", errors="replace"))
    media = _media(address, parts.path.rpartition("/")[2], height)
    return (
        f'<a href="{address}" target="_blank" rel="noopener noreferrer" '
        f'referrerpolicy="no-referrer">{media}</a>'
    )


def _media(address: str, name: str, height: int) -> str:
    size = f'height="{height}" style="max-width:100%;object-fit:contain"'
    if is_clip(name):
        return f'<video src="{address}" {size} controls muted loop preload="none"></video>'
    return (
        f'<img src="{address}" alt="{as_html(name)}" {size} '
        'loading="lazy" decoding="async" referrerpolicy="no-referrer">'
    )


def _beside_notebook(path: Path) -> str | None:
    """The address of a file for a notebook in the working directory; None if it is not below."""
    try:
        near = Path(os.path.relpath(path)).as_posix()
    except ValueError:
        return None
    return None if near.startswith("../") else f"./{quote(near)}"
