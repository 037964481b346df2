"""
Batch files to requests: JSON lines, CSV, TSV and Parquet, one line at a time.

Strict, because a slip costs money: a misspelt field, column or model, a key that stands twice, a
cut line are errors with a line number, not guesses.  Nothing is sent here, and no more is kept in
memory than one line (at most `LONGEST_LINE`) and the hashes of the keys.
"""

from __future__ import annotations

import csv
import gzip
import json
import logging
import math
import os
import re
import sys
import warnings
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache, lru_cache
from hashlib import sha256
from importlib import import_module
from io import TextIOBase
from itertools import chain, islice
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Literal, NoReturn, TypeAlias, TypeVar, get_args

from attrs import Factory, define, field, frozen

from liangxin import models
from liangxin._errors import RAW_LIMIT, InputError
from liangxin._tasks import ModelInput, RawInput
from liangxin._text import in_words, printable, quoted
from liangxin.models._checks import CheckedInput
from liangxin.models._rules import FieldFacts

Format: TypeAlias = Literal["jsonl", "csv", "tsv", "parquet"]
Source: TypeAlias = str | os.PathLike[str] | IO[str] | IO[bytes]

LONGEST_LINE = 16 * 1024 * 1024
"""In bytes (characters of a text stream): a longer line of JSON or row of a table is refused."""
LONGEST_KEY = 256
"""In characters."""
LONGEST_INTEGER = 300
"""In digits: what a model's field takes at the most."""
DEEPEST = 64
"""How many levels of lists and objects a line may nest."""
KEPT_BAD_LINES = 100
"""How many bad lines `Checked` keeps; all are counted."""

log = logging.getLogger("liangxin")

already_warned: set[str] = set()
"""The unknown models that have been warned about."""


class UnknownModelWarning(UserWarning):
    """
    A line names a model that this version has no class for; its input is sent unchecked.

    Said once for each model, unless the line says `"raw": true`.
    """


@frozen(kw_only=True)
class Request:
    """
    One request of a batch.

    `key` names it in the ledger: the same key is paid once.  `line` is where its line begins in the
    file, counted from 1; of a Parquet file, the number of the row.
    """

    key: str
    input: ModelInput
    line: int | None = None
    sha256: str | None = field(default=None, repr=False, eq=False)
    """The hash of the input, where the reader has computed it: `ledger.input_sha256`."""


@frozen(kw_only=True)
class BadLine:
    """A line that is no request; the message of `error` begins with the file and the line."""

    line: int
    error: InputError


@frozen(kw_only=True)
class Checked:
    """
    What a batch file holds, as a full pass over it found.

    `total` requests are good, `models` counts them by slug.  `repeated` of them have the key and
    the input of an earlier one, so they will not be paid again.  `bad_total` lines are bad; the
    first hundred of them are in `bad_lines`.
    """

    total: int
    models: Mapping[str, int]
    repeated: int
    bad_total: int
    bad_lines: tuple[BadLine, ...]

    @property
    def ok(self) -> bool:
        """Whether no line is bad."""
        return not self.bad_total

    def raise_if_bad(self) -> None:
        """Raise the error of the first bad line, which then also says how many more there are."""
        if self.ok:
            return
        first = self.bad_lines[0].error
        more = self.bad_total - 1
        told = f" (and {more} more bad line{'s' * (more > 1)})" if more else ""
        raise InputError(
            printable(first.message, 450) + told,
            field=first.field,
            value=first.value,
            allowed=first.allowed,
        )


def read(
    path: Source,
    *,
    model: str | type[ModelInput] | None = None,
    defaults: Mapping[str, object] | None = None,
    format: Format | None = None,
    skip_bad_lines: bool = False,
    on_bad_line: Callable[[BadLine], object] | None = None,
) -> RequestFile:
    r"""
    Read the requests of a batch file, one at a time.

    `path` is a file, `"-"` for standard input, or an open stream, which is not closed.  The format
    is that of the file's ending (`.jsonl`, `.ndjson`, `.json` with an object on each line, `.csv`,
    `.tsv`, `.parquet`; all but the last also with `.gz`), or `format`; of a stream it is JSON lines
    unless `format` says otherwise.  Parquet needs the extra `liangxin[parquet]`.

        {"id": "fog-1", "model": "z-image", "input": {"prompt": "a lighthouse in fog"}}

    The first bad line raises an `InputError` that begins with the file and the line.  Lines before
    it have been yielded by then: `check` finds all bad lines before anything is paid.  With
    `skip_bad_lines` the rest is read all the same, and `on_bad_line` gets each `BadLine` (without
    it, the log does).  What concerns the whole file is raised in any case: an unknown column, a
    quote that is never closed, a damaged archive.

    **Lines of JSON** have `id` (or `custom_id`; text or a number), `model` (a slug, or the name of
    a class of `liangxin.models`) and `input`, the fields; or, as in other services' batch files, a
    `body` with the model and its fields side by side.  Any other name is an error.

    **Tables** have a header.  The columns `id` (or `custom_id`), `model`, `raw` and `input` (fields
    as a JSON object, a struct or a map) are as above; every other column is a field of the model,
    and text is read as the field's type says: whole numbers, numbers, true/false/yes/no/1/0, lists
    as JSON or separated by `|`.  An empty cell says nothing, a row of empty cells is skipped.  The
    cells of a model that is not known here stay text.  A `prompt` cell may hold `{column}` (with
    `{{` and `}}` for braces), filled from the other columns of its row; a column that is used so
    and is no field is not sent.  Of a stream, the first row must use all such columns.

    `model` is for the lines that name none, and `defaults` are fields for the lines that say
    nothing about them; a null in JSON does say something.  A default `prompt` is a template in
    every format.

    The key of a request is its `id`.  Where there is none it is `sha256:` and 16 digits of the hash
    of the model and its input, so that it stays the same when lines are inserted or moved; the
    second of two equal lines gets `-2`, and so on.  The same key with another input is a bad line.

    A model that this version does not know becomes a `RawInput`, with an `UnknownModelWarning`; a
    name that is evidently a slip for a known one is an error.  `"raw": true` sends any model's
    fields as they are, without a check or a warning.
    """

    def reader() -> _Reader:
        return _Reader.of(path, model, defaults, format)

    return RequestFile(reader, reader(), skip_bad_lines, on_bad_line)


