"""The display of `cottage watch` for a terminal: a table on a screen of its own, which is redrawn in place."""

from typing import Self

from rich.console import Console
from rich.live import Live

from cottage.cli.table import render
from cottage.cli.view import View

WIDE = 210
"""The width of the table where it is printed into a file: all columns fit."""


class LiveTable:
    """A display that redraws the table twice a second; watch.py uses it."""

    seconds = 0.5

    def __init__(self, view: View) -> None:
        self._view = view
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)

    def changed(self, symbol: str) -> None:
        """Does nothing: the next redraw shows the change."""

    def tick(self) -> None:
        self._live.update(render(self._view, *self._console.size), refresh=True)

    def whole(self) -> None:
        if not self._console.is_terminal:
            self._console.width = WIDE
        with self._console.capture() as table:
            self._console.print(render(self._view, self._console.width))
        print(table.get(), end="")  # rich would end the program itself where a pipe is closed

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._live.stop()
