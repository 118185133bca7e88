"""Which refusals are told one by one, and when they are summed up."""

from common.refusals import GATHERED_SECONDS, MOST_LINES, WINDOW_SECONDS, RefusalTally


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
    assert told.tally.summary(quiet=True) == {"price": 3, "volume": 1}
    assert told.tally.summary(quiet=True) is None


def test_what_goes_on_is_summed_up_once_in_a_while() -> None:
    told = Told()
    summaries = []
    for _second in range(300):
        told.takes(("price", "A"))
        summaries.append(told.tally.summary())
        told.now += 1.0
    counts = [counts for counts in summaries if counts is not None]
    assert [count.total() for count in counts] == [GATHERED_SECONDS + 1, *[WINDOW_SECONDS] * 4]


def test_one_that_was_told_needs_no_summary() -> None:
    told = Told()
    assert told.takes(("price", "A")) == [True]
    assert told.tally.summary(quiet=True) is None
    told.now += 1.0
    assert told.takes(("price", "A")) == [False]
    assert told.tally.summary(quiet=True) == {"price": 1}, "this one had no line"


def test_a_flood_is_bounded() -> None:
    told = Told()
    assert sum(told.takes(*[("price", f"S{number}") for number in range(10_000)])) == MOST_LINES
    assert told.tally.summary(quiet=True) == {"price": 10_000}
    told.now += WINDOW_SECONDS
    assert told.takes(("price", "S9999")) == [True]


def test_at_the_end_all_is_told() -> None:
    told = Told()
    told.takes(("price", "2"), ("price", "7"))
    assert told.tally.summary(last=True) == {"price": 2}
    told.takes(("price", "9"), ("price", "11"))
    assert told.tally.summary(quiet=True) is None, "there was one just now"
    assert told.tally.summary(last=True) == {"price": 2}
