"""Sessions with grants, in one hub: nothing that is not allowed is ever in a client's bytes, and all else comes.

A model says for each client which symbols it may know of, and reads every byte that it was sent.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from common.fanout.hub import Hub
from common.fanout.pattern_index import PatternIndex
from common.fanout.session import Session
from cottage.clock import SystemClock
from cottage.events import Event
from cottage.freshness import Freshness, FreshnessStatement
from cottage.grant import ANYBODY, Grant
from cottage.protocol import Code, Request, RequestRefused, Subscription, parse_request
from cottage.version import Version
from tests.common.fanout.passes import grant
from tests.common.fanout.wires import LIVE, FakeWire, update

ALL = Subscription(everything=True)
SYMBOLS = ("AA", "AB", "BA", "BB", "C")
AUTH = Request("auth", Subscription(False), "renewal", "a token")


def named(*symbols: str, batch: int = 0) -> Subscription:
    return Subscription(False, frozenset(symbols), batch)


def make_hub(*symbols: str) -> Hub:
    hub = Hub(SystemClock(), lambda: LIVE)
    for symbol in symbols:
        offer(hub, symbol, 1)
    hub.flush()
    return hub


def offer(hub: Hub, symbol: str, seq: int) -> None:
    hub.update(symbol, Version(1, seq), update(symbol, 1, seq))


def join(hub: Hub, wanted: Subscription, allowed: Grant, room: int | None = None) -> tuple[Session, FakeWire]:
    wire = FakeWire(room)
    session = hub.join(wire, wanted, allowed)
    wire.session = session
    return session, wire


def ask(hub: Hub, session: Session, action: str, *symbols: str) -> None:
    try:
        hub.request(session, parse_request(orjson.dumps({"action": action, "symbols": symbols, "id": 1}).decode()))
    except RequestRefused as refused:
        hub.refuse(session, refused)


@pytest.fixture
async def hub() -> Hub:
    return make_hub("AA", "AB", "BB")


def snapshot_of(message: dict[str, Any]) -> list[str]:
    return [each["symbol"] for each in message["updates"]]


async def test_a_token_is_answered_and_then_the_snapshot_comes_before_all_else(hub: Hub) -> None:
    hub.freshness(FreshnessStatement(Freshness("stale", "feed_down", 5.0)))
    wire = FakeWire()
    wire.session = hub.join(wire, ALL, grant("A*"), AUTH)
    assert [message["event"] for message in wire.messages()] == ["ACK", "SNAPSHOT", "FRESHNESS", "HEARTBEAT"]


async def test_all_under_a_grant_is_what_it_names_also_later(hub: Hub) -> None:
    _, wire = join(hub, ALL, grant("A*", "C"))
    first = wire.messages()
    assert snapshot_of(first[0]) == ["AA", "AB"]
    assert "seqs" not in first[-1]
    for symbol in ("BA", "C", "AA", "BB"):
        offer(hub, symbol, 2)
    hub.remove("AB")
    hub.remove("BB")
    await asyncio.sleep(0)
    assert [message["symbol"] for message in wire.messages()] == ["C", "AA", "AB"]
    offer(hub, "AB", 1)  # it comes again, and is matched again
    await asyncio.sleep(0)
    assert [message["symbol"] for message in wire.messages()] == ["AB"]


async def test_freshness_has_only_the_names_and_ages_that_are_allowed(hub: Hub) -> None:
    _, all_of_it = join(hub, ALL, grant("A*"))
    _, one = join(hub, named("AB", "BB"), grant("A*"))
    all_of_it.messages(), one.messages()
    hub.freshness(FreshnessStatement.of_symbols("stale", "feed_down", {"AA": 11.0, "BB": 99.0, "AB": 12.0}))
    (told,) = all_of_it.messages()
    assert (told["symbols"], told["age_ms"], told["ages_ms"]) == (["AA", "AB"], 12_000, [11_000, 12_000])
    (told,) = one.messages()
    assert (told["symbols"], told["age_ms"]) == (["AB"], 12_000)
    _, late = join(hub, ALL, grant("AA"))
    assert [each["symbols"] for each in late.messages() if each["event"] == "FRESHNESS"] == [["AA"]]
    hub.freshness(FreshnessStatement.of_symbols("stale", "feed_down", {"BA": 5.0}))
    assert all_of_it.messages() == one.messages() == []


async def test_events_go_to_those_whose_token_names_them(hub: Hub) -> None:
    _, with_it = join(hub, ALL, grant("A*", events=("AGENT_UPDATE",)))
    _, without = join(hub, ALL, grant("A*"))
    slow, unread = join(hub, ALL, grant("A*", events=("AGENT_UPDATE", "FEED_REFUSALS")), room=0)
    for wire in (with_it, without):
        wire.messages()
    hub.event(Event("AGENT_UPDATE", "a", b'{"event":"AGENT_UPDATE"}'))
    hub.event(Event("FEED_REFUSALS", "0/1", b'{"event":"FEED_REFUSALS"}'))
    assert with_it.events() == ["AGENT_UPDATE"]
    assert without.events() == []
    hub.renew(slow, AUTH, grant("A*", events=("FEED_REFUSALS",)))
    unread.room = None
    hub.drained(slow)
    assert unread.events() == ["ACK", "SNAPSHOT", "FEED_REFUSALS", "HEARTBEAT"]


async def test_seqs_missing_and_ack_tell_nothing_of_others(hub: Hub) -> None:
    session, wire = join(hub, named("AA", "AX", "BB", "BX"), grant("A*"))
    first, refused, beat = wire.messages()
    assert (snapshot_of(first), first["missing"]) == (["AA"], ["AX"])
    assert (refused["code"], refused["symbols"]) == ("not_allowed", ["BB", "BX"])
    assert beat["seqs"] == {"AA": [1, 1]}
    ask(hub, session, "subscribe", "AB", "BA", "BB")
    ack, more, refused = wire.messages()
    assert (ack["symbols"], snapshot_of(more), refused["symbols"]) == (["AB"], ["AB"], ["BA", "BB"])
    ask(hub, session, "subscribe", "BB")
    (refused,) = wire.messages()
    assert (refused["event"], refused["id"]) == ("ERROR", 1)


async def test_what_was_asked_in_vain_is_served_once_it_is_granted(hub: Hub) -> None:
    session, wire = join(hub, named("AA", "BB", "BX"), grant("A*"))
    wire.messages()
    hub.renew(session, AUTH, grant("A*", "B*", expires_at=1766318400.0))
    ack, more = wire.messages()
    assert (ack["symbols"], ack["expires"]) == (["A*", "B*"], "2025-12-21T12:00:00.000Z")
    assert (snapshot_of(more), more["missing"]) == (["BB"], ["BX"])
    hub.renew(session, AUTH, grant("A*", "B*"))
    assert wire.events() == ["ACK"], "nothing is new"
    hub.renew(session, AUTH, grant("B*"))
    assert [wire.messages()[1]] == [{"event": "REVOKED", "symbols": ["AA"]}]


@pytest.mark.parametrize("batch", [0, 250])
async def test_narrower_drops_what_was_pending(hub: Hub, batch: int) -> None:
    everything = Subscription(True, batch=batch)
    session, wire = join(hub, everything, grant("A*", "B*"))
    wire.messages_of(batch)
    if not batch:
        wire.block()
    offer(hub, "AA", 2)
    offer(hub, "BB", 2)
    hub.remove("AB")
    hub.freshness(FreshnessStatement.of_symbols("stale", "feed_down", {"AB": 11.0, "BB": 99.0}))
    await asyncio.sleep(0)
    hub.renew(session, AUTH, grant("B*"))
    wire.room = None
    hub.drained(session)
    for distributor in hub._batches.values():
        hub._close_window(distributor)
    told = [orjson.loads(each) for each in wire.messages_of(batch)]
    assert [(each["event"], each.get("symbol")) for each in told[:2]] == [("ACK", None), ("REVOKED", None)]
    assert sorted(told[1]["symbols"]) == ["AA", "AB"], "it may hold the removed one still"
    assert {each.get("symbol", "BB") for each in told[2:]} == {"BB"}


async def test_many_revoked_ones_are_told_in_frames_of_a_bearable_size() -> None:
    symbols = [f"A{number:031d}" for number in range(5000)]
    hub = make_hub(*symbols, "B")
    session, wire = join(hub, ALL, ANYBODY)
    wire.payloads()
    hub.renew(session, AUTH, grant("B"))
    told = wire.payloads()[1:]
    assert max(map(len, told)) < 64 * 1024
    assert [symbol for each in told for symbol in orjson.loads(each)["symbols"]] == symbols


async def test_who_asks_in_vain_again_and_again_stays_bounded(hub: Hub) -> None:
    allowed = grant("A*", max_symbols=3)
    session, wire = join(hub, named("AA"), allowed)
    for number in range(10):
        ask(hub, session, "subscribe", f"B{number}", f"C{number}")
    assert len(session.subscription.named) <= 3
    ask(hub, session, "subscribe", "AB", "AC")
    assert session.audience.subscription.named == {"AA", "AB", "AC"}
    wire.messages()
    ask(hub, session, "subscribe", "AD")
    assert wire.messages()[0]["code"] == Code.TOO_MANY_SYMBOLS


async def test_patterns_are_matched_once_a_symbol(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    matched: list[str] = []
    before = PatternIndex.matching

    def matching(self: PatternIndex[Any], symbol: str) -> Any:
        matched.append(symbol)
        return before(self, symbol)

    monkeypatch.setattr(PatternIndex, "matching", matching)
    first, _ = join(hub, ALL, grant("A*"))
    join(hub, ALL, grant("A*", principal="bob", max_symbols=7))
    second, _ = join(hub, ALL, grant("B*"))
    for seq in range(2, 6):
        for symbol in SYMBOLS:
            offer(hub, symbol, seq)
        await asyncio.sleep(0)
    assert sorted(matched) == ["BA", "C"], "the others were there when the first group began"
    assert len(hub._at_once) == 2, "who the clients are parts no group"
    hub.leave(first)
    hub.leave(second)
    assert hub._at_once._matched, "bob is there"


async def test_where_nobody_has_a_grant_nothing_is_matched(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatternIndex, "matching", None)
    _, wire = join(hub, ALL, ANYBODY)
    join(hub, named("AA"), grant("A*"))
    offer(hub, "NEW", 1)
    hub.remove("NEW")
    await asyncio.sleep(0)
    assert [message["event"] for message in wire.messages()[-2:]] == ["PHYSICS_UPDATE", "REMOVED"]
    assert not hub._at_once._matched


PATTERNS = st.lists(st.sampled_from([*SYMBOLS, "A*", "B*", "C*", "AA*", "*"]), max_size=3).map(tuple)
SOME = st.lists(st.sampled_from(SYMBOLS), max_size=3).map(tuple)
STEPS = st.one_of(
    st.tuples(st.just("join"), PATTERNS, st.one_of(st.none(), SOME), st.sampled_from([0, 0, 100])),
    st.tuples(st.just("update"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("update"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("remove"), st.sampled_from(SYMBOLS)),
    st.tuples(st.just("stale"), SOME),
    st.tuples(st.just("event")),
    st.tuples(st.just("turn")),
    st.tuples(st.just("window")),
    st.tuples(st.just("beat")),
    st.tuples(st.just("block"), st.integers(0, 3)),
    st.tuples(st.just("drain"), st.integers(0, 3)),
    st.tuples(st.just("renew"), st.integers(0, 3), PATTERNS, st.booleans()),
    st.tuples(st.just("subscribe"), st.integers(0, 3), SOME),
    st.tuples(st.just("unsubscribe"), st.integers(0, 3), SOME),
    st.tuples(st.just("leave"), st.integers(0, 3)),
)


@dataclass(eq=False)
class Watched:
    """A client, what it may know of, and what it was told."""

    session: Session
    wire: FakeWire
    asked: set[str] | None
    grant: Grant
    batch: int
    told: set[str] = field(default_factory=set)
    """What it asked for itself: an ERROR repeats it."""
    renewals: list[tuple[Grant, Grant]] = field(default_factory=list)
    """Grants before and after, of which the ACK was not read yet."""
    held: dict[str, tuple[int, int]] = field(default_factory=dict)

    def may(self, symbol: str, allowed: Grant) -> bool:
        return symbol in allowed.symbols

    def read(self) -> None:
        """Check all that has come since the last call, in its order."""
        current = self.renewals[0][0] if self.renewals else self.grant
        for payload in self.wire.messages_of(self.batch):
            message = orjson.loads(payload)
            match message["event"]:
                case "ACK" if message["action"] == "auth":
                    _, current = self.renewals.pop(0)
                    assert message["symbols"] == current.symbols.written()
                case "REVOKED":
                    for symbol in message["symbols"]:
                        self.held.pop(symbol, None)
                    continue
                case "ERROR":
                    assert set(message.get("symbols", [])) <= self.told
                    continue
                case "SNAPSHOT":
                    for each in message["updates"]:
                        assert self.may(each["symbol"], current)
                        self.held[each["symbol"]] = (each["epoch"], each["seq"])
                    for symbol in message["missing"]:
                        self.held.pop(symbol, None)
                case "PHYSICS_UPDATE":
                    self.held[message["symbol"]] = (message["epoch"], message["seq"])
                case "REMOVED":
                    self.held.pop(message["symbol"], None)
                case "AGENT_UPDATE":
                    assert current.receives("AGENT_UPDATE")
                    continue
            if (message["event"], message.get("action")) == ("ACK", "unsubscribe"):
                continue  # it repeats what the client said
            if (message["event"], message.get("action")) != ("ACK", "auth"):
                named = [symbol for symbol in SYMBOLS if f'"{symbol}"'.encode() in payload]
                assert [symbol for symbol in named if not self.may(symbol, current)] == [], message


class Model:
    def __init__(self) -> None:
        self.hub = Hub(SystemClock(), lambda: LIVE)
        self.seqs = dict.fromkeys(SYMBOLS, 0)
        self.clients: list[Watched] = []

    def granted(self, patterns: tuple[str, ...], events: bool = False) -> Grant:
        return grant(*patterns, events=("AGENT_UPDATE",) if events else ())

    async def step(self, kind: str, *of: Any) -> None:
        hub = self.hub
        client = self.clients[of[0] % len(self.clients)] if of and type(of[0]) is int and self.clients else None
        match kind:
            case "join":
                patterns, names, batch = of
                allowed = self.granted(patterns)
                wanted = Subscription(names is None, frozenset(names or ()), batch)
                session, wire = join(hub, wanted, allowed)
                asked = None if names is None else set(names)
                self.clients.append(Watched(session, wire, asked, allowed, batch, set(names or ())))
            case "update":
                self.seqs[of[0]] += 1
                offer(hub, of[0], self.seqs[of[0]])
            case "remove":
                hub.remove(of[0])
            case "stale" if of[0]:
                ages = {symbol: 11.0 + at for at, symbol in enumerate(dict.fromkeys(of[0]))}
                hub.freshness(FreshnessStatement.of_symbols("stale", "feed_down", ages))
            case "event":
                hub.event(Event("AGENT_UPDATE", "a", b'{"event":"AGENT_UPDATE"}'))
            case "turn":
                await asyncio.sleep(0)
            case "window":
                self.close_windows()
            case "beat":
                hub.heartbeat()
            case "block" if client:
                client.wire.block()
            case "drain" if client:
                client.wire.room = None
                hub.drained(client.session)
            case "renew" if client:
                allowed = self.granted(of[1], of[2])
                client.renewals.append((client.grant, allowed))
                client.grant = allowed
                hub.renew(client.session, AUTH, allowed)
            case "subscribe" if client:
                client.told |= set(of[1])
                ask(hub, client.session, "subscribe", *of[1])
                if client.asked is not None:
                    client.asked |= set(of[1])
            case "unsubscribe" if client and client.asked is not None:
                ask(hub, client.session, "unsubscribe", *of[1])
                client.asked -= set(of[1])
                for symbol in of[1]:
                    client.held.pop(symbol, None)
            case "leave" if client:
                client.read()
                hub.leave(client.session)
                self.clients.remove(client)
        for each in self.clients:
            each.read()

    def close_windows(self) -> None:
        for distributor in list(self.hub._batches.values()):
            self.hub._close_window(distributor)

    def converge(self) -> None:
        for client in self.clients:
            client.wire.room = None
            self.hub.drained(client.session)
        self.close_windows()
        entries = self.hub.last_values.entries()
        for client in self.clients:
            client.read()
            assert not client.renewals
            wanted = entries.keys() if client.asked is None else entries.keys() & client.asked
            expected = {name: tuple(entries[name].version or ()) for name in wanted if name in client.grant.symbols}
            held = {name: seen for name, seen in client.held.items() if client.asked is None or name in client.asked}
            assert held == expected


@settings(max_examples=150, deadline=None, phases=[Phase.generate, Phase.shrink, Phase.reuse])
@given(st.lists(STEPS, max_size=50))
def test_nothing_that_is_not_allowed_is_ever_sent_and_all_else_converges(steps: list[tuple[Any, ...]]) -> None:
    async def scenario() -> None:
        model = Model()
        for kind, *of in steps:
            await model.step(kind, *of)
        model.converge()
        for client in list(model.clients):
            model.hub.leave(client.session)
        at_once = model.hub._at_once
        assert (at_once._by_symbol, at_once._matched, len(at_once._patterns)) == ({}, set(), 0)

    asyncio.run(scenario())
