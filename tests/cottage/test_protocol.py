"""What is said on the wire, both ways."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cottage import protocol
from cottage.errors import InvalidMessage
from cottage.freshness import Freshness, FreshnessStatement
from cottage.grant import MAX_NAMED_SYMBOLS, Grant
from cottage.protocol import Code, RequestRefused, Subscription
from cottage.version import Version
from tests.common.fanout.wires import LIVE, update

EVERYTHING = Subscription(everything=True)


def refused(message: str | bytes) -> tuple[Code, object]:
    with pytest.raises(RequestRefused) as caught:
        protocol.parse_request(message)
    assert caught.value.message
    return caught.value.code, caught.value.request_id


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/ws", EVERYTHING),
        ("/ws?", EVERYTHING),
        ("/ws?unknown=1", EVERYTHING),
        ("/ws?symbols=SPY,QQQ", Subscription(False, frozenset({"SPY", "QQQ"}))),
        ("/ws?symbols=SPY&symbols=QQQ", Subscription(False, frozenset({"SPY", "QQQ"}))),
        ("/ws?symbols=BRK%2EB", Subscription(False, frozenset({"BRK.B"}))),
        ("/ws?symbols=", Subscription(False)),
        ("/ws?symbols=,", Subscription(False)),
        ("/ws?symbols=*", EVERYTHING),
        ("/ws?batch=250", Subscription(True, batch=250)),
        ("/ws?symbols=SPY&batch=1000", Subscription(False, frozenset({"SPY"}), 1000)),
        ("/ws?symbols=%2A", EVERYTHING),
        ("/", None),
        ("/ws/", None),
        ("/other?symbols=SPY", None),
        ("//[", None),
        ("http://[/ws", None),
    ],
)
def test_targets(target: str, wanted: Subscription | None) -> None:
    assert protocol.parse_target(target) == wanted


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("symbols=spy", "spy"),
        ("symbols=SPY,A/B", "A/B"),
        ("symbols=S%20Y", "S Y"),
        ("symbols=%ff", "bad symbol"),
        ("symbols=\udcff", "bad symbol"),
        ("symbols=" + "X" * 33, "XXXX"),
        ("batch=300", "batch must be one of"),
        ("batch=", "batch must be one of"),
        ("batch=0250", "batch must be one of"),
    ],
)
def test_a_bad_query_is_refused_by_name(query: str, named: str) -> None:
    with pytest.raises(RequestRefused, match=named):
        protocol.parse_target(f"/ws?{query}")


def test_requests() -> None:
    request = protocol.parse_request('{"action":"subscribe","symbols":["SPY","QQQ","SPY"],"id":7}')
    assert (request.action, request.request_id) == ("subscribe", 7)
    assert request.subscription == Subscription(False, frozenset({"SPY", "QQQ"}))
    assert protocol.parse_request('{"action":"unsubscribe","symbols":["SPY","*"]}').subscription == EVERYTHING
    assert protocol.parse_request('{"action":"ping","id":"a"}').request_id == "a"


@pytest.mark.parametrize(
    ("message", "code", "request_id"),
    [
        (b'{"action":"ping"}', Code.BINARY, None),
        ("", Code.BAD_JSON, None),
        ("{", Code.BAD_JSON, None),
        ("[1]", Code.BAD_JSON, None),
        ("null", Code.BAD_JSON, None),
        ("NaN", Code.BAD_JSON, None),
        ("[" * 100_000, Code.BAD_JSON, None),
        ("{}", Code.UNKNOWN_ACTION, None),
        ('{"action":"fly","id":"x"}', Code.UNKNOWN_ACTION, "x"),
        ('{"action":["ping"],"id":1}', Code.UNKNOWN_ACTION, 1),
        ('{"action":"auth","id":2}', Code.BAD_REQUEST, 2),
        ('{"action":"auth","token":"%s","id":2}' % (4097 * "t"), Code.BAD_TOKEN, 2),
        ('{"action":"subscribe","id":3}', Code.BAD_REQUEST, 3),
        ('{"action":"subscribe","symbols":"SPY","id":4}', Code.BAD_REQUEST, 4),
        ('{"action":"subscribe","symbols":["spy"],"id":5}', Code.BAD_SYMBOL, 5),
        ('{"action":"subscribe","symbols":[1]}', Code.BAD_SYMBOL, None),
        ('{"action":"subscribe","symbols":[' + "[" * 1000 + "]" * 1000 + "]}", Code.BAD_SYMBOL, None),
        ('{"action":"ping","id":[1]}', Code.BAD_REQUEST, None),
        ('{"action":"ping","id":true}', Code.BAD_REQUEST, None),
        ('{"action":"ping","id":1.5}', Code.BAD_REQUEST, None),
        ('{"action":"ping","id":"' + "x" * 65 + '"}', Code.BAD_REQUEST, None),
    ],
)
def test_what_cannot_be_granted_is_refused_with_its_code(
    message: str | bytes, code: Code, request_id: object
) -> None:
    assert refused(message) == (code, request_id)


def test_a_grant_bounds_the_symbols_that_are_named() -> None:
    two = Grant(max_symbols=2)
    assert protocol.parse_target("/ws?symbols=A,B", two) == Subscription(False, frozenset("AB"))
    assert protocol.parse_target("/ws", two) == Subscription(True)
    for parse, text in (
        (protocol.parse_target, "/ws?symbols=A,B,C"),
        (protocol.parse_request, '{"action":"subscribe","symbols":["A","B","C"]}'),
    ):
        with pytest.raises(RequestRefused, match="at most 2 symbols") as caught:
            parse(text, two)
        assert caught.value.code is Code.TOO_MANY_SYMBOLS


def test_more_symbols_than_may_be_named_are_refused() -> None:
    def request(count: int) -> str:
        return json.dumps({"action": "subscribe", "symbols": [f"S{i}" for i in range(count)]})

    most = MAX_NAMED_SYMBOLS
    assert len(protocol.parse_request(request(most)).subscription.named) == most
    assert refused(request(most + 1)) == (Code.TOO_MANY_SYMBOLS, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
requests = st.dictionaries(st.sampled_from(["action", "symbols", "id"]), json_values | st.just("subscribe"))


@given(st.text() | requests.map(json.dumps))
def test_whatever_comes_is_a_request_or_refused(message: str) -> None:
    try:
        answer = protocol.ack(protocol.parse_request(message))
    except RequestRefused as refusal:
        answer = protocol.error(refusal)
    assert orjson.loads(answer)["event"] in ("ACK", "ERROR")


def test_answers() -> None:
    request = protocol.parse_request('{"action":"subscribe","symbols":["SPY","QQQ"],"id":7}')
    assert orjson.loads(protocol.ack(request)) == {
        "event": "ACK",
        "action": "subscribe",
        "symbols": ["QQQ", "SPY"],
        "id": 7,
    }
    everything = protocol.parse_request('{"action":"unsubscribe","symbols":["*"]}')
    assert orjson.loads(protocol.ack(everything)) == {"event": "ACK", "action": "unsubscribe", "symbols": ["*"]}
    assert orjson.loads(protocol.pong("T", "a")) == {"event": "PONG", "timestamp": "T", "id": "a"}
    error = orjson.loads(protocol.error(RequestRefused(Code.BAD_JSON, "no")))
    assert error == {"event": "ERROR", "code": "bad_json", "message": "no"}
    assert orjson.loads(protocol.removed("SPY")) == {"event": "REMOVED", "symbol": "SPY"}


def test_heartbeat() -> None:
    upstream = {"status": "live", "cause": None, "age_ms": 120}
    plain = orjson.loads(protocol.heartbeat("T", LIVE, None))
    assert plain == {"event": "HEARTBEAT", "timestamp": "T", "upstream": upstream}
    proving = orjson.loads(protocol.heartbeat("T", LIVE, {"SPY": Version(1, 2)}))
    assert proving == {**plain, "seqs": {"SPY": [1, 2]}}


PRETTY = (  # as another program may publish it
    b'\n {\n  "event": "PHYSICS_UPDATE", "symbol": "A", "data": {"alpha": 2.80, "regime": "L\\u00e9vy Stable"}\n}\n '
)
UPDATES = [
    update("SPY", 1, 2, note='"updates":[ and },{ and \\" and ]'),
    update("QQQ", 1, 3, note="é 漢 \U0001f600", nested=[{"a": [1, 2]}, 1e-7]),
    PRETTY,
]


@pytest.mark.parametrize("updates", [[], UPDATES[:1], UPDATES])
def test_a_snapshot_gives_back_the_very_bytes_of_its_updates(updates: list[bytes]) -> None:
    message = protocol.snapshot("T", updates, last=True, complete=False, missing=["X"])
    assert protocol.split_snapshot(message) == updates
    assert orjson.loads(message) == {
        "event": "SNAPSHOT",
        "timestamp": "T",
        "updates": [orjson.loads(each) for each in updates],
        "last": True,
        "complete": False,
        "missing": ["X"],
    }


@pytest.mark.parametrize(
    "message",
    [
        b'{"event":"SNAPSHOT"}',
        b'{"updates":{}}',
        b'{"updates":[{"a":1}',
        b'{"updates":[{"a":1},]}',
        b'{"updates":[{"a":1}, ',
        b'{"updates":[{"a" 1}]}',
    ],
)
def test_a_torn_snapshot_is_invalid(message: bytes) -> None:
    with pytest.raises(InvalidMessage):
        protocol.split_snapshot(message)


@pytest.mark.parametrize("skipped", [1, 12345])
@pytest.mark.parametrize("published", UPDATES)
def test_skipped_is_added_and_taken_off_again(published: bytes, skipped: int) -> None:
    with_it = protocol.with_skipped(published, skipped)
    expected: dict[str, Any] = {**orjson.loads(published), "skipped": skipped}
    assert orjson.loads(with_it) == expected
    assert protocol.split_skipped(with_it, skipped) == published.rstrip()


def test_nothing_skipped_leaves_every_byte() -> None:
    assert protocol.with_skipped(PRETTY, 0) is PRETTY


@pytest.mark.parametrize("skipped", [0, -1, 3])
def test_skipped_is_taken_off_only_where_it_was_put(skipped: int) -> None:
    with pytest.raises(InvalidMessage):
        protocol.split_skipped(b'{"a":1,"skipped":3 }', skipped)


@pytest.mark.parametrize("symbols", [None, ("SPY", "BRK.B")])
def test_what_is_said_of_freshness_is_understood(symbols: tuple[str, ...] | None) -> None:
    said = FreshnessStatement(Freshness("stale", "feed_down", 5.21), symbols)
    assert protocol.parse_freshness(orjson.loads(protocol.freshness(said))) == said


def test_so_is_the_age_of_each_symbol_where_they_differ() -> None:
    said = FreshnessStatement.of_symbols("expired", "market_quiet", {"SPY": 305.0, "QQQ": None, "IWM": 1805.384})
    assert said.freshness.age == 1805.384
    assert said.aged(1.0).about(list(said.aged(1.0).each())[:1]).freshness.age == 306.0
    assert protocol.parse_freshness(orjson.loads(protocol.freshness(said))) == said
    alike = FreshnessStatement.of_symbols("expired", "market_quiet", {"SPY": 61.0, "QQQ": 61.0})
    assert b"ages_ms" not in protocol.freshness(alike)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "dubious"},
        {"cause": 7},
        {"age_ms": "1"},
        {"symbols": "SPY"},
        {"symbols": [7]},
        {"symbols": ["a b"]},
        {"symbols": ["SPY"], "ages_ms": 7},
        {"symbols": ["SPY"], "ages_ms": [1, 2]},
        {"symbols": ["SPY"], "ages_ms": ["1"]},
    ],
)
def test_what_no_server_says_of_freshness_is_refused(change: dict[str, Any]) -> None:
    fields = {"status": "live", "cause": None, "age_ms": None, "symbols": ["*"], **change}
    with pytest.raises(InvalidMessage):
        protocol.parse_freshness(fields)
