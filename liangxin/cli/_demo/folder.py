"""
The demo's folder, in which a run replaces what an earlier run wrote, and nothing else.

`demo.json` lists the files that a run wrote; only these are ever removed or overwritten.  A run
works in a hidden folder inside and moves its files out when all are there, so one that is
interrupted leaves the earlier one whole.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

MANIFEST = "demo.json"
PAGE = "index.html"
_AUTHOR = "liangxin demo"


class DemoFolder:
    """A folder that a run may write to; refuses one whose own files are in the way."""

    def __init__(self, path: Path, stems: Collection[str]) -> None:
        self.path = path
        try:
            self._earlier = _listed(path)
            in_the_way = _strangers(path, self._earlier, stems)
        except OSError as error:
            raise _unusable(path, error) from error
        if in_the_way:
            raise click.ClickException(
                f"{path / in_the_way} was not written by a demo and would be overwritten; "
                "choose another folder with --out."
            )

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder to work in, on the same file system, gone when the block ends."""
        is_new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            staged = Path(tempfile.mkdtemp(prefix=".liangxin-demo-", dir=self.path))
        except OSError as error:
            raise _unusable(self.path, error) from error
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            if is_new:
                with suppress(OSError):  # it holds something, as it should
                    self.path.rmdir()

    def publish(self, staged: Path) -> None:
        """Move everything out of `staged`, in place of what the earlier run wrote."""
        try:
            self._replace(staged, sorted(path.name for path in staged.iterdir()))
        except OSError as error:
            raise click.ClickException(
                f"{error.filename2 or error.filename} cannot be replaced: {error.strerror}"
            ) from error

    def _replace(self, staged: Path, new: Collection[str]) -> None:
        # Listed before they are there, so that whatever ends this, a later run knows its own.
        self._list(staged, {*self._earlier, *new})
        for name in self._earlier.difference(new):
            (self.path / name).unlink(missing_ok=True)
        for name in new:
            (staged / name).replace(self.path / name)
        self._list(staged, new)

    def _list(self, staged: Path, names: Collection[str]) -> None:
        text = json.dumps({"written_by": _AUTHOR, "files": sorted(names)}, indent=2)
        draft = staged / MANIFEST
        draft.write_text(f"{text}\n", encoding="utf-8")
        draft.replace(self.path / MANIFEST)


def _unusable(path: Path, error: OSError) -> click.ClickException:
    return click.ClickException(f"{path} cannot be used: {error.strerror or error}")


def _listed(path: Path) -> set[str]:
    """The files of the earlier run; none if there was no run."""
    manifest = path / MANIFEST
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or found.get("written_by") != _AUTHOR:
        raise click.ClickException(
            f"{manifest} was not written by a demo; choose another folder with --out."
        )
    files = found.get("files")
    return {name for name in files if _is_plain(name)} if isinstance(files, list) else set()


def _is_plain(name: object) -> bool:
    """Whether this names a file in the folder itself, whoever wrote the list."""
    return isinstance(name, str) and name not in ("", ".", "..") and name == os.path.basename(name)


def _strangers(path: Path, earlier: Collection[str], stems: Collection[str]) -> str | None:
    ours = {stem.casefold() for stem in (*stems, Path(PAGE).stem)}
    known = {name.casefold() for name in earlier}
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    for name in names:
        if Path(name).stem.casefold() in ours and name.casefold() not in known:
            return name
    return None
