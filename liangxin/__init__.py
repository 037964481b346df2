"""
Python SDK for the LiangXin Market: one API in front of many image and video models.

    async with liangxin.AsyncClient() as client:
        task = await client.run(liangxin.models.ZImage(prompt="a lighthouse in fog"))
        await client.download(task, "pictures")

`Client` does the same for callers without an event loop.  Importing this package is quick: what
is heavier than an exception is imported when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from liangxin._errors import (
    AmbiguousCreate,
    APIError,
    BadRequest,
    Blocked,
    CallbackRejected,
    ClientStateError,
    Corrupt,
    DownloadError,
    Forbidden,
    InferredLimitWarning,
    InputError,
    InvalidInput,
    LedgerConflict,
    LedgerCorrupt,
    LedgerError,
    LedgerHeld,
    LedgerLocked,
    LedgerTooNew,
    LiangxinError,
    NotSent,
    PayloadTooLarge,
    RateLimited,
    ResultExpired,
    ServerError,
    ServiceUnavailable,
    TaskFailed,
    TaskLost,
    TaskNotFound,
    TooLarge,
    TransportError,
    Truncated,
    Unauthorized,
    UnexpectedReply,
    WaitTimeout,
)
from liangxin._version import __version__

if TYPE_CHECKING:
    from liangxin import batch, callbacks, hooks, ledger, models, uploads
    from liangxin._client import AsyncClient
    from liangxin._contact_sheet import contact_sheet
    from liangxin._notebook import Gallery, gallery
    from liangxin._outcomes import outcomes_to_rows
    from liangxin._policy import DownloadPolicy, DownloadProgress
    from liangxin._quota import RateLimit
    from liangxin._sync import Client
    from liangxin._tasks import ModelInput, Outcome, RawInput, Stats, Task, TaskState
    from liangxin.ledger import Ledger

__all__ = [
    "APIError",
    "AmbiguousCreate",
    "AsyncClient",
    "BadRequest",
    "Blocked",
    "CallbackRejected",
    "Client",
    "ClientStateError",
    "Corrupt",
    "DownloadError",
    "DownloadPolicy",
    "DownloadProgress",
    "Forbidden",
    "Gallery",
    "InferredLimitWarning",
    "InputError",
    "InvalidInput",
    "Ledger",
    "LedgerConflict",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerHeld",
    "LedgerLocked",
    "LedgerTooNew",
    "LiangxinError",
    "ModelInput",
    "NotSent",
    "Outcome",
    "PayloadTooLarge",
    "RateLimit",
    "RateLimited",
    "RawInput",
    "ResultExpired",
    "ServerError",
    "ServiceUnavailable",
    "Stats",
    "Task",
    "TaskFailed",
    "TaskLost",
    "TaskNotFound",
    "TaskState",
    "TooLarge",
    "TransportError",
    "Truncated",
    "Unauthorized",
    "UnexpectedReply",
    "WaitTimeout",
    "__version__",
    "batch",
    "callbacks",
    "contact_sheet",
    "gallery",
    "hooks",
    "ledger",
    "models",
    "outcomes_to_rows",
    "uploads",
]

_LATER = {
    "AsyncClient": "_client",
    "Client": "_sync",
    "DownloadPolicy": "_policy",
    "DownloadProgress": "_policy",
    "Gallery": "_notebook",
    "Ledger": "ledger",
    "ModelInput": "_tasks",
    "Outcome": "_tasks",
    "RateLimit": "_quota",
    "RawInput": "_tasks",
    "Stats": "_tasks",
    "Task": "_tasks",
    "TaskState": "_tasks",
    "contact_sheet": "_contact_sheet",
    "gallery": "_notebook",
    "outcomes_to_rows": "_outcomes",
}


def __getattr__(name: str) -> object:
    if name in ("batch", "callbacks", "hooks", "ledger", "models", "uploads"):
        return import_module(f"liangxin.{name}")
    if name not in _LATER:
        raise AttributeError(f"module 'liangxin' has no attribute {name!r}")
    value: object = getattr(import_module(f"liangxin.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
