"""Histories of samples that a market may produce, and the windows that have seen them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import strategies as st

from cottage.notes import BITS
from cottage.reference import PlainSample, Vector
from cottage.state import PhysicsState
from services.feynman.windows import Rows, Windows


def feed(windows: Windows, rows: Sequence[int], samples: Sequence[PlainSample]) -> None:
    """One sample to each of the rows, in one call."""
    columns = np.array([sample[:-1] for sample in samples], dtype=np.float64).T  # None becomes nan
    timestamp, price, volume, trades, session, tick, breaks, event_time, interval, lost, mid, auction = columns
    marks = session.astype(np.int64)
    flags = {"break": breaks, "mid": mid, "auction": auction}
    notes = sum(said.astype(np.int64) * BITS[word] for word, said in flags.items())
    stated = {"tick": tick, "event_time": event_time, "interval": interval, "lost": lost > 0}
    windows.append(np.array(rows), price, volume, trades, timestamp, marks, notes, **stated)


def windows_of(*histories: Sequence[PlainSample], length: int = 1000) -> tuple[Windows, Rows]:
    """Windows with a row for each history; those still going on at a step are appended together."""
    windows = Windows(length, capacity=1)
    rows = [windows.add() for _ in histories]
    for step in range(max(map(len, histories))):
        going_on = [row for row in rows if step < len(histories[row])]
        feed(windows, going_on, [histories[row][step] for row in going_on])
    return windows, np.array(rows)


def prices_only(*prices: float) -> list[PlainSample]:
    """A sample a second, of a market that reports neither volume nor trades."""
    return [PlainSample(float(i), price, 0.0, 0.0) for i, price in enumerate(prices)]


def walk(steps: Sequence[float], start: float = 1.0) -> list[PlainSample]:
    """Prices that are multiplied by 2 to the power of each step: exact in floats, returns of step · ln 2."""
    prices = [start]
    for step in steps:
        prices.append(prices[-1] * 2.0**step)
    return prices_only(*prices)


#: Seconds to the next sample: within three steps, just below a hole, just on it, of longer steps, of a gap, a night.
_SECONDS = st.sampled_from([0.25, 1.0, 1.0, 1.0, 1.0, 3.25, 3.5, 7.0, 15.0, 60.0, 61.0, 63000.0])
#: What happens to a counter, and what was traded since the sample before, or since a new session began.
_TURNOVER = st.tuples(
    st.sampled_from(
        ["counts"] * 19
        + ["begins anew", "is missing", "is too great", "is corrected", "wraps", "is 0 once", "has a digit more"]
    ),
    st.sampled_from([0.0, 0.0, 1.0, 7.0, 0.37, 1e9]),
)
#: Markets whose volume is a rolling figure: how much of it falls out at each sample.
_FALLS_OUT = st.sampled_from([0.0] * 9 + [1.0])
_SESSIONS = [0] * 9 + [7, 7, 8]
#: The mark of the session, by how much all prices are multiplied from a sample on, whether the feed states a break.
_COMPARABLE = st.sampled_from(
    [(session, 1.0, False) for session in 3 * _SESSIONS]
    + [(8, 0.5, False), (7, 2.0, False), (0, 4 / 3, False), (8, 0.8, False), (7, 20.0, False)]
    + [(8, 1.2, False), (0, 0.3, False), (7, 0.3, False)]
    + [(0, 1.0, True), (0, 1.0, True), (0, 0.5, True)]
)
_MOVES = {
    "constant": st.just(0),
    "one jump": st.just(0),  # the jump is put in afterwards
    "mostly ties": st.sampled_from([0, 0, 0, 0, 1, -1]),
    "walk": st.integers(-40, 40),
    "heavy tails": st.sampled_from([0, 1, -1, 2, -2, 5, -5, 100, -300]),
}


def _counted(counter: float, happens: str, more: float) -> float:
    """A counter after a sample. One that wraps does so at 2^32, whether it was there or not."""
    after = {
        "begins anew": more,
        "is corrected": max(0.0, counter - 1.0),
        "wraps": 2.0**32 if counter < 4e9 else more,
    }
    return after.get(happens, counter + more)


def _reported(counter: float, happens: str) -> float | None:
    mistaken = {"is missing": None, "is too great": math.inf, "is 0 once": 0.0, "has a digit more": 10 * counter}
    return mistaken.get(happens, counter)


@st.composite
def histories(draw: st.DrawFn, min_size: int = 1, max_size: int = 20) -> list[PlainSample]:
    """Samples of one symbol: prices on a tick grid or off it, of 1e-8 to 1e9, sub-penny prints, mids, gaps, lost
    samples, auctions, splits, and all that counters do."""
    kind = draw(st.sampled_from(sorted(_MOVES)))
    step = st.tuples(_MOVES[kind], _SECONDS, _TURNOVER, _TURNOVER, _COMPARABLE)
    steps = draw(st.lists(step, min_size=min_size, max_size=max_size))
    some = st.sampled_from([(), (), (0,), (3, 7)])
    lost, off_grid, mids, auctions = draw(some), draw(some), draw(some | st.just(range(10))), draw(some)
    start, tick = draw(st.sampled_from([(450.0, 0.01), (5000.0, 0.25), (1e-8, 1e-12), (1e9, 0.01), (1.0, None)]))
    jump = draw(st.integers(0, len(steps) - 1)) if kind == "one jump" else None
    falls_out, stated_tick = draw(_FALLS_OUT), draw(st.sampled_from([None, None, tick, 0.02]))
    place, timestamp, volume, trades = 0, 1.7e9, 0.0, 0.0
    scale, samples = 1.0, []
    for i, (move, seconds, traded, number, (session, split, stated)) in enumerate(steps):
        place += 17 if i == jump else move
        timestamp += seconds
        volume = max(0.0, _counted(volume, *traded) - falls_out)
        trades = _counted(trades, *number)
        # A price beyond what the grid allows turns back: prices are above 0.
        price = start * math.exp(place / 1000) if tick is None else start + tick * (abs(place + 9000) - 9000)
        scale *= split
        counters = _reported(volume, traded[0]), _reported(trades, number[0])
        price += 0.1 * (tick or 0.0) * (i % 10 in off_grid)
        sample = PlainSample(timestamp, price * scale, *counters, session, stated_tick, stated)
        samples.append(sample._replace(lost=i % 10 in lost, mid=i % 10 in mids, auction=i % 10 in auctions))
    return samples


def assert_vector(state: PhysicsState, expected: Vector) -> None:
    """That the state holds this vector, but for the last digits of floats."""
    for field, value in expected._asdict().items():
        wanted = pytest.approx(value, rel=1e-9, abs=1e-12) if isinstance(value, float) else value
        found = state.snapped or 0 if field == "snapped" else getattr(state, field)  # 0 is left out
        assert (set(found) if isinstance(found, tuple) else found) == wanted, field