class RequestFile(Iterator[Request]):
    """The requests of a file, as `read` returns them; a batch checks all of it first."""

    def __init__(
        self,
        again: Callable[[], _Reader],
        reader: _Reader,
        skip_bad_lines: bool,
        on_bad_line: Callable[[BadLine], object] | None,
    ) -> None:
        self._again = again
        self._skips = skip_bad_lines
        self._on_bad_line = on_bad_line
        self._requests = _good(reader, skip_bad_lines, self._skipped)
        self.skipped = 0
        """How many bad lines were skipped."""
        self.is_rereadable = reader.place.is_rereadable
        """Whether it can be checked without being used up."""

    def __next__(self) -> Request:
        return next(self._requests)

    def check(self) -> Checked:
        """Read all of it, and return what it holds; see `batch.check`."""
        return _checked(self._again())

    def require_good(self) -> Checked | None:
        """Check a file that can be read again; raise for a bad line unless those are skipped."""
        if not self.is_rereadable:
            return None
        found = self.check()
        if not self._skips:
            found.raise_if_bad()
        return found

    def close(self) -> None:
        """Close the file; what was read of it stays read."""
        self._requests.close()

    def _skipped(self, line: BadLine) -> None:
        self.skipped += 1
        if self._on_bad_line is not None:
            self._on_bad_line(line)
        else:
            log.warning("skipped: %s", line.error)


def check(
    path: Source,
    *,
    model: str | type[ModelInput] | None = None,
    defaults: Mapping[str, object] | None = None,
    format: Format | None = None,
) -> Checked:
    """
    Read a whole batch file as `read` does, and return what it holds: all bad lines at once.

    A stream, standard input or a pipe is used up by this.  What concerns the whole file, such as an
    unknown column, is raised as `InputError`.
    """
    return _checked(_Reader.of(path, model, defaults, format))


def _checked(reader: _Reader) -> Checked:
    found: Counter[str] = Counter()
    bad: list[BadLine] = []
    bad_total = 0
    for each in reader.requests():
        if isinstance(each, Request):
            found[each.input.slug] += 1
            continue
        bad_total += 1
        if len(bad) < KEPT_BAD_LINES:
            bad.append(each)
    return Checked(
        total=found.total(),
        models=dict(found),
        repeated=reader.keys.repeated,
        bad_total=bad_total,
        bad_lines=tuple(bad),
    )


def _good(
    reader: _Reader, skip_bad_lines: bool, on_bad_line: Callable[[BadLine], object]
) -> Generator[Request]:
    for each in reader.requests():
        if isinstance(each, Request):
            yield each
        elif not skip_bad_lines:
            raise each.error
        else:
            on_bad_line(each)


# --- a line becomes a request ------------------------------------------------------------------

_NOTHING: Mapping[str, object] = MappingProxyType({})
_NAMES = frozenset({"id", "custom_id", "model", "raw", "input"})
"""What a line may say beside the model's fields."""


@frozen
class _Row:
    """What a line says, whatever its format."""

    fields: Mapping[str, object]
    """Of the model, in the types that they have."""
    cells: Mapping[str, object] = _NOTHING
    """Columns of a table: fields in the types that a table has, and what prompts need."""
    has_template: bool = False
    """Whether its own prompt may name columns."""
    id: object = None
    model: object = None
    raw: object = None

    def columns(self) -> dict[str, object]:
        """What a template may use."""
        named = {"id": self.id, "custom_id": self.id, "model": self.model}
        columns = {**named, **self.fields, **self.cells}
        columns.pop("prompt", None)
        return columns


_Rows: TypeAlias = Iterator[tuple[int, _Row | InputError]]
_NumberedCells: TypeAlias = tuple[int, dict[str, object] | InputError]
_Cells: TypeAlias = Iterator[_NumberedCells]


