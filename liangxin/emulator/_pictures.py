"""
Paints the result of an image task: an abstract picture that shows the prompt and the model.

In the asked size and format.  The whole prompt is also in the file: as PNG text, or as JPEG
comment.  The same seed and task give the same bytes with the same fonts and Pillow.
"""

from __future__ import annotations

import io
import random

from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from liangxin.emulator._art import background
from liangxin.emulator._lettering import Face, fit
from liangxin.emulator._sizes import is_jpeg, picture_size
from liangxin.emulator._tasks import TaskRecord

_WHITE = (255, 255, 255)
_PALE = (226, 228, 238)


def paint(task: TaskRecord, seed: int) -> bytes:
    """Return the file that a task results in."""
    width, height = picture_size(task.model.slug, task.input)
    image = background(width, height, _chance(task, seed))
    _write(image, task)
    stream = io.BytesIO()
    if is_jpeg(task.input):
        _save_jpeg(image, task, stream)
    else:
        image.save(stream, "PNG", compress_level=3, pnginfo=_png_notes(task))
    return stream.getvalue()


def _chance(task: TaskRecord, seed: int) -> random.Random:
    # A seed asks for the same picture again; without one, every task has its own.
    own = task.input.get("seed", f"task {task.number}")
    return random.Random(f"{seed}/{task.model.slug}/{task.prompt}/{own}")


def _shade(image: Image.Image, top: float) -> None:
    """Darken what lies below `top`, so that white letters stand out."""
    width, height = image.size
    begin = top / height - 0.15
    ramp = Image.new("L", (1, 64))
    for row in range(64):
        depth = min(1.0, max(0.0, (row / 63 - begin) / 0.3))
        ramp.putpixel((0, row), round(200 * depth * depth * (3 - 2 * depth)))
    image.paste((10, 10, 24), mask=ramp.resize((width, height), Image.Resampling.BICUBIC))


def _write(image: Image.Image, task: TaskRecord) -> None:
    width, height = image.size
    unit = min(width, height * 1.6, width * 0.8 + height * 0.2) / 100
    margin = unit * 6
    inner = width - 2 * margin
    prompt = fit(task.prompt or "(no prompt)", inner, height * 0.42, unit * 6.4, unit * 2.4)
    title, small = Face(None, max(9, round(unit * 2.9))), Face(None, max(8, round(unit * 2.4)))
    footer_top = height - margin - small.size
    prompt_top = footer_top - unit * 3 - prompt.height
    title_top = prompt_top - unit * 2.6 - title.size
    _shade(image, title_top)
    canvas = ImageDraw.Draw(image)
    rule = (margin, title_top - unit * 2, margin + unit * 7, title_top - unit * 1.4)
    canvas.rectangle(rule, fill=_WHITE)
    title.draw(canvas, margin, title_top, task.model.title.upper(), _WHITE)
    prompt.draw(canvas, margin, prompt_top, _WHITE)
    note = f"LiangXin emulator  /  {width} x {height}  /  task {task.number}"
    if not prompt.is_whole:
        note += "  /  the whole prompt is in the file's metadata"
    fit(note, inner, small.size * 1.3, small.size, small.size / 2).draw(
        canvas, margin, footer_top, _PALE
    )


def _notes(task: TaskRecord) -> dict[str, str]:
    return {
        "Software": "liangxin emulator",
        "Title": task.model.title,
        "Description": task.prompt,
        "Task": task.id,
    }


def _png_notes(task: TaskRecord) -> PngInfo:
    info = PngInfo()
    for name, text in _notes(task).items():
        info.add_itxt(name, text)
    return info


def _save_jpeg(image: Image.Image, task: TaskRecord, stream: io.BytesIO) -> None:
    asked = task.input.get("compression_quality")
    quality = asked if isinstance(asked, int) else 88
    # A JPEG comment holds at most 65,533 bytes.
    comment = task.prompt.encode()[:65_000]
    image.save(stream, "JPEG", quality=min(quality, 95), comment=comment)
