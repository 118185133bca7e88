"""Two records, compared: what is a difference, and what is not."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cottage.record import compare
from cottage.record.arrow_schema import arrow_schema, conform
from cottage.record.compare import Comparison, compared
from cottage.record.record_writer import RecordWriter
from cottage.record.schema import SAMPLES, RecordColumn
from tests.cottage.record.rows_of_samples import BEGIN, SECOND, samples

Change = Callable[[dict[str, list[Any]]], None]
SYMBOLS = ("QQQ", "SPY")
OTHER = {"number": 8.25, "whole": 77, "text": "Critical", "words": ["jump"], "flag": True, "time": BEGIN + 1}


def rows(number: int = 20, begin: int = 0) -> dict[str, list[Any]]:
    """Rows of two symbols, whose windows begin here; all that a state has is stated."""
    seqs = range(begin, number)
    columns: dict[str, list[Any]] = samples(SYMBOLS, list(seqs))
    count = len(columns["symbol"])
    stated = {"number": 1.5, "whole": 3, "text": "word", "words": ["auction"], "flag": False, "time": BEGIN}
    for column in SAMPLES:
        columns.setdefault(column.name, [stated[column.kind]] * count)
    columns["samples"] = [seq + 1 for seq in columns["seq"]]
    columns["mass"] = [seq / 7 for seq in columns["seq"]]
    columns["regime"], columns["regime_since"] = ["Gaussian"] * count, [BEGIN] * count
    return columns


def record(folder: Path, columns: Mapping[str, list[Any]], gaps: Mapping[str, list[Any]] | None = None) -> Path:
    with RecordWriter(folder, clock=lambda: BEGIN / 1e6) as writer:
        writer.append("samples", columns)
        if gaps:
            writer.append("gaps", gaps)
        writer.flush()
        writer.roll()
    return folder


def table(columns: Mapping[str, list[Any]]) -> Any:
    """As SortedRows has them."""
    every = pa.table(
        {name: pa.array(values, arrow_schema("samples").field(name).type) for name, values in columns.items()}
    )
    return conform(every, "samples").sort_by([(name, "ascending") for name in compare.ORDER])


def found_in(first: Mapping[str, list[Any]], second: Mapping[str, list[Any]], missed: Any = None) -> Comparison:
    found = Comparison()
    found.take(table(first), table(second), missed or {})
    return found


def difference(change: Change) -> Comparison:
    """What is found where the second recording is changed so."""
    second = rows()
    change(second)
    return found_in(rows(), second)


def pairs(columns: dict[str, list[Any]]) -> tuple[list[Any], list[Any]]:
    return columns["seq"], columns["mass"]


def at(symbol: str, seq: int) -> int:
    return 2 * seq + SYMBOLS.index(symbol)


def test_equal() -> None:
    found = difference(lambda _columns: None)
    assert found.equal
    assert (found.samples, found.states, found.exact, found.unsettled, found.alone) == (40, 40, 40, 0, 0)
    assert list(found.lines()) == [
        "equal: all 40 states",
        "40 samples in both",
        "40 states compared, 40 of them in all digits",
    ]


@pytest.mark.parametrize(
    "column", [each for each in SAMPLES if each.name not in compare.LEFT_OUT], ids=lambda e: e.name
)
def test_each_column_is_compared(column: RecordColumn) -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        columns[column.name] = [*columns[column.name]]
        columns[column.name][at("SPY", 9)] = OTHER[column.kind]

    found = difference(change)
    assert dict(found.counts) == {column.name: 1}
    assert found.first is not None
    assert found.first[:3] == (BEGIN + 9 * SECOND, "SPY", column.name)
    assert not found.equal


def test_who_recorded_it_and_when_is_no_difference() -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        count = len(columns["symbol"])
        columns["epoch"] = [8] * count
        columns["source"] = columns["feed"] = ["replay"] * count
        for name in ("sampled", "written", "feed_time", "received", "event_time", "lag_ms", "run"):
            columns[name] = [5] * count
        columns["notes"] = [[*words, "two_writers"] for words in columns["notes"]]

    assert difference(change).equal


def test_the_first_is_the_first_by_time() -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        columns["alpha"] = [*columns["alpha"]]
        columns["alpha"][at("QQQ", 12)] = columns["alpha"][at("SPY", 9)] = columns["alpha"][at("SPY", 15)] = 9.5

    found = difference(change)
    assert str(found.first) == "SPY at 2025-11-26T13:00:09.000Z, alpha: 1.5 and 9.5"
    assert list(found.lines())[:2] == [f"first difference: {found.first}", "          3 × alpha"]


@pytest.mark.parametrize("seq", [0, 7, 19])
def test_a_sample_that_one_lacks(seq: int) -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        for name, values in columns.items():
            columns[name] = values[: at("QQQ", seq)] + values[at("QQQ", seq) + 1 :]

    found = difference(change)
    if seq:
        assert dict(found.counts) == {"sample": 1}
        assert str(found.first) == f"QQQ at 2025-11-26T13:00:{seq:02}.000Z, sample: 'there' and 'not there'"
    else:
        assert found.equal, "the replay had not begun"


def test_two_samples_of_one_time_are_told_apart() -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        columns["at"] = [time - SECOND if seq == 5 else time for seq, time in zip(*two(columns), strict=True)]

    def two(columns: dict[str, list[Any]]) -> tuple[list[Any], list[Any]]:
        return columns["seq"], columns["at"]

    one, other = rows(), rows()
    change(one)
    change(other)
    assert found_in(one, other).equal


def test_a_version_that_took_several_has_fewer_states() -> None:
    def change(columns: dict[str, list[Any]]) -> None:
        early = [seq % 2 == 0 for seq in columns["seq"]]
        for name in ("mass", "alpha", "regime", "samples", "bid", "tick", "said"):
            columns[name] = [None if taken else value for taken, value in zip(early, columns[name], strict=True)]
        columns["last"] = [not taken for taken in early]

    found = difference(change)
    assert found.equal
    assert (found.samples, found.states, found.alone) == (40, 20, 20)


def test_windows_from_before_are_compared_once_they_have_settled() -> None:
    def whole(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        columns["samples"] = [5] * len(columns["symbol"])
        return columns

    def anew(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        columns["samples"] = [min(seq + 1, 5) for seq in columns["seq"]]
        columns["mass"] = [value + (9 if seq < 5 else 1e-13) for seq, value in zip(*pairs(columns), strict=True)]
        columns["regime_since"] = [BEGIN - 1] * len(columns["symbol"])
        return columns

    first = whole(rows())
    found = found_in(first, anew(rows()))
    assert found.equal, list(found.lines())
    assert (found.states, found.exact, found.unsettled) == (30, 0, 10)
    assert next(found.lines()) == "equal as far as compared: 30 of 40 states"

    never = anew(rows())
    never["grid"] = [0.25] * len(never["symbol"])
    found = found_in(first, never)
    assert not found.equal
    assert found.never == ["QQQ", "SPY"]


def test_where_versions_were_missed_it_settles_anew() -> None:
    first, second = rows(), rows()
    for columns in (first, second):
        columns["samples"] = [min(count, 5) for count in columns["samples"]]
    second["mass"] = [*second["mass"]]
    for seq in range(10, 15):
        second["mass"][at("SPY", seq)] = 9.0
    assert found_in(first, second).counts == {"mass": 5}
    found = found_in(first, second, {"SPY": [BEGIN + 10 * SECOND]})
    assert found.equal, list(found.lines())
    assert (found.states, found.unsettled) == (35, 5)


def test_where_a_window_was_filled_by_a_warm_start_it_settles_anew() -> None:
    """Its newest sample was issued again under the same epoch."""
    first, second = rows(), rows()
    again = {"seq": 99, "reissued": True, "prev_epoch": 7, "samples": 8, "mass": 9.0}
    first = {name: [*values, again.get(name, values[at("SPY", 6)])] for name, values in first.items()}
    first["prev_epoch"] = [7] * 41
    for columns in (first, second):
        columns["samples"] = [min(count, 8) for count in columns["samples"]]
    first["mass"] = [
        value + 1 if 6 < seq < 15 and i % 2 else value
        for i, (seq, value) in enumerate(zip(*pairs(first), strict=True))
    ]
    found = found_in(first, second)
    assert found.equal, list(found.lines())
    assert (found.states, found.unsettled, found.exact) == (32, 8, 20)


def test_so_it_does_where_that_came_with_the_next_sample() -> None:
    """The window holds more then than that one more."""
    first, second = rows(), rows()
    for columns in (first, second):
        columns["samples"] = [min(count, 8) for count in columns["samples"]]
    for seq in range(3, 11):
        first["samples"][at("SPY", seq)] = 8
        first["mass"][at("SPY", seq)] += 1
    found = found_in(first, second)
    assert found.equal, list(found.lines())
    assert (found.states, found.unsettled, found.exact) == (32, 8, 20)


def test_records_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what they have missed."""
    monkeypatch.setattr(compare, "AT_ONCE", 7)
    first, second = rows(), rows()
    second["alpha"] = [*second["alpha"]]
    second["alpha"][at("SPY", 9)] = second["alpha"][at("QQQ", 12)] = 9.5
    gap: dict[str, list[Any]] = {
        "symbol": ["SPY"],
        "kind": ["missed"],
        "until": [BEGIN + 10 * SECOND],
        "recorded": [BEGIN],
        "run": [BEGIN],
    }
    gap |= {"epoch": [7], "seq": [10], "source": ["simulate"]}
    found = compared(record(tmp_path / "a", first, gap), record(tmp_path / "b", second))
    assert str(found.first) == "SPY at 2025-11-26T13:00:09.000Z, alpha: 1.5 and 9.5"
    assert dict(found.counts) == {"alpha": 2}
    assert (found.samples, found.unsettled) == (40, 10)
    monkeypatch.undo()
    assert list(compared(tmp_path / "a", tmp_path / "b").lines()) == list(found.lines())


def test_nothing_to_compare() -> None:
    found = found_in(rows(), rows(0))
    assert not found.equal
    assert next(found.lines()) == "nothing to compare: no state that both have has settled"