@define(eq=False)
class _Reader:
    """One pass over one file."""

    place: _Place
    format: Format
    model: _Model | None
    defaults: Mapping[str, object]
    keys: _Keys
    template_columns: Set[str] = frozenset()
    """Those of a table that are no fields, but stand in some prompt."""

    @classmethod
    def of(
        cls,
        path: Source,
        model: str | type[ModelInput] | None,
        defaults: Mapping[str, object] | None,
        format: Format | None,
    ) -> _Reader:
        """Judge the arguments, before the file is opened."""
        place = _Place.of(path)
        kind = _format(place, format)
        default = None if model is None else _model(model)
        if default is not None and default.known is not None:
            _require_known(default.known, defaults or {})
        return cls(place, kind, default, dict(defaults or {}), _Keys(_unit(kind)))

    def requests(self) -> Iterator[Request | BadLine]:
        """Every line in its order, as a request or as what is wrong with it."""
        rows = self._lines() if self.format == "jsonl" else self._table()
        for line, row in rows:
            judged = row if isinstance(row, InputError) else _attempt(self._request, line, row)
            if isinstance(judged, InputError):
                error = _at(judged, f"{self.place.name} {self.keys.unit} {line}")
                yield BadLine(line=line, error=error)
            else:
                yield judged

    def _lines(self) -> _Rows:
        with self.place.opened() as stream:
            for line, text in _json_lines(stream, self.place.name):
                yield line, text if isinstance(text, InputError) else _attempt(_json_row, text)

    def _table(self) -> _Rows:
        with self.place.opened() as stream:
            table = self._open_table(stream)
            rows = self._judge_columns(table)
            for line, cells in rows:
                yield line, cells if isinstance(cells, InputError) else _attempt(_table_row, cells)

    def _open_table(self, stream: IO[Any]) -> _Csv | _Parquet:
        if self.format == "parquet":
            return _Parquet(stream, self.place.name)
        return _Csv(stream, self.place.name, "\t" if self.format == "tsv" else ",")

    def _request(self, line: int, row: _Row) -> Request:
        if row.raw is not None and not isinstance(row.raw, bool):
            raise _refused("raw", row.raw, "true or false")
        model = self._model_of(row)
        fields = self._fields(row, model.facts)
        asked: ModelInput
        if row.raw or model.known is None:
            asked = RawInput(model.slug, fields)
        else:
            asked = _typed_input(model.known, fields)
        digest = _digest(asked)
        key = self.keys.key(row.id, digest, line)
        return Request(key=key, input=asked, line=line, sha256=digest.hex())

    def _model_of(self, row: _Row) -> _Model:
        model = self.model if row.model is None else _model(row.model, is_raw=bool(row.raw))
        if model is None:
            raise _missing("model", "a slug, in the line or as model= for all of them")
        if model.known is None and not row.raw and model.slug not in already_warned:
            warnings.warn(
                f"{quoted(model.slug)} is no model that this version knows: its input is sent "
                'unchecked ("raw": true says that this is meant)',
                UnknownModelWarning,
                stacklevel=2,
            )
            already_warned.add(model.slug)
        return model

    def _fields(self, row: _Row, known: Mapping[str, FieldFacts]) -> dict[str, object]:
        """The fields that a row and the defaults give, without what only a prompt needs."""
        fields = {**self.defaults, **row.fields}
        for name, cell in row.cells.items():
            fields[name] = _typed(cell, known[name]) if name in known else cell
        prompt = fields.get("prompt")
        is_default = "prompt" not in row.fields and "prompt" not in row.cells
        spare = self.template_columns
        if isinstance(prompt, str) and (is_default or row.has_template):
            fields["prompt"], used = _fill(prompt, row.columns())
            spare = spare | used
        if not spare:
            return fields
        return {name: value for name, value in fields.items() if name in known or name not in spare}

    # --- which columns a table may have ----------------------------------------------------

    def _judge_columns(self, table: _Csv | _Parquet) -> _Cells:
        """The rows of a table all whose columns are fields, or used by some prompt; else raise."""
        model = None if "model" in table.header else self._model_of_all()
        if model is not None and model.known is None:
            return table.rows()
        fields = _fields_of_all() if model is None else model.facts.keys()
        self.template_columns = _names_in(self.defaults.get("prompt")) - fields
        doubtful = set(table.header) - _NAMES - fields - self.template_columns
        if not doubtful:
            return table.rows()
        if self.place.is_rereadable:
            with self.place.opened() as again:
                left = self._unexplained(doubtful, self._open_table(again).rows())
            rows = table.rows()
        else:
            rows = table.rows()
            first = list(islice(rows, 1))
            left = self._unexplained(doubtful, first)
            rows = chain(first, rows)
        if left:
            of = model.known.__name__ if model is not None and model.known else "a model"
            raise _unknown_columns(self.place.name, sorted(left), of, fields)
        return rows

    def _model_of_all(self) -> _Model:
        if self.model is None:
            raise InputError(
                f"{self.place.name} has no column for the model, and no model= was given",
                field="model",
                allowed="a column `model`, or model= for all rows",
            )
        return self.model

    def _unexplained(self, doubtful: Set[str], rows: Iterable[_NumberedCells]) -> Set[str]:
        """What is left of the doubtful columns when rows have been found that use the others."""
        left = doubtful
        for _, cells in rows:
            if isinstance(cells, InputError):
                continue
            used = _names_in(cells.get("prompt")) & left
            self.template_columns |= used
            left -= used
            if _takes_anything(cells):
                left -= cells.keys()
            if not left:
                break
        return left


def _unit(format: Format) -> str:
    return "row" if format == "parquet" else "line"


