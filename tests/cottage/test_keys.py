import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage import keys
from cottage.errors import InvalidName

SYMBOLS = ["SPY", "BRK.B", "BTC-USD", "ES_1", "0", "7203.T", "A" * 32]
NO_SYMBOLS = [
    "",
    "spy",
    "A/B",
    ".A",
    "-A",
    "_A",
    "A B",
    "A:B",
    "A*",
    "É",
    "A" * 33,
    "SPY\n",
    "SPY\x00",
    b"SPY",
    7,
    None,
]
AGENTS = ["a", "analyst_001", "a" * 48]
NO_AGENTS = ["", "A", "_a", "1a", "a-b", "a:b", "a*", "é", "a" * 49, "a\n", b"a", 7, None]


def test_names_are_spelled_as_the_specification_spells_them() -> None:
    assert keys.physics_state("SPY") == "physics:state:SPY"
    assert keys.physics_writer(0) == "physics:writer:0"
    assert keys.market_snapshot("BRK.B") == "market:snapshot:BRK.B"
    assert keys.market_warm("SPY") == "market:warm:SPY"
    assert keys.market_feed("SIM-1") == "market:feed:SIM-1"
    assert keys.agent_state("analyst_001") == "agent:state:analyst_001"
    assert (keys.TASK_QUEUE, keys.STRATEGY_LEADERBOARD) == ("queue:tasks", "leaderboard:strategies")
    assert (keys.STATE_UPDATE, keys.TRADE_SIGNALS) == ("state_update", "trade_signals")
    assert (keys.SNAPSHOT_TTL_SECONDS, keys.FEED_TTL_SECONDS, keys.AGENT_STATE_TTL_SECONDS) == (60, 5, 3600)


@pytest.mark.parametrize("text", SYMBOLS)
def test_a_symbol_comes_back_as_it_is(text: str) -> None:
    assert keys.symbol(text) == text
    assert keys.is_symbol(text)


@pytest.mark.parametrize("text", NO_SYMBOLS)
def test_what_is_no_symbol_becomes_no_key(text: Any) -> None:
    assert not keys.is_symbol(text)
    for make in (keys.symbol, keys.physics_state, keys.market_snapshot, keys.market_warm, keys.market_feed):
        with pytest.raises(InvalidName, match="bad symbol"):
            make(text)


@pytest.mark.parametrize("text", AGENTS)
def test_an_agents_id_comes_back_as_it_is(text: str) -> None:
    assert keys.agent_id(text) == text


@pytest.mark.parametrize("text", NO_AGENTS)
def test_what_is_no_agents_id_becomes_no_key(text: Any) -> None:
    for make in (keys.agent_id, keys.agent_state):
        with pytest.raises(InvalidName, match="bad agent id"):
            make(text)


@pytest.mark.parametrize(
    ("text", "pair"), [("0/1", (0, 1)), ("3/4", (3, 4)), ("0/999", (0, 999)), ("10/11", (10, 11))]
)
def test_a_shard_is_one_of_n(text: str, pair: tuple[int, int]) -> None:
    assert keys.shard(text) == pair


@pytest.mark.parametrize(
    "text", ["", "1", "1/1", "2/1", "0/0", "-1/2", "00/1", "0/01", "0/1000", "a/b", "0/1\n", "٠/١"]
)
def test_a_bad_shard_is_refused(text: str) -> None:
    with pytest.raises(InvalidName, match="bad shard"):
        keys.shard(text)


@given(st.text())
def test_no_text_makes_a_key_of_more_than_three_parts(text: str) -> None:
    try:
        key = keys.physics_state(text)
    except InvalidName as error:
        message = str(error)
        assert message.isprintable()  # whatever a stranger sent, a log line stays one line
        assert len(message) < 150
    else:
        assert key.count(":") == 2
        assert key.isascii()
        assert key.isprintable()


NATIVES = {
    "BRK.B": "BRK.B",
    "BTC-PERP": "BTC-PERP",
    "7203.T": "7203.T",
    " brk.b\t": "BRK.B",
    "btcusdt": "BTCUSDT",
    "BRK/B": "BRK-B",
    "EUR/USD": "EUR-USD",
    "BTC/USDT:USDT": "BTC-USDT_USDT",
    "BTC/USDT:USDT-240628-100000-C": "BTC-USDT_USDT-240628-100000-C",
    "ES=F": "ES_F",
    "EURUSD=X": "EURUSD_X",
    "AAPL  240119C00150000": "AAPL_240119C00150000",
    "VOD LN Equity": "VOD_LN_EQUITY",
    "^GSPC": "I_GSPC",
    "I:SPX": "I_SPX",
    ".SPX": "X.SPX",
    "/ES": "X-ES",
    "$DJI": "X_24DJI",
    "ES1!": "ES1_21",
    "M&M.NS": "M_26M.NS",
    "ABC=": "ABC_",
    "ABC^": "ABC_5E",
    "ABC+": "ABC_2B",
    "币安人生USDT": "X_5E01_5B89_4EBA_751FUSDT",
    "ß": "X_DF",
}


@pytest.mark.parametrize("native", NATIVES)
def test_a_venues_spelling_has_one_symbol(native: str) -> None:
    assert keys.symbol_of(native) == NATIVES[native]


def test_the_suffixes_of_a_venue_stay_apart() -> None:
    """Units, warrants, rights, when-issued and preferred shares of one company, as exchanges spell them."""
    shares = ["ABC", "ABC=", "ABC+", "ABC^", "ABC#", "ABC$", "ABC*", "ABC-A", "ABC.A", "ABC~", "ABC.U", "ABC.WS"]
    assert len({keys.symbol_of(native) for native in shares}) == len(shares)


_natives = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=keys.LONGEST_NATIVE)


@given(st.one_of(_natives, st.text("AB1/:=^. _-&abé ", min_size=1, max_size=40), st.text()))
def test_whatever_a_venue_calls_it_becomes_a_symbol_once_or_is_refused(native: str) -> None:
    name = native.strip()
    if not (0 < len(name) <= keys.LONGEST_NATIVE and name.isprintable()):
        with pytest.raises(InvalidName) as refusal:
            keys.symbol_of(native)
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 150
        return
    symbol = keys.symbol_of(native)
    assert keys.is_symbol(symbol)
    assert keys.symbol_of(symbol) == symbol


@given(st.from_regex(keys.SYMBOL_PATTERN, fullmatch=True))
def test_a_symbol_is_its_own(symbol: str) -> None:
    assert keys.symbol_of(symbol) == symbol


def test_long_names_that_begin_alike_stay_apart() -> None:
    made = [keys.symbol_of(f"SPX US 01/19/24 C4500 Index of {n}") for n in range(1000)]
    assert len(set(made)) == 1000
    assert {len(symbol) for symbol in made} == {32}


@pytest.mark.parametrize(("text", "instead"), [("brk/b", "BRK-B"), ("^GSPC", "I_GSPC"), ("spy", "SPY")])
def test_a_refusal_says_which_name_to_use(text: str, instead: str) -> None:
    with pytest.raises(InvalidName, match=rf"bad symbol '{re.escape(text)}': .*; use {instead}$"):
        keys.symbol(text)
