from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.record import sorted_runs
from cottage.record.arrow_schema import conform
from cottage.record.sorted_runs import SortedRun, in_order, merged, order_of

KEYS = st.tuples(st.sampled_from("ABC"), st.integers(0, 3), st.integers(0, 9), st.integers(0, 1))


def batch_of(keys: list[tuple[str, int, int, int]]) -> pa.RecordBatch:
    columns = dict(zip(("symbol", "epoch", "seq", "number"), map(list, zip(*keys, strict=True)), strict=True))
    rows = pa.RecordBatch.from_pydict(columns | {"recorded": [0] * len(keys)})
    return in_order(conform(rows, "samples"), "samples")


@given(st.lists(st.lists(KEYS, min_size=1), min_size=1, max_size=20), st.integers(1, 10), st.integers(1, 5))
def test_runs_come_out_as_one(runs: list[list[tuple[str, int, int, int]]], at_once: int, split: int) -> None:
    with mock.patch.object(sorted_runs, "AT_ONCE", at_once):
        sources = []
        for keys in runs:
            batch = batch_of(keys)
            parts = [batch.slice(start, split) for start in range(0, len(batch), split)]
            sources.append(SortedRun(iter(parts), "samples"))
        out = pa.concat_tables(merged(sources, "samples", lambda: None)).to_pylist()
    found = [(row["symbol"], row["epoch"], row["seq"], row["number"]) for row in out]
    assert found == sorted(key for keys in runs for key in keys)


def test_no_rows() -> None:
    assert list(merged([], "samples", lambda: None)) == []
    assert list(merged([SortedRun(iter([]), "samples")], "samples", lambda: None)) == []


@pytest.mark.parametrize(
    ("table", "order"),
    [
        ("samples", ["symbol", "epoch", "seq", "number", "recorded"]),
        ("freshness", ["symbol", "recorded"]),
        ("outages", ["recorded"]),
    ],
)
def test_the_order_of_a_table(table: str, order: list[str]) -> None:
    assert order_of(table) == order
