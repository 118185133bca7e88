"""The semantics of a reader, without a server: a few dicts answer as Redis does."""

import fnmatch
from typing import Any, TypeVar

import orjson
import pytest

from cottage.clock import iso_millis
from cottage.errors import InvalidName, NoSuchState, RedisRefused, RedisUnavailable, StateUnavailable
from cottage.freshness import Freshness
from cottage.reader.queries import Command, Queries, Query
from cottage.reader.reading import Reading
from cottage.state import FAIL_SAFE, PhysicsState
from cottage.version import Version
from tests.services.physics.examples import PUBLISHED, state
from tests.support import library_events

T = TypeVar("T")
NOW = 1_766_318_400.0
DAY = 86_400.0


class Server:
    """Redis as far as a reader asks it. Its clock and the reader's monotonic one go on together."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.types: dict[str, bytes] = {}
        """The keys of another type than a string."""
        self.lifetimes: dict[str, int] = {}
        self.ahead = 0.0
        """By how much its clock was set."""
        self.seconds = 0.0
        self.error: Exception | None = None
        self.refused: dict[str, Exception] = {}
        """What it answers to some commands, or about some keys, instead."""
        self.round_trips = 0
        self.commands: list[Command] = []

    def monotonic(self) -> float:
        return self.seconds

    def put(self, symbol: str, stored: PhysicsState | bytes) -> None:
        payload = stored.to_bytes() if isinstance(stored, PhysicsState) else stored
        self.values[f"physics:state:{symbol}"] = payload

    def works(self, *feeds: dict[str, Any]) -> None:
        """A writer holds its lease, and these feeds live."""
        self.values["physics:writer:0"] = b'{"shards":1}'
        for number, feed in enumerate(feeds):
            self.values[f"market:feed:F{number}"] = orjson.dumps(feed)

    def answer(self, commands: list[Command]) -> list[Any]:
        self.round_trips += 1
        if self.error is not None:
            raise self.error
        self.commands += commands
        for command in commands:
            for word in map(str, command):
                if word in self.refused:
                    raise self.refused[word]
        return [self._reply(*command) for command in commands]

    def _reply(self, name: str | int, *arguments: str | int) -> Any:
        match name:
            case "TIME":
                now = NOW + self.seconds + self.ahead
                return int(now), round(now % 1 * 1e6)
            case "MGET":
                return [self.values.get(str(key)) for key in arguments]
            case "PTTL":
                return self.lifetimes.get(str(arguments[0]), 4000)
            case "SCAN":
                # Two pages, the second of which repeats a key, as SCAN may.
                keys = [key.encode() for key in self.values if fnmatch.fnmatchcase(key, str(arguments[2]))]
                return (7, keys[:2]) if arguments[0] == 0 else (0, keys[1:])
            case "TYPE":
                return self.types.get(str(arguments[0]), b"none")
        raise AssertionError(f"a reader must not send {name}")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def queries(server: Server) -> Queries:
    return Queries(server.monotonic)


def ask(server: Server, query: Query[T]) -> T:
    try:
        commands = next(query)
        while True:
            try:
                replies = server.answer(commands)
            except (RedisUnavailable, RedisRefused) as error:
                commands = query.throw(error)
            else:
                commands = query.send(replies)
    except StopIteration as answered:
        value: T = answered.value
        return value


def test_a_live_state_in_one_round_trip(server: Server, queries: Queries) -> None:
    held = state(NOW - 0.5)
    server.put("SPY", held)
    reading = ask(server, queries.one("SPY", None, None))
    assert reading is not None
    assert reading.state == held
    assert reading.origin == "redis"
    assert reading.freshness == Freshness("live", None, 0.5)
    assert server.round_trips == 1


def test_many_in_one_round_trip(server: Server, queries: Queries) -> None:
    for symbol in ("SPY", "QQQ"):
        server.put(symbol, state(NOW))
    server.works()
    ask(server, queries.check())
    server.round_trips = 0
    readings = ask(server, queries.many(["SPY", "QQQ", "SPY"]))
    assert list(readings.states) == ["SPY", "QQQ"]
    assert readings.missing == ()
    assert readings.complete
    assert server.round_trips == 1


def test_another_round_trip_tells_what_is_missing_from_what_is_of_a_wrong_type(
    server: Server, queries: Queries
) -> None:
    held = state(NOW)
    for symbol in ("SPY", "OLD"):
        server.put(symbol, held)
    server.works()
    ask(server, queries.many(["SPY", "OLD"]))
    ask(server, queries.check())
    for symbol in ("OLD", "BAD"):
        server.values.pop(f"physics:state:{symbol}", None)
        server.types[f"physics:state:{symbol}"] = b"list"
    server.round_trips = 0
    readings = ask(server, queries.many(["SPY", "NEW", "OLD", "BAD"]))
    assert server.round_trips == 2, "the states, and the types of the three without a value"
    assert readings.missing == ("NEW",)
    assert {symbol: reading.origin for symbol, reading in readings.states.items()} == {
        "SPY": "redis",
        "OLD": "remembered",
        "BAD": "fallback",
    }
    assert readings.states["OLD"].state == held
    assert queries.counts.bad_states == {"type": 2}


def test_a_flood_of_states_is_read_up_to_a_bound_and_those_that_are_known_first(server: Server) -> None:
    queries = Queries(server.monotonic, capacity=3)
    server.put("SPY", state(NOW))
    server.works()
    assert ask(server, queries.all()).complete
    for number in range(9):
        server.put(f"A{number}", state(NOW))
    for _time in range(2):
        readings = ask(server, queries.all())
        assert list(readings.states) == ["A0", "A1", "SPY"]
        assert not readings.complete
    for number in range(2, 9):
        del server.values[f"physics:state:A{number}"]
    assert ask(server, queries.all()).complete


def test_more_than_500_in_a_round_trip_for_each_500(server: Server, queries: Queries) -> None:
    symbols = [f"S{number}" for number in range(1001)]
    for symbol in symbols:
        server.put(symbol, state(NOW))
    assert list(ask(server, queries.many(symbols)).states) == symbols
    assert server.round_trips == 3


def test_age_counts_from_the_moment_of_sending(server: Server, queries: Queries) -> None:
    server.put("SPY", state(NOW))
    query = queries.one("SPY", None, None)
    replies = server.answer(next(query))
    server.seconds = 2.5  # the answer was that long on its way
    with pytest.raises(StopIteration) as answered:
        query.send(replies)
    assert answered.value.value.freshness.age == 2.5


@pytest.mark.parametrize("symbol", ["spy", "A/B", "", "*", "SPY\n"])
def test_a_bad_symbol_is_refused_before_anything_is_sent(server: Server, queries: Queries, symbol: str) -> None:
    with pytest.raises(InvalidName):
        ask(server, queries.one(symbol, None, None))
    with pytest.raises(InvalidName):
        ask(server, queries.many(["SPY", symbol]))
    assert server.round_trips == 0


@pytest.mark.parametrize("max_age", [-1.0, float("nan")])
def test_a_bad_max_age_is_refused(server: Server, queries: Queries, max_age: float) -> None:
    with pytest.raises(ValueError, match="max_age"):
        ask(server, queries.one("SPY", max_age, FAIL_SAFE))
    assert server.round_trips == 0


def test_redis_answers_and_has_none(server: Server, queries: Queries) -> None:
    assert ask(server, queries.one("SPY", None, None)) is None
    with pytest.raises(NoSuchState, match="SPY: Redis has no state"):
        ask(server, queries.one("SPY", 3.0, None))


@pytest.mark.parametrize("max_age", [None, 3.0])
def test_a_fallback_instead_of_none(server: Server, queries: Queries, max_age: float | None) -> None:
    server.works()
    reading = ask(server, queries.one("SPY", max_age, PUBLISHED))
    assert reading is not None
    assert reading.origin == "fallback"
    assert reading.state.source == "fallback"
    assert reading.state.mass == PUBLISHED.mass
    assert reading.freshness == Freshness("expired", "feed_down", None)


def test_max_age(server: Server, queries: Queries) -> None:
    server.works({"source": "live"})
    server.put("SPY", state(NOW - 3.0))
    refused = queries.counts.refused
    reading = ask(server, queries.one("SPY", 3.0, None))
    assert reading is not None
    assert reading.freshness.age == 3.0
    server.seconds = 0.25
    with pytest.raises(StateUnavailable, match=r"SPY: its newest sample is 3\.2 s old, 3 s are allowed"):
        ask(server, queries.one("SPY", 3.0, None))
    assert queries.counts.refused == refused + 1
    fallback = ask(server, queries.one("SPY", 3.0, FAIL_SAFE))
    assert fallback is not None
    assert fallback.origin == "fallback"


def test_a_fallback_is_not_given_where_there_is_a_state(server: Server, queries: Queries) -> None:
    server.works({"source": "live"})
    server.put("SPY", state(NOW - 30.0))
    reading = ask(server, queries.one("SPY", None, FAIL_SAFE))
    assert reading is not None
    assert reading.origin == "redis"
    assert reading.freshness == Freshness("stale", "market_quiet", 30.0)


def test_a_state_without_a_time_is_never_fresh(server: Server, queries: Queries) -> None:
    server.works()
    server.put("SPY", PUBLISHED)
    reading = ask(server, queries.one("SPY", None, None))
    assert reading is not None
    assert reading.state == PUBLISHED
    assert reading.freshness == Freshness("expired", "market_quiet", None)
    with pytest.raises(StateUnavailable, match="does not tell how old"):
        ask(server, queries.one("SPY", 86_400.0, None))


class TestWithoutRedis:
    @pytest.fixture(autouse=True)
    def _lost(self, server: Server, queries: Queries) -> None:
        server.put("SPY", state(NOW - 0.5))
        ask(server, queries.one("SPY", None, None))
        server.seconds = 1.0
        server.error = RedisUnavailable("no answer")

    def test_the_last_state_aged(self, server: Server, queries: Queries) -> None:
        reading = ask(server, queries.one("SPY", None, None))
        assert reading is not None
        assert reading.origin == "remembered"
        assert reading.freshness == Freshness("live", None, 1.5)
        server.seconds = 3.0  # Redis has been silent for three seconds
        reading = ask(server, queries.one("SPY", None, None))
        assert reading is not None
        assert reading.freshness == Freshness("stale", "redis_down", 3.5)
        server.seconds = 60.0
        reading = ask(server, queries.one("SPY", None, None))
        assert reading is not None
        assert reading.freshness == Freshness("expired", "redis_down", 60.5)

    def test_the_fail_safe_vector_for_what_was_never_read(self, server: Server, queries: Queries) -> None:
        reading = ask(server, queries.one("QQQ", None, None))
        assert reading is not None
        assert reading.state == FAIL_SAFE
        assert reading.origin == "fallback"
        assert reading.freshness == Freshness("expired", "redis_down", None)
        with pytest.raises(StateUnavailable, match=r"QQQ: no state is known \(redis_down\)") as refused:
            ask(server, queries.one("QQQ", 3.0, None))
        assert not isinstance(refused.value, NoSuchState), "nobody knows"

    def test_a_fallback_of_ones_own(self, server: Server, queries: Queries) -> None:
        reading = ask(server, queries.one("QQQ", None, PUBLISHED))
        assert reading is not None
        assert (reading.state.mass, reading.state.source) == (PUBLISHED.mass, "fallback")
        assert reading.freshness.cause == "redis_down"

    def test_max_age_holds_for_what_is_remembered(self, server: Server, queries: Queries) -> None:
        reading = ask(server, queries.one("SPY", 3.0, None))
        assert reading is not None
        assert reading.origin == "remembered"
        server.seconds = 3.0
        with pytest.raises(StateUnavailable, match="redis_down"):
            ask(server, queries.one("SPY", 3.0, None))

    def test_all_and_many(self, server: Server, queries: Queries) -> None:
        everything = ask(server, queries.all())
        assert list(everything.states) == ["SPY"]
        assert not everything.complete
        some = ask(server, queries.many(["QQQ", "SPY"]))
        assert [reading.origin for reading in some.states.values()] == ["fallback", "remembered"]
        assert some.missing == ()
        assert not some.complete

    def test_most_questions_are_answered_without_asking(self, server: Server, queries: Queries) -> None:
        asked = server.round_trips
        for _ in range(1000):
            server.seconds += 0.01
            ask(server, queries.one("SPY", None, None))
            ask(server, queries.all())
            ask(server, queries.check())
        assert 5 <= server.round_trips - asked <= 200

    def test_back(self, server: Server, queries: Queries) -> None:
        ask(server, queries.one("SPY", None, None))
        server.error = None
        server.seconds = 2.0
        server.put("SPY", state(NOW + 2.0))
        reading = ask(server, queries.one("SPY", None, None))
        assert reading is not None
        assert reading.origin == "redis"
        assert reading.freshness == Freshness("live", None, 0.0)
        assert queries.circuit.error is None


def test_lost_in_the_middle_of_a_question(server: Server, queries: Queries) -> None:
    server.put("SPY", state(NOW - 20.0))
    query = queries.one("SPY", None, None)
    looking = query.send(server.answer(next(query)))
    assert looking[0][0] == "SCAN"
    with pytest.raises(StopIteration) as answered:
        query.throw(RedisUnavailable("no answer"))
    assert answered.value.value.origin == "redis"
    assert answered.value.value.freshness == Freshness("stale", "redis_down", 20.0)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"{", "json"),
        (b"[]", "object"),
        (b"\xff\xfe", "json"),
        (orjson.dumps({**PUBLISHED.as_dict(), "mass": None}), "number"),
        (orjson.dumps({**PUBLISHED.as_dict(), "mass": "0.4"}), "number"),
        (orjson.dumps({**PUBLISHED.as_dict(), "regime": "Chaos"}), "regime"),
        (state(NOW, version=Version(round((NOW + 2 * DAY + 1) * 1000), 1)).to_bytes(), "epoch"),
        (state(NOW, version=Version(2**53 - 1, 1)).to_bytes(), "epoch"),
        (orjson.dumps({**PUBLISHED.as_dict(), "feed_time": "yesterday"}), "timestamp"),
    ],
)
def test_a_state_that_cannot_be_trusted(server: Server, queries: Queries, stored: bytes, reason: str) -> None:
    server.works({"source": "live"})
    server.put("SPY", state(NOW - 1.0))
    ask(server, queries.one("SPY", None, None))
    before = queries.counts.bad_states[reason]
    for symbol in ("SPY", "QQQ"):
        server.put(symbol, stored)
    readings = ask(server, queries.many(["SPY", "QQQ"]))
    assert queries.counts.bad_states[reason] == before + 2
    assert readings.complete
    assert readings.states["SPY"].origin == "remembered"
    assert readings.states["SPY"].freshness == Freshness("live", None, 1.0)
    assert readings.states["QQQ"].state == FAIL_SAFE
    with pytest.raises(StateUnavailable, match="no state is known"):
        ask(server, queries.one("QQQ", 3.0, None))


def test_an_epoch_two_days_ahead_says_nothing_of_age(server: Server, queries: Queries) -> None:
    server.put("SPY", state(NOW - 1.0, version=Version(round((NOW + 2 * DAY) * 1000), 1)))
    reading = ask(server, queries.one("SPY", 3.0, None))
    assert reading is not None
    assert reading.freshness == Freshness("live", None, 1.0)


def test_what_redis_has_no_more_is_forgotten(server: Server, queries: Queries) -> None:
    for symbol in ("SPY", "QQQ"):
        server.put(symbol, state(NOW))
    ask(server, queries.all())
    del server.values["physics:state:SPY"]
    assert ask(server, queries.one("SPY", None, None)) is None
    del server.values["physics:state:QQQ"]
    ask(server, queries.all())
    server.error = RedisUnavailable("no answer")
    assert ask(server, queries.all()).states == {}


def test_all_passes_over_keys_that_are_no_symbols(server: Server, queries: Queries) -> None:
    for symbol in ("SPY", "spy", "A B", "QQQ"):
        server.put(symbol, state(NOW))
    assert list(ask(server, queries.all()).states) == ["QQQ", "SPY"]


class TestCause:
    def cause(self, server: Server, queries: Queries) -> str | None:
        reading = ask(server, queries.one("SPY", None, None))
        assert reading is not None
        return reading.freshness.cause

    def test_of_a_young_state_nobody_asks(self, server: Server, queries: Queries) -> None:
        server.put("SPY", state(NOW - 2.9))
        assert self.cause(server, queries) is None
        assert all(command[0] != "SCAN" for command in server.commands)

    def test_writer_down(self, server: Server, queries: Queries) -> None:
        server.values["market:feed:F0"] = b'{"source":"live"}'
        server.put("SPY", state(NOW - 3.0))
        assert self.cause(server, queries) == "writer_down"

    def test_another_shard_writes(self, server: Server, queries: Queries) -> None:
        server.values["physics:writer:1"] = b'{"shards":2}'  # SPY is its
        server.put("SPY", state(NOW - 3.0))
        assert self.cause(server, queries) == "feed_down"

    def test_feed_down(self, server: Server, queries: Queries) -> None:
        server.works({"source": "replay"})
        server.put("SPY", state(NOW - 3.0))
        assert self.cause(server, queries) == "feed_down"

    def test_market_quiet(self, server: Server, queries: Queries) -> None:
        server.works({"source": "live", "symbols": ["SPY"]})
        server.values["market:feed:BAD"] = b"["
        server.put("SPY", state(NOW - 9.0))
        assert self.cause(server, queries) is None  # the feed lives: not stale yet
        server.seconds = 1.0
        assert self.cause(server, queries) == "market_quiet"

    def test_is_looked_for_at_most_every_two_seconds(self, server: Server, queries: Queries) -> None:
        server.put("SPY", state(NOW - 20.0))
        for _ in range(20):
            assert self.cause(server, queries) == "writer_down"
            server.seconds += 0.5
        scans = [command for command in server.commands if command[0] == "SCAN" and command[1] == 0]
        assert len(scans) == 2 * 5  # two kinds of keys, in ten seconds

    def test_is_looked_for_anew_after_redis_was_lost(self, server: Server, queries: Queries) -> None:
        server.put("SPY", state(NOW - 20.0))
        assert self.cause(server, queries) == "writer_down"
        server.error = RedisUnavailable("no answer")
        assert self.cause(server, queries) == "redis_down"
        server.error = None
        server.works({"source": "live"})
        server.seconds = 1.0
        assert self.cause(server, queries) == "market_quiet"


def test_check(server: Server, queries: Queries) -> None:
    assert queries.chain is None
    server.works({"source": "live"})
    ask(server, queries.check())
    assert queries.circuit.error is None
    assert queries.chain is not None
    assert queries.chain.writers == {(0, 1)}
    server.error = RedisRefused("WRONGPASS")
    ask(server, queries.check())
    assert queries.circuit.error is server.error
    assert queries.chain is None


class TestAge:
    """A sample is never younger than this reader once knew, whatever Redis's clock does."""

    def reading(self, server: Server, queries: Queries, symbol: str = "SPY") -> Reading:
        reading = ask(server, queries.one(symbol, None, None))
        assert reading is not None
        return reading

    def age(self, server: Server, queries: Queries, symbol: str = "SPY") -> float | None:
        return self.reading(server, queries, symbol).freshness.age

    @pytest.mark.parametrize("step", [-1.0, -10.0, -50.0, -3600.0, -DAY])
    def test_of_a_known_sample_goes_on_as_the_clock_goes_back(
        self, server: Server, queries: Queries, step: float
    ) -> None:
        server.works({"source": "live"})
        server.put("SPY", state(NOW - 2.0))
        assert self.age(server, queries) == 2.0
        server.ahead, server.seconds = step, 1.0
        with library_events() as lines:
            assert self.age(server, queries) == pytest.approx(3.0)
        assert [(line["of"], line["seconds"]) for line in lines if line["event"] == "clock_stepped"] == [
            ("redis", step)
        ]
        server.seconds = 70.0
        assert self.reading(server, queries).freshness == Freshness("expired", "market_quiet", 72.0)

    @pytest.mark.parametrize("step", [1.0, 50.0, 3600.0, DAY])
    def test_of_a_sample_grows_as_the_clock_goes_forward(self, server: Server, queries: Queries, step: float) -> None:
        server.put("SPY", state(NOW - 2.0))
        assert self.age(server, queries) == 2.0
        server.ahead = step
        assert self.age(server, queries) == pytest.approx(2.0 + step)

    def test_of_a_sample_that_is_issued_again_under_its_feed_time_is_what_was_known(
        self, server: Server, queries: Queries
    ) -> None:
        server.put("SPY", state(NOW - 2.0))
        assert self.age(server, queries) == 2.0
        server.ahead, server.seconds = -50.0, 1.0
        # Its writer says that it is half a second old: it is not believed.
        again = state(NOW - 49.5, feed_time=iso_millis(NOW - 2.0), version=Version(round(NOW * 1000) + 1, 1))
        server.put("SPY", again)
        reading = self.reading(server, queries)
        assert reading.state == again
        assert reading.freshness.age == pytest.approx(3.0)
        server.put("SPY", state(NOW - 48.5, version=Version(round(NOW * 1000) + 1, 2)))  # a new sample
        server.seconds = 2.0
        assert self.age(server, queries) == pytest.approx(0.5)

    @pytest.mark.parametrize("ahead", [1.01, 58.0, 3600.0])
    def test_of_a_timestamp_ahead_is_not_known_until_a_newer_sample_comes(
        self, server: Server, queries: Queries, ahead: float
    ) -> None:
        server.works({"source": "live"})
        for seconds in (0.0, ahead, ahead + 5):
            server.put("SPY", state(NOW + ahead, version=Version(round(NOW * 1000), round(seconds))))
            server.seconds = seconds
            assert self.reading(server, queries).freshness == Freshness("expired", "market_quiet", None)
        with pytest.raises(StateUnavailable, match="does not tell how old"):
            ask(server, queries.one("SPY", DAY, None))
        server.put("SPY", state(NOW + ahead + 4))
        assert self.age(server, queries) == pytest.approx(1.0)

    def test_of_an_unknown_sample_of_before_a_step_is_not_known_until_it_is_issued_again(
        self, server: Server, queries: Queries
    ) -> None:
        """By its timestamp it is half a second old; it is 50.5 s old."""
        epoch = round(NOW * 1000)
        server.values["physics:writer:0"] = orjson.dumps({"shards": 1, "epoch": epoch})
        ask(server, queries.check())
        server.ahead = -50.0
        server.put("SPY", state(NOW - 50.5, version=Version(epoch, 7)))
        ask(server, queries.check())
        assert self.age(server, queries) is None
        server.put("SPY", state(NOW - 100.5, feed_time=iso_millis(NOW - 50.5), version=Version(epoch + 1, 8)))
        assert self.age(server, queries) == pytest.approx(50.5)

    @pytest.mark.parametrize("back", [-50.0, -3600.0, -DAY])
    def test_is_known_of_new_samples_as_soon_as_the_clock_is_right_again(
        self, server: Server, queries: Queries, back: float
    ) -> None:
        """Feynman, which looks once a tick, need not have seen anything: it issues nothing again."""
        server.works({"source": "live"})
        epoch = round(NOW * 1000)
        server.put("SPY", state(NOW - 0.5, version=Version(epoch, 7)))
        assert self.age(server, queries) == 0.5
        server.ahead, server.seconds = back, 0.3
        ask(server, queries.check())
        server.ahead, server.seconds = back / 2, 0.5
        server.put("SPY", state(NOW + back / 2 + 0.5, version=Version(epoch, 8)))
        assert self.age(server, queries) is None, "it is half right"
        server.ahead, server.seconds = 0.0, 1.0
        server.put("SPY", state(NOW + 0.5, version=Version(epoch, 9)))
        assert self.age(server, queries) == pytest.approx(0.5)

    def test_of_a_sample_without_a_version_that_comes_with_a_step_is_not_known(
        self, server: Server, queries: Queries
    ) -> None:
        ask(server, queries.check())
        server.ahead = -50.0
        server.put("SPY", state(NOW - 50.5, version=None))
        assert self.age(server, queries) is None
        server.put("SPY", state(NOW - 49.5, version=None))
        server.seconds = 1.0
        assert self.age(server, queries) == pytest.approx(0.5)

    def test_of_what_a_feed_brings_late_by_nature(self, server: Server, queries: Queries) -> None:
        server.works({"source": "live"})
        server.put("SPY", state(NOW - 905.0, lag_ms=900_000))
        reading = self.reading(server, queries)
        assert reading.freshness == Freshness("stale", "feed_late", 905.0)
        with pytest.raises(StateUnavailable):  # the whole age counts
            ask(server, queries.one("SPY", 904.0, None))
        server.seconds = 10.0
        assert self.reading(server, queries).freshness == Freshness("expired", "market_quiet", 915.0)


