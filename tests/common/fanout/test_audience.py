"""What parts groups, and what does not."""

from dataclasses import replace

from common.fanout.audience import Audience, granted
from cottage.grant import ANYBODY
from cottage.protocol import Subscription
from tests.common.fanout.passes import grant

ALL = Subscription(everything=True)


def test_only_what_decides_which_bytes_are_sent_parts_groups() -> None:
    ann = grant("BTC-*", "SPY", events=("AGENT_UPDATE",))
    bob = replace(ann, principal="bob", token_id="b", max_symbols=3, requests_per_second=1, expires_at=4.0)
    other_words = grant("SPY", "BTC-USD", "BTC-*", "BTC-E*", events=("AGENT_UPDATE",))
    assert Audience.of(ALL, ann) == Audience.of(ALL, bob) == Audience.of(ALL, other_words)
    assert Audience.of(ALL, ann) != Audience.of(ALL, grant("BTC-*", "SPY")), "their events differ"
    assert Audience.of(ALL, ann) != Audience.of(ALL, grant("BTC-*", events=("AGENT_UPDATE",)))


def test_named_symbols_are_those_that_are_granted() -> None:
    asked = Subscription(False, frozenset({"SPY", "BTC-USD", "GLD"}), batch=250)
    audience = Audience.of(asked, grant("SPY", "BTC-*"))
    assert audience.subscription == replace(asked, named=frozenset({"SPY", "BTC-USD"}))
    assert audience == Audience.of(asked, grant("SPY", "BTC-USD")), "the same frames serve both"
    assert [audience.has(symbol) for symbol in ("SPY", "GLD", "BTC-EUR")] == [True, False, False]
    assert audience.among(["SPY", "GLD"]) == ["SPY"]
    assert not audience.restricted


def test_all_symbols_are_those_that_the_patterns_name() -> None:
    some = Audience.of(ALL, grant("BTC-*", "SPY"))
    assert some.restricted
    assert not Audience.of(ALL, ANYBODY).restricted
    assert some.among(["GLD", "BTC-USD", "SPY"]) == ["BTC-USD", "SPY"]
    assert Audience.of(ALL, grant("SPY", "QQQ")).among(["SPY", "GLD"]) == ["SPY"]
    assert Audience.of(ALL, ANYBODY).among(["B", "A"]) == ["B", "A"]
    assert granted(grant().symbols, frozenset({"SPY"})) == frozenset()
