import random
import resource
import sys
from pathlib import Path

import pytest

from cottage.errors import MissingExtra, SourceError, UnusableSource
from cottage.files.ordering import sorting
from cottage.files.ordering.order import Entry
from cottage.files.ordering.sorting import Sorter
from tests.cottage.files.entries import SECOND, bar, placed, trade

ROWS = 45_000


def shuffled() -> list[Entry]:
    dice = random.Random(3)
    rows = [trade(dice.randrange(ROWS // 4) * SECOND, i, f"S{i % 5}", dice.randrange(3)) for i in range(ROWS)]
    rows[7] = bar(SECOND, 7, "S7")._replace(
        bid=1.5, native="s/7", event_time=3, notes=("mid", "auction"), volume=None, trades=9
    )
    return placed(rows)


def add(sorter: Sorter, entries: list[Entry]) -> None:
    for entry in entries:
        sorter.add(entry)


def all_sorted(sorter: Sorter, entries: list[Entry]) -> list[Entry]:
    add(sorter, entries)
    return list(sorter.sorted())


@pytest.mark.parametrize("most_in_memory", [ROWS, 15_000, 1])
def test_sorted_in_memory_and_beyond_it(most_in_memory: int) -> None:
    entries = shuffled()
    sorter = Sorter(most_in_memory)
    assert all_sorted(sorter, entries) == sorted(entries)
    assert sorter.rows == ROWS
    sorter.close()


def test_nothing_to_sort() -> None:
    assert list(Sorter().sorted()) == []


def test_what_it_stored_is_gone_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sorter = Sorter(1)
    add(sorter, shuffled())
    assert list(tmp_path.iterdir()) != []
    sorter.close()
    sorter.close()
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_one_ends() -> None:
    sorter = Sorter(1)
    add(sorter, shuffled())
    rows = sorter.sorted()
    next(rows)
    sorter.abandon()
    assert len(list(rows)) < ROWS
    sorter.close()


def test_without_duckdb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    sorter = Sorter(1)
    with pytest.raises(MissingExtra, match=r"pip install 'curiosity-cottage\[files\]'"):
        add(sorter, shuffled())


def test_a_disk_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "MEMORY_LIMIT", "5MB")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sorter = Sorter(1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # as if the disk were full
    try:
        with pytest.raises(SourceError, match="set TMPDIR"):
            all_sorted(sorter, shuffled() * 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sorter.close()


def test_without_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    sorter = Sorter(1)
    with pytest.raises(SourceError, match="set TMPDIR"):
        add(sorter, shuffled())


def test_ids_beyond_64_bits() -> None:
    entries = placed([trade(i, sequence=2**80 + i % 3) for i in range(15_000)])
    sorter = Sorter(20_000)
    assert all_sorted(sorter, entries) == sorted(entries)
    sorter = Sorter(1)
    with pytest.raises(UnusableSource, match="beyond 64 bits"):
        add(sorter, entries)
    sorter.close()
