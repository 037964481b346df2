"""
Where the bytes come from: a file, packed or not, standard input or a stream; and their lines.

No more than one line is kept in memory, and of one that is too long nothing.
"""

from __future__ import annotations

import gzip
import os
import sys
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, get_args

from attrs import frozen

from liangxin._errors import InputError
from liangxin._text import in_words, printable
from liangxin.batch._reading.errors import located, refused
from liangxin.batch._reading.names import listed

Format: TypeAlias = Literal["jsonl", "csv", "tsv", "parquet"]
Source: TypeAlias = str | os.PathLike[str] | IO[str] | IO[bytes]

LONGEST_LINE = 16 * 1024 * 1024
"""In bytes (characters of a text stream): a longer line of JSON or row of a table is refused."""

_FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


@frozen
class Place:
    """A file or a stream, and its name for the errors."""

    name: str
    path: Path | None = None
    stream: IO[Any] | None = None

    @classmethod
    def of(cls, source: object) -> Place:
        if source == "-" and sys.stdin is not None:
            return cls("standard input", stream=getattr(sys.stdin, "buffer", sys.stdin))
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            return cls(printable(path.name, 100), path=path)
        if callable(getattr(source, "readline", None)):
            name = getattr(source, "name", None)
            named = printable(Path(name).name, 100) if isinstance(name, str) else "the stream"
            return cls(named, stream=source)  # type: ignore[arg-type]  # it has what we call
        raise refused("path", source, "a path, '-' or an open stream")

    @property
    def folder(self) -> Path:
        """Where names in it begin: the folder of the file; of a stream, the current one."""
        return Path() if self.path is None else self.path.parent

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


def format_of(place: Place, format: object) -> Format:
    """The format that is asked for, or that of the file's ending."""
    if format is not None:
        if format not in get_args(Format):
            raise refused("format", format, f"one of {listed(get_args(Format))}")
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


def numbered_lines(stream: IO[Any], place: str) -> Iterator[tuple[int, bytes | str | None]]:
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
            raise located(not_utf8(exc), f"{place} line {number}") from None
        if line is not None and not line:
            return
        if number == 1 and line is not None:
            line = line.removeprefix(BOM_UTF8 if isinstance(line, bytes) else "\ufeff")
        yield number, line


def _skip_line(stream: IO[Any], part: bytes | str) -> None:
    while part and part[-1:] not in (b"\n", "\n"):
        part = stream.readline(64 * 1024)


def too_long(what: str) -> InputError:
    """A line or a row of more than `LONGEST_LINE`."""
    size = f"{LONGEST_LINE // 1024 // 1024} MiB"
    return InputError(f"the {what} is longer than {size}", allowed=f"at most {size} a {what}")


def not_utf8(exc: UnicodeDecodeError) -> InputError:
    """A line with a byte that UTF-8 does not have."""
    what = f"the byte 0x{exc.object[exc.start]:02x}"
    return InputError(f"the line is not UTF-8: it has {what}", allowed="text in UTF-8")
