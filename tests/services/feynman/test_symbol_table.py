"""What the book makes of raw snapshots: samples, refusals, versions, writes."""

import math
from collections.abc import Sequence

import pytest

from cottage.errors import InvalidMessage
from cottage.keys import in_shard
from cottage.state import PhysicsState
from services.feynman.symbol_table import StateWrite, SymbolTable
from tests import reference
from tests.reference import Sample
from tests.services.feynman.histories import assert_vector

NOW = 1_766_318_400.0
Row = tuple[bytes | None, ...]


def raw(
    price: object = 100.0,
    timestamp: object = NOW,
    volume: object = 10,
    trades: object = 1,
    source: bytes | None = b"live",
) -> Row:
    """SAMPLE_FIELDS as Redis gives them."""
    numbers = (None if value is None else str(value).encode() for value in (price, timestamp, volume, trades))
    return (*numbers, source)


def book_of(*symbols: str, window: int = 1000, forget: float = 3600.0) -> SymbolTable:
    book = SymbolTable(window, 60.0, forget)
    book.add(symbols)
    return book


def take(book: SymbolTable, symbol: str, row: Row | InvalidMessage, now: float = 0.0) -> tuple[list[str], list[str]]:
    """One symbol's snapshot; which were sampled, and the fields that were refused."""
    sampled, refused = book.take([(symbol, row)], NOW, now)
    return sampled, [error.reason for _symbol, error in refused]


def state(book: SymbolTable, symbol: str, version: tuple[int, int] = (1, 1)) -> PhysicsState:
    book.version(*version, [symbol])
    return PhysicsState.from_bytes(next(write.state for write in book.writes() if write.symbol == symbol))


def feed(book: SymbolTable, symbol: str, samples: Sequence[Sample]) -> None:
    for sample in samples:
        row = raw(sample.price, sample.timestamp, sample.volume, sample.trades)
        assert take(book, symbol, row) == ([symbol], [])


def test_a_state_is_the_vector_of_the_samples_taken() -> None:
    book = book_of("SPY", "QQQ", window=80)
    samples = [Sample(NOW - 500 + i, 100.0 + math.sin(i * i), 10.0 * i + i % 7, float(i + i % 3)) for i in range(100)]
    feed(book, "SPY", samples)
    feed(book, "QQQ", samples[:3])
    found = state(book, "SPY")
    assert_vector(found, reference.vector(samples, window=80))
    assert found.regime != "WAIT"
    assert (found.price, found.source) == (samples[-1].price, "live")
    assert found.timestamp == "2025-12-21T11:53:19.000Z"
    assert found.version == (1, 1)
    assert state(book, "QQQ").samples == 3


def test_a_symbol_is_added_once() -> None:
    book = SymbolTable(10, 60.0, 3600.0)
    assert book.add(["SPY", "SPY", "QQQ"]) == ["SPY", "QQQ"]
    assert book.add(["QQQ", "IWM"]) == ["IWM"]
    assert list(book) == ["SPY", "QQQ", "IWM"]


def test_a_snapshot_is_sampled_once() -> None:
    book = book_of("SPY")
    assert take(book, "SPY", raw()) == (["SPY"], [])
    assert take(book, "SPY", raw()) == ([], [])
    assert take(book, "SPY", raw(price=101.0)) == ([], [])  # the time tells a new one, not the price
    assert state(book, "SPY").samples == 1


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (raw(price="abc"), "price"),
        (raw(price="nan"), "price"),
        (raw(price="inf"), "price"),
        (raw(price="1e999"), "price"),
        (raw(price=-1), "price"),
        (raw(price=0), "price"),
        (raw(price="1_000"), "price"),
        (raw(price=" 1"), "price"),
        (raw(price="9" * 1_000_000), "price"),
        (raw(price=None), "price"),
        (raw(price=""), "price"),
        (raw(timestamp=None), "timestamp"),
        (raw(timestamp="now"), "timestamp"),
        (raw(timestamp=NOW + 61), "timestamp"),
        (raw(timestamp=-1), "timestamp"),
        (raw(timestamp=NOW - 101), "timestamp"),  # behind the newest sample
        (raw(volume=-1), "volume"),
        (raw(volume="nan"), "volume"),
        (raw(trades="many"), "trades"),
        (raw(trades=-0.5), "trades"),
        (raw(source=b"x" * 1_000_000), "source"),
        (raw(source=b"live\x1b[31m"), "source"),
        (raw(source=b""), "source"),
        (raw(source=b"\xff\xfe"), "source"),
        (InvalidMessage("type", "market:snapshot:SPY is no hash"), "type"),
    ],
)
def test_a_bad_snapshot_is_refused_by_name_once_and_the_last_state_stands(
    row: Row | InvalidMessage, field: str
) -> None:
    book = book_of("SPY", "QQQ")
    take(book, "SPY", raw(timestamp=NOW - 100))
    before = state(book, "SPY")
    sampled, refused = book.take([("SPY", row), ("QQQ", raw())], NOW, 0.0)
    assert sampled == ["QQQ"]
    assert [(symbol, error.reason) for symbol, error in refused] == [("SPY", field)]
    assert len(str(refused[0][1])) < 200
    assert take(book, "SPY", row) == ([], [])  # it is counted already
    assert state(book, "SPY") == before
    assert take(book, "SPY", raw()) == (["SPY"], [])
    assert state(book, "SPY").samples == 2


def test_each_other_bad_snapshot_is_told() -> None:
    book = book_of("SPY")
    told = [take(book, "SPY", raw(price=price)) for price in ("a", "a", "b", "b", "a")]
    assert told == [([], ["price"]), ([], []), ([], ["price"]), ([], []), ([], ["price"])]


