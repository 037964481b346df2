"""
Chooses a shipped clip for a video task.

The clips were encoded beforehand; none shows the prompt.  Which task a file came from is written
at its end, in an MP4 box that players skip.
"""

from __future__ import annotations

import functools
import json
import random
import struct
from importlib import resources

from liangxin.emulator._sizes import ratio_of
from liangxin.emulator._tasks import TaskRecord

_SHAPES = {"16:9": "wide", "9:16": "tall", "1:1": "square"}
_VARIANTS = ("a", "b")


def clip_for(task: TaskRecord, seed: int) -> bytes:
    """Return an MP4 in the asked ratio, 16:9 where it is not one of the shipped ones."""
    asked = ratio_of(task.input) if "aspect_ratio" in task.input else "16:9"
    variant = random.Random(f"{seed}/{task.number}/{task.prompt}").choice(_VARIANTS)
    return _clip(f"{_SHAPES.get(asked, 'wide')}-{variant}.mp4") + _label(task)


@functools.cache
def _clip(name: str) -> bytes:
    return resources.files("liangxin.emulator").joinpath("clips", name).read_bytes()


def _label(task: TaskRecord) -> bytes:
    note = {"made_by": "liangxin emulator", "task": task.id, "prompt": task.prompt[:4000]}
    content = json.dumps(note, ensure_ascii=False).encode()
    return struct.pack(">I4s", 8 + len(content), b"free") + content
