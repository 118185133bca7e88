"""Any engine that reads Parquet reads the files of a record, by one glob."""

from pathlib import Path
from unittest import mock

import duckdb
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pytest

from cottage.record.record_writer import RecordWriter
from tests.cottage.record.endless_recorder import sort_here
from tests.cottage.record.rows_of_samples import BEGIN, SECOND, samples

HOURS = 3
SPY_SUM = sum((100.0 + seq / 8) * HOURS for seq in (1, 2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours, of which the last one is not over; and pieces, which no glob of a table meets."""
    folder = tmp_path_factory.mktemp("record")
    with (
        mock.patch("cottage.record.record_writer.sort_in_child", sort_here),
        RecordWriter(folder, clock=lambda: BEGIN / 1e6 + 3 * 3600) as record,
    ):
        for hour in range(HOURS):
            record.append("samples", samples(seqs=(1, 2, 3), begin=BEGIN + hour * 3600 * SECOND))
            record.roll()
            record.compact()
        (folder / "pieces/samples").mkdir(parents=True, exist_ok=True)
        (folder / "pieces/samples/none.parquet").write_bytes(b"none of theirs")
    return folder


def test_duckdb(folder: Path) -> None:
    with duckdb.connect() as database:
        query = f"""
            SELECT symbol, count(*), sum(price), min(make_timestamp("at")), count(alpha), max(len(notes))
            FROM '{folder}/samples/**/*.parquet' WHERE date = '2025-11-26' GROUP BY symbol ORDER BY symbol DESC
        """
        rows = database.sql(query).fetchall()
    assert [row[:3] for row in rows] == [("SPY", 9, SPY_SUM), ("QQQ", 9, SPY_SUM)]
    assert str(rows[0][3]) == "2025-11-26 13:00:01"
    assert rows[0][4:] == (6, 0)


def test_pandas(folder: Path) -> None:
    rows = pd.read_parquet(folder / "samples")
    assert len(rows) == 18
    assert rows[rows.symbol == "SPY"].price.sum() == SPY_SUM
    assert pd.to_datetime(rows["at"].min(), unit="us", utc=True).isoformat() == "2025-11-26T13:00:01+00:00"


def test_polars(folder: Path) -> None:
    rows = pl.scan_parquet(f"{folder}/samples/**/*.parquet").filter(pl.col("symbol") == "SPY").collect()
    assert rows["price"].sum() == SPY_SUM
    assert rows["at"].cast(pl.Datetime("us", "UTC")).min().isoformat() == "2025-11-26T13:00:01+00:00"  # type: ignore[union-attr]


def test_units_and_meanings_are_in_the_files(folder: Path) -> None:
    from pyarrow import parquet

    schema = parquet.read_schema(folder / "samples/date=2025-11-26/13.parquet")
    assert schema.metadata[b"format"] == b"curiosity cottage record"
    assert schema.metadata[b"version"] == b"1"
    assert schema.field("at").metadata[b"unit"] == b"microseconds since 1970-01-01, UTC"
    assert schema.field("price").metadata[b"about"] == b"in the market's currency"
