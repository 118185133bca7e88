"""Rows of `samples` of what feynman's symbol table writes for a history, by way of its states' bytes."""

import random
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import orjson

from cottage.record.state_rows import columns, rows_of, said_by_stored
from cottage.reference import PlainSample
from services.feynman.symbol_table import SymbolTable
from tests.services.feynman.test_symbol_table import raw

_FLAGS = {"break": "states_break", "mid": "mid", "auction": "auction"}


class RecordedFeynman:
    """A symbol table of one symbol, and the rows of all that it has written."""

    def __init__(self, window: int) -> None:
        self.table = SymbolTable(window, 3600.0)
        self.table.add(["SPY"])
        self.rows: list[dict[str, Any]] = []
        self.epoch, self._seq = 1_764_000_000_000, 0
        self._prev: list[int] | None = None

    def new_epoch(self) -> None:
        self.epoch += 1_000

    def write(self, now: float) -> None:
        """Write the newest state, at this time by Redis's clock."""
        self._seq += 1
        self.table.version(self.epoch, self._seq, ["SPY"])
        (write,) = self.table.writes(["SPY"])
        said = said_by_stored(orjson.loads(write.state + b"}") | {"prev": self._prev, "written": round(now * 1e6)})
        again = self._prev is not None and self._prev[0] != self.epoch
        known = {(row["feed_time"] or row["sampled"], row["price"]) for row in self.rows[-64:]} if again else set()
        rows = rows_of(
            "SPY", said, run=1, recorded=round(now * 1e6) + 2000, reissued=lambda time, price: (time, price) in known
        )
        told = columns(rows)
        self.rows += [dict(zip(told, values, strict=True)) for values in zip(*told.values(), strict=True)]
        self._prev = [self.epoch, self._seq]


def feynman_rows(history: Sequence[PlainSample], window: int, seed: int = 0) -> list[dict[str, Any]]:
    """Each snapshot that feynman sees has its sample, and up to 90 before it in its list. Now and then Redis's clock
    is set, and all is issued again under a new epoch."""
    draw, feynman = random.Random(seed), RecordedFeynman(window)
    table, place, clock = feynman.table, -1, 0.0
    numbers = list(accumulate(1 + sample.lost for sample in history))
    while place < len(history) - 1:
        before, place = place, min(len(history) - 1, place + draw.choice([1, 1, 1, 1, 2, 3, draw.randint(1, 90)]))
        sample = history[place]
        now = sample.timestamp + draw.uniform(0.0, 0.2)
        if before >= 0 and draw.random() < 0.02:
            step = draw.choice([-0.4, 2.5])
            clock += step
            table.clock_stepped(step, now + clock - 0.1, now - 0.1)
            feynman.new_epoch()
            feynman.write(now + clock - 0.1)
        fills = [element(history[each], numbers[each], clock) for each in range(before + 1, place)]
        sampled, refused = table.take(
            [("SPY", snapshot(sample, numbers[place], clock))], now + clock, now, {"SPY": fills}
        )
        assert not refused
        while sampled:
            feynman.write(now + clock)
            sampled = table.take_rest(now + clock, now)
    return feynman.rows


def snapshot(sample: PlainSample, fill: int, clock: float) -> tuple[bytes | None, ...]:
    said = _notes(sample)
    return raw(
        sample.price,
        sample.timestamp + clock,
        sample.volume,
        sample.trades,
        b"replay",
        session=str(sample.session).encode() if sample.session else None,
        notes=" ".join(said).encode() if said else None,
        event_time=sample.event_time,
        interval=sample.interval,
        tick=sample.tick,
        fill=fill,
    )


def element(sample: PlainSample, fill: int, clock: float) -> bytes:
    told: dict[str, Any] = {"fill": fill, "price": sample.price, "timestamp": sample.timestamp + clock}
    told |= {"volume": sample.volume, "trades": sample.trades, "event_time": sample.event_time}
    told |= {"session": str(sample.session) if sample.session else None, "notes": " ".join(_notes(sample)) or None}
    return orjson.dumps({name: value for name, value in told.items() if value is not None})


def _notes(sample: PlainSample) -> list[str]:
    return [word for word, flag in _FLAGS.items() if getattr(sample, flag)]
