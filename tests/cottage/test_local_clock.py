"""Where a process stood still, as its own clocks show it. tests/transcripts/ tries what follows from it."""

import pytest

from cottage.clock import SystemClock
from cottage.local_clock import LocalClock


class TwoClocks(SystemClock):
    def __init__(self) -> None:
        self.steady, self.wall = 100.0, 1_766_318_400.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def passes(self, steady: float, wall: float | None = None) -> None:
        self.steady += steady
        self.wall += steady if wall is None else wall


class Looked:
    def __init__(self) -> None:
        self.clocks = TwoClocks()
        self.gaps: list[float] = []
        self.local = LocalClock(self.clocks, 3.0, self.gaps.append)

    def after(self, steady: float, wall: float | None = None) -> list[float]:
        """The gaps that a look finds so much later."""
        self.gaps.clear()
        self.clocks.passes(steady, wall)
        assert self.local.now() == self.clocks.steady
        return [round(gap, 6) for gap in self.gaps]


@pytest.mark.parametrize(
    ("steady", "wall", "gaps"),
    [
        (1.4, 1.4, []),
        (1.6, 1.6, [0.0]),  # nothing ran
        (0.0, 7.0, [7.0]),  # it slept, or the clock on the wall was set
        (0.5, -6.5, [0.0]),
        (3600.0, 3600.0, [0.0]),
        (0.2, 3600.2, [3600.0]),
        (3600.0, 0.0, [0.0]),  # the clock on the wall was set back meanwhile
        (0.5, 1.4, []),
    ],
)
def test_a_gap_is_what_either_clock_or_a_late_look_shows(steady: float, wall: float, gaps: list[float]) -> None:
    looked = Looked()
    assert looked.after(steady, wall) == gaps
    assert looked.after(0.5) == [], "it is seen once"


def test_a_clock_that_is_steered_is_no_gap_and_one_that_loses_a_little_again_and_again_is() -> None:
    looked = Looked()
    assert [gap for _ in range(10_000) for gap in looked.after(1.0, 1.0005)] == []
    assert [gap for _ in range(10_000) for gap in looked.after(1.0, 0.9995)] == []
    assert [len(looked.after(1.0, 1.4)) for _ in range(3)] == [0, 0, 1]
