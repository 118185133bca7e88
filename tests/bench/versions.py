"""What feynman writes in a second of a market, made by its own table of symbols: messages and stored states.

Windows are full from the beginning. Feeds state the market's own time in microseconds and when they received it, and
quotes: so each text is among the longest that a live feed leads to.
"""

import time
from collections.abc import Iterator

import numpy as np

from cottage.store import WRITTEN_TOGETHER
from tests.bench.checkpoint import filled
from tests.bench.market import TICK, Floats, Market
from tests.bench.record_child import Second
from tests.bench.tick import names

FIRST_EPOCH = 1_699_999_100_000


class Versions:
    """A market of so many symbols, each of which trades every second."""

    def __init__(self, symbols: int, window: int) -> None:
        self.symbols = names(symbols)
        self._market = Market(symbols)
        self._table = filled(self._market, self.symbols, window)
        self._random = np.random.default_rng(11)
        self._late = self._random.uniform(0.005, 0.9, symbols)
        """By how many seconds before the tick each trades."""
        self._seq = 0
        self.spent = 0.0
        """Seconds of CPU that the table of symbols took."""

    def second(self) -> Second:
        price, volume, trades, times = self._market.step()
        now = float(times[0])
        rows = list(zip(self.symbols, self._rows(now, price, volume, trades), strict=True))
        if newcomers := self._table.newcomers():
            self._table.adopt(newcomers, {}, now, now)
        began = time.process_time()
        sampled, refused = self._table.take(rows, now, now)
        assert len(sampled) == len(self.symbols), refused[:1]
        self._seq += 1
        self._table.version(FIRST_EPOCH, self._seq, sampled)
        before = f"[{FIRST_EPOCH},{self._seq - 1}]" if self._seq > 1 else "null"
        second = Second(now + 0.2, [], [])
        writes = list(self._table.writes(sampled))
        self.spent += time.process_time() - began
        for number, write in enumerate(writes):
            written = round((now + 0.05) * 1e6) + number // WRITTEN_TOGETHER * 3_137
            stamp = f',"prev":{before},"written":{written}}}'.encode()
            assert write.update is not None
            second.updates.append(write.update + stamp)
            second.stored.append(write.state + stamp)
        return second

    def _rows(self, now: float, *numbers: Floats) -> Iterator[tuple[bytes | None, ...]]:
        """Snapshots as SAMPLE_FIELDS of hashes. `numbers`: price, volume and trades of each symbol."""
        size = len(self.symbols)
        traded = now - self._late - self._random.uniform(0.0, 0.005, size)
        received = traded + self._random.uniform(0.001, 0.004, size)
        wide = self._random.integers(1, 4, (2, size)) * TICK
        columns = (*numbers, traded, received, numbers[0] - wide[0], numbers[0] + wide[1])
        for price, volume, trades, at, came, bid, ask in zip(*(each.tolist() for each in columns), strict=True):
            text = f"{at:.3f}".encode()
            yield (
                *(f"{price:.2f}".encode(), text, b"%d" % volume, b"%d" % trades, b"live", b"2023-11-14", None),
                *(b"EXCHANGE-A", None, None, f"{at:.6f}".encode(), None, b"0.01"),
                *(f"{came:.3f}".encode(), f"{bid:.2f}".encode(), f"{ask:.2f}".encode(), None),
            )
