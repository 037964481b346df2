"""
Batch files to requests: JSON lines, CSV, TSV and Parquet, one line at a time.

Strict, because a slip costs money: a misspelt field, column or model, a key that stands twice, a
cut line, a picture that is not there are errors with a line number, not guesses.  Nothing is sent
here, and no more is kept in memory than one line (at most `LONGEST_LINE`) and the hashes of the
keys.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping

from attrs import frozen

from liangxin._errors import InputError
from liangxin._tasks import ModelInput
from liangxin._text import printable
from liangxin.batch._reading.places import Format, Source
from liangxin.batch._reading.reader import Reader
from liangxin.batch._reading.requests import BadLine, Request, UnknownModelWarning

__all__ = [
    "BadLine",
    "Checked",
    "Request",
    "RequestFile",
    "UnknownModelWarning",
    "check",
    "read",
]

KEPT_BAD_LINES = 100
"""How many bad lines `Checked` keeps; all are counted."""

log = logging.getLogger("liangxin")


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

    **Pictures** and other media of a known model may lie on this machine: `file:cat.png` is beside
    the batch file (of a stream, in the current folder), `file:///home/me/cat.png` is where it says.
    A file that is not there is a bad line.

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

    def reader() -> Reader:
        return Reader.of(path, model, defaults, format)

    return RequestFile(reader, reader(), skip_bad_lines, on_bad_line)


class RequestFile(Iterator[Request]):
    """The requests of a file, as `read` returns them; a batch checks all before it creates."""

    def __init__(
        self,
        again: Callable[[], Reader],
        reader: Reader,
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

    def again(self) -> RequestFile:
        """The same from its beginning; what was said of bad lines is not said again."""
        return RequestFile(self._again, self._again(), self._skips, lambda line: None)

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
    return _checked(Reader.of(path, model, defaults, format))


def _checked(reader: Reader) -> Checked:
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
    reader: Reader, skip_bad_lines: bool, on_bad_line: Callable[[BadLine], object]
) -> Generator[Request]:
    for each in reader.requests():
        if isinstance(each, Request):
            yield each
        elif not skip_bad_lines:
            raise each.error
        else:
            on_bad_line(each)
