"""`cottage watch` as JSON lines, for pipes: one for each change."""

import sys
from typing import Self

import orjson

from cottage.cli.view import View


class JsonLines:
    """A slow reader is waited for with each line; the client has only the newest of each symbol by then."""

    seconds = 1.0

    def __init__(self, view: View) -> None:
        self._view = view
        self._said: dict[str, tuple[str, str | None]] = {}
        """Freshness and cause in each symbol's last line."""
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
