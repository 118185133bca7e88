"""What a window is given of samples: the symbol table gives it what feeds write, and warming what the record has."""

from typing import Any, NamedTuple

import numpy as np

from services.feynman.sample_columns import SampleColumns
from services.feynman.windows import BoolArray, FloatArray, IntArray, Rows, Windows


class WindowInputs(NamedTuple):
    """Samples of several windows, one of each, as columns of equal length."""

    price: FloatArray
    timestamp: FloatArray
    """In seconds since 1970."""
    volume: FloatArray
    """nan where it is missing, inf where it is too great; `trades` too."""
    trades: FloatArray
    session: IntArray
    """As in SampleColumns; `notes`, `tick`, `interval` and `lost` too."""
    notes: IntArray
    tick: FloatArray
    event_time: FloatArray
    """The market's own time, nan where it is not stated or is the feed's timestamp."""
    interval: FloatArray
    lost: BoolArray
    time: FloatArray
    """The market's own time, else the feed's."""

    @classmethod
    def of(cls, samples: SampleColumns, timestamp: FloatArray) -> "WindowInputs":
        """These samples, with the timestamps of the states that they give."""
        stated = np.where(samples.event_time == samples.timestamp, np.nan, samples.event_time)
        return cls(
            samples.price,
            timestamp,
            samples.volume,
            samples.trades,
            samples.session,
            samples.notes,
            samples.tick,
            stated,
            samples.interval,
            samples.lost,
            samples.event_time,
        )

    def where(self, which: Any) -> "WindowInputs":
        """The samples at these positions, or where this is true."""
        return WindowInputs._make(column[which] for column in self)


def take(windows: Windows, rows: Rows, inputs: WindowInputs) -> tuple[int, IntArray]:
    """Append these to the windows, but for those before which nothing was traded. Returns how many were appended, and
    what `Windows.append` does."""
    said = inputs.price, inputs.volume, inputs.trades, inputs.session, inputs.notes
    untraded = windows.nothing_traded(rows, *said)
    windows.wait(rows[untraded], inputs.timestamp[untraded])
    price, timestamp, volume, trades, session, notes, tick, event_time, interval, lost, _time = inputs.where(
        ~untraded
    )
    columns = price, volume, trades, timestamp, session, notes, tick, event_time, interval, lost
    return len(price), windows.append(rows[~untraded], *columns)
