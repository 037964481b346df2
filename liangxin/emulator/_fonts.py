"""
Finds letters for a prompt: a font of the system that has them, else the one inside Pillow.

What no font has is spelled in plain letters where Unicode's names allow it; ideographs without a
font stay, to be drawn as small seals (`_lettering.py`).  No font is downloaded or shipped.
"""

from __future__ import annotations

import functools
import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# The first ones have Chinese, Japanese and Korean; the last have most alphabets.
_NAMES = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "NotoSansSC-Regular.otf",
    "NotoSansSC-Regular.ttf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
    "STHeiti Medium.ttc",
    "msyh.ttc",
    "msyh.ttf",
    "simhei.ttf",
    "simsun.ttc",
    "Arial Unicode.ttf",
    "NotoSans-Regular.ttf",
    "DejaVuSans.ttf",
    "segoeui.ttf",
    "Arial.ttf",
    "arial.ttf",
)
_SPARSE = "\U0010fffe"


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        return [
            Path("/System/Library/Fonts"),
            Path("/System/Library/AssetsV2"),
            Path("/Library/Fonts"),
            home / "Library/Fonts",
        ]
    if sys.platform == "win32":
        windows = Path(os.environ.get("WINDIR", r"C:\Windows"))
        return [windows / "Fonts", home / "AppData/Local/Microsoft/Windows/Fonts"]
    shared = [Path("/usr/share/fonts"), Path("/usr/local/share/fonts")]
    return [*shared, home / ".local/share/fonts", home / ".fonts"]


@functools.cache
def system_fonts() -> tuple[str, ...]:
    """Return the paths of the known fonts that are installed, the widest ones first."""
    found = dict(_installed())
    return tuple(found[name] for name in _NAMES if name in found)


def _installed() -> Iterator[tuple[str, str]]:
    wanted = set(_NAMES)
    for folder in _folders():
        for where, _, names in os.walk(folder):
            for name in wanted.intersection(names):
                yield name, str(Path(where, name))


@functools.lru_cache(maxsize=64)
def load(path: str | None, size: int) -> Font:
    """Return the font at `path`, or Pillow's own, at `size` pixels."""
    if path is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(path, size)


@functools.lru_cache(maxsize=4096)
def has_glyph(path: str | None, char: str) -> bool:
    """Return whether a font can draw `char`, that is, draws it unlike what no font has."""
    if char.isspace() or path is None:
        return " " <= char <= "~" or char in "…“”"
    font = load(path, 24)
    return bytes(font.getmask(char)) != bytes(font.getmask(_SPARSE))


def best_font(text: str) -> str | None:
    """Return the font that has most of `text`; Pillow's own (None) if it has all."""
    needed = {char for char in text if not char.isspace()}
    candidates = (None, *system_fonts())
    # max() keeps the first of equals, so the order above decides between fonts that have all.
    return max(candidates, key=lambda path: sum(has_glyph(path, char) for char in needed))


def is_ideograph(char: str) -> bool:
    """Return whether `char` is a Chinese character."""
    return unicodedata.name(char, "").startswith("CJK UNIFIED")


def spelled(path: str | None, text: str) -> str:
    """Return `text` with what the font lacks spelled out; ideographs are left in."""
    return "".join(_spelling(path, char) for char in text)


def _spelling(path: str | None, char: str) -> str:
    if has_glyph(path, char) or is_ideograph(char):
        return char
    if char.isspace():
        return " "
    plain = unicodedata.normalize("NFKD", char)
    kept = "".join(part for part in plain if has_glyph(path, part))
    return kept or _from_name(char)


_PUNCTUATION = {"—": "-", "–": "-", "‘": "'", "’": "'", "、": ",", "。": ".", "·": "-", "×": "x"}


def _from_name(char: str) -> str:
    if char in _PUNCTUATION:
        return _PUNCTUATION[char]
    words = unicodedata.name(char, "").split()
    if len(words) > 2 and ("LETTER" in words or "SYLLABLE" in words):
        letter = words[-1].lower()
        return letter.capitalize() if "CAPITAL" in words else letter
    return "" if unicodedata.category(char).startswith(("M", "C")) else "?"
