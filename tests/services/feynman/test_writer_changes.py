"""Whose samples count where several write one symbol."""

import pytest

from services.feynman.writer_changes import SnapshotWriter, WriterChanges

OLD, NEW, THIRD = ("old", None, None), ("new", None, None), ("third", "FEED", "BRK/B")


class Symbol:
    """What the symbol table does: the holder changes where that is admitted, and each sample is noted."""

    def __init__(self, holder: SnapshotWriter = OLD) -> None:
        self.changes = WriterChanges()
        self.holder = holder
        self.held_at = 0.0
        self.taken: list[str] = []
        """The source of each sample that was taken."""

    def snapshot(self, writer: SnapshotWriter, now: float) -> bool:
        if writer != self.holder:
            if not self.changes.admits("SPY", self.holder, self.held_at, writer, now):
                return False
            self.holder = writer
        self.held_at = now
        self.taken.append(writer[0])
        return True


def test_a_feed_that_replaces_another_is_taken_at_once() -> None:
    symbol = Symbol()
    assert symbol.snapshot(NEW, 1.0)
    assert not symbol.changes.several(1.0)
    assert all(symbol.snapshot(NEW, second) for second in range(2, 200))
    assert symbol.snapshot(THIRD, 200.0)
    assert symbol.snapshot(OLD, 201.0), "its last sample is minutes old: it begins anew"
    assert not symbol.changes.several(201.0)


@pytest.mark.parametrize("period", [1, 2, 7, 30])
def test_of_two_that_alternate_the_older_one_has_the_symbol(period: int) -> None:
    symbol = Symbol()
    for second in range(1, 600):
        symbol.snapshot((NEW, OLD)[second // period % 2], float(second))
    window_begins = sum(before != after for before, after in zip(symbol.taken, symbol.taken[1:], strict=False))
    assert window_begins <= 2, "not at each change"
    assert symbol.holder == OLD
    assert symbol.changes.several(600.0)


def test_the_one_that_was_refused_has_it_when_the_other_has_gone() -> None:
    symbol = Symbol()
    for second in range(20):
        symbol.snapshot((OLD, NEW)[second % 2], float(second))
    # OLD's last sample is of second 18.
    admitted = [second for second in range(20, 100) if symbol.snapshot(NEW, float(second))]
    assert admitted == list(range(78, 100))
    assert not symbol.changes.several(100.0)


def test_one_row_of_another_does_not_take_a_symbol_for_a_minute() -> None:
    symbol = Symbol()
    assert symbol.snapshot(NEW, 10.0)
    assert symbol.snapshot(OLD, 11.0)
    assert all(symbol.snapshot(OLD, float(second)) for second in range(12, 100))
    assert not symbol.changes.several(99.0), "the other one has gone"
    assert symbol.snapshot(NEW, 100.0), "and may replace it"


def test_three_that_take_turns() -> None:
    symbol = Symbol()
    for second in range(1, 300):
        symbol.snapshot((NEW, THIRD, OLD)[second % 3], float(second))
    assert symbol.taken[5:] == [symbol.holder[0]] * len(symbol.taken[5:])


def test_one_that_writes_under_ever_new_names_begins_no_window_for_each() -> None:
    symbol = Symbol()
    admitted = sum(symbol.snapshot((f"name-{second}", None, None), float(second)) for second in range(1, 60))
    assert admitted == 8


def test_a_symbol_that_is_dropped_is_forgotten() -> None:
    symbol = Symbol()
    for second in range(20):
        symbol.snapshot((OLD, NEW)[second % 2], float(second))
    symbol.changes.forget("SPY")
    symbol.changes.forget("NONE")
    assert not symbol.changes.several(20.0)