def _takes_anything(cells: Mapping[str, object]) -> bool:
    """Whether the row of a table names a model whose fields are not checked."""
    model = cells.get("model")
    is_unknown = isinstance(model, str) and model not in _models()
    return is_unknown or _boolean(cells.get("raw")) is True


_Made = TypeVar("_Made")


def _attempt(make: Callable[..., _Made], *args: object) -> _Made | InputError:
    try:
        return make(*args)
    except InputError as error:
        return error


# --- what is wrong with a line -----------------------------------------------------------------


def _refused(field: str, value: object, allowed: str) -> InputError:
    return InputError(
        f"{field} is {quoted(value)}; it takes {allowed}", field=field, value=value, allowed=allowed
    )


def _missing(field: str, allowed: str) -> InputError:
    return InputError(f"{field} is missing; it takes {allowed}", field=field, allowed=allowed)


def _at(error: InputError, place: str) -> InputError:
    """
    The same error with its place, and without its traceback, which would keep the line in memory.

    Of a value of more than 64 KiB it keeps the beginning.
    """
    value = error.value
    parts = value if isinstance(value, (list, tuple)) else (value,)
    if sum(len(part) for part in parts if isinstance(part, str)) > RAW_LIMIT:
        value = quoted(value, 200)
    return InputError(
        f"{place}: {error.message}", field=error.field, value=value, allowed=error.allowed
    )


def _hint(names: list[str], known: Iterable[str]) -> str:
    known = sorted(known)
    # Only names as a person writes them: difflib is slow, and a line may hold a million letters.
    sane = [name for name in names[:8] if len(name) <= LONGEST_KEY]
    near = [match for name in sane for match in get_close_matches(name, known, 1)]
    return f"; did you mean {_listed(near)}?" if near else ""


def _unknown_columns(place: str, names: list[str], of: str, fields: Set[str]) -> InputError:
    are = "is neither a field" if len(names) == 1 else "are neither fields"
    return InputError(
        f"{place}: the column{'s' * (len(names) > 1)} {_listed(names)} {are} of {of} "
        f"nor used in a prompt{_hint(names, fields | _NAMES)}",
        field=names[0],
        allowed="id, model, raw, input, the fields of the model, and what prompts name in {}",
    )


