"""
Makes the emulator's clips: development only, needs PyAV; the MP4s are kept in the repository.

Run: python -m liangxin._tools.make_clips
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

# By name, since PyAV is in no dependency group that the type checker sees.
av: Any = importlib.import_module("av")

_FOLDER = Path(__file__).parent.parent / "emulator" / "clips"
_RATE = 24
_FRAMES = 60
_SHAPES = {"wide": (640, 360), "tall": (360, 640), "square": (480, 480)}
_PALETTES: dict[str, tuple[Colour, ...]] = {
    "a": ((255, 214, 170), (240, 113, 141), (142, 75, 158), (43, 36, 87)),
    "b": ((224, 247, 239), (93, 200, 190), (29, 111, 140), (17, 45, 78)),
}


def main() -> None:
    """Write every shape in every palette."""
    _FOLDER.mkdir(exist_ok=True)
    for shape, size in _SHAPES.items():
        for variant, palette in _PALETTES.items():
            _encode(_FOLDER / f"{shape}-{variant}.mp4", size, _frames(size, palette))


def _encode(path: Path, size: tuple[int, int], frames: Iterator[Image.Image]) -> None:
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream("libx264", rate=_RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, _RATE)
        stream.options = {"crf": "27", "preset": "veryslow", "profile": "main"}
        for picture in frames:
            out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode(None))


def _frames(size: tuple[int, int], palette: tuple[Colour, ...]) -> Iterator[Image.Image]:
    """Yield one seamless round: drifting colours, and a sphere on its orbit."""
    for number in range(_FRAMES):
        angle = math.tau * number / _FRAMES
        large = (size[0] * 2, size[1] * 2)
        picture = _clouds(size, palette, angle).resize(large, Image.Resampling.BICUBIC)
        _orbit(picture, palette, angle)
        yield picture.resize(size, Image.Resampling.LANCZOS)


def _clouds(size: tuple[int, int], palette: tuple[Colour, ...], angle: float) -> Image.Image:
    small = Image.new("RGB", (5, 5))
    for place in range(25):
        x, y = place % 5, place // 5
        swing = 0.5 + 0.5 * math.sin(angle + x * 1.3 + y * 0.7)
        small.putpixel((x, y), _between(palette, 0.15 + 0.2 * y / 4 + 0.55 * swing))
    return small.resize(size, Image.Resampling.BICUBIC)


def _orbit(picture: Image.Image, palette: tuple[Colour, ...], angle: float) -> None:
    width, height = picture.size
    reach = min(width, height)
    tilt = 0.38
    middle = (width / 2, height / 2)
    draw = ImageDraw.Draw(picture, "RGBA")
    far = reach * 0.36
    ring = (middle[0] - far, middle[1] - far * tilt, middle[0] + far, middle[1] + far * tilt)
    moon = (middle[0] + far * math.cos(angle), middle[1] + far * tilt * math.sin(angle))
    is_behind = math.sin(angle) < 0
    if is_behind:
        _sphere(picture, moon, reach * 0.05, palette[0])
    draw.ellipse(ring, outline=(255, 255, 255, 110), width=max(2, reach // 240))
    _sphere(picture, middle, reach * 0.19, palette[1])
    if not is_behind:
        _sphere(picture, moon, reach * 0.065, palette[0])


def _sphere(
    picture: Image.Image, centre: tuple[float, float], radius: float, colour: Colour
) -> None:
    side = round(radius * 2)
    dark: Colour = (colour[0] // 3, colour[1] // 3, colour[2] // 2)
    ball = Image.new("RGB", (side, side), dark)
    light = Image.radial_gradient("L").resize((side * 2, side * 2))
    light = light.point([max(0, 255 - round(level * 1.5)) for level in range(256)])
    ball.paste(colour, (round(-side * 0.62), round(-side * 0.68)), light)
    shine = light.resize((side, side))
    ball.paste((255, 255, 255), (round(-side * 0.14), round(-side * 0.2)), shine.point(_faint))
    mask = Image.new("L", (side, side))
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    picture.paste(ball, (round(centre[0] - radius), round(centre[1] - radius)), mask)


def _faint(level: float) -> float:
    return level * 0.7


def _between(palette: tuple[Colour, ...], place: float) -> Colour:
    spot = min(max(place, 0.0), 1.0) * (len(palette) - 1)
    first = min(int(spot), len(palette) - 2)
    share = spot - first
    red, green, blue = (
        round(a + (b - a) * share) for a, b in zip(palette[first], palette[first + 1], strict=True)
    )
    return red, green, blue


if __name__ == "__main__":
    main()
