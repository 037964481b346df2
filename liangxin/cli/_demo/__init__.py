"""The demo itself: create, watch, download, show, and compare with the books."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import anyio
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from liangxin._client import AsyncClient
from liangxin._errors import LiangxinError
from liangxin._sheet import SheetEntry, sheet
from liangxin._text import printable
from liangxin.cli._demo.board import Board
from liangxin.cli._demo.books import disagreements
from liangxin.cli._demo.folder import PAGE, DemoFolder
from liangxin.cli._demo.scenes import durations, scenes
from liangxin.cli._demo.shot import Shot
from liangxin.emulator import Emulator

_clock = time.monotonic


def perform(
    out: Path, *, seed: int = 0, opens: bool = False, emulator: Emulator | None = None
) -> None:
    """Run the demo into the folder `out`; raises `ClickException` unless all went well."""
    shots = [Shot(number, asked) for number, asked in enumerate(scenes(), start=1)]
    if emulator is None:
        emulator = Emulator(seed=seed, durations=durations([shot.input for shot in shots], seed))
    folder = DemoFolder(out, [shot.name for shot in shots])
    progress = Console(stderr=True)
    board = Board(progress, shots, clock=_clock, looks_of=emulator.looks_of)
    began = _clock()
    with folder.staging() as staged, emulator.serve() as url:
        progress.print(Text(f"An emulator of the Market answers on {url}"), soft_wrap=True)
        with board.live():
            anyio.run(partial(_make_all, url, shots, staged, board))
        with (staged / PAGE).open("w", encoding="utf-8", newline="\n") as page:
            page.writelines(_page(shots, emulator))
        folder.publish(staged)
    _report(shots, emulator, out / PAGE, _clock() - began)
    if opens:
        _open(out / PAGE, progress)
    _check(shots, emulator)


# --- the main job ------------------------------------------------------------------------------


async def _make_all(url: str, shots: Sequence[Shot], to: Path, board: Board) -> None:
    async with (
        AsyncClient("demo-key", base_url=url, poll_interval=0.6) as client,
        anyio.create_task_group() as group,
    ):
        for shot in shots:
            shot.began = _clock()
            try:
                shot.task = await client.create_task(shot.input)
            except LiangxinError as error:
                _end(shot, board, error)
            else:
                board.tell(shot)
                group.start_soon(_follow, client, shot, to, board)


async def _follow(client: AsyncClient, shot: Shot, to: Path, board: Board) -> None:
    assert shot.task is not None
    try:
        async for snapshot in client.watch(shot.task):
            shot.task = snapshot
            board.tell(shot)
        [shot.path] = await client.download(shot.task, to, name=shot.name)
    except LiangxinError as error:
        _end(shot, board, error)
    else:
        _end(shot, board)


def _end(shot: Shot, board: Board, error: LiangxinError | None = None) -> None:
    shot.error = error
    shot.ended = _clock()
    board.tell(shot)


# --- what is shown of it -----------------------------------------------------------------------


def _page(shots: Sequence[Shot], emulator: Emulator) -> Iterator[str]:
    return sheet(
        (_entry(shot, emulator) for shot in shots),
        title="LiangXin demo",
        note="made by the emulator, which paints the words instead of obeying them",
    )


def _entry(shot: Shot, emulator: Emulator) -> SheetEntry:
    task, asked = shot.task, shot.input.payload()
    facts = [(name, str(asked[key])) for key, name in _SHOWN.items() if key in asked]
    if "duration" in asked:
        facts.append(("duration", f"{asked['duration']} s"))
    if "width" in asked:
        facts.append(("size", f"{asked['width']} × {asked['height']}"))
    if task is not None:
        facts.append(("looks", str(emulator.looks_of(task.id))))
    return SheetEntry(
        title=getattr(shot.input, "title", shot.input.slug),
        model=shot.input.slug,
        prompt=shot.prompt,
        state="not created" if task is None else task.state.value,
        file=shot.path.name if shot.path else None,
        error=str(shot.error) if shot.error else None,
        seconds=shot.age(_clock()),
        task_id=task.id if task else None,
        facts=facts,
    )


_SHOWN = {
    "aspect_ratio": "ratio",
    "image_size": "size",
    "resolution": "resolution",
    "output_format": "format",
}


def _report(shots: Sequence[Shot], emulator: Emulator, page: Path, seconds: float) -> None:
    output = Console()
    if not output.is_terminal:
        output = Console(width=200)
    amounts = {charge.task_id: charge.amount for charge in emulator.charges}
    output.print(_table(shots, emulator, amounts, is_wide=output.width >= 114))
    created = sum(shot.task is not None for shot in shots)
    for line in (
        f"\nCreated {created} tasks, looked {emulator.looks} times, {seconds:.1f} s in all.",
        f"The emulator's books: {len(amounts)} tasks charged, {sum(amounts.values())} credits.",
        f"See them all: {page}",
    ):
        output.print(Text(line), soft_wrap=True)


def _table(
    shots: Sequence[Shot], emulator: Emulator, amounts: Mapping[str, int], *, is_wide: bool
) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("task", overflow="fold")
    for name in ("took", "looks", "charged"):
        table.add_column(name, justify="right", no_wrap=True)
    if is_wide:
        table.add_column("result", overflow="fold")
    for shot in shots:
        task = shot.task.id if shot.task else ""
        cells = [
            Text(printable(task) or f"{shot.input.slug} (not created)"),
            Text(f"{shot.age(_clock()) or 0:.1f} s"),
            Text(str(emulator.looks_of(task))),
            Text(str(amounts.get(task, 0))),
            Text(shot.path.name if shot.path else shot.state, style="" if shot.path else "red"),
        ]
        table.add_row(*cells[: len(table.columns)])
    return table


def _open(page: Path, progress: Console) -> None:
    try:
        is_open = webbrowser.open(page.resolve().as_uri())
    except (webbrowser.Error, OSError):
        is_open = False
    if not is_open:
        progress.print("No browser could be opened.")


def _check(shots: Sequence[Shot], emulator: Emulator) -> None:
    created = [shot.task.id for shot in shots if shot.task is not None]
    wrong = disagreements(created, (charge.task_id for charge in emulator.charges))
    failed = [f"{shot.input.slug}: {printable(shot.error)}" for shot in shots if shot.error]
    if wrong:
        failed.append(f"The books disagree: {'; '.join(wrong)}.")
    if failed:
        raise click.ClickException("\n".join(failed))
