"""
Python SDK for the LiangXin Market: one API in front of many image and video models.

    async with liangxin.AsyncClient() as client:
        task = await client.run(liangxin.models.ZImage(prompt="a lighthouse in fog"))
        await client.download(task, "pictures")

`Client` does the same for callers without an event loop.  Importing this package is quick: the
clients and what they need are imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from liangxin._errors import (
    AmbiguousCreate,
    APIError,
    BadRequest,
    Blocked,
    ClientStateError,
    Corrupt,
    DownloadError,
    Forbidden,
    InferredLimitWarning,
    InputError,
    InvalidInput,
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
from liangxin._tasks import ModelInput, Outcome, RawInput, Task, TaskState
from liangxin._version import __version__

if TYPE_CHECKING:
    from liangxin import models
    from liangxin._client import AsyncClient
    from liangxin._sync import Client

__all__ = [
    "APIError",
    "AmbiguousCreate",
    "AsyncClient",
    "BadRequest",
    "Blocked",
    "Client",
    "ClientStateError",
    "Corrupt",
    "DownloadError",
    "Forbidden",
    "InferredLimitWarning",
    "InputError",
    "InvalidInput",
    "LiangxinError",
    "ModelInput",
    "NotSent",
    "Outcome",
    "PayloadTooLarge",
    "RateLimited",
    "RawInput",
    "ResultExpired",
    "ServerError",
    "ServiceUnavailable",
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
    "models",
]

_LATER = {"AsyncClient": "liangxin._client", "Client": "liangxin._sync"}


def __getattr__(name: str) -> object:
    if name in _LATER:
        value: object = getattr(import_module(_LATER[name]), name)
    elif name == "models":
        value = import_module("liangxin.models")
    else:
        raise AttributeError(f"module 'liangxin' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
