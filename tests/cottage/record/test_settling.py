from cottage.record.settling import Settling


def test_windows_that_begin_in_both_are_equal_from_the_first_sample_on() -> None:
    symbol = Settling()
    assert symbol.take(1, (1, 1), same=True)
    assert symbol.exact
    late = Settling()
    assert not late.take(1, None, same=True), "no state was issued for it"
    assert late.take(2, (2, 2), same=True)


def test_a_window_that_holds_more_than_was_replayed_is_of_a_checkpoint() -> None:
    symbol = Settling()
    assert symbol.take(1, (1000, 1000), same=False)
    assert symbol.exact


def test_else_the_window_must_have_been_filled_anew_and_all_that_is_remembered_be_the_same() -> None:
    symbol = Settling()
    held = [symbol.take(at, (5, min(at, 5)), same=at > 7) for at in range(1, 10)]
    assert held == [False] * 7 + [True] * 2
    assert (symbol.exact, symbol.settled) == (False, 8)
    assert symbol.take(10, (5, 5), same=False), "what has settled stays so: now it is a difference"


def test_a_sample_more_than_the_window_holds_must_have_come() -> None:
    symbol = Settling()
    assert [symbol.take(at, (3, min(at, 3)), same=True) for at in range(1, 5)] == [False, False, False, True]


def test_where_samples_were_missed_it_begins_anew() -> None:
    symbol = Settling()
    symbol.begin_anew()
    assert symbol.exact is None, "the replay begins behind it"
    assert symbol.take(1, (1, 1), same=True)
    symbol.begin_anew()
    assert [symbol.take(at, (2, 2), same=True) for at in (2, 3, 4)] == [False, False, True]
    assert not symbol.exact
