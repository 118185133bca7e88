"""Rows of `samples` as feynman's kernel makes them of a history: real states, for tests of the proof."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cottage.notes import BITS
from cottage.record.schema import SAMPLES
from cottage.reference import PlainSample
from services.feynman.regime import REGIMES
from services.feynman.vector import compute, regimes
from services.feynman.window_inputs import WindowInputs, take
from services.feynman.windows import Windows
from tests.services.feynman.agreement import nth

EPOCH = 1_764_000_000_000
_FLAGS = {"break": "states_break", "mid": "mid", "auction": "auction"}


def eventful_history(seed: int, number: int) -> list[PlainSample]:
    """Samples with all that a market may bring: ticks, gaps, lost samples, auctions, mids, sessions, splits, counters
    that fall, wrap, are missing or roll, stated ticks and intervals, and other tails and spacings as it goes on."""
    draw = random.Random(seed)
    time, price, volume, trades, session, scale = 1.7e9, 20_000, 0.0, 0.0, 1, 1.0
    tick, spacing, interval, mids, large = 0.25, 1.0, None, False, 3
    samples = []
    for place in range(number):
        if draw.random() < 0.01:
            tick, spacing = draw.choice([0.25, 0.25, 0.05]), draw.choice([1.0, 1.0, 2.0, 5.0])
            interval, mids, large = draw.choice([None, None, spacing]), draw.random() < 0.2, draw.choice([1, 3, 60])
        price = max(2_000, price + draw.choice([0, 0, 1, -1, 2, -2, draw.randint(-large, large)]))
        seconds = spacing * draw.choice([1.0, 1.0, 1.0, 1.0, 2.0, 3.25, draw.choice([4.0, 1.0, 61.0, 0.5])])
        time = round(time + draw.choice([seconds, round(seconds * draw.uniform(0.5, 1.5), 3)]), 3)
        event, traded = draw.random(), draw.choice([0.0, 1.0, 7.0, 0.5])
        volume, trades = volume + traded, trades + draw.choice([0.0, 1.0, 2.0])
        if event < 0.005:
            session, volume, trades, time = session + 1, traded, 0.0, time + draw.choice([0.0, 63_000.0])
            scale *= draw.choice([1.0, 1.0, 0.5, 2.0])
        elif event < 0.015:
            volume = max(0.0, volume - draw.choice([1.0, 0.6 * volume]))
        told_volume = None if 0.02 < event < 0.025 else volume
        samples.append(
            PlainSample(
                round(time - draw.choice([0.0, 0.001]), 3),
                price * 0.25 * scale + (0.1 if draw.random() < 0.02 else 0.0),
                told_volume,
                None if 0.025 < event < 0.03 else trades,
                session if draw.random() < 0.8 else 0,
                tick if draw.random() < 0.5 and place > number // 3 else None,
                0.03 < event < 0.033,
                draw.choice([None, time]) if place < number // 2 else time,
                interval,
                0.035 < event < 0.04,
                mids,
                0.04 < event < 0.045,
            )
        )
        if samples[-1].timestamp <= samples[max(0, place - 1)].timestamp and place:
            samples[-1] = samples[-1]._replace(timestamp=round(samples[place - 1].timestamp + 0.001, 3))
    return samples


def kernel_rows(
    history: Sequence[PlainSample],
    length: int,
    taken: Callable[[int], bool] = lambda _place: False,
    widening: float = 1.0,
) -> list[dict[str, Any]]:
    """The rows of a history in windows of this length. `taken`: whether the sample at this place comes in one version
    with the next one."""
    windows = Windows(length, capacity=1, widening=widening)
    row = np.array([windows.add()])
    rows: list[dict[str, Any]] = []
    number, version, before = 0, 1, None
    for place, sample in enumerate(_as_handed_over(history, taken)):
        take(windows, row, _inputs(sample))
        time = sample.timestamp if sample.event_time is None else sample.event_time
        vectors = compute(windows, row)
        windows.keep_regime(row, regimes(windows, row), np.array([time]))
        told = dict.fromkeys(column.name for column in SAMPLES) | _told(sample, time)
        told |= {"epoch": EPOCH, "seq": version, "number": number, "last": False}
        if before is not None:
            told |= {"prev_epoch": EPOCH, "prev_seq": before}
        written = EPOCH * 1000 + version * 10**6
        told |= {
            "written": written,
            "recorded": written + 2000,
            "run": EPOCH * 1000,
            "source": "replay",
            "symbol": "SPY",
        }
        if taken(place) and place + 1 < len(history) and number < 63:
            number += 1
        else:
            state = nth(vectors, 0)._asdict()
            state["alpha"] = state.pop("alpha_coefficient")
            said = told["notes"]
            told |= {name: list(value) if isinstance(value, frozenset) else value for name, value in state.items()}
            told |= {"last": True, "said": said, "regime": REGIMES[int(windows.regime[row[0]])]}
            told["regime_since"] = round(float(windows.regime_since[row[0]]) * 1e6)
            tick = float(windows.tick(row)[0])
            told |= {"grid": None if np.isnan(tick) else tick, "votes": int(windows.against_grid[row[0]]) or None}
            number, before, version = 0, version, version + 1
        rows.append(told)
    return rows


def _as_handed_over(history: Sequence[PlainSample], taken: Callable[[int], bool]) -> list[PlainSample]:
    """The history with the ticks and intervals of snapshots: samples that came before one are taken with its own."""
    samples = list(history)
    for place in reversed(range(len(samples) - 1)):
        if taken(place):
            after = samples[place + 1]
            samples[place] = samples[place]._replace(tick=after.tick, interval=after.interval)
    return samples


def _inputs(sample: PlainSample) -> WindowInputs:
    notes = sum(BITS[word] for word, flag in _FLAGS.items() if getattr(sample, flag))
    time = sample.timestamp if sample.event_time is None else sample.event_time
    numbers = sample.price, sample.timestamp, sample.volume, sample.trades
    price, timestamp, volume, trades = (np.array([number], np.float64) for number in numbers)  # None becomes nan
    tick, event_time, interval = (
        np.array([number], np.float64) for number in (sample.tick, sample.event_time, sample.interval)
    )
    session, said, lost = np.array([sample.session]), np.array([notes]), np.array([sample.lost])
    said_of_it = tick, event_time, interval, lost, np.array([time])
    return WindowInputs(price, timestamp, volume, trades, session, said, *said_of_it)


def _told(sample: PlainSample, time: float) -> dict[str, Any]:
    counters = {name: getattr(sample, name) for name in ("volume", "trades")}
    return {
        "reissued": False,
        "healed": False,
        "at": round(time * 1e6),
        "sampled": round(sample.timestamp * 1e6),
        "event_time": None if sample.event_time is None else round(sample.event_time * 1e6),
        "price": sample.price,
        **{name: None if value == float("inf") else value for name, value in counters.items()},
        "tick": sample.tick,
        "interval": sample.interval,
        "session": str(sample.session) if sample.session else None,
        "lost": sample.lost,
        "notes": [word for word, flag in _FLAGS.items() if getattr(sample, flag)],
    }