def _listed(names: Sequence[str]) -> str:
    """Names as a sentence can hold them, however many and however long they are."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(quoted(name, 60) for name in names[:8]) + more


# --- keys --------------------------------------------------------------------------------------

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_canonical = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
).encode


@define(eq=False)
class _Keys:
    """
    Gives each request its key, and finds the id that stands for two inputs.

    Of a request with an id it keeps 16 bytes of the hash of the id, 16 of that of the input, and
    the line; of any other one 8 bytes of hash, and how often it came.
    """

    unit: str
    repeated: int = 0
    _seen: dict[bytes, bytes] = Factory(dict)
    _times: dict[bytes, int] = Factory(dict)

    def key(self, id: object, digest: bytes, line: int) -> str:
        """The key of a request, given the hash of its input."""
        if id is None:
            short = digest[:8]
            times = self._times[short] = self._times.get(short, 0) + 1
            key = f"sha256:{short.hex()}"
            return key if times == 1 else f"{key}-{times}"
        key = _key(id)
        own = digest[:16] + line.to_bytes(8, "big")
        first = self._seen.setdefault(sha256(key.encode()).digest()[:16], own)
        if first is not own:
            self._judge_repeated(key, first, own)
        return key

    def _judge_repeated(self, key: str, first: bytes, own: bytes) -> None:
        if first[:16] != own[:16]:
            where = f"{self.unit} {int.from_bytes(first[16:], 'big')}"
            raise InputError(
                f"the id {quoted(key)} stands for another input in {where}",
                field="id",
                value=key,
                allowed="an id of its own for each input",
            )
        self.repeated += 1


def _digest(input: ModelInput) -> bytes:
    try:
        asked = _canonical({"model": input.slug, "input": input.payload()})
        return sha256(asked.encode()).digest()
    except (TypeError, ValueError, RecursionError) as exc:
        raise InputError(
            f"the input cannot be written as JSON: {printable(exc)}",
            field="input",
            allowed="text, finite numbers, true, false, null, lists and objects of these",
        ) from None


def _key(id: object) -> str:
    key = id
    if isinstance(id, (int, float)) and not isinstance(id, bool):
        # pandas makes floats of a column of integers that has gaps.
        key = str(int(id) if isinstance(id, float) and id.is_integer() else id)
    if not isinstance(key, str) or not _is_name(key):
        raise _refused(
            "id", id, f"a number, or text of 1 to {LONGEST_KEY} characters and no control character"
        )
    return key


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_KEY and not text.isspace() and not _CONTROL.search(text)


# --- models and their fields -------------------------------------------------------------------


@frozen
class _Model:
    """A model as a line names it; `known` is None where this version has no class for it."""

    slug: str
    known: type[CheckedInput] | None = None

    @property
    def facts(self) -> Mapping[str, FieldFacts]:
        """What is known about its fields."""
        return {} if self.known is None else models.facts(self.known)


@cache
def _models() -> Mapping[str, _Model]:
    """The known models, by slug and by the name of the class."""
    classes: list[type[CheckedInput]] = [getattr(models, name) for name in models.__all__]
    known = [_Model(each.slug, each) for each in classes]
    return {**{each.slug: each for each in known}, **dict(zip(models.__all__, known, strict=True))}


@cache
def _fields_of_all() -> frozenset[str]:
    return frozenset(name for model in _models().values() for name in model.facts)


def _model(named: object, *, is_raw: bool = False) -> _Model:
    """The model that is named; a name that is close to that of a known one is an error."""
    if isinstance(named, type) and issubclass(named, CheckedInput):
        return _Model(named.slug, named)
    if not isinstance(named, str) or not _is_name(named):
        raise _refused("model", named, "a slug, or the name of a class of liangxin.models")
    if named in _models():
        return _models()[named]
    meant = None if is_raw else _slip_of(named)
    if meant is not None:
        raise InputError(
            f"model is {quoted(named)}; did you mean {meant!r}?  If there is such a model, "
            'say "raw": true beside it',
            field="model",
            value=named,
            allowed=f"{meant!r}, or any name with raw",
        )
    return _Model(named)


@lru_cache(maxsize=1024)
def _slip_of(name: str) -> str | None:
    """
    The slug that somebody who wrote `name` evidently meant.

    Another number is another model, and so is a word more or less (flux-3-pro, kling-v3-omni-pro):
    the Market has models that we do not know.
    """
    slugs = {_squeezed(model.slug): model.slug for model in _models().values()}
    squeezed = _squeezed(name)
    if squeezed in slugs:
        return slugs[squeezed]
    for near in get_close_matches(squeezed, slugs, cutoff=0.8):
        same_numbers = re.sub(r"\D", "", near) == re.sub(r"\D", "", squeezed)
        if same_numbers and not _has_a_word_more(_words(name), _words(slugs[near])):
            return slugs[near]
    return None


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+|[0-9]+", name.lower()))


def _has_a_word_more(one: set[str], other: set[str]) -> bool:
    return (one <= other or other <= one) and any(len(word) > 2 for word in one ^ other)


def _require_known(model: type[CheckedInput], fields: Mapping[str, object]) -> None:
    known = models.facts(model)
    if fields.keys() <= known.keys():
        return
    name = next(name for name in fields if name not in known)
    raise InputError(
        f"{model.__name__} has no field {quoted(name)}{_hint([name], known)}",
        field=name,
        value=fields[name],
        allowed=f"the fields {', '.join(known)}",
    )


def _typed_input(model: type[CheckedInput], fields: dict[str, Any]) -> CheckedInput:
    _require_known(model, fields)
    for fact in models.facts(model).values():
        if fact.required and fact.name not in fields:
            raise InputError(
                f"{model.__name__}.{fact.name} is missing",
                field=fact.name,
                allowed=f"a value ({fact.type}): the field is required",
            )
    return model(**fields)


# --- prompts with columns ----------------------------------------------------------------------

_SLOT = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def _names_in(template: object) -> Set[str]:
    """The columns that a template names, whether it is well-formed or not."""
    if not isinstance(template, str) or "{" not in template:
        return frozenset()
    return {slot[1] for slot in _SLOT.finditer(template) if slot[1] is not None}


def _fill(template: str, columns: Mapping[str, object]) -> tuple[str, Set[str]]:
    """The template with its slots filled, and the names of the columns that it used."""
    if "{" not in template and "}" not in template:
        return template, frozenset()

    def filled(slot: re.Match[str]) -> str:
        if slot[0] in ("{{", "}}"):
            return slot[0][0]
        if slot[1] is None:
            raise _bad_template(template, f"a single {slot[0]}", f"{slot[0] * 2} for a brace")
        return _filling(template, slot[1], columns)

    return _SLOT.sub(filled, template), _names_in(template)


def _filling(template: str, name: str, columns: Mapping[str, object]) -> str:
    if not name or any(char in name for char in ".[]!:"):
        raise _bad_template(template, f"{{{name}}}", "the name of a column in braces, nothing else")
    value = columns.get(name)
    if value is None:
        hint = _hint([name], (known for known in columns if columns[known] is not None))
        allowed = "names of columns that the row fills, and {{ }} for braces"
        raise _bad_template(template, f"{{{name}}}, which this row does not have{hint}", allowed)
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        raise _bad_template(template, f"{{{name}}}, which is no text", "columns of text or numbers")
    return str(value)


def _bad_template(template: str, said: str, allowed: str) -> InputError:
    return InputError(
        f"prompt has {printable(said, 200)}; it takes {allowed}",
        field="prompt",
        value=template,
        allowed=allowed,
    )


# --- cells of a table --------------------------------------------------------------------------

_WHOLE = re.compile(rf"[+-]?[0-9]{{1,{LONGEST_INTEGER}}}(\.0*)?")
_NUMBER = re.compile(r"[+-]?([0-9]{1,300}\.?[0-9]{0,300}|\.[0-9]{1,300})([eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _typed(cell: object, fact: FieldFacts) -> object:
    """A cell in the type of its field; what cannot be read so stays, for the model to refuse."""
    match fact.type:
        case "integer":
            return _integer(cell)
        case "number":
            return _number(cell)
        case "boolean":
            return _boolean(cell)
        case "string[]" | "object[]":
            return _list(cell, fact)
    return cell


def _integer(cell: object) -> object:
    if isinstance(cell, str) and _WHOLE.fullmatch(cell.strip()):
        return int(cell.partition(".")[0])
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)  # as for ids: pandas
    return cell


def _number(cell: object) -> object:
    if not isinstance(cell, str) or not _NUMBER.fullmatch(cell.strip()):
        return cell
    return float(cell) if set(cell) & set(".eE") else int(cell)


def _boolean(cell: object) -> object:
    return _BOOLEANS.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell


def _list(cell: object, fact: FieldFacts) -> object:
    if not isinstance(cell, str):
        return cell
    if cell.lstrip().startswith("["):
        return _decode(cell, fact.name)
    if fact.type == "object[]":
        return cell
    items = [item.strip() for item in cell.split("|")]
    if not all(items):
        raise _refused(fact.name, cell, "a JSON list, or items with one | between two")
    return items


def _table_row(cells: dict[str, object]) -> _Row:
    cells, key = dict(cells), _id_of(cells)
    named = {name: cells.pop(name, None) for name in _NAMES}
    fields, more = _input_cell(named["input"])
    for name in cells:
        if name in fields or name in more:
            raise InputError(
                f"{quoted(name)} stands both in input and in a column of its own",
                field=name,
                allowed="one of the two",
            )
    return _Row(
        fields=fields,
        cells={**more, **cells},
        has_template="prompt" in cells,
        id=key,
        model=named["model"],
        raw=_boolean(named["raw"]),
    )


def _input_cell(cell: object) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """The fields of an `input` column: those with types, and those of a map, which has none."""
    if isinstance(cell, str):
        cell = _decode(cell, "input")
    elif isinstance(cell, list) and all(type(pair) is tuple and pair[0] for pair in cell):
        return _NOTHING, _without_nulls(_object(cell))
    if cell is None or isinstance(cell, dict):
        return cell or _NOTHING, _NOTHING
    raise _refused("input", cell, "a JSON object, a struct or a map")


def _id_of(said: Mapping[str, object]) -> object:
    if said.get("id") is not None and said.get("custom_id") is not None:
        raise InputError("there is an id and a custom_id", field="id", allowed="one of the two")
    return said.get("id") if said.get("custom_id") is None else said["custom_id"]


def _header(names: Iterable[str], place: str) -> list[str]:
    """The names of a table's columns, each there once."""
    header = [name.strip() for name in names]
    if not all(header):
        number = header.index("") + 1
        raise InputError(f"{place}: column {number} has no name", allowed="a name for each column")
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        raise InputError(
            f"{place}: there are several columns {_listed(twice)}",
            field=twice[0],
            allowed="each column once",
        )
    return header


