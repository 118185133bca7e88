from collections.abc import Sequence

import pytest

from cottage.errors import UnusableSource
from cottage.files.cells.time_cells import TimeColumn
from cottage.files.cells.time_trial import TimeReader, tried
from cottage.files.rows import BadRow


def read(cells: Sequence[str]) -> int:
    return int(cells[0])


def tried_on(*cells: str) -> TimeReader:
    return tried(TimeReader(read, "microseconds"), [TimeColumn.of("time", cells)])


@pytest.mark.parametrize(
    ("cells", "resolution", "newest_first"),
    [
        (["0", "86400000000"], 86_400_000_000, False),
        (["120000000", "60000000"], 60_000_000, True),
        (["1000000", "3000000", "2000000"], 1_000_000, None),
        (["1000", "1000"], 1000, None),
        (["1"], 1, None),
    ],
)
def test_what_a_try_finds(cells: list[str], resolution: int, newest_first: bool | None) -> None:
    found = tried_on(*cells)
    assert (found.resolution, found.newest_first) == (resolution, newest_first)


def test_a_cell_that_is_no_time_is_a_bad_row() -> None:
    with pytest.raises(BadRow, match="timestamp: 'x' invalid literal"):
        tried_on("1").read(["x"])


def test_too_many_bad_cells_refuse_the_column() -> None:
    assert tried_on(*"12345", "x").resolution == 1
    assert tried_on(*map(str, range(100)), *"xxxxx").resolution == 1
    for cells in (["x"], ["1", "x", "x"], [*map(str, range(100)), *"x" * 20]):
        with pytest.raises(UnusableSource, match="its column of times, time: 'x'"):
            tried_on(*cells)


def test_empty_cells_refuse_nothing() -> None:
    assert tried_on("1", *[""] * 50).resolution == 1
