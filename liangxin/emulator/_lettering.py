"""Sets text on a picture: wrapped, as large as fits, legible over whatever is painted below."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from PIL import ImageDraw

from liangxin.emulator._fonts import best_font, has_glyph, is_ideograph, load, spelled

Colour = tuple[int, int, int]

_LEADING = 1.28
_SEAL_ADVANCE = 1.08


@dataclass(frozen=True, slots=True)
class Face:
    """A font at one size; ideographs that it lacks are drawn as seals of their code point."""

    path: str | None
    size: int

    def width(self, text: str) -> float:
        """Return how wide `text` runs."""
        return sum(self._advance(piece, seal) for piece, seal in self._pieces(text))

    def draw(self, canvas: ImageDraw.ImageDraw, x: float, y: float, text: str, ink: Colour) -> None:
        """Draw one line with its top left corner at (x, y)."""
        for piece, is_seal in self._pieces(text):
            if is_seal:
                self._draw_seals(canvas, x, y, piece, ink)
            else:
                canvas.text((x, y), piece, font=load(self.path, self.size), fill=ink)
            x += self._advance(piece, is_seal)

    def _pieces(self, text: str) -> list[tuple[str, bool]]:
        groups = itertools.groupby(text, self.needs_seal)
        return [("".join(chars), is_seal) for is_seal, chars in groups]

    def needs_seal(self, char: str) -> bool:
        """Return whether `char` is an ideograph that the font lacks."""
        return is_ideograph(char) and not has_glyph(self.path, char)

    def _advance(self, piece: str, is_seal: bool) -> float:
        if is_seal:
            return self.size * _SEAL_ADVANCE * len(piece)
        return load(self.path, self.size).getlength(piece)

    def _draw_seals(
        self, canvas: ImageDraw.ImageDraw, x: float, y: float, text: str, ink: Colour
    ) -> None:
        for place, char in enumerate(text):
            _draw_seal(
                canvas, x + place * self.size * 1.08, y + self.size * 0.12, self.size, char, ink
            )


def _draw_seal(
    canvas: ImageDraw.ImageDraw, x: float, y: float, size: float, char: str, ink: Colour
) -> None:
    """Draw a rounded frame with the 16 bits of the code point as a pattern of cells."""
    side = size * 0.94
    frame = max(1, round(size / 22))
    canvas.rounded_rectangle((x, y, x + side, y + side), size / 7, outline=ink, width=frame)
    margin, gap = side * 0.18, side * 0.05
    cell = (side - 2 * margin - 3 * gap) / 4
    for bit in range(16):
        if ord(char) >> bit & 1:
            left = x + margin + (bit % 4) * (cell + gap)
            top = y + margin + (bit // 4) * (cell + gap)
            canvas.rectangle((left, top, left + cell, top + cell), fill=ink)


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of text in a face; `is_whole` unless something was cut or has no letters here."""

    face: Face
    lines: tuple[str, ...]
    is_whole: bool = True

    @property
    def height(self) -> float:
        """How high the lines stand."""
        return len(self.lines) * self.face.size * _LEADING

    def draw(self, canvas: ImageDraw.ImageDraw, x: float, y: float, ink: Colour) -> None:
        """Draw the lines from (x, y) downwards."""
        for number, line in enumerate(self.lines):
            self.face.draw(canvas, x, y + number * self.face.size * _LEADING, line, ink)


def fit(text: str, width: float, height: float, largest: float, smallest: float) -> Block:
    """Return `text` as large as it fits into the box, cut with an ellipsis at the smallest size."""
    path = best_font(text)
    shown = " ".join(spelled(path, text).split())
    size = largest
    while True:
        face = Face(path, max(1, round(size)))
        lines = wrap(shown, face, width)
        if len(lines) * face.size * _LEADING <= height or size <= smallest:
            break
        size = max(smallest, size * 0.9)
    room = max(1, int(height / (face.size * _LEADING)))
    is_whole = len(lines) <= room and not any(face.needs_seal(char) for char in shown)
    if len(lines) > room:
        lines = [*lines[: room - 1], _cut(lines[room - 1], face, width)]
    return Block(face, tuple(lines), is_whole)


def wrap(text: str, face: Face, width: float) -> list[str]:
    """Break `text` between words or ideographs; inside a word only if it fills a line alone."""
    lines: list[str] = []
    line = ""
    for piece in _breakable(text):
        if face.width((line + piece).rstrip()) <= width:
            line += piece
            continue
        if line.strip():
            lines.append(line.rstrip())
        *full, line = _broken(piece.lstrip(), face, width)
        lines.extend(full)
    return [*lines, line.rstrip()] if line.strip() else lines


def _breakable(text: str) -> list[str]:
    pieces: list[str] = []
    for is_wide, chars in itertools.groupby(text, lambda char: ord(char) >= 0x2E80):
        run = "".join(chars)
        pieces.extend(run if is_wide else (f"{word} " for word in run.split(" ") if word))
    return pieces


def _broken(word: str, face: Face, width: float) -> list[str]:
    parts = [""]
    for char in word:
        if parts[-1] and face.width(parts[-1] + char.strip()) > width:
            parts.append("")
        parts[-1] += char
    return parts


def _cut(line: str, face: Face, width: float) -> str:
    while line and face.width(f"{line}...") > width:
        line = line[:-1]
    return f"{line.rstrip(' ,.;')}..."
