"""Pictures that lie beside a batch file: addresses that begin with `file:`, and the files there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from liangxin._errors import InputError
from liangxin.batch._reading.errors import refused
from liangxin.models._rules import FieldFacts

ALLOWED = "file:NAME beside the batch file, file:///NAME, or a web address"


def with_files(
    fields: Mapping[str, object], known: Mapping[str, FieldFacts], folder: Path
) -> dict[str, object]:
    """The fields of a known model, with the path of each file in the place of its address."""
    return {
        name: _located(name, value, folder) if name in known and known[name].media else value
        for name, value in fields.items()
    }


def _located(field: str, value: object, folder: Path) -> object:
    if isinstance(value, list):
        return [_located(field, item, folder) for item in value]
    if not isinstance(value, str) or value[:5].lower() != "file:":
        return value
    path = folder / _path(field, value)
    try:
        is_there = path.is_file()
    except ValueError:  # a null byte
        is_there = False
    if not is_there:
        raise InputError(
            f"{field} is {value!r}, and there is no file {str(path)!r}",
            field=field,
            value=value,
            allowed=ALLOWED,
        )
    return path


def _path(field: str, address: str) -> str:
    """The path in an address, as this system writes it."""
    try:
        parts = urlsplit(address)
    except ValueError:
        raise refused(field, address, ALLOWED) from None
    if parts.netloc not in ("", "localhost"):
        raise refused(field, address, ALLOWED)
    # Whoever writes file:cat#1.png or file:why?.png means the name.
    rest = address[5:].removeprefix("//localhost")
    if rest.startswith("///"):
        rest = rest[2:]
    return url2pathname(rest) if rest.startswith("/") else unquote(rest)
