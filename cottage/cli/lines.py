"""The display of `cottage watch` for pipes: it prints a JSON line for each change."""

import sys
from typing import Self

import orjson

from cottage.cli.view import View


class JsonLines:
    """A display that prints JSON lines; watch.py uses it. A slow reader blocks each line, and the client meanwhile
    keeps only the newest state of each symbol."""

    seconds = 1.0

    def __init__(self, view: View) -> None:
        self._view = view
        self._said: dict[str, tuple[str, str | None]] = {}
        """The freshness and the cause that the last line of each symbol showed."""
        self._problem: str | None = None

    def changed(self, symbol: str) -> None:
        row = self._view.row(symbol)
        self._said[symbol] = (row.freshness, row.cause)
        print(orjson.dumps(row.as_dict()).decode(), flush=True)

    def tick(self) -> None:
        view = self._view
        if view.problem != self._problem:
            self._problem = view.problem
            print(f"cottage: {view.phase}: {view.problem or view.url}", file=sys.stderr)
        for symbol in (*self._said, *view.missing):
            if self._said.get(symbol) != view.freshness(symbol):
                self.changed(symbol)

    def whole(self) -> None:
        for symbol in self._view.symbols:
            self.changed(symbol)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...
