"""Answers of the physics API as tables."""

import sys
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from cottage.errors import InvalidMessage, MissingExtra
from cottage.record.answer_table import AnswerTable
from tests.cottage.record import recorded_answers as answers


def test_a_stream_is_a_table_and_what_is_said_beside_it() -> None:
    table = AnswerTable.of_stream(answers.stream("SPY"))
    assert len(table) == 10
    assert (table.about["source"], table.about["until"]) == ("simulate", [7, 42])
    assert "points" not in table.about
    assert table.to_arrow()["close"].to_pylist()[4:7] == [None, None, 456.25]
    assert repr(table).startswith("AnswerTable(10 rows: symbol, time, partial, count, open")


@pytest.mark.parametrize("stream", [b"", b"{}", b"no stream at all"])
def test_what_is_no_stream_is_refused(stream: bytes) -> None:
    with pytest.raises(InvalidMessage, match="no table of the physics API's"):
        AnswerTable.of_stream(stream)


def test_a_table_of_somebody_elses_is_refused() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([])):
        pass
    with pytest.raises(InvalidMessage, match="no table of the physics API's"):
        AnswerTable.of_stream(sink.getvalue().to_pybytes())


def test_rows_have_all_columns_of_their_tables_with_their_types() -> None:
    table = AnswerTable.of_rows(answers.CHANGES["changes"], ("regimes", "freshness"), {"complete": True})
    arrow = table.to_arrow()
    assert arrow.column_names[:4] == ["kind", "symbol", "source", "run"]
    assert arrow["recorded"].type == pa.timestamp("us", "UTC")
    assert arrow["recorded"].to_pylist()[0] == datetime(2025, 12, 21, 12, 0, 7, 250_000, UTC)
    assert arrow["run"].to_pylist() == [answers.SOURCE["run"], None]
    assert arrow["age_ms"].to_pylist() == [None, 12_000]
    assert arrow["alpha"].to_pylist() == [1.5, None]


def test_no_rows_have_the_same_columns_and_types() -> None:
    none, some = (AnswerTable.of_rows(rows, ("gaps",), {}) for rows in ([], [answers.MISSED]))
    assert none.to_arrow().schema == some.to_arrow().schema
    assert len(none) == 0


def test_pandas_polars_and_arrow_take_it() -> None:
    table = AnswerTable.of_stream(answers.stream("SPY"))
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["close"].count() == 8
    assert pa.table(table).equals(table.to_arrow())


def test_polars_takes_it() -> None:
    polars = pytest.importorskip("polars")
    table = AnswerTable.of_stream(answers.stream("SPY"))
    assert table.to_polars().equals(polars.DataFrame(table))
    assert table.to_polars()["close"].null_count() == 2


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_what_is_not_installed_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=rf"to_{name}\(\) needs {name}: .*curiosity-cottage\[{name}\]"):
        getattr(AnswerTable.of_stream(answers.stream("SPY")), f"to_{name}")()