def test_a_time_that_was_ahead_is_taken_once_it_is_not() -> None:
    book = book_of("SPY")
    row = raw(timestamp=NOW + 61)
    assert take(book, "SPY", row) == ([], ["timestamp"])
    assert book.take([("SPY", row)], NOW + 2, 0.0) == (["SPY"], [])


@pytest.mark.parametrize("extreme", [{"price": 1e308}, {"price": 5e-324}, {"volume": 1e308, "trades": 1e308}])
def test_extreme_but_honest_numbers_give_finite_states(extreme: dict[str, float]) -> None:
    book = book_of("SPY")
    take(book, "SPY", raw(timestamp=NOW - 3))
    take(book, "SPY", raw(timestamp=NOW - 2, **extreme))  # type: ignore[arg-type]  # numbers only
    take(book, "SPY", raw(timestamp=NOW - 1, volume=5))
    assert state(book, "SPY").samples == 3  # from_bytes refuses what is not finite


def test_a_missing_volume_and_source_are_allowed() -> None:
    book = book_of("SPY")
    assert take(book, "SPY", raw(volume=None, trades=None, source=None)) == (["SPY"], [])
    assert state(book, "SPY").source == "unknown"


def test_another_source_begins_a_new_window() -> None:
    book = book_of("SPY")
    for second in range(5):
        take(book, "SPY", raw(price=100 + second, timestamp=NOW - 50 + second, source=b"simulate"))
    # its time may lie before the old one's: they are not the same stream
    assert take(book, "SPY", raw(price=7, timestamp=NOW - 60, source=b"live")) == (["SPY"], [])
    found = state(book, "SPY")
    assert (found.samples, found.nonzero, found.source, found.price) == (1, 0, "live", 7.0)


def test_a_refused_snapshot_of_another_source_clears_nothing() -> None:
    book = book_of("SPY")
    take(book, "SPY", raw(timestamp=NOW - 5))
    assert take(book, "SPY", raw(price=-1, source=b"simulate")) == ([], ["price"])
    take(book, "SPY", raw())
    assert state(book, "SPY").samples == 2


def test_a_new_session_counts_from_zero() -> None:
    book = book_of("SPY")
    samples = [
        Sample(NOW - 9 + i, 100.0 + i, volume, trades)
        for i, (volume, trades) in enumerate([(1000.0, 50.0), (1400.0, 70.0), (30.0, 2.0), (90.0, 4.0)])
    ]
    feed(book, "SPY", samples)
    assert state(book, "SPY").mass == pytest.approx(reference.vector(samples).mass, rel=1e-12)


def test_a_symbol_without_its_snapshot_is_given_up_and_may_come_back() -> None:
    book = book_of("SPY", "QQQ", forget=10.0)
    gone = raw(None, None, None, None, None)
    book.take([("SPY", raw()), ("QQQ", raw())], NOW, 100.0)
    book.take([("SPY", gone), ("QQQ", raw())], NOW, 101.0)
    assert book.forget(111.0) == []
    assert book.forget(111.1) == ["SPY"]
    assert list(book) == ["QQQ"]
    assert book.add(["SPY"]) == ["SPY"]
    take(book, "SPY", raw(timestamp=NOW - 50))
    assert state(book, "SPY").samples == 1


def test_absence_counts_from_when_it_was_seen_not_through_an_outage() -> None:
    book = book_of("SPY", forget=10.0)
    gone = raw(None, None, None, None, None)
    take(book, "SPY", raw(), now=100.0)
    assert book.forget(5000.0) == []  # nobody could look
    take(book, "SPY", gone, now=5000.0)
    assert book.forget(5009.0) == []
    take(book, "SPY", raw(timestamp=NOW + 1), now=5009.0)
    take(book, "SPY", gone, now=5015.0)
    assert book.forget(5024.0) == []


def test_only_what_was_sampled_is_published_and_everything_is_written() -> None:
    book = book_of("SPY", "QQQ", "IWM")
    sampled, _ = book.take([("SPY", raw()), ("QQQ", raw())], NOW, 0.0)
    assert book.writes() == []  # nothing without a version
    book.version(7, 0, sampled)
    first = {write.symbol: write for write in book.writes()}
    assert first.keys() == {"SPY", "QQQ"}
    for symbol, write in first.items():
        assert write.update == PhysicsState.from_bytes(write.state).update(symbol)
    assert book.writes() == list(first.values())  # until they have arrived
    book.published()
    assert book.writes() == [StateWrite(symbol, write.state, None) for symbol, write in first.items()]

    take(book, "SPY", raw(timestamp=NOW + 1))
    book.version(7, 1, ["SPY"])
    spy, qqq = book.writes()
    assert PhysicsState.from_bytes(spy.state).version == (7, 1)
    assert spy.update is not None
    assert qqq == StateWrite("QQQ", first["QQQ"].state, None)


def test_under_a_new_epoch_everything_is_issued_again() -> None:
    book = book_of("SPY", "QQQ", "IWM")
    book.take([("SPY", raw()), ("QQQ", raw())], NOW, 0.0)
    book.version(7, 3, list(book))
    book.published()
    book.version(8, 4, list(book))
    versions = {write.symbol: PhysicsState.from_bytes(write.state).version for write in book.writes()}
    assert versions == {"SPY": (8, 4), "QQQ": (8, 4)}
    assert all(write.update for write in book.writes())


def test_each_symbol_is_one_shards() -> None:
    symbols = [f"S{i}" for i in range(300)]
    parts = [{symbol for symbol in symbols if in_shard(symbol, index, 3)} for index in range(3)]
    assert set.union(*parts) == set(symbols)
    assert sum(map(len, parts)) == len(symbols)
    assert min(map(len, parts)) > 50
    assert in_shard("SPY", 1, 2)  # its CRC-32 is 0x39b7fdff, in every process and version
