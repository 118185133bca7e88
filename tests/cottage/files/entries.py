"""Rows for tests of their order."""

from collections.abc import Sequence

from cottage.files.ordering.order import LINE, Entry, entries
from cottage.files.rows import BadRow, Row

SECOND = 1_000_000
DAY = 86_400 * SECOND


def trade(time: int, price: float = 10.0, symbol: str = "ES", sequence: int = 0, volume: float = 1.0) -> Row:
    """A trade, at a time in microseconds since 1970."""
    return Row(time, symbol, price, volume, 1, price, price, price, None, None, sequence=sequence)


def bar(time: int, price: float = 10.0, symbol: str = "ES", interval: int = 60 * SECOND) -> Row:
    return trade(time, price, symbol)._replace(interval=interval, trades=None)


def placed(rows: Sequence[Row], member: int = 0, *, newest_first: bool = False) -> list[Entry]:
    """As entries of a file with a header."""
    return list(entries(enumerate(rows, start=2), member, newest_first=newest_first))


class Refused:
    """Takes what is left out."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.errors: list[BadRow] = []

    def __call__(self, entry: Entry, error: BadRow) -> None:
        self.lines.append(entry[LINE])
        self.errors.append(error)
