"""Tables as files hold them: the filled cells of each row, by column, in the file's types."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from io import TextIOBase
from itertools import chain
from typing import IO, Any, TypeAlias

from liangxin._errors import InputError
from liangxin._text import in_words
from liangxin.batch._reading.errors import located
from liangxin.batch._reading.names import listed
from liangxin.batch._reading.places import LONGEST_LINE, not_utf8, numbered_lines, too_long

NumberedCells: TypeAlias = tuple[int, dict[str, object] | InputError]
Cells: TypeAlias = Iterator[NumberedCells]


class Csv:
    """A table of text.  After a broken quote nobody can tell rows apart, so that ends the file."""

    def __init__(self, stream: IO[Any], place: str, delimiter: str) -> None:
        # The limit is one for the whole process (128 KiB, less than a picture): only ever raised.
        csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
        self._place = place
        self._lines = _TableLines(stream, place)
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self.header = self._read_header()

    def rows(self) -> Cells:
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
                raise located(self._lines.error, f"{self._place} line {line}")
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
        self._lines = numbered_lines(stream, place)
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
            raise csv.Error(f"{too_long('row')}; is there a quote that is never closed?")
        if isinstance(line, str):
            return line
        try:
            return line.decode()
        except UnicodeDecodeError as exc:
            self.error = not_utf8(exc)
            return line.decode(errors="surrogateescape")


class Parquet:
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

    def rows(self) -> Cells:
        """The cells of each row that are filled, by column."""
        for number, record in enumerate(chain.from_iterable(self._batches()), 1):
            if isinstance(record, InputError):
                yield number, record
                continue
            cells = filled(record)
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


def filled(record: Mapping[str, object]) -> dict[str, object]:
    """The cells of a row that say something, by column."""
    return {
        name.strip(): without_nulls(cell) for name, cell in record.items() if not _is_nothing(cell)
    }


def _is_nothing(cell: object) -> bool:
    is_blank = isinstance(cell, str) and (not cell or cell.isspace())
    return cell is None or is_blank or (isinstance(cell, float) and math.isnan(cell))


def without_nulls(cell: Any) -> Any:
    """The cell without the members of structs that are null: Arrow has no absent ones."""
    if isinstance(cell, dict):
        return {name: without_nulls(each) for name, each in cell.items() if each is not None}
    if isinstance(cell, list):
        return [without_nulls(each) for each in cell]
    return cell


def _header(names: Iterable[str], place: str) -> list[str]:
    """The names of a table's columns, each there once."""
    header = [name.strip() for name in names]
    if not all(header):
        number = header.index("") + 1
        raise InputError(f"{place}: column {number} has no name", allowed="a name for each column")
    twice = sorted(name for name, times in Counter(header).items() if times > 1)
    if twice:
        raise InputError(
            f"{place}: there are several columns {listed(twice)}",
            field=twice[0],
            allowed="each column once",
        )
    return header
