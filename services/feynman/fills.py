"""The samples that a feed hands over in `market:fill:{SYMBOL}`, which may run faster than feynman ticks.

A snapshot's hash holds one sample. Such a feed numbers its samples, adds each to that list, and says in the hash
which number its newest one has. Nothing is taken out of the list: a standby reads the same one. The symbol table
takes those that follow the newest sample of a window, in order, before the snapshot itself: each once, whatever is
read again, and whatever another writer has left there.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cottage import fields
from cottage.clock import LATEST_SECONDS
from cottage.errors import InvalidMessage
from cottage.snapshot import MOST_FILL, OnDoubt
from services.feynman.sample_columns import SampleColumns, session_number
from services.feynman.windows import IntArray


class FillSample(NamedTuple):
    """A sample of a list; a snapshot is one too."""

    number: int
    event_time: float
    session: int
    """As in SampleColumns."""
    price: float
    volume: float
    """nan where it is missing, as `trades`."""
    trades: float

    def follows(self, time: float, session: int) -> bool:
        """Whether it may follow a sample of that event time and session: it is later, or of another session."""
        return self.event_time > time or (0 not in (session, self.session) and session != self.session)


def missed(number: int, newest: int) -> int:
    """How many samples lie between a window's newest one and a snapshot's, by their numbers; as many as are handed
    over at most where the window's has none, or another writer's."""
    between = number - newest - 1
    return between if newest and 0 <= between < MOST_FILL else MOST_FILL


def following(
    elements: Sequence[bytes], snapshot: FillSample, newest: FillSample, on_doubt: OnDoubt
) -> list[FillSample]:
    """The samples of a list between the `newest` one of a window and the snapshot's, in order.

    They are numbered without a hole up to the snapshot's; each follows the one before, and the snapshot's follows the
    last. `on_doubt` gets an error for each that is left out since it cannot be read.
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
    time, session, chosen = newest.event_time, newest.session, []
    for sample in reversed(found):
        if sample.follows(time, session) and snapshot.follows(sample.event_time, sample.session):
            time, session = sample.event_time, sample.session or session
            chosen.append(sample)
    return chosen


def rounds(
    samples: SampleColumns, found: Mapping[int, Sequence[FillSample]]
) -> Iterator[tuple[IntArray, SampleColumns]]:
    """What is to be appended one after the other before `samples`: the first of what was `found` for each, then the
    second, and so on; with their positions in `samples`. `found`: by position, ascending."""
    for turn in range(max(map(len, found.values()), default=0)):
        which = [i for i, each in found.items() if turn < len(each)]
        columns = zip(*(found[i][turn] for i in which), strict=True)
        _number, event_time, session, price, volume, trades = (np.array(column) for column in columns)
        positions = np.array(which)
        yield (
            positions,
            replace(
                samples.where(positions),
                price=price,
                volume=volume,
                trades=trades,
                session=session,
                event_time=event_time,
            ),
        )


def _sample(value: fields.Fields) -> FillSample:
    """Check a sample of a list. Raises InvalidMessage."""
    price, time = fields.number(value, "price"), fields.number(value, "event_time")
    volume, trades = (fields.optional_number(value, name) for name in ("volume", "trades"))
    if not price > 0:
        raise InvalidMessage("price", f"{price!r} is not above 0")
    if not 0 <= time <= LATEST_SECONDS:
        raise InvalidMessage("event_time", f"{time!r} does not lie between 1970 and 9999")
    for count in (volume, trades):
        if count is not None and count < 0:
            raise InvalidMessage("volume", f"{count!r} is negative")
    session = session_number(fields.optional_text(value, "session"))
    known = (math.nan if count is None else count for count in (volume, trades))
    return FillSample(value["fill"], time, session, price, *known)
