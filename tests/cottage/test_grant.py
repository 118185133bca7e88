import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage.errors import InvalidName
from cottage.grant import EVERY_SYMBOL, NO_SYMBOL, Grant, SymbolPatterns

_texts = st.text("AB-", min_size=1, max_size=4).filter(lambda text: text[0] != "-")
_patterns = st.lists(_texts | _texts.map(lambda text: f"{text}*") | st.just("*"), max_size=6)


@given(_patterns, st.lists(_texts, max_size=20))
def test_a_symbol_is_in_them_if_one_of_the_patterns_means_it(patterns: list[str], symbols: list[str]) -> None:
    parsed = SymbolPatterns.parse(patterns)
    for symbol in symbols:
        meant = any(symbol.startswith(each[:-1]) if each.endswith("*") else symbol == each for each in patterns)
        assert (symbol in parsed) == meant
    assert SymbolPatterns.parse(parsed.written()) == parsed


@pytest.mark.parametrize(
    ("patterns", "written"),
    [
        ((), []),
        (("SPY", "SPY"), ["SPY"]),
        (("BTC-*", "BTC-USD", "BTC-U*", "B"), ["B", "BTC-*"]),
        (("*", "A", "B*"), ["*"]),
    ],
)
def test_what_means_the_same_is_equal(patterns: tuple[str, ...], written: list[str]) -> None:
    assert SymbolPatterns.parse(patterns).written() == written
    assert SymbolPatterns.parse(reversed(patterns)) == SymbolPatterns.parse(written)


@pytest.mark.parametrize(
    "pattern", ["", "**", "A*B", "*A", "spy", "A/B*", "-*", "A" * 33 + "*", "A?", None, 1, ["A"]]
)
def test_what_is_no_pattern_is_refused_by_name(pattern: object) -> None:
    with pytest.raises(InvalidName):
        SymbolPatterns.parse([pattern])


def test_everybody_may_see_everything_until_a_token_says_otherwise() -> None:
    assert Grant().symbols is EVERY_SYMBOL
    assert EVERY_SYMBOL.everything
    assert SymbolPatterns.parse(["*"]) == EVERY_SYMBOL
    assert "SPY" in EVERY_SYMBOL
    assert "SPY" not in NO_SYMBOL
    assert Grant().receives("AGENT_UPDATE")
    assert not Grant(events=frozenset()).receives("AGENT_UPDATE")
