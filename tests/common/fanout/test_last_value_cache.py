"""The newest version wins, whatever the order of arrival."""

from hypothesis import given
from hypothesis import strategies as st

from common.fanout.last_value_cache import Entry, LastValueCache
from cottage.version import Version

versions = st.builds(Version, st.integers(0, 3), st.integers(0, 5))


@given(st.lists(versions, min_size=1))
def test_the_greatest_pair_is_held_and_each_is_taken_at_most_once(offered: list[Version]) -> None:
    table = LastValueCache()
    taken = [each for each in offered if table.offer("SPY", each, repr(each).encode())]
    assert table.get("SPY") == Entry(max(offered), repr(max(offered)).encode())
    assert taken == sorted(set(taken))


def test_the_epoch_counts_before_the_seq() -> None:
    table = LastValueCache()
    assert table.offer("SPY", Version(1, 99), b"old writer")
    assert table.offer("SPY", Version(2, 1), b"new writer")
    assert not table.offer("SPY", Version(1, 100), b"old writer again")
    assert table.get("SPY") == Entry(Version(2, 1), b"new writer")


def test_one_version_never_stands_for_other_bytes() -> None:
    table = LastValueCache()
    assert table.offer("SPY", Version(1, 1), b"first")
    assert not table.offer("SPY", Version(1, 1), b"second")
    assert table.get("SPY") == Entry(Version(1, 1), b"first")


def test_without_versions_the_order_of_arrival_counts() -> None:
    table = LastValueCache()
    assert table.offer("SPY", None, b"first")
    assert table.offer("SPY", None, b"second")
    assert table.offer("SPY", None, b"second")
    assert table.get("SPY") == Entry(None, b"second")


def test_one_without_a_version_is_never_taken_over_one_that_has_it() -> None:
    table = LastValueCache()
    table.offer("SPY", None, b"foreign")
    assert table.offer("SPY", Version(0, 0), b"ours")
    assert not table.offer("SPY", None, b"foreign again")
    assert table.get("SPY") == Entry(Version(0, 0), b"ours")


def test_a_removed_symbol_starts_anew() -> None:
    table = LastValueCache()
    table.offer("SPY", Version(5, 5), b"before")
    assert table.remove("SPY")
    assert not table.remove("SPY")
    assert "SPY" not in table
    assert table.get("SPY") is None
    assert table.offer("SPY", Version(1, 1), b"after")


def test_entries_are_those_of_the_moment() -> None:
    table = LastValueCache()
    table.offer("SPY", None, b"one")
    entries = table.entries()
    table.offer("QQQ", None, b"two")
    assert entries == {"SPY": Entry(None, b"one")}
    assert (list(table), len(table)) == (["SPY", "QQQ"], 2)


def test_it_knows_how_many_bytes_it_holds() -> None:
    cache = LastValueCache()
    cache.offer("SPY", Version(1, 1), b"abc")
    cache.offer("QQQ", None, b"defg")
    assert cache.bytes == 7
    cache.offer("SPY", Version(1, 2), b"a")
    cache.offer("SPY", Version(1, 1), b"too old")
    assert cache.bytes == 5
    copied = cache.copy()
    cache.remove("QQQ")
    cache.remove("IWM")
    assert (cache.bytes, copied.bytes) == (1, 5)
