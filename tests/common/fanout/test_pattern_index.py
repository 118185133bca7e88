"""Whose patterns a symbol matches."""

from hypothesis import given
from hypothesis import strategies as st

from common.fanout.pattern_index import PatternIndex
from cottage.grant import SymbolPatterns

SYMBOL = st.text("AB", min_size=1, max_size=4)
PATTERNS = st.lists(st.one_of(SYMBOL, SYMBOL.map("{}*".format), st.just("*")), max_size=4)


@given(st.lists(PATTERNS, max_size=6), st.sets(st.integers(0, 5)), st.lists(SYMBOL, max_size=8))
def test_it_finds_each_item_once_whose_patterns_match(
    all_patterns: list[list[str]], gone: set[int], symbols: list[str]
) -> None:
    index: PatternIndex[int] = PatternIndex()
    left = {number: SymbolPatterns.parse(patterns) for number, patterns in enumerate(all_patterns)}
    for number, patterns in left.items():
        index.add(number, patterns)
    for number in gone & left.keys():
        index.remove(number)
        del left[number]
    assert len(index) == len(left)
    for symbol in symbols:
        found = list(index.matching(symbol))
        assert sorted(found) == [number for number, patterns in left.items() if symbol in patterns]
    for number in left:
        index.remove(number)
    assert [index._by_name, index._by_prefix, index._lengths] == [{}, {}, {}], "who has left costs nothing"
