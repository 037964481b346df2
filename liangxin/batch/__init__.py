"""Many requests from a file: read, and checked line by line, before anything is paid."""

from liangxin.batch._lines import line_of
from liangxin.batch._read import (
    BadLine,
    Checked,
    Request,
    RequestFile,
    UnknownModelWarning,
    check,
    read,
)
from liangxin.batch._report import BatchReport

__all__ = [
    "BadLine",
    "BatchReport",
    "Checked",
    "Request",
    "RequestFile",
    "UnknownModelWarning",
    "check",
    "line_of",
    "read",
]
