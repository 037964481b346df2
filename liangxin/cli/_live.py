"""What moves on standard error while a command works: drawn anew on a terminal, else lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from liangxin.cli._service import say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live


@contextmanager
def drawn(renderable: RenderableType, console: Console) -> Iterator[Live]:
    """Draw on the terminal until the block ends, and leave nothing behind."""
    from rich.live import Live

    with Live(
        renderable,
        console=console,
        refresh_per_second=4,
        transient=True,
        # Results that go to a file or a pipe would be drawn as well, and not arrive there.
        redirect_stdout=sys.stdout.isatty(),
    ) as live:
        yield live


class LiveLine:
    """One line with what goes on, and since how many seconds."""

    def __init__(self, *, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._began = time.monotonic()
        self._words = ""
        self._live: Live | None = None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show it while the block runs."""
        from rich.console import Console

        console = Console(stderr=True)
        if self._is_quiet or not console.is_terminal:
            yield
            return
        from rich.spinner import Spinner

        is_utf = console.encoding.lower().startswith("utf")
        self._spinner = Spinner("dots" if is_utf else "line", style="cyan")
        with drawn(self, console) as self._live:
            yield
        self._live = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to others while the block runs: what they write stays whole."""
        if self._live is not None:
            self._live.stop()
        yield
        if self._live is not None:
            self._live.start(refresh=True)

    def tell(self, words: str) -> None:
        """Say what goes on now; a line of its own where nothing is drawn."""
        if words == self._words:
            return
        self._words = words
        if not self._is_quiet and self._live is None:
            say(f"{self._age()}  {words}")

    def _age(self) -> str:
        return f"{time.monotonic() - self._began:6.1f} s"

    def __rich__(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        line.add_row(self._spinner, Text(self._words), Text(self._age(), style="dim"))
        return line
