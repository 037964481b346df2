"""
Paints the pictures' backgrounds: four kinds of seeded abstract landscape in chosen palettes.

All at one modest size; the caller scales them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Palette = tuple[Colour, ...]

_LONG_SIDE = 1280


def _palette(*codes: str) -> Palette:
    return tuple((int(code[0:2], 16), int(code[2:4], 16), int(code[4:6], 16)) for code in codes)


# Each from light to dark.
_PALETTES = (
    _palette("ffe3c2", "ffb199", "f0718d", "8e4b9e", "2b2457"),
    _palette("e8f6ef", "9fdcc9", "3fb0ac", "1d6f8c", "112d4e"),
    _palette("fff3b0", "f9c35f", "ee7b52", "b23a64", "3d1c4f"),
    _palette("f2e9ff", "c3b1f5", "8a7be8", "4b52c4", "1b1d5c"),
    _palette("e6f7ff", "a6dcf7", "5aa9e6", "3f62c9", "1c2461"),
    _palette("fdf0e3", "f5c6aa", "d98880", "7d6b91", "2c3654"),
    _palette("f4fbd0", "c4e17f", "6dbd8b", "2f7f86", "12384f"),
    _palette("ffe9f0", "ffb8ce", "e584c0", "8d6cc9", "2e2a66"),
)


def background(width: int, height: int, chance: random.Random) -> Image.Image:
    """Return an abstract picture of that size."""
    scale = _LONG_SIDE / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    palette = chance.choice(_PALETTES)
    compose = chance.choice(_COMPOSITIONS)
    image = compose(size, palette, chance)
    resample = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.LANCZOS
    if scale < 1:
        image = image.filter(ImageFilter.GaussianBlur(0.8))
    return image.resize((width, height), resample)


def _mesh(size: tuple[int, int], palette: Palette, chance: random.Random) -> Image.Image:
    """Return soft clouds of the palette's colours."""
    small = Image.new("RGB", (4, 4))
    colours = [chance.choice(palette[:4]) for _ in range(16)]
    for place, colour in enumerate(colours):
        small.putpixel((place % 4, place // 4), colour)
    return small.resize(size, Image.Resampling.BICUBIC)


def _sky(size: tuple[int, int], palette: Palette) -> Image.Image:
    column = Image.new("RGB", (1, 3))
    for place, colour in enumerate((palette[2], palette[1], palette[0])):
        column.putpixel((0, place), colour)
    return column.resize(size, Image.Resampling.BICUBIC)


def _glow(
    image: Image.Image, centre: tuple[float, float], radius: float, colour: Colour, strength: float
) -> None:
    """Blend a soft disc of light into `image`."""
    side = max(2, round(radius * 2))
    mask = Image.radial_gradient("L").resize((side, side), Image.Resampling.BILINEAR)
    mask = mask.point(
        [round(max(0.0, 1 - level / 180) ** 1.6 * 255 * strength) for level in range(256)]
    )
    image.paste(colour, (round(centre[0] - radius), round(centre[1] - radius)), mask)


def _wave(
    width: int, level: float, height: float, chance: random.Random
) -> list[tuple[float, float]]:
    """Return points of a gentle curve around `level` from edge to edge."""
    parts = [(chance.uniform(0.6, 2.6), chance.uniform(0, math.tau), 1 / (n + 1)) for n in range(3)]
    points = []
    for step in range(97):
        x = step / 96
        rise = sum(size * math.sin(x * math.tau * pace + phase) for pace, phase, size in parts)
        points.append((x * width, level + height * rise))
    return points


def _hills(size: tuple[int, int], palette: Palette, chance: random.Random) -> Image.Image:
    width, height = size
    image = _sky(size, palette)
    sun = (chance.uniform(0.2, 0.8) * width, chance.uniform(0.18, 0.36) * height)
    radius = min(size) * chance.uniform(0.09, 0.15)
    _glow(image, sun, radius * 5, palette[0], 0.75)
    draw = ImageDraw.Draw(image, "RGBA")
    box = (sun[0] - radius, sun[1] - radius, sun[0] + radius, sun[1] + radius)
    draw.ellipse(box, fill=(255, 255, 255, 235))
    layers = 6
    for layer in range(layers):
        depth = layer / (layers - 1)
        level = height * (0.46 + 0.46 * depth)
        crest = _wave(width, level, min(size) * (0.035 + 0.03 * (1 - depth)), chance)
        colour = _between(palette[1:], 0.2 + 0.8 * depth)
        draw.polygon([(0, height), *crest, (width, height)], fill=(*colour, 235))
    return image


def _orbs(size: tuple[int, int], palette: Palette, chance: random.Random) -> Image.Image:
    image = _mesh(size, palette, chance)
    short = min(size)
    for _ in range(7):
        radius = short * chance.uniform(0.06, 0.24)
        centre = (chance.uniform(0, size[0]), chance.uniform(0, size[1] * 0.75))
        _sphere(image, centre, radius, chance.choice(palette[1:4]), palette)
    return image


def _sphere(
    image: Image.Image,
    centre: tuple[float, float],
    radius: float,
    colour: Colour,
    palette: Palette,
) -> None:
    x, y = centre
    _glow(image, (x + radius * 0.25, y + radius * 0.45), radius * 1.7, palette[4], 0.35)
    side = round(radius * 2)
    ball = Image.new("RGB", (side, side), _mixed(colour, palette[4], 0.35))
    _glow(ball, (side * 0.38, side * 0.34), side * 0.95, colour, 1.0)
    _glow(ball, (side * 0.34, side * 0.28), side * 0.42, palette[0], 0.9)
    mask = Image.new("L", (side * 2, side * 2))
    ImageDraw.Draw(mask).ellipse((2, 2, side * 2 - 3, side * 2 - 3), fill=255)
    mask = mask.resize((side, side), Image.Resampling.LANCZOS)
    image.paste(ball, (round(x - radius), round(y - radius)), mask)


def _ribbons(size: tuple[int, int], palette: Palette, chance: random.Random) -> Image.Image:
    width, height = size
    image = _mesh(size, palette[:3] + palette[2:3], chance)
    draw = ImageDraw.Draw(image, "RGBA")
    for number in range(11):
        level = height * (0.02 + 0.095 * number)
        upper = _wave(width, level, height * 0.05, chance)
        lower = _wave(width, level + height * 0.13, height * 0.05, chance)
        colour = _between(palette, number / 10)
        draw.polygon([*upper, *reversed(lower)], fill=(*colour, 120))
        draw.line(upper, fill=(255, 255, 255, 90), width=2)
    return image


def _arcs(size: tuple[int, int], palette: Palette, chance: random.Random) -> Image.Image:
    width, height = size
    image = _sky(size, palette[::-1][1:4])
    x, y = chance.choice((0.12, 0.5, 0.88)) * width, height * chance.uniform(0.3, 0.46)
    draw = ImageDraw.Draw(image, "RGBA")
    rings = 11
    for ring in range(rings):
        radius = math.hypot(width, height) * 0.62 * (1 - ring / rings)
        colour = _between(palette[::-1], ring / (rings - 1))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*colour, 170))
    _glow(image, (x, y), min(size) * 0.42, palette[0], 0.9)
    return image


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _between(palette: Palette, place: float) -> Colour:
    spot = place * (len(palette) - 1)
    first = min(int(spot), len(palette) - 2)
    return _mixed(palette[first], palette[first + 1], spot - first)


_Composition = Callable[[tuple[int, int], Palette, random.Random], Image.Image]
_COMPOSITIONS: tuple[_Composition, ...] = (_hills, _orbs, _ribbons, _arcs)
