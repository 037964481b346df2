"""
The LiangXin Market, locally: a service to test against without a key, a cost or a wait.

It answers both endpoints for all 35 models, keeps books of what it charged, paints real results,
posts callbacks and breaks on request.  It shares no code with the client, so that a mistake in
one cannot hide in the other.  It is not the Market: durations, prices and pictures are made up.
"""

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
from liangxin.emulator._server import run
from liangxin.emulator._snapshot import Snapshot, read_snapshot, write_snapshot
from liangxin.emulator._tasks import TaskRecord

__all__ = [
    "GUESSED_SLUGS",
    "BadRules",
    "Charge",
    "Delivery",
    "Emulator",
    "Fault",
    "SeenRequest",
    "Snapshot",
    "TaskRecord",
    "read_rules",
    "read_rules_file",
    "read_snapshot",
    "run",
    "write_snapshot",
]
