"""Prices that real markets made: the kernel against the reference."""

import csv
import gzip
import importlib.util
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from cottage import reference
from cottage.reference import PlainSample
from services.feynman.vector import compute
from services.feynman.windows import Windows
from tests.services.feynman.agreement import assert_agree, decided, nth
from tests.services.feynman.histories import feed
from tests.support import ROOT

SHARED = ROOT.parent / "shared" / "data"


def compared(history: Sequence[PlainSample], length: int, every: int) -> int:
    """Slide through all of it, and compare every so often; how many vectors were compared."""
    windows, number = Windows(length), 0
    row = windows.add()
    increments = reference.increments(history, window=length)
    grids = reference.grids(increments, length)
    for i, sample in enumerate(history, 1):
        feed(windows, [row], [sample])
        last = increments[max(0, i - length) : i]
        if (i % every == 0 or i == len(history)) and decided(last):
            expected = reference.vector_of_increments(last, grids[i - 1]())
            assert_agree(nth(compute(windows, np.array([row])), 0), expected)
            number += 1
    return number


def monthly_prices() -> dict[str, list[PlainSample]]:
    """Ten years of five shares, as if a month were a second. Without volumes."""
    spec = importlib.util.find_spec("vega_datasets")
    assert spec is not None
    assert spec.origin is not None
    histories: dict[str, list[PlainSample]] = defaultdict(list)
    with (Path(spec.origin).parent / "_data" / "stocks.csv").open() as file:
        for line in csv.DictReader(file):
            history = histories[line["symbol"]]
            history.append(PlainSample(float(len(history)), float(line["price"]), 0.0, 0.0))
    return histories


sampled = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
"""One comparison in so many is made: the reference is slow."""


@sampled
@pytest.mark.parametrize("length", [20, 80, 1000])
def test_shares(length: int, every: int) -> None:
    histories = monthly_prices()
    assert set(histories) == {"AAPL", "AMZN", "GOOG", "IBM", "MSFT"}
    assert sum(compared(history, length, 3 * every) for history in histories.values()) > 150 / every


def seconds(trades: Iterator[dict[str, str]]) -> list[PlainSample]:
    """What a snapshot says at the end of each second that had a trade."""
    samples: list[PlainSample] = []
    volume = number = 0.0
    for trade in trades:
        moment = datetime.fromisoformat(trade["timestamp"]).timestamp()
        volume, number = volume + float(trade["size"]), number + 1
        sample = PlainSample(moment, float(trade["price"]), volume, number)
        if samples and int(samples[-1].timestamp) == int(moment):
            samples[-1] = sample
        else:
            samples.append(sample)
    return samples


@sampled
def test_an_hour_of_futures(every: int) -> None:
    path = SHARED / "es-futures-1h.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    with gzip.open(path, "rt") as file:
        history = seconds(csv.DictReader(file))
    assert len(history) > 2000
    assert compared(history, 1000, 250 * every) > 8 / every
    assert compared(history, 100, 20 * every) > 80 / every
