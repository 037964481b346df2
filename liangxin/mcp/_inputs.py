"""
What an agent asks of a model, as an input: checked before anything is sent.

A file is taken from the one folder that whoever runs the server has named.  What lies outside, by
its path or behind a link, is answered like what is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.request import url2pathname

from liangxin._errors import InputError
from liangxin._tasks import ModelInput
from liangxin._text import quoted
from liangxin.batch._reading.known_models import typed_input
from liangxin.mcp._models import model_named, slug_of
from liangxin.models import facts
from liangxin.models._known import class_named

_ADDRESSES = ("http://", "https://", "data:")
_FILE = "file:"


def input_of(name: str, fields: Mapping[str, object], pictures: Path | None) -> ModelInput:
    """The input; a name that cannot be sent, and a field that is wrong, raise."""
    known = model_named(name)
    slug, model = slug_of(known), class_named(known.name)
    given = {
        field: _located(field, value, pictures)
        if field in facts(model) and facts(model)[field].media
        else value
        for field, value in fields.items()
    }
    return typed_input(slug, model, given)


def _located(field: str, value: object, folder: Path | None) -> object:
    """An address as it is, and the path of a file that may be sent."""
    if isinstance(value, list):
        return [_located(field, item, folder) for item in value]
    if not isinstance(value, str) or value.lower().startswith(_ADDRESSES):
        return value
    path = _path(value, folder) if folder and value.lower().startswith(_FILE) else None
    if path is None:
        allowed = "a web address (https://…) or a data URI" + (
            f", or file:NAME of a file in {folder}"
            if folder
            else "; files only if this server was started with --pictures DIR"
        )
        raise InputError(
            f"{field} is {quoted(value)}; it takes {allowed}",
            field=field,
            value=value,
            allowed=allowed,
        )
    return path


def _path(address: str, folder: Path) -> Path | None:
    """The file, if it is in the folder once all links are followed."""
    try:
        path = (folder / url2pathname(address[len(_FILE) :].removeprefix("//"))).resolve()
        return path if path.is_relative_to(folder) and path.is_file() else None
    except (OSError, ValueError):  # a null byte, a name that is too long
        return None
