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

from cottage import fields
from cottage.clock import LATEST_SECONDS
from cottage.errors import InvalidMessage
from cottage.snapshot import MOST_FILL, OnDoubt
from services.feynman.sample_columns import SampleColumns, session_number
from services.feynman.windows import IntArray


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
    lost: bool = False
    """Whether the one before it was handed over, by its number, and is not here."""


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
        columns = dict(zip(FillSample._fields, zip(*(found[i][turn] for i in which), strict=True), strict=True))
        del columns["number"]
        positions = np.array(which)
        numbers: dict[str, Any] = {name: np.array(column) for name, column in columns.items()}
        yield positions, replace(samples.where(positions), **numbers)


def _sample(value: fields.Fields) -> FillSample:
    """Check a sample of a list. Raises InvalidMessage."""
    price, timestamp = fields.number(value, "price"), fields.number(value, "timestamp")
    time = fields.optional_number(value, "event_time")
    time = timestamp if time is None else time
    volume, trades = (fields.optional_number(value, name) for name in ("volume", "trades"))
    if not price > 0:
        raise InvalidMessage("price", f"{price!r} is not above 0")
    if not 0 <= time <= LATEST_SECONDS:
        raise InvalidMessage("event_time", f"{time!r} does not lie between 1970 and 9999")
    for count in (volume, trades):
        if count is not None and count < 0:
            raise InvalidMessage("volume", f"{count!r} is negative")
    session = session_number(fields.optional_text(value, "session"))
    volume, trades = (math.nan if count is None else count for count in (volume, trades))
    return FillSample(value["fill"], timestamp, time, session, price, volume, trades)
