"""What an earlier recorder recorded last, wherever in the record it is."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from cottage.record.record_writer import RecordWriter
from cottage.record.state_rows import columns, rows_of, said_by_stored
from cottage.state import PhysicsState, TakenSample
from cottage.version import Version
from services.recorder.restoring import newest_held, newest_recorded, outages
from tests.services.recorder.states import BEGINNING, EPOCH, state


def append(writer: RecordWriter, symbol: str, *versions: PhysicsState, recorded: int = 1) -> None:
    for version in versions:
        said = said_by_stored(orjson.loads(version.to_bytes()))
        writer.append("samples", columns(rows_of(symbol, said, run=5, recorded=recorded)))


@pytest.fixture
def writer(tmp_path: Path) -> RecordWriter:
    return RecordWriter(tmp_path / "record", clock=lambda: BEGINNING)


def test_the_newest_row_of_each_symbol_is_found_in_whichever_file(writer: RecordWriter) -> None:
    """SPY is in what is written ahead, QQQ in a piece, DIA in the file of an hour."""
    append(writer, "DIA", state(3), state(4, 3))
    append(writer, "SPY", state(3))
    assert writer.roll()
    assert writer.compact(unfinished=True)
    append(writer, "SPY", state(4, 3), recorded=2)
    append(writer, "QQQ", state(5), state(7, 5), state(9, 7), recorded=2)
    assert writer.roll()
    taken = (TakenSample(450.0, "2023-11-14T22:13:24.500Z"),)
    append(
        writer, "SPY", state(5, 4, notes=("gap",), taken=taken), state(6, 5, event_time="2026-03-06T13:30:00.000Z")
    )
    writer.flush()
    found = newest_held(writer.folder, ["SPY", "QQQ", "DIA", "NEVER"])
    assert {symbol: held.version.seq for symbol, held in found.items()} == {"SPY": 6, "QQQ": 9, "DIA": 4}
    held = found["QQQ"]
    assert (held.version, held.source, held.run, held.regime) == (Version(EPOCH, 9), "simulate", 5, "Gaussian")
    assert held.at == round((BEGINNING + 9) * 1e6)
    assert found["SPY"].event_time is not None
    assert held.remembers(round((BEGINNING + 9) * 1e6), state(9).price)
    assert not held.remembers(round((BEGINNING + 7) * 1e6), state(7).price)


@pytest.mark.parametrize("damaged", ["truncated", "missing"])
def test_a_file_that_cannot_be_read_keeps_nobody_from_recording(writer: RecordWriter, damaged: str) -> None:
    """What was recorded last is then what the files before it have."""
    row: dict[str, list[Any]] = {"hop": ["redis"], "since": [1], "until": [None], "recorded": [1], "cause": ["x"]}
    for version, recorded in ((state(3), 1), (state(4, 3), 2)):
        append(writer, "SPY", version, recorded=recorded)
        writer.append("outages", row)
        assert writer.roll()
    for file in writer.manifest.files:
        if file.recorded[1] == 2 or file.table == "outages":
            path = writer.folder / file.path
            if damaged == "missing":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes()[:50])
    assert newest_held(writer.folder, ["SPY"])["SPY"].version.seq == 3
    assert outages(writer.folder) == []


def test_an_empty_record_holds_nothing(writer: RecordWriter) -> None:
    assert newest_held(writer.folder, ["SPY"]) == {}
    assert newest_recorded(writer.folder) is None
    assert outages(writer.folder) == []


def test_when_the_newest_row_was_recorded(writer: RecordWriter) -> None:
    append(writer, "SPY", state(1), recorded=10)
    assert writer.roll()
    assert newest_recorded(writer.folder) == 10
    row: dict[str, list[Any]] = {
        "hop": ["redis"],
        "since": [10],
        "until": [None],
        "recorded": [30],
        "cause": ["redis_down"],
    }
    writer.append("outages", row)
    writer.append("outages", {**row, "recorded": [20]})
    writer.flush()
    assert newest_recorded(writer.folder) == 30
    assert [row["recorded"] for row in outages(writer.folder)] == [20, 30]
