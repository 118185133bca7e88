"""What a record holds, for a person and as JSON. `cottage inspect` prints it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cottage.clock import iso_millis
from cottage.errors import UnusableSource
from cottage.record.checkpoints import checkpoints
from cottage.record.record import Record
from cottage.record.sorted_rows import SortedRows

MOST_SHOWN = 8
_QUERY = (
    "SELECT symbol, source, run, count(*) AS rows, [min(recorded), max(recorded)] AS recorded, "
    '[min("at"), max("at")] AS "at" FROM source GROUP BY symbol, source, run'
)


@dataclass(frozen=True, slots=True)
class RecordOverview:
    """Figures of the samples of a record."""

    recorded: tuple[int, int]
    """When the first and the last was recorded, in microseconds since 1970."""
    at: tuple[int, int]
    """The first and the last time of the market, likewise."""
    symbols: dict[str, int]
    """How many rows each has."""
    runs: list[tuple[int, str | None]]
    """When each run began to be recorded, and its source."""
    checkpoints: int

    @property
    def samples(self) -> int:
        """How many rows there are."""
        return sum(self.symbols.values())

    def to_json(self) -> dict[str, Any]:
        """The object of `cottage inspect --json`."""
        return {
            "kind": "record",
            "symbols": list(self.symbols),
            "rows": self.samples,
            "recorded_from": _time(self.recorded[0]),
            "recorded_until": _time(self.recorded[1]),
            "first_time": _time(self.at[0]),
            "span_seconds": (self.at[1] - self.at[0]) / 1e6,
            "runs": [{"source": source, "run": _time(run)} for run, source in self.runs],
            "checkpoints": self.checkpoints,
        }

    def lines(self) -> Iterator[str]:
        """The report, line by line."""
        yield "a record, which SOURCE=replay FILE=… SPEED=max replays as it was taken"
        yield f"recorded     {_time(self.recorded[0])} to {_time(self.recorded[1])}"
        yield f"market       {_time(self.at[0])} to {_time(self.at[1])}"
        yield from (f"source       {source or 'unknown'}, since {_time(run)}" for run, source in self.runs)
        yield f"checkpoints  {self.checkpoints:,}"
        yield f"samples      {self.samples:,} of {len(self.symbols):,} symbols"
        yield from (f"  {symbol:10} {rows:,}" for symbol, rows in list(self.symbols.items())[:MOST_SHOWN])
        if len(self.symbols) > MOST_SHOWN:
            yield f"  and {len(self.symbols) - MOST_SHOWN:,} more"


def overview(folder: Path) -> RecordOverview:
    """Look at a record. Raises UnusableSource for one without a sample, and what SortedRows does."""
    symbols: Counter[str] = Counter()
    runs: set[tuple[int, str | None]] = set()
    recorded, at = [], []
    with SortedRows(Record(folder), "samples", ("symbol", "source", "run", "recorded", "at")) as rows:
        for batch in rows.queried(_QUERY):
            for row in batch.to_pylist():
                symbols[row["symbol"]] += row["rows"]
                runs.add((row["run"], row["source"]))
                recorded += row["recorded"]
                at += row["at"]
    if not symbols:
        raise UnusableSource(f"{folder} is a record without a sample")
    return RecordOverview(
        recorded=(min(recorded), max(recorded)),
        at=(min(at), max(at)),
        symbols=dict(sorted(symbols.items())),
        runs=sorted(runs, key=lambda run: run[0]),
        checkpoints=len(checkpoints(folder)),
    )


def _time(micros: int) -> str:
    return iso_millis(micros / 1e6)
