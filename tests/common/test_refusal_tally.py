"""Which refusals are told one by one, and when they are summed up."""

import itertools

from common.refusal_tally import GATHERED_SECONDS, LONGEST_GATHERED_SECONDS, MOST_LINES, WINDOW_SECONDS, RefusalTally


class Told:
    """A tally on a clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.tally = RefusalTally(lambda: self.now)

    def takes(self, *refusals: tuple[str, str]) -> list[bool]:
        return [self.tally.take(reason, subject) for reason, subject in refusals]


def test_each_reason_is_told_once_for_each_subject_and_then_all_are_summed_up() -> None:
    told = Told()
    assert told.takes(("price", "A"), ("price", "B"), ("volume", "A"), ("price", "A")) == [True, True, True, False]
    assert told.tally.summary() is None, "more may come"
    told.now += GATHERED_SECONDS
    assert told.tally.summary() == {"price": 3, "volume": 1}
    assert told.tally.summary() is None


def test_what_goes_on_is_summed_up_ever_less_often() -> None:
    told = Told()
    summaries = []
    for _second in range(3600):
        told.takes(("price", "A"))
        if told.tally.summary() is not None:
            summaries.append(told.now)
        told.now += 1.0
    assert summaries[:4] == [5.0, 16.0, 37.0, 78.0]
    assert max(b - a for a, b in itertools.pairwise(summaries)) == LONGEST_GATHERED_SECONDS + 1
    told.now += 60.0
    told.takes(("price", "A"), ("price", "B"))
    told.now += GATHERED_SECONDS
    assert told.tally.summary() is not None, "it has begun again"


def test_one_that_was_told_needs_no_summary() -> None:
    told = Told()
    for expected in (None, {"price": 1}):
        assert told.takes(("price", "A")) == [expected is None]
        told.now += GATHERED_SECONDS
        assert told.tally.summary() == expected


def test_a_flood_is_bounded() -> None:
    told = Told()
    assert sum(told.takes(*[("price", f"S{number}") for number in range(10_000)])) == MOST_LINES
    told.now += WINDOW_SECONDS
    assert told.tally.summary() == {"price": 10_000}
    assert told.takes(("price", "S9999")) == [True]


def test_at_the_end_all_is_told() -> None:
    told = Told()
    told.takes(("price", "2"), ("price", "7"))
    assert told.tally.summary(last=True) == {"price": 2}
    assert told.tally.summary(last=True) is None