# --- lines of JSON -----------------------------------------------------------------------------

_OBJECT = "one JSON object a line"


def _json_lines(stream: IO[Any], place: str) -> Iterator[tuple[int, str | InputError]]:
    for number, line in _numbered_lines(stream, place):
        if line is None:
            yield number, _too_long("line")
        elif line.strip():
            yield number, _attempt(_decoded, line)


def _too_long(what: str) -> InputError:
    size = f"{LONGEST_LINE // 1024 // 1024} MiB"
    return InputError(f"the {what} is longer than {size}", allowed=f"at most {size} a {what}")


def _decoded(line: bytes | str) -> str:
    if isinstance(line, str):
        return line.strip()
    try:
        return line.strip().decode()
    except UnicodeDecodeError as exc:
        raise _not_utf8(exc) from None


def _not_utf8(exc: UnicodeDecodeError) -> InputError:
    what = f"the byte 0x{exc.object[exc.start]:02x}"
    return InputError(f"the line is not UTF-8: it has {what}", allowed="text in UTF-8")


def _json_row(text: str) -> _Row:
    said = _decode(text)
    if not isinstance(said, dict):
        raise InputError(
            f"it is a JSON {_JSON_NAMES.get(type(said), 'number')}; it takes {_OBJECT}",
            value=said,
            allowed=_OBJECT,
        )
    if "body" in said:
        said = _with_body(said)
    if not said.keys() <= _NAMES:
        _refuse_names([name for name in said if name not in _NAMES])
    fields = said.get("input")
    if fields is None:
        raise _missing("input", "an object with the fields of the model")
    if not isinstance(fields, dict):
        raise _refused("input", fields, "an object with the fields of the model")
    return _Row(fields=fields, id=_id_of(said), model=said.get("model"), raw=said.get("raw"))


def _with_body(said: dict[str, object]) -> dict[str, object]:
    """A line as other services' batch files have it: the model and its fields in a body."""
    body = said["body"]
    if not isinstance(body, dict) or "model" in said or "input" in said:
        raise _refused("body", body, "an object with model and fields, beside which neither stands")
    rest = {name: said[name] for name in said if name not in ("method", "url", "body")}
    fields = {name: body[name] for name in body if name != "model"}
    return {**rest, "model": body.get("model"), "input": fields}


def _refuse_names(names: list[str]) -> NoReturn:
    inside = [name for name in names if name in _fields_of_all()]
    told = f"; the fields of the model go into input: {_listed(inside)}" if inside else ""
    raise InputError(
        f"a line has no {_listed(names)}{told or _hint(names, _NAMES)}",
        field=names[0],
        allowed="id, model, input, raw",
    )


# --- strict JSON -------------------------------------------------------------------------------

