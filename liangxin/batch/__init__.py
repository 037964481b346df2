"""Many requests from a file: read, and checked line by line, before anything is paid."""

from liangxin.batch._report import BatchReport
from liangxin.batch._read import (
    BadLine,
    Checked,
    Request,
    UnknownModelWarning,
    check,
    read,
)

__all__ = [
    "BadLine",
    "BatchReport",
    "Checked",
    "Request",
    "UnknownModelWarning",
    "check",
    "read",
]
