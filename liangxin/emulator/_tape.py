"""
A recording: a file of JSON lines, one for each exchange, after one that says of what.

Only what is free of secrets comes here.  Reading is strict: whatever is not as it was written is
an error that names its line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from liangxin.emulator._redaction import compact

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """
    A request and its answer; `at` is in seconds since the recording began.

    Where no answer came whole, `status` is None and `lost` says why.  A body that is no UTF-8 has
    its odd bytes as lone surrogates.
    """

    at: float
    method: str
    path: str
    query: str
    key: str | None
    request_headers: Mapping[str, str]
    request_body: str
    status: int | None = None
    lost: str | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: str = ""


@dataclass(frozen=True, kw_only=True)
class Tape:
    """All of a recording; `started` is the Unix time of its second 0."""

    upstream: str
    started: float
    exchanges: tuple[Exchange, ...] = ()


def prepare(file: Path, upstream: str) -> Tape | None:
    """
    See that `file` can be added to, and return what it holds of the service at `upstream`.

    A new or empty file holds nothing yet: None.  Raises OSError or ValueError otherwise.
    """
    if file.exists() and not file.is_file():
        raise ValueError(f"{file} is no regular file")
    file.touch(mode=0o600)
    with file.open("ab") as end:
        held = read(file) if end.tell() else None
    if held is not None and held.upstream != upstream:
        raise ValueError(f"{file} is a recording of {held.upstream}; take another for {upstream}")
    file.chmod(0o600)
    return held


def begin(file: Path, upstream: str, started: float) -> None:
    """Write the first line."""
    _append(file, {"recording": FORMAT, "upstream": upstream, "started": started})


def add(file: Path, exchange: Exchange) -> None:
    """Add one exchange at the end; it is with the system when this returns."""
    _append(file, asdict(exchange))


def _append(file: Path, value: object) -> None:
    # One write at the end of the file, so that nothing comes between.
    line = compact(value).encode() + b"\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        stream.write(line)


def read(file: Path) -> Tape:
    """Return the recording in `file`; a line that is none of it raises a ValueError."""
    with file.open("rb") as lines:
        head, *rest = [_parsed(file, number, line) for number, line in enumerate(lines, 1)] or [{}]
    if head.get("recording") != FORMAT:
        raise ValueError(f"{file} is no recording of this emulator, or of another version of it")
    upstream, started = head.get("upstream"), head.get("started")
    if not isinstance(upstream, str) or not isinstance(started, int | float):
        raise ValueError(f"{file}, line 1: upstream or started is missing")
    exchanges = tuple(_exchange(file, number, line) for number, line in enumerate(rest, 2))
    return Tape(upstream=upstream, started=started, exchanges=exchanges)


def _parsed(file: Path, number: int, line: bytes) -> dict[str, object]:
    if not line.endswith(b"\n"):
        raise ValueError(f"{file}, line {number}: cut short")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}, line {number}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file}, line {number}: not a JSON object")
    return value


_NUMBER, _TEXT, _HEADERS = (int, float), (str,), (dict,)
_TYPES: dict[str, tuple[type, ...]] = {
    "at": _NUMBER,
    "method": _TEXT,
    "path": _TEXT,
    "query": _TEXT,
    "key": (str, type(None)),
    "request_headers": _HEADERS,
    "request_body": _TEXT,
    "status": (int, type(None)),
    "lost": (str, type(None)),
    "response_headers": _HEADERS,
    "response_body": _TEXT,
}


def _exchange(file: Path, number: int, line: dict[str, object]) -> Exchange:
    for name, types in _TYPES.items():
        value = line.get(name)
        is_sound = name in line and isinstance(value, types)
        if isinstance(value, dict):
            is_sound = is_sound and all(isinstance(each, str) for each in value.values())
        if not is_sound:
            raise ValueError(f"{file}, line {number}: {name} is missing, or of the wrong type")
    return Exchange(**{name: line[name] for name in _TYPES})  # type: ignore[arg-type]  # checked
