"""
What `--show` does: a picture, drawn in the terminal out of coloured half blocks.

It writes and never asks: a terminal answers by typing, and what a person types meanwhile would be
taken for the answer.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from liangxin._endings import media_type
from liangxin._text import in_words
from liangxin.cli._service import say

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST = 80
"""Columns; a wider picture shows no more of what half blocks can show."""


def require_show(form: str) -> None:
    """Refuse `--show` where it cannot work, before anything is paid."""
    if form not in ("auto", "human"):
        raise click.UsageError(f"--show draws for people: it does not go with --format {form}")
    try:
        import textual_image  # noqa: F401  # without its renderables, which look at the terminal
    except ImportError as error:
        raise click.ClickException(
            'nothing was sent: --show needs an extra: pip install "liangxin[show]"'
        ) from error


def show(files: Iterable[Path]) -> None:
    """Draw each picture below the other; of what is none, say so."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal or not console.encoding.lower().startswith("utf"):
        say("Not shown: standard output is no terminal that draws.")
        return
    for file in files:
        if (media_type(file.name) or "").startswith("image/"):
            _draw(file, console)
        else:
            say(f"Not shown: {file.name} is no picture; --open opens it.")


def _draw(file: Path, console: Console) -> None:
    from PIL import Image

    with _unasked():
        from textual_image.renderable import HalfcellImage, UnicodeImage

        kind = HalfcellImage if console.color_system else UnicodeImage
        try:
            picture = kind(file, width="auto", height="auto")
        except (OSError, Image.DecompressionBombError) as error:
            say(f"Not shown: {file.name}: {in_words(error)}")
            return
        width, height = min(console.width, _WIDEST), max(console.height - 4, 8)
        console.print(picture, width=width, height=height)


@contextmanager
def _unasked() -> Iterator[None]:
    """
    Keep textual-image from asking the terminal what it can draw, and how large a cell is.

    It does that when it is imported and at the first picture, if `sys.__stdout__` is a terminal,
    and reads the answer from the keyboard: `_terminal.capture_terminal_response` there.
    """
    stand_in = io.TextIOWrapper(io.BytesIO())
    kept, sys.__stdout__ = sys.__stdout__, stand_in  # type: ignore[misc]
    try:
        yield
    finally:
        sys.__stdout__ = kept  # type: ignore[misc]
