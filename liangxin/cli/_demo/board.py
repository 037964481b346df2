"""
Shows the demo while it runs: a live table on a terminal, lines at each change elsewhere.

Text that is not ours reaches rich only as `Text`, so no markup in it is obeyed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from liangxin._text import printable
from liangxin.cli._demo.shot import Shot

_STYLES = {
    "planned": "dim",
    "waiting": "yellow",
    "queuing": "yellow",
    "generating": "cyan",
    "success": "green",
    "saved": "bold green",
    "failed": "bold red",
}


class Board:
    """The state of all shots; `looks_of` tells how often a task was looked at."""

    def __init__(
        self,
        console: Console,
        shots: Sequence[Shot],
        *,
        clock: Callable[[], float],
        looks_of: Callable[[str], int],
    ) -> None:
        self._console = console
        self._shots = shots
        self._clock = clock
        self._looks_of = looks_of
        self._told: dict[Shot, str] = {}
        self._is_utf = console.encoding.lower().startswith("utf")
        self._spinner = Spinner("dots" if self._is_utf else "line", style="cyan")

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw the table anew, ten times a second, while the block runs; then remove it."""
        if not self._console.is_terminal:
            yield
            return
        with Live(
            console=self._console,
            get_renderable=self._table,
            refresh_per_second=10,
            transient=True,
        ):
            yield

    def tell(self, shot: Shot) -> None:
        """Say that a shot has changed, where there is no table that shows it."""
        if self._console.is_terminal or self._told.get(shot) == shot.state:
            return
        self._told[shot] = shot.state
        age = shot.age(self._clock()) or 0.0
        why = f": {printable(shot.error)}" if shot.error else ""
        line = f"{age:5.1f} s  {shot.input.slug:<30}  {shot.state}{why}"
        self._console.print(Text(line), soft_wrap=True)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis", style="dim")
        table.add_column(no_wrap=True, min_width=10)
        table.add_column(no_wrap=True, justify="right", min_width=6)
        table.add_column(no_wrap=True, justify="right", min_width=8)
        now = self._clock()
        for shot in self._shots:
            table.add_row(*self._row(shot, now))
        return Group(Padding(table, (0, 1)), Padding(self._bar(), (1, 1, 0, 1)))

    def _row(self, shot: Shot, now: float) -> tuple[RenderableType, ...]:
        age = shot.age(now)
        looks = self._looks_of(shot.task.id) if shot.task else 0
        return (
            self._mark(shot),
            Text(shot.input.slug),
            Text(printable(shot.prompt)),
            Text(shot.state, style=_STYLES.get(shot.state, "")),
            Text("" if age is None else f"{age:.1f} s"),
            Text(f"{looks} look{'' if looks == 1 else 's'}" if looks else "", style="dim"),
        )

    def _mark(self, shot: Shot) -> RenderableType:
        if shot.error is not None:
            return Text("×" if self._is_utf else "x", style="bold red")
        if shot.path is not None:
            return Text("✓" if self._is_utf else "+", style="bold green")
        return Text() if shot.task is None else self._spinner

    def _bar(self) -> RenderableType:
        over = sum(shot.is_over for shot in self._shots)
        line = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=len(self._shots), completed=over, width=40)
        line.add_row(bar, Text(f"{over} of {len(self._shots)}"))
        return line
