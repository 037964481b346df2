"""
The LiangXin Market, locally: a service to test against without a key, a cost or a wait.

It answers both endpoints for all 35 models, keeps books of what it charged, paints real results,
posts callbacks and breaks on request.  It shares no code with the client, so that a mistake in
one cannot hide in the other.  It is not the Market: durations, prices and pictures are made up.
"""

from typing import TYPE_CHECKING

try:
    import PIL  # noqa: F401
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise ImportError('the emulator needs an extra: pip install "liangxin[emulator]"') from error

from liangxin.emulator._books import Charge, Delivery, SeenRequest
from liangxin.emulator._catalogue import GUESSED_SLUGS
from liangxin.emulator._emulator import Emulator
from liangxin.emulator._faultbook import BadRules, read_rules, read_rules_file
from liangxin.emulator._faults import Fault
from liangxin.emulator._programs import run, run_recorder, run_replay
from liangxin.emulator._replay import Replay
from liangxin.emulator._snapshot import Snapshot, read_snapshot, write_snapshot
from liangxin.emulator._tasks import TaskRecord
from liangxin.emulator._virtual import JumpingLoop, virtual_time

if TYPE_CHECKING:
    from liangxin.emulator._record import Recorder

__all__ = [
    "GUESSED_SLUGS",
    "BadRules",
    "Charge",
    "Delivery",
    "Emulator",
    "Fault",
    "JumpingLoop",
    "Recorder",
    "Replay",
    "SeenRequest",
    "Snapshot",
    "TaskRecord",
    "read_rules",
    "read_rules_file",
    "read_snapshot",
    "run",
    "run_recorder",
    "run_replay",
    "virtual_time",
    "write_snapshot",
]


def __getattr__(name: str) -> object:
    if name == "Recorder":  # late: httpx is slow to import, and only the recorder needs it
        from liangxin.emulator._record import Recorder

        return Recorder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