_JSON_NAMES = {list: "list", str: "string", bool: "boolean", type(None): "null"}
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


def _decode(text: str, field: str | None = None) -> object:
    """Read JSON: a line, or the cell of a field."""
    if field is None:
        return _strictly(text, _OBJECT)
    try:
        return _strictly(text, "JSON")
    except InputError as error:
        raise InputError(
            f"{field}: {error.message}",
            field=error.field or field,
            value=error.value,
            allowed=error.allowed,
        ) from None


def _strictly(text: str, allowed: str) -> object:
    """Read JSON with no name twice, no NaN, no endless numbers and no deep nests."""
    try:
        if text.count("[") + text.count("{") > DEEPEST and _depth(text) > DEEPEST:
            raise RecursionError
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        said = f"it is not JSON ({exc.msg}, at column {exc.colno}); it takes {allowed}"
    except RecursionError:
        allowed = f"at most {DEEPEST} levels of lists and objects"
        said = f"it nests too deep; it takes {allowed}"
    raise InputError(said, value=printable(text), allowed=allowed)


def _depth(text: str) -> int:
    """How deep lists and objects nest, counted no further than is allowed."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
        if deepest > DEEPEST:
            break
    return deepest


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise InputError(f"{quoted(twice)} stands twice", field=twice, allowed="each name once")
    return made


def _json_integer(digits: str) -> int:
    if len(digits) > LONGEST_INTEGER:
        raise InputError(
            f"there is an integer of {len(digits)} digits",
            value=printable(digits),
            allowed=f"at most {LONGEST_INTEGER} digits",
        )
    return int(digits)


def _json_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse_constant(text)
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise InputError(
        f"there is the number {printable(text, 40)}",
        value=printable(text),
        allowed="finite numbers, as JSON has them",
    )


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_json_integer,
    parse_float=_json_float,
    parse_constant=_refuse_constant,
)


# --- CSV and TSV -------------------------------------------------------------------------------


class _Csv:
    """A table of text.  After a broken quote nobody can tell rows apart, so that ends the file."""

    def __init__(self, stream: IO[Any], place: str, delimiter: str) -> None:
        # The limit is one for the whole process (128 KiB, less than a picture): only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
        self._place = place
        self._lines = _TableLines(stream, place)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self.header = self._read_header()

    def rows(self) -> _Cells:
        """The cells of each row that are filled, by column."""
        for line, texts in self._records():
            if self._lines.error is not None:
                yield line, self._lines.error
            elif len(texts) != len(self.header):
                yield line, self._uneven(len(texts))
            else:
                cells: dict[str, object] = {
                    name: text
                    for name, text in zip(self.header, texts, strict=True)
                    if text and not text.isspace()
                }
                if cells:
                    yield line, cells

    def _read_header(self) -> list[str]:
        for line, texts in self._records():
            if self._lines.error is not None:
                raise _at(self._lines.error, f"{self._place} line {line}")
            return _header(texts, self._place)
        raise InputError(f"{self._place} is empty", allowed="a header, and a row for each request")

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """The rows that are not empty, each with the line on which it begins."""
        while True:
            line = self._reader.line_num + 1
            self._lines.begin_row()
            try:
                texts = next(self._reader, None)
            except csv.Error as exc:
                raise InputError(
                    f"{self._place} line {line}: the row cannot be read, nor what follows: {exc}",
                    allowed="cells in which a quote is doubled, between quotes that are closed",
                ) from None
            if texts is None:
                return
            if texts:
                yield line, texts

    def _uneven(self, count: int) -> InputError:
        columns = len(self.header)
        return InputError(
            f"the row has {count} cell{'s' * (count != 1)} for {columns} columns",
            allowed=f"{columns} cells, empty ones included",
        )


class _TableLines(Iterator[str]):
    """
    The lines of a table, for the csv module, which joins those of one row.

    A line that is not UTF-8 goes on with stand-ins, so that the row ends where it ends.
    """

    def __init__(self, stream: IO[Any], place: str) -> None:
        self._lines = _numbered_lines(stream, place)
        self._size = 0
        self.error: InputError | None = None

    def begin_row(self) -> None:
        """Forget the row before."""
        self._size = 0
        self.error = None

    def __next__(self) -> str:
        _, line = next(self._lines)
        self._size += LONGEST_LINE + 1 if line is None else len(line)
        if line is None or self._size > LONGEST_LINE:
            raise csv.Error(f"{_too_long('row')}; is there a quote that is never closed?")
        if isinstance(line, str):
            return line
        try:
            return line.decode()
        except UnicodeDecodeError as exc:
            self.error = _not_utf8(exc)
            return line.decode(errors="surrogateescape")


# --- Parquet -----------------------------------------------------------------------------------


class _Parquet:
    """A table of columns, read a few hundred rows at a time."""

    def __init__(self, stream: IO[Any], place: str) -> None:
        if isinstance(stream, TextIOBase) or not stream.seekable():
            raise InputError(
                f"{place} cannot be read as Parquet, which begins at its end",
                field="path",
                allowed="a file, or a binary stream that can seek",
            )
        try:
            self._arrow = import_module("pyarrow")
            parquet = import_module("pyarrow.parquet")
        except ImportError as error:
            raise ImportError(
                'Parquet files need an extra: pip install "liangxin[parquet]"'
            ) from error
        self._place = place
        with self._errors():
            self._file = parquet.ParquetFile(stream)
            self.header = _header(self._file.schema_arrow.names, place)

    def rows(self) -> _Cells:
        """The cells of each row that are filled, by column."""
        for number, record in enumerate(chain.from_iterable(self._batches()), 1):
            if isinstance(record, InputError):
                yield number, record
                continue
            cells = {
                name.strip(): _without_nulls(cell)
                for name, cell in record.items()
                if not _is_nothing(cell)
            }
            if cells:
                yield number, cells

    def _batches(self) -> Iterator[list[dict[str, object] | InputError]]:
        with self._errors():
            batches = self._file.iter_batches(batch_size=500)
        while True:
            with self._errors():
                batch = next(batches, None)
            if batch is None:
                return
            yield self._records(batch)

    def _records(self, batch: Any) -> list[dict[str, object] | InputError]:
        try:
            records: list[dict[str, object] | InputError] = batch.to_pylist()
        except ValueError:  # text that is not UTF-8, a date of the year 300,000
            return [self._record(batch.slice(index, 1)) for index in range(len(batch))]
        return records

    def _record(self, row: Any) -> dict[str, object] | InputError:
        try:
            record: dict[str, object] = row.to_pylist()[0]
        except ValueError as exc:
            return InputError(f"the row cannot be read: {in_words(exc)}", allowed="text in UTF-8")
        return record

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (self._arrow.ArrowException, OSError) as exc:
            raise InputError(
                f"{self._place} cannot be read as Parquet: {in_words(exc)}", field="path"
            ) from exc


def _is_nothing(cell: object) -> bool:
    is_blank = isinstance(cell, str) and (not cell or cell.isspace())
    return cell is None or is_blank or (isinstance(cell, float) and math.isnan(cell))


def _without_nulls(cell: Any) -> Any:
    """The cell without the members of structs that are null: Arrow has no absent ones."""
    if isinstance(cell, dict):
        return {name: _without_nulls(each) for name, each in cell.items() if each is not None}
    if isinstance(cell, list):
        return [_without_nulls(each) for each in cell]
    return cell


# --- where the bytes come from -----------------------------------------------------------------

_FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


@frozen
class _Place:
    """A file or a stream, and its name for the errors."""

    name: str
    path: Path | None = None
    stream: IO[Any] | None = None

    @classmethod
    def of(cls, source: object) -> _Place:
        if source == "-" and sys.stdin is not None:
            return cls("standard input", stream=getattr(sys.stdin, "buffer", sys.stdin))
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            return cls(printable(path.name, 100), path=path)
        if callable(getattr(source, "readline", None)):
            name = getattr(source, "name", None)
            named = printable(Path(name).name, 100) if isinstance(name, str) else "the stream"
            return cls(named, stream=source)  # type: ignore[arg-type]  # it has what we call
        raise _refused("path", source, "a path, '-' or an open stream")

    @property
    def is_rereadable(self) -> bool:
        """Whether opening it again begins at its beginning."""
        return self.path is not None and self.path.is_file()

    @contextmanager
    def opened(self) -> Iterator[IO[Any]]:
        """Open the file, or lend the stream."""
        if self.path is None:
            assert self.stream is not None
            yield self.stream
        elif self.path.suffix.lower() != ".gz":
            with self.path.open("rb") as file:
                yield file
        else:
            try:
                with gzip.open(self.path, "rb") as unpacked:
                    yield unpacked  # type: ignore[misc]  # a file in all but its type
            except (gzip.BadGzipFile, EOFError, zlib.error) as exc:
                raise InputError(
                    f"{self.name} is no gzip file, or not a whole one: {in_words(exc)}",
                    field="path",
                ) from exc


def _format(place: _Place, format: object) -> Format:
    if format is not None:
        if format not in get_args(Format):
            raise _refused("format", format, f"one of {_listed(get_args(Format))}")
        return format  # type: ignore[return-value]  # just looked at
    if place.path is None:
        return "jsonl"
    name = place.path.name.lower().removesuffix(".gz")
    for ending, kind in _FORMATS.items():
        if name.endswith(ending):
            return kind
    allowed = f"{', '.join(_FORMATS)}, or format="
    raise InputError(
        f"{place.name} does not say its format; it takes {allowed}", field="format", allowed=allowed
    )


def _numbered_lines(stream: IO[Any], place: str) -> Iterator[tuple[int, bytes | str | None]]:
    """The lines with their ends, from 1; None is one that is too long, and was not kept."""
    number = 0
    while True:
        number += 1
        try:
            line = stream.readline(LONGEST_LINE + 1)
            if len(line) > LONGEST_LINE:
                _skip_line(stream, line)
                line = None
        except UnicodeDecodeError as exc:  # of a stream of text, which is lost from here on
            raise _at(_not_utf8(exc), f"{place} line {number}") from None
        if line is not None and not line:
            return
        if number == 1 and line is not None:
            line = line.removeprefix(BOM_UTF8 if isinstance(line, bytes) else "\ufeff")
        yield number, line


def _skip_line(stream: IO[Any], part: bytes | str) -> None:
    while part and part[-1:] not in (b"\n", "\n"):
        part = stream.readline(64 * 1024)
