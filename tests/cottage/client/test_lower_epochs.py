"""How a holder comes down from a higher epoch. tests/transcripts/ tries it in both clients and the link."""

from cottage.client.lower_epochs import LowerEpochs
from cottage.version import Version

HELD = Version(900, 7)


def test_a_lower_epoch_counts_once_it_was_stated_for_long_enough() -> None:
    lower = LowerEpochs()
    assert [lower.stated("A", Version(5, now), HELD, now) for now in (100, 103, 105, 106)] == [False] * 3 + [True]


def test_a_lower_tick_of_the_same_epoch_never_does() -> None:
    lower = LowerEpochs()
    assert not any(lower.stated("A", Version(900, 1), HELD, now) for now in (100.0, 106.0, 200.0))
    assert not any(lower.stated("A", None, HELD, now) for now in (100.0, 106.0, 200.0))


def test_a_newer_one_in_between_begins_anew() -> None:
    lower = LowerEpochs()
    assert not lower.stated("A", Version(5, 1), HELD, 100.0)
    lower.forget("A")
    assert not lower.stated("A", Version(5, 2), HELD, 106.0)


def test_a_quiet_symbol_is_due_once_and_then_taken_at_once() -> None:
    lower = LowerEpochs()
    lower.stated("A", Version(5, 1), HELD, 100.0)
    assert [lower.due(now) for now in (105.0, 106.0, 107.0)] == [[], ["A"], []]
    assert lower.stated("A", Version(5, 1), HELD, 107.0)
