"""The samples that a feed hands over in `market:fill:{SYMBOL}`, which may run faster than feynman ticks.

A snapshot's hash holds one sample. Such a feed numbers its samples, adds each to that list, and says in the hash
which number its newest one has. Nothing is taken out of the list: a standby reads the same one. The symbol table
takes those that follow the newest sample of a window, in order, before the snapshot itself: each once, whatever is
read again, and whatever another writer has left there.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cottage import fields, notes
from cottage.clock import LATEST_SECONDS, iso_micros
from cottage.errors import InvalidMessage
from cottage.snapshot import (
    MOST_FILL,
    QUOTES,
    SAMPLE_FIELDS,
    OnDoubt,
    RawSample,
    or_nan,
    parse_fill,
    parse_session,
    sound_quotes,
    told_time,
)
from cottage.state import TakenSample
from services.feynman.sample_columns import SampleColumns, session_number
from services.feynman.windows import IntArray

_FILL = SAMPLE_FIELDS.index("fill")
_COLUMNS = {"number": "fill"}
"""The fields of FillSample that are called otherwise in SampleColumns."""


class Place(NamedTuple):
    """Where a sample is among others."""

    number: int
    """0 if it has none, or that is not known."""
    event_time: float
    session: int
    """As in SampleColumns."""

    def follows(self, other: "Place") -> bool:
        """Whether it may follow the other one: it is later, or of another session."""
        other_session = self.session != other.session and 0 not in (self.session, other.session)
        return self.event_time > other.event_time or other_session


class FillSample(NamedTuple):
    """A sample of a list."""

    number: int
    timestamp: float
    event_time: float
    session: int
    """As in SampleColumns."""
    price: float
    volume: float
    """nan where it is missing, as `trades`."""
    trades: float
    notes: int
    """The bits of the words of `cottage.notes` that the feed says."""
    other_notes: tuple[str, ...] = ()
    """The words that it says otherwise."""
    received: float = math.nan
    """As in SampleColumns; the next three too."""
    bid: float = math.nan
    ask: float = math.nan
    mark: str | None = None
    lost: bool = False
    """Whether the one before it was handed over, by its number, and is not here."""

    def taken(self) -> TakenSample:
        """As a state tells of it."""
        counts = (self.volume, self.trades, self.bid, self.ask)
        volume, trades, bid, ask = (float(count) if math.isfinite(count) else None for count in counts)
        return TakenSample(
            self.price,
            iso_micros(self.timestamp),
            volume=volume,
            trades=trades,
            bid=bid,
            ask=ask,
            event_time=None if self.event_time == self.timestamp else iso_micros(self.event_time),
            received=None if math.isnan(self.received) else iso_micros(self.received),
            session=self.mark,
            notes=tuple(notes.words(self.notes, self.other_notes)),
            lost=self.lost,
        )


def numbered(
    symbols: Sequence[str], rows: Sequence[RawSample | InvalidMessage]
) -> tuple[list[str], list[RawSample | InvalidMessage]]:
    """Those of these snapshots whose samples are numbered: it does not matter when they are taken."""
    places = [i for i, row in enumerate(rows) if not isinstance(row, InvalidMessage) and parse_fill(row[_FILL])]
    return [symbols[i] for i in places], [rows[i] for i in places]


def missed(number: int, newest: int) -> int:
    """How many samples lie between a window's newest one and a snapshot's, by their numbers; as many as are handed
    over at most where the window's has none, or another writer's."""
    between = number - newest - 1
    return between if newest and 0 <= between < MOST_FILL else MOST_FILL


def following(
    elements: Sequence[bytes], snapshot: Place, newest: Place, on_doubt: OnDoubt
) -> tuple[list[FillSample], bool]:
    """The samples of a list between the `newest` one of a window and the snapshot's, in order; and whether the one
    before the snapshot's is lost.

    They are numbered without a hole up to the snapshot's; each follows the one before by its time, and the snapshot's
    follows the last. `on_doubt` gets an error for each that is left out since it cannot be read.
    """
    expected, found = snapshot.number - 1, []
    for element in reversed(elements):
        if expected == newest.number:
            break
        try:
            value = fields.load_object(element)
            if value.get("fill") == expected:
                expected -= 1
                found.append(_sample(value))
        except InvalidMessage as error:
            on_doubt(InvalidMessage("fill", str(error)))
    known = {newest.number, *(sample.number for sample in found)}
    last, chosen = newest, []
    for sample in reversed(found):
        place = Place(sample.number, sample.event_time, sample.session or last.session)
        if place.follows(last) and snapshot.follows(place):
            last = place
            chosen.append(sample._replace(lost=sample.number - 1 not in known))
    return chosen, snapshot.number - 1 not in known


def rounds(
    samples: SampleColumns, found: Mapping[int, Sequence[FillSample]]
) -> Iterator[tuple[IntArray, SampleColumns]]:
    """What is to be appended one after the other before `samples`: the first of what was `found` for each, then the
    second, and so on; with their positions in `samples`. `found`: by position, ascending."""
    for turn in range(max(map(len, found.values()), default=0)):
        which = [i for i, each in found.items() if turn < len(each)]
        positions = np.array(which)
        these = {place: found[i][turn] for place, i in enumerate(which)}
        yield positions, in_place(samples.where(positions), these)


def in_place(samples: SampleColumns, others: Mapping[int, FillSample]) -> SampleColumns:
    """These samples, with others of the same symbols in the place of some; by position."""
    if not others:
        return samples
    names = [_COLUMNS.get(name, name) for name in FillSample._fields]
    columns: dict[str, Any] = {name: getattr(samples, name).copy() for name in names}
    for i, sample in others.items():
        for column, value in zip(columns.values(), sample, strict=True):
            column[i] = value
    return replace(samples, **columns)


def _sample(value: fields.Fields) -> FillSample:
    """Check a sample of a list. Raises InvalidMessage."""
    price, timestamp = fields.number(value, "price"), fields.number(value, "timestamp")
    stated = fields.optional_number(value, "event_time")
    time = timestamp if stated is None else stated
    volume, trades = (fields.optional_number(value, name) for name in ("volume", "trades"))
    if not price > 0:
        raise InvalidMessage("price", f"{price!r} is not above 0")
    for name, moment in (("event_time", time), ("timestamp", timestamp)):
        if not 0 <= moment <= LATEST_SECONDS:
            raise InvalidMessage(name, f"{moment!r} does not lie between 1970 and 9999")
    for count in (volume, trades):
        if count is not None and count < 0:
            raise InvalidMessage("volume", f"{count!r} is negative")
    mark = fields.optional_text(value, "session")
    bid, ask, received = (each if fields.finite(each := value.get(name)) else None for name in (*QUOTES, "received"))
    if received is not None and not 0 <= received <= LATEST_SECONDS:
        received = None
    bid, ask = sound_quotes(price, bid, ask)
    said, others = notes.parse(fields.optional_text(value, "notes"))
    return FillSample(
        number=value["fill"],
        timestamp=told_time(timestamp),
        event_time=told_time(time),
        session=session_number(mark),
        price=price,
        volume=or_nan(volume),
        trades=or_nan(trades),
        notes=said,
        other_notes=others,
        received=or_nan(received),
        bid=or_nan(bid),
        ask=or_nan(ask),
        mark=parse_session(mark),
    )
