"""Windows of a checkpoint in place of others: which go on with what."""

import numpy as np

from cottage.reference import PlainSample
from services.feynman.checkpoint import CheckpointPart
from services.feynman.window_replacements import WindowReplacements
from services.feynman.windows import Windows
from tests.services.feynman.histories import feed, windows_of

NAMES = ["ES", "NQ"]


def history(start: float, number: int) -> list[PlainSample]:
    return [PlainSample(1e9 + i, start + i % 5, float(i), float(i)) for i in range(number)]


def part(number: int = 30) -> tuple[Windows, CheckpointPart]:
    windows, rows = windows_of(history(100.0, number), history(200.0, number), length=50)
    windows.regime[rows], windows.regime_since[rows] = 2, 1e9
    return windows, CheckpointPart(NAMES, ["live"] * 2, windows.saved(rows))


def later(number: int, regime: int, at: float) -> tuple[Windows, np.ndarray]:
    """Other windows of both symbols, which a replay has filled meanwhile."""
    windows, rows = windows_of(history(300.0, number), history(400.0, number), length=50)
    windows.event_time[rows], windows.regime[rows], windows.regime_since[rows] = at, regime, 1e9 + 7
    return windows, rows


def test_a_window_moves_in_once_and_alone() -> None:
    saved, of_file = part()
    windows, rows = later(40, 3, 1e9 + 40)
    waiting = WindowReplacements(windows)
    waiting.add({"ES"}, [of_file], goes_on=False)
    assert len(waiting) == 1
    assert waiting.move_in(NAMES, rows).tolist() == [0]
    assert len(waiting) == 0
    assert waiting.move_in(NAMES, rows).tolist() == []
    assert windows.samples[rows].tolist() == [30, 40]
    assert windows.price[rows[0], :30].tolist() == saved.price[0, :30].tolist()
    assert (windows.regime[rows[0]], windows.regime_since[rows[0]]) == (2, 1e9)


def test_what_a_checkpoint_has_not_is_empty() -> None:
    _, of_file = part()
    windows, rows = later(40, 3, 1e9 + 40)
    waiting = WindowReplacements(windows)
    waiting.add({"ES", "NQ", "NEW"}, [of_file._replace(symbols=["ES", "X"])], goes_on=True)
    assert waiting.move_in(NAMES, rows).tolist() == [0, 1]
    assert windows.samples[rows].tolist() == [30, 0]
    assert len(waiting) == 1, "one symbol has had no sample yet"


def test_times_that_a_feed_did_not_state_are_those_of_its_samples() -> None:
    """As the replay states them: so the next return is spaced as it was."""
    saved, of_file = part()
    rows_of_file = np.array([0, 1])
    saved.wait(rows_of_file, saved.last_timestamp[rows_of_file] + 4.0)
    of_file = of_file._replace(arrays=saved.saved(rows_of_file))
    windows, rows = later(1, 0, 1e9)
    waiting = WindowReplacements(windows)
    waiting.add(set(NAMES), [of_file], goes_on=False)
    waiting.move_in(NAMES, rows)
    assert windows.event_time[rows].tolist() == [1e9 + 29] * 2
    assert windows.waited[rows].tolist() == [0.0] * 2
    feed(windows, rows.tolist(), [PlainSample(2e9, 101.0, 30.0, 30.0, event_time=1e9 + 30)] * 2)
    assert windows.known[rows].tolist() == [30] * 2, "one second later, not thirty years"


def test_a_process_that_takes_over_goes_on_with_the_regime_that_it_finds() -> None:
    _, of_file = part()
    for at, regime, goes_on, expected in (
        (1e9 + 45, 3, True, (3, 1e9 + 7)),
        (1e9 + 45, 3, False, (2, 1e9)),
        (1e9 + 45, 0, True, (2, 1e9)),
        (1e9 + 29 + 31, 3, True, (2, 1e9)),  # further away than the window is long
    ):
        windows, rows = later(40, regime, at)
        waiting = WindowReplacements(windows)
        waiting.add(set(NAMES), [of_file], goes_on=goes_on)
        waiting.move_in(NAMES, rows)
        assert (windows.regime[rows[0]], windows.regime_since[rows[0]]) == expected
