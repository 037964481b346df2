"""Lines of JSON, an object on each, with the names that a line may have and no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NoReturn

from liangxin._errors import InputError
from liangxin.batch._reading.errors import attempt, missing, refused
from liangxin.batch._reading.known_models import fields_of_all
from liangxin.batch._reading.names import did_you_mean, listed
from liangxin.batch._reading.places import not_utf8, numbered_lines, too_long
from liangxin.batch._reading.rows import NAMES, Row, id_of
from liangxin.batch._reading.strict_json import ONE_OBJECT, decode

_JSON_NAMES = {list: "list", str: "string", bool: "boolean", type(None): "null"}


def json_lines(stream: IO[Any], place: str) -> Iterator[tuple[int, str | InputError]]:
    """The text of each line that is not blank, or what is wrong with it."""
    for number, line in numbered_lines(stream, place):
        if line is None:
            yield number, too_long("line")
        elif line.strip():
            yield number, attempt(_decoded, line)


def _decoded(line: bytes | str) -> str:
    if isinstance(line, str):
        return line.strip()
    try:
        return line.strip().decode()
    except UnicodeDecodeError as exc:
        raise not_utf8(exc) from None


def json_row(text: str) -> Row:
    """What a line says; a name that no line has is an error."""
    said = decode(text)
    if not isinstance(said, dict):
        raise InputError(
            f"it is a JSON {_JSON_NAMES.get(type(said), 'number')}; it takes {ONE_OBJECT}",
            value=said,
            allowed=ONE_OBJECT,
        )
    if "body" in said:
        said = _with_body(said)
    if not said.keys() <= NAMES:
        _refuse_names([name for name in said if name not in NAMES])
    fields = said.get("input")
    if fields is None:
        raise missing("input", "an object with the fields of the model")
    if not isinstance(fields, dict):
        raise refused("input", fields, "an object with the fields of the model")
    return Row(fields=fields, id=id_of(said), model=said.get("model"), raw=said.get("raw"))


def _with_body(said: dict[str, object]) -> dict[str, object]:
    """A line as other services' batch files have it: the model and its fields in a body."""
    body = said["body"]
    if not isinstance(body, dict) or "model" in said or "input" in said:
        raise refused("body", body, "an object with model and fields, beside which neither stands")
    rest = {name: said[name] for name in said if name not in ("method", "url", "body")}
    fields = {name: body[name] for name in body if name != "model"}
    return {**rest, "model": body.get("model"), "input": fields}


def _refuse_names(names: list[str]) -> NoReturn:
    inside = [name for name in names if name in fields_of_all()]
    told = f"; the fields of the model go into input: {listed(inside)}" if inside else ""
    raise InputError(
        f"a line has no {listed(names)}{told or did_you_mean(names, NAMES)}",
        field=names[0],
        allowed="id, model, input, raw",
    )
