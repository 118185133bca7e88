from pathlib import Path

import pytest

from cottage.record.record import Record
from cottage.record.run_index import RunExtent, RunIndex
from tests.cottage.record.recorded_history import BEGIN, RUN, SECOND, add, recorder, sample

OTHER = RUN + 5


def extents(second: float, other: float) -> tuple[tuple[int, int], ...]:
    return ((BEGIN + round(second * SECOND), BEGIN + round(other * SECOND)),) * 3


def test_runs_by_their_newest_row_as_files_come_and_are_sorted(tmp_path: Path) -> None:
    index = RunIndex(Record(tmp_path))
    with recorder(tmp_path) as writer:
        add(writer, samples=[sample(0), sample(4), sample(2, "QQQ", source="mine", run=OTHER)])
        mine, simulated = RunExtent("mine", OTHER, *extents(2, 2)), RunExtent("simulate", RUN, *extents(0, 4))
        assert index.runs() == [simulated, mine]
        add(writer, samples=[sample(6, source="mine", run=OTHER), sample(7, written=None, source=None, run=OTHER)])
        later = [
            RunExtent(None, OTHER, (BEGIN + 7 * SECOND,) * 2, None, (BEGIN + 7 * SECOND,) * 2),
            RunExtent("mine", OTHER, *extents(2, 6)),
            simulated,
        ]
        assert index.runs() == later
        writer.roll()
        assert index.runs() == later  # of several sources in a file
        add(writer, samples=[sample(9)])
        assert index.runs()[0] == RunExtent("simulate", RUN, *extents(0, 9))
        assert index.runs() == RunIndex(Record(tmp_path)).runs()


def test_without_a_record(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RunIndex(Record(tmp_path)).runs()
