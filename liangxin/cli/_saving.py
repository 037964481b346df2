"""Where `--out` puts results: into a folder under the ids of their tasks, or into one file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from liangxin import AsyncClient, DownloadError, Task
from liangxin._endings import media_type
from liangxin._text import in_words
from liangxin.cli._service import say

_STEM = "result"


def checked_place(out: Path, tasks: int) -> Path:
    """The place, when it is clear that files can be written there: before anything is paid."""
    folder = out.parent if _is_file(out) else out
    if _is_file(out) and tasks > 1:
        raise click.UsageError(f"--out {out} is one file, for {tasks} tasks: name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--out: no folder {folder} can be made: {error}") from error
    if not os.access(folder, os.W_OK):
        raise click.UsageError(f"--out: nothing may be written to {folder}")
    return out


async def saved(client: AsyncClient, task: Task, out: Path) -> tuple[Path, ...]:
    """Save all results of the task."""
    try:
        if not _is_file(out):
            return tuple(await client.download(task, out))
        with TemporaryDirectory(prefix=".liangxin-", dir=out.parent) as folder:
            return tuple(_moved(await client.download(task, folder, name=_STEM), out))
    except OSError as error:
        raise DownloadError(f"{task.id} cannot be saved to {out}: {in_words(error)}") from error


def _is_file(out: Path) -> bool:
    return media_type(out.name) is not None and not out.is_dir()


def _moved(files: Iterable[Path], out: Path) -> list[Path]:
    """Give the files the name that was asked for, but never the ending of another format."""
    moved = []
    for file in files:
        fits = media_type(file.name) == media_type(out.name)
        ending = out.suffix if fits else file.suffix
        moved.append(file.replace(out.with_name(out.stem + file.stem[len(_STEM) :] + ending)))
        if not fits:
            say(f"Note: the result is no {out.suffix}, and is called {moved[-1].name}.")
    return moved