class TestExpiry:
    """Leases and feeds that Redis keeps longer than they asked for have no holders."""

    @pytest.mark.parametrize("pttl", [3_600_000, -1])
    @pytest.mark.parametrize(("key", "cause"), [("physics:writer:0", "writer_down"), ("market:feed:F0", "feed_down")])
    def test_a_holder_that_died_before_the_clock_went_back(
        self, server: Server, queries: Queries, key: str, cause: str, pttl: int
    ) -> None:
        server.values["physics:writer:0"] = b'{"shards":1,"lifetime_ms":5000}'
        server.values["market:feed:F0"] = b'{"source":"live","lifetime_ms":5000}'
        server.put("SPY", state(NOW - 20.0))
        server.lifetimes[key] = pttl
        causes = []
        for _second in range(9):
            ask(server, queries.check())
            reading = ask(server, queries.one("SPY", None, None))
            assert reading is not None
            causes.append(reading.freshness.cause)
            server.seconds += 1.0
        assert causes == ["market_quiet"] * 6 + [cause] * 3  # looked for every two seconds


class TestInPart:
    """Redis answers some commands and not others: only what is needed of it counts."""

    @pytest.fixture(autouse=True)
    def _works(self, server: Server, queries: Queries) -> None:
        server.works({"source": "live"})
        server.put("SPY", state(NOW))
        ask(server, queries.check())
        ask(server, queries.one("SPY", None, None))

    def test_a_server_that_tells_its_time_and_nothing_else_is_lost_once(
        self, server: Server, queries: Queries
    ) -> None:
        """LOADING and MASTERDOWN are such: TIME is answered, keys are not."""
        server.refused = {"MGET": RedisUnavailable("LOADING"), "SCAN": RedisUnavailable("LOADING")}
        seen = []
        with library_events() as lines:
            for _tenth in range(400):
                server.seconds += 0.1
                ask(server, queries.check())
                reading = ask(server, queries.one("SPY", None, None))
                assert reading is not None
                seen.append(reading.freshness.status)
                assert queries.circuit.error is not None
            server.refused = {}
            server.seconds += 1.0
            ask(server, queries.check())
        assert seen.count("live") <= 30
        assert seen == sorted(seen, key=["live", "stale", "expired"].index)
        assert [line["event"] for line in lines] == ["redis_lost", "redis_back"]
        assert queries.circuit.error is None

    def test_one_command_that_an_acl_forbids(self, server: Server, queries: Queries) -> None:
        server.refused = {"SCAN": RedisRefused("NOPERM scan")}
        with library_events() as lines:
            for _second in range(30):
                server.seconds += 1.0
                server.put("SPY", state(NOW + server.seconds))
                ask(server, queries.check())
                reading = ask(server, queries.one("SPY", 3.0, None))
                assert reading is not None
                assert reading.origin == "redis"
                assert reading.freshness.status == "live"
                if _second >= 2:  # until then the chain of before holds
                    assert queries.circuit.error is server.refused["SCAN"]
                    assert queries.chain is None
            everything = ask(server, queries.all())
            assert not everything.complete
            assert everything.states["SPY"].origin == "remembered"
        assert [line["event"] for line in lines] == ["redis_lost"]

    def test_a_slot_that_no_node_serves(self, server: Server) -> None:
        """Whoever reads other symbols goes on; what is remembered of this one is stale 3 s after it was read last."""
        queries = Queries(server.monotonic, spread=True)
        server.put("QQQ", state(NOW))
        ask(server, queries.one("QQQ", None, None))
        server.refused = {"physics:state:QQQ": RedisUnavailable("CLUSTERDOWN")}
        seen: list[list[str]] = []
        with library_events() as lines:
            for _second in range(1, 12):
                server.put("SPY", state(NOW + server.seconds))
                ask(server, queries.check())
                seen.append([])
                for symbol in ("QQQ", "SPY"):
                    server.seconds += 0.5  # after an error all wait a little
                    reading = ask(server, queries.one(symbol, None, None))
                    assert reading is not None
                    seen[-1].append(reading.freshness.status)
                assert queries.circuit.error is not None
        assert seen[1] == ["live", "live"]
        assert seen[3:] == [["stale", "live"]] * 8
        assert [line["event"] for line in lines] == ["redis_lost"]
