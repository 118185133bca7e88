"""A row of a recording, and why one cannot be used."""

from typing import NamedTuple


class BadRow(Exception):
    """Raised for a row that cannot be used. Recording skips it and counts it by `reason`, one of a few words."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Row(NamedTuple):
    """One trade, bar or quote. A trade's open, high and low are its price; a bar's price is its close, a quote's its
    mid."""

    time: int
    """When it is published, in microseconds since 1970, UTC: at its receive time where the file has one, a bar at its
    end."""
    symbol: str
    price: float
    volume: float | None
    """None where the file tells none."""
    trades: int | None
    """The number of trades or of quote updates; None where the file does not tell it."""
    open: float
    high: float
    low: float
    bid: float | None
    ask: float | None
    native: str | None = None
    """The symbol as the file spells it, where that differs."""
    event_time: int | None = None
    """The market's own time, in microseconds since 1970, where it is another one than `time`."""
    sequence: int = 0
    """The id or sequence number by which rows of one time are in order; 0 where the file has none."""
    interval: int | None = None
    """The microseconds that a bar lasts."""
    notes: tuple[str, ...] = ()
    """What is to be said of it, in words of cottage/notes.py: `mid`, `auction`."""


def shown(text: str, most: int = 60) -> str:
    """The text in quotes, printable, cut to so many characters, for error messages."""
    quoted = repr(text[: 2 * most])
    return quoted if len(quoted) <= most else quoted[: most - 3] + "..."
