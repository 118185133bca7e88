"""Writes a table of market data in any of many dialects, as vendors, brokers, spreadsheets and programs do; what it
holds is known. test_dialects.py reads it back."""

import bz2
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import zstandard

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
DAY = 86_400 * SECOND


class Record(NamedTuple):
    """One row, as it is meant."""

    time: int
    """Microseconds since 1970: what is stamped."""
    received: int
    symbol: str
    number: int
    values: tuple[Decimal, ...]
    """Price and size; open, high, low, close and volume; bid and ask."""


class TimeSpelling(NamedTuple):
    """How a time is written, in one cell or two."""

    step: int
    """What it can tell apart, in microseconds."""
    write: Callable[[datetime], tuple[str, ...]]


def _count(step: int) -> Callable[[datetime], tuple[str, ...]]:
    return lambda moment: (str(since(moment) // step),)


def since(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _text(pattern: str, *more: str, digits: int = 6, zone: timezone = UTC) -> Callable[[datetime], tuple[str, ...]]:
    """By patterns of strftime, in which `%f` has so many digits."""

    def write(moment: datetime) -> tuple[str, ...]:
        local = moment.astimezone(zone)
        fraction = f"{local.microsecond:06d}"[:digits]
        return tuple(local.strftime(each.replace("%f", fraction)) for each in (pattern, *more))

    return write


def _excel(moment: datetime) -> tuple[str, ...]:
    return (f"{Decimal(since(moment)) / DAY + 25569:.10f}",)


TIMES = {
    "seconds": TimeSpelling(SECOND, _count(SECOND)),
    "milliseconds": TimeSpelling(1000, _count(1000)),
    "microseconds": TimeSpelling(1, _count(1)),
    "nanoseconds": TimeSpelling(1, lambda moment: (f"{since(moment)}000",)),
    "seconds.fraction": TimeSpelling(1, lambda moment: (f"{Decimal(since(moment)) / SECOND:.6f}",)),
    "iso-z": TimeSpelling(1, _text("%Y-%m-%dT%H:%M:%S.%fZ")),
    "iso-zone": TimeSpelling(1000, _text("%Y-%m-%d %H:%M:%S.%f+00:00", digits=3)),
    "iso-offset": TimeSpelling(SECOND, _text("%Y-%m-%dT%H:%M:%S+05:30", zone=timezone(timedelta(hours=5.5)))),
    "iso-seconds": TimeSpelling(SECOND, _text("%Y-%m-%d %H:%M:%S")),
    "iso-minutes": TimeSpelling(60 * SECOND, _text("%Y-%m-%d %H:%M")),
    "iso-date": TimeSpelling(DAY, _text("%Y-%m-%d")),
    "digits": TimeSpelling(SECOND, _text("%Y%m%d%H%M%S")),
    "digits-ms": TimeSpelling(1000, _text("%Y%m%d %H%M%S%f", digits=3)),
    "digits-colons": TimeSpelling(SECOND, _text("%Y%m%d %H:%M:%S")),
    "german": TimeSpelling(1000, _text("%d.%m.%Y %H:%M:%S.%f", digits=3)),
    "kdb": TimeSpelling(1, _text("%Y.%m.%dD%H:%M:%S.%f")),
    "american": TimeSpelling(SECOND, _text("%m/%d/%Y %H:%M:%S")),
    "american-12": TimeSpelling(60 * SECOND, _text("%m/%d/%Y %I:%M %p")),
    "british": TimeSpelling(60 * SECOND, _text("%d/%m/%Y %H:%M")),
    "month-name": TimeSpelling(SECOND, _text("%d-%b-%Y %H:%M:%S")),
    "metatrader": TimeSpelling(60 * SECOND, _text("%Y.%m.%d", "%H:%M")),
    "two-columns": TimeSpelling(1000, _text("%Y-%m-%d", "%H:%M:%S.%f", digits=3)),
    "two-of-digits": TimeSpelling(SECOND, _text("%Y%m%d", "%H%M%S")),
    "two-american": TimeSpelling(60 * SECOND, _text("%m/%d/%Y", "%H:%M")),
    "excel": TimeSpelling(SECOND, _excel),
}
DAY_OR_MONTH = {"german", "american", "american-12", "british", "two-american"}

IN_TWO = {name for name, spelling in TIMES.items() if len(spelling.write(EPOCH)) == 2}

NAMES: dict[str, tuple[str, ...]] = {
    "time": ("timestamp", "time", "Time", "ts", "datetime", "Date", "transact_time", "Timestamp (UTC)"),
    "received": ("local_timestamp", "receipt_timestamp", "ts_recv"),
    "symbol": ("symbol", "ticker", "Symbol", "instrument", "sym"),
    "number": ("trade_id", "id", "tid", "agg_trade_id"),
    "price": ("price", "px", "Price", "last", "Kurs"),
    "size": ("size", "qty", "amount", "quantity", "volume", "Size"),
    "open": ("open", "Open", "OPEN", "<OPEN>", "o"),
    "high": ("high", "High", "HIGH", "<HIGH>", "h"),
    "low": ("low", "Low", "LOW", "<LOW>", "l"),
    "close": ("close", "Close", "CLOSE", "<CLOSE>", "c"),
    "volume": ("volume", "Volume", "VOLUME", "<VOL>", "v"),
    "bid": ("bid", "Bid", "bid_price", "best_bid"),
    "ask": ("ask", "Ask", "ask_price", "best_ask"),
}
TWO_NAMES = (("date", "time"), ("Date", "Time"), ("<DATE>", "<TIME>"), ("Datum", "Uhrzeit"))
FIELDS = {
    "trades": ("price", "size"),
    "bars": ("open", "high", "low", "close", "volume"),
    "quotes": ("bid", "ask"),
}
CONTAINERS = ("csv", "jsonl", "json-objects", "json-arrays")


@dataclass(frozen=True, slots=True)
class NumberSpelling:
    point: str = "."
    thousands: str = ""
    decimals: int | None = None
    """So many always; None for as many as there are."""

    def write(self, value: Decimal) -> str:
        text = f"{value:,f}" if self.decimals is None else f"{value:,.{self.decimals}f}"
        whole, _, part = text.partition(".")
        if self.decimals is None:
            part = part.rstrip("0")
        return whole.replace(",", self.thousands) + (self.point + part if part else "")


@dataclass(frozen=True, slots=True)
class Dialect:
    kind: str
    container: str = "csv"
    time: str = "iso-z"
    names: dict[str, str] | None = field(default_factory=lambda: {name: each[0] for name, each in NAMES.items()})
    """None: without a header."""
    two_names: tuple[str, str] = TWO_NAMES[0]
    has_symbol: bool = True
    has_number: bool = False
    has_received: bool = False
    numbers: NumberSpelling = NumberSpelling()
    delimiter: str = ","
    quoting: int = csv.QUOTE_MINIMAL
    line_end: str = "\n"
    encoding: str = "utf-8"
    compression: str = ""
    preamble: str = ""
    newest_first: bool = False
    index: bool = False
    """Whether a column without a name counts the rows, as pandas writes one."""

    def written(self, records: Sequence[Record], folder: Path, name: str) -> Path:
        """The file; `name` without an ending."""
        ordered = list(reversed(records)) if self.newest_first else list(records)
        table = [self._cells(record) for record in ordered]
        if self.index:
            table = [(str(i), *cells) for i, cells in enumerate(table)]
        text = self._csv(table) if self.container == "csv" else self._json(table)
        return self._stored(text.encode(self.encoding), folder, name)

    def header(self) -> list[str]:
        names = self.names or {each: each for each in NAMES}
        times = list(self.two_names) if self.time in IN_TWO else [names["time"]]
        columns = [*([""] if self.index else []), *times]
        shown = {"received": self.has_received, "symbol": self.has_symbol, "number": self.has_number}
        return [
            *columns,
            *(names[each] for each, has in shown.items() if has),
            *(names[each] for each in FIELDS[self.kind]),
        ]

    def _cells(self, record: Record) -> tuple[str, ...]:
        write = TIMES[self.time].write
        cells = list(write(EPOCH + timedelta(microseconds=record.time)))
        if self.has_received:
            cells += write(EPOCH + timedelta(microseconds=record.received))
        cells += [record.symbol] if self.has_symbol else []
        cells += [str(record.number)] if self.has_number else []
        return (*cells, *map(self.numbers.write, record.values))

    def _csv(self, table: Sequence[Sequence[str]]) -> str:
        stream = io.StringIO()
        writer = csv.writer(stream, delimiter=self.delimiter, quoting=self.quoting, lineterminator=self.line_end)  # type: ignore[arg-type]
        if self.names is not None:
            writer.writerow(self.header())
        writer.writerows(table)
        return self.preamble + stream.getvalue()

    def _json(self, table: Sequence[Sequence[str]]) -> str:
        if self.container == "json-arrays":
            return json.dumps([[_plain(cell) for cell in cells] for cells in table])
        objects = [dict(zip(self.header(), map(_plain, cells), strict=True)) for cells in table]
        return "\n".join(map(json.dumps, objects)) if self.container == "jsonl" else json.dumps({"result": objects})

    def _stored(self, data: bytes, folder: Path, name: str) -> Path:
        path = folder / f"{name}{'.csv' if self.container == 'csv' else '.json'}"
        pack: dict[str, Callable[[bytes], bytes]] = {
            "": bytes,
            ".gz": gzip.compress,
            ".bz2": bz2.compress,
            ".zst": zstandard.ZstdCompressor().compress,
        }
        if self.compression == ".zip":
            with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(path.name, data)
            return folder / f"{name}.zip"
        stored = path.with_name(path.name + self.compression)
        stored.write_bytes(pack[self.compression](data))
        return stored


def _plain(cell: str) -> float | int | str:
    """A cell as JSON has it: a number where it is one, and no zeros are lost."""
    if len(cell) > 1 and cell.startswith("0") and not cell.startswith("0."):
        return cell
    try:
        return float(cell) if "." in cell else int(cell)
    except ValueError:
        return cell
