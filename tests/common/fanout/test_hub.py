"""All clients of one hub: each gets what it wants, in order, none twice, and ends up with the newest."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from common.fanout import conflation, session
from common.fanout.hub import DELIVERED, SKIPPED, Hub
from common.fanout.session import Session
from cottage.clock import SystemClock
from cottage.events import Event
from cottage.freshness import Freshness, FreshnessStatement
from cottage.protocol import Code, RequestRefused, Subscription, parse_request
from cottage.version import Version
from tests.common.fanout.wires import LIVE, FakeWire, update, version

ALL = Subscription(everything=True)
SYMBOLS = ("A", "B", "C")


def named(*symbols: str) -> Subscription:
    return Subscription(False, frozenset(symbols))


def live() -> Freshness:
    return LIVE


@pytest.fixture
async def hub() -> Hub:
    return Hub(SystemClock(), live)


def offer(hub: Hub, symbol: str, epoch: int | None, seq: int | None, skipped: int = 0) -> bytes:
    payload = update(symbol, epoch, seq)
    hub.update(symbol, version(epoch, seq), payload, skipped)
    return payload


def join(hub: Hub, wire: FakeWire, wanted: Subscription) -> Session:
    session = hub.join(wire, wanted)
    wire.session = session
    return session


async def test_what_comes_within_one_turn_goes_out_in_one_write(hub: Hub) -> None:
    everybody, few = FakeWire(), FakeWire()
    join(hub, everybody, ALL)
    join(hub, few, named("B", "C"))
    everybody.payloads(), few.payloads()
    writes = len(everybody.writes), len(few.writes)
    published = [offer(hub, symbol, 1, 1) for symbol in SYMBOLS]
    assert everybody.payloads() == []
    await asyncio.sleep(0)
    assert everybody.payloads() == published
    assert few.payloads() == published[1:3]
    assert (len(everybody.writes), len(few.writes)) == (writes[0] + 1, writes[1] + 1)


async def test_one_that_is_not_newer_is_not_sent(hub: Hub) -> None:
    wire = FakeWire()
    join(hub, wire, ALL)
    published = offer(hub, "A", 2, 1)
    offer(hub, "A", 2, 1)
    offer(hub, "A", 1, 9)
    offer(hub, "A", None, None)
    hub.flush()
    assert wire.payloads()[-1] == published
    assert len(wire.writes) == 3  # SNAPSHOT, HEARTBEAT, one update


async def test_a_snapshot_is_followed_by_how_fresh_it_is(hub: Hub) -> None:
    wire = FakeWire()
    join(hub, wire, named("A"))
    snapshot, heartbeat = wire.messages()
    assert (snapshot["event"], heartbeat["event"]) == ("SNAPSHOT", "HEARTBEAT")
    assert heartbeat["upstream"]["status"] == "live"
    assert heartbeat["seqs"] == {}


async def test_who_joins_within_a_turn_gets_its_versions_once(hub: Hub) -> None:
    offer(hub, "A", 1, 1)
    wire = FakeWire()
    join(hub, wire, ALL)
    await asyncio.sleep(0)
    snapshot, _heartbeat = wire.messages()
    assert [each["seq"] for each in snapshot["updates"]] == [1]


async def test_who_drains_within_a_turn_gets_its_versions_once(hub: Hub) -> None:
    wire = FakeWire()
    client = join(hub, wire, ALL)
    wire.payloads()
    wire.block()
    offer(hub, "A", 1, 1)
    hub.flush()
    offer(hub, "A", 1, 2)
    wire.room = None
    hub.drained(client)
    await asyncio.sleep(0)
    assert [(each["seq"], each["skipped"]) for each in wire.messages()] == [(2, 1)]


async def test_a_symbol_nobody_named_before_reaches_who_named_it(hub: Hub) -> None:
    wire = FakeWire()
    client = join(hub, wire, named("A"))
    hub.request(client, parse_request('{"action":"subscribe","symbols":["NEW"]}'))
    offer(hub, "NEW", 1, 1)
    hub.flush()
    assert wire.messages()[-1]["symbol"] == "NEW"


async def test_a_refused_request_changes_nothing(hub: Hub) -> None:
    wire = FakeWire()
    client = join(hub, wire, ALL)
    with pytest.raises(RequestRefused) as caught:
        hub.request(client, parse_request('{"action":"unsubscribe","symbols":["A"],"id":3}'))
    hub.refuse(client, caught.value)
    offer(hub, "A", 1, 1)
    hub.flush()
    error, published = wire.messages()[-2:]
    assert (error["event"], error["code"], error["id"]) == ("ERROR", Code.SUBSCRIBED_TO_ALL, 3)
    assert published["symbol"] == "A"


async def test_who_left_is_written_to_no_more_and_forgotten(hub: Hub) -> None:
    wires = {wanted: FakeWire() for wanted in (ALL, named("A"))}
    clients = [join(hub, wire, wanted) for wanted, wire in wires.items()]
    offer(hub, "A", 1, 1)
    hub.flush()
    counted = DELIVERED._value.get()
    for client in clients:
        hub.leave(client)
        hub.leave(client)
    assert DELIVERED._value.get() == counted + 2
    writes = [len(wire.writes) for wire in wires.values()]
    offer(hub, "A", 1, 2)
    hub.event(Event("AGENT_UPDATE", "a", b"{}"))
    hub.heartbeat()
    assert [len(wire.writes) for wire in wires.values()] == writes
    assert len(hub) == 0
    assert not hub._at_once._by_symbol
    assert not hub._at_once._everything


async def test_clients_that_leave_while_they_are_written_to_disturb_nobody(hub: Hub) -> None:
    """A write may find that the connection is gone, and its handler leaves the hub at once."""

    class Leaving(FakeWire):
        client: Session | None = None

        def write(self, frames: bytes) -> None:
            super().write(frames)
            if self.client is not None:
                hub.leave(self.client)
                self.block()

    leaving = [Leaving(), Leaving(), Leaving()]
    staying = [FakeWire(), FakeWire()]
    for wire, wanted in zip(leaving, (ALL, named("A"), ALL), strict=True):
        wire.client = join(hub, wire, wanted)
    for other, wanted in zip(staying, (ALL, named("A")), strict=True):
        join(hub, other, wanted)
        other.payloads()
    published = offer(hub, "A", 1, 1)
    hub.flush()
    hub.event(Event("AGENT_UPDATE", "a", b"{}"))
    hub.heartbeat()
    for other in staying:
        payloads = other.payloads()
        assert payloads[:2] == [published, b"{}"]
        assert orjson.loads(payloads[2])["event"] == "HEARTBEAT"
    assert len(hub) == 2


async def test_agent_updates_reach_everybody_as_published(hub: Hub) -> None:
    wires = [FakeWire(), FakeWire()]
    join(hub, wires[0], ALL)
    join(hub, wires[1], named())
    payload = b'{ "event":"AGENT_UPDATE", "agent_id":"analyst_001", "data":{} }'
    hub.event(Event("AGENT_UPDATE", "analyst_001", payload))
    assert [wire.payloads()[-1] for wire in wires] == [payload, payload]


async def test_heartbeats_go_to_everybody(hub: Hub) -> None:
    wires = [FakeWire(), FakeWire(room=1)]
    for wire in wires:
        join(hub, wire, ALL)
    hub.heartbeat()
    assert [wire.events().count("HEARTBEAT") for wire in wires] == [2, 0]


@dataclass
class Taken:
    """One version that the hub took."""

    payload: bytes
    count: int
    """Versions of its symbol until here, with those left out on the way."""
    number: int


@dataclass(eq=False)
class Client:
    """A client as its user sees it, and how it is served."""

    wire: FakeWire
    session: Session = field(init=False)
    held: dict[str, Taken] = field(default_factory=dict)
    greeted: bool = False
    versions: int = 0


class Traffic(RuleBasedStateMachine):
    """Random updates, removals, subscriptions and slowness, checked message by message."""

    clients = Bundle("clients")
    symbols = st.sampled_from(SYMBOLS)
    wishes = st.just(ALL) | st.frozensets(st.sampled_from((*SYMBOLS, "X")), max_size=3).map(
        lambda names: Subscription(False, names)
    )
    batches = st.sampled_from([0, 0, 100])

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub(SystemClock(), live)
        self.number = 0
        self.count = dict.fromkeys(SYMBOLS, 0)
        self.taken: dict[bytes, Taken] = {}
        self.connected: list[Client] = []
        self.before = DELIVERED._value.get(), SKIPPED._value.get()

    @initialize(target=clients)
    def two_clients(self) -> Any:
        wishes = (ALL, named("A", "B"))
        return multiple(*(self.join(wanted, batch, None) for wanted in wishes for batch in (0, 100)))

    @rule(symbol=symbols, step=st.integers(-1, 3), epochs=st.sampled_from([0, 0, 0, 0, 1, -1]))
    def update(self, symbol: str, step: int, epochs: int) -> None:
        """Mostly a newer version; step 3 stands for one newer of which two were left out on the way."""
        entry = self.hub.last_values.get(symbol)
        last = entry.version if entry is not None and entry.version is not None else Version(2, 3)
        self._offer(symbol, Version(last.epoch + epochs, last.seq + step), 2 if step == 3 else 0)

    @rule(symbol=symbols)
    def foreign(self, symbol: str) -> None:
        self._offer(symbol, None, 0)

    def _offer(self, symbol: str, version: Version | None, skipped: int) -> None:
        self.number += 1
        epoch, seq = version or (None, None)
        payload = update(symbol, epoch, seq, number=self.number)
        if self.hub.update(symbol, version, payload, skipped):
            self.count[symbol] += 1 + skipped
            self.taken[payload] = Taken(payload, self.count[symbol], self.number)

    @rule(symbol=symbols)
    def remove(self, symbol: str) -> None:
        self.hub.remove(symbol)

    @rule()
    def end_of_turn(self) -> None:
        self.hub.flush()

    @rule()
    def heartbeat(self) -> None:
        self.hub.heartbeat()

    @rule()
    def agent_update(self) -> None:
        self.hub.event(Event("AGENT_UPDATE", "a", b'{"event":"AGENT_UPDATE"}'))

    @rule(target=clients, wanted=wishes, batch=batches, room=st.none() | st.integers(1, 3))
    def join(self, wanted: Subscription, batch: int, room: int | None) -> Client:
        client = Client(FakeWire(room))
        client.session = join(self.hub, client.wire, replace(wanted, batch=batch))
        self.connected.append(client)
        return client

    @rule(client=consumes(clients))
    def leave(self, client: Client) -> None:
        self.hub.leave(client.session)
        self._read(client)
        self.connected.remove(client)

    @rule(client=clients, action=st.sampled_from(["subscribe", "unsubscribe"]), wanted=wishes)
    def ask(self, client: Client, action: str, wanted: Subscription) -> None:
        symbols = ["*"] if wanted.everything else sorted(wanted.named)
        try:
            self.hub.request(
                client.session, parse_request(orjson.dumps({"action": action, "symbols": symbols}).decode())
            )
        except RequestRefused as refused:
            self.hub.refuse(client.session, refused)

    @rule(client=clients, room=st.integers(0, 2))
    def slow(self, client: Client, room: int) -> None:
        client.wire.room = room
        if room:
            self.hub.drained(client.session)
        else:
            client.wire.block()

    @rule()
    def windows_close(self) -> None:
        for batch in list(self.hub._batches.values()):
            self.hub._close_window(batch)

    @rule(client=clients)
    def fast(self, client: Client) -> None:
        client.wire.room = None
        self.hub.drained(client.session)

    @invariant()
    def what_clients_see_is_in_order(self) -> None:
        for client in self.connected:
            self._read(client)
            owed = len(client.session._backlog) + len(client.session._snapshot)
            assert owed <= len(SYMBOLS), "more pending than there are symbols"

    def teardown(self) -> None:
        self.hub.flush()
        self.windows_close()
        for client in self.connected:
            self.fast(client)
            self._read(client)
            holds = {symbol: taken.payload for symbol, taken in client.held.items()}
            wanted = {name: self.hub.last_values.get(name) for name in SYMBOLS if client.session.subscribed_to(name)}
            assert holds == {symbol: entry.payload for symbol, entry in wanted.items() if entry is not None}
            assert client.session.delivered == client.versions

    def _read(self, client: Client) -> None:
        for payload in client.wire.messages_of(client.session.subscription.batch):
            message = orjson.loads(payload)
            assert client.greeted or message["event"] == "SNAPSHOT", "something before the first SNAPSHOT"
            client.greeted = True
            match message["event"]:
                case "SNAPSHOT":
                    for each in message["updates"]:
                        self._hold(client, each["symbol"], orjson.dumps(each))
                    for symbol in message["missing"]:
                        client.held.pop(symbol, None)
                case "PHYSICS_UPDATE":
                    client.versions += 1
                    self._updated(client, message, payload)
                case "REMOVED":
                    client.held.pop(message["symbol"], None)
                case "ACK" if message["action"] == "unsubscribe":
                    for symbol in list(client.held) if message["symbols"] == ["*"] else message["symbols"]:
                        client.held.pop(symbol, None)

    def _updated(self, client: Client, message: dict[str, Any], payload: bytes) -> None:
        symbol, skipped = message["symbol"], message.pop("skipped", 0)
        published = orjson.dumps(message)
        assert skipped or payload == published, "not byte for byte"
        before = client.held.get(symbol)
        self._hold(client, symbol, published)
        if before is not None:
            assert client.held[symbol].count - before.count == 1 + skipped, "versions do not add up"

    def _hold(self, client: Client, symbol: str, published: bytes) -> None:
        before, now = client.held.get(symbol), self.taken[published]
        if before is not None:
            assert now.number > before.number, "sent twice, or gone back"
            versions = [
                (each.get("epoch"), each.get("seq")) for each in map(orjson.loads, (before.payload, published))
            ]
            assert None in versions[0] or versions[1] > versions[0]
        client.held[symbol] = now


@pytest.mark.parametrize("examples", [40, pytest.param(100, marks=pytest.mark.slow)])
async def test_random_traffic(monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    monkeypatch.setattr(conflation, "WRITE_BYTES", 300)
    monkeypatch.setattr(session, "WRITE_BYTES", 300)  # two updates a write, so that SNAPSHOTs have several frames
    # Without Phase.shrink: it takes minutes. Add it to understand a failure.
    options = settings(
        max_examples=examples, stateful_step_count=60, deadline=None, derandomize=True, phases=[Phase.generate]
    )
    run_state_machine_as_test(Traffic, settings=options)


QUIET = Freshness("stale", "market_quiet", 12.0)
DOWN = Freshness("stale", "redis_down", 3.5)


def heard(wire: FakeWire, batch: int = 0) -> list[tuple[str, list[str]]]:
    """Events, each with the symbols that it speaks of."""
    messages = [orjson.loads(payload) for payload in wire.messages_of(batch)]
    return [(each["event"], each.get("symbols", [each.get("symbol")])) for each in messages]


async def test_freshness_is_told_to_who_wants_it(hub: Hub) -> None:
    offer(hub, "A", 1, 1), offer(hub, "B", 1, 1)
    everyone, one, other = FakeWire(), FakeWire(), FakeWire()
    for wire, wanted in ((everyone, ALL), (one, named("A")), (other, named("C"))):
        join(hub, wire, wanted)
        wire.payloads()
    hub.freshness(FreshnessStatement(QUIET, ("A", "B")))
    assert [heard(wire) for wire in (everyone, one, other)] == [
        [("FRESHNESS", ["A", "B"])],
        [("FRESHNESS", ["A"])],
        [],
    ]
    hub.freshness(FreshnessStatement(DOWN))
    assert [heard(wire) for wire in (everyone, one, other)] == [[("FRESHNESS", ["*"])]] * 3


AGED = FreshnessStatement.of_symbols("stale", "market_quiet", {"A": 12.0, "B": 1805.384, "C": 305.0})


def ages(wire: FakeWire, batch: int = 0) -> list[tuple[list[str], int, list[int] | None]]:
    """Of each FRESHNESS its symbols, their age, and the age of each."""
    messages = [orjson.loads(payload) for payload in wire.messages_of(batch)]
    return [
        (each["symbols"], each["age_ms"], each.get("ages_ms")) for each in messages if each["event"] == "FRESHNESS"
    ]


async def test_a_client_is_told_the_ages_of_the_symbols_that_it_asked_for(hub: Hub) -> None:
    everyone, one, two, batched = FakeWire(), FakeWire(), FakeWire(), FakeWire()
    wanted = (ALL, named("C"), named("A", "C"), replace(named("A"), batch=100))
    for wire, subscription in zip((everyone, one, two, batched), wanted, strict=True):
        join(hub, wire, subscription)
    hub.freshness(AGED)
    assert ages(everyone) == [(["A", "B", "C"], 1_805_384, [12_000, 1_805_384, 305_000])]
    assert ages(one) == [(["C"], 305_000, None)]
    assert ages(two) == [(["A", "C"], 305_000, [12_000, 305_000])]
    await asyncio.sleep(0.15)
    [(symbols, age, each)] = ages(batched, 100)
    assert (symbols, each) == (["A"], None)
    assert 12_100 <= age < 15_000, "it has waited for the end of its window"


async def test_the_same_for_who_was_slow_and_who_comes_later(hub: Hub) -> None:
    offer(hub, "A", 1, 1), offer(hub, "C", 1, 1)
    wire, late = FakeWire(), FakeWire()
    session = join(hub, wire, named("A", "C"))
    wire.block()
    hub.freshness(AGED)
    wire.room = None
    hub.drained(session)
    join(hub, late, named("C"))
    [(symbols, age, (first, second))] = ages(wire)  # type: ignore[misc]  # they are there
    assert (symbols, age) == (["A", "C"], second)
    assert 12_000 <= first < 15_000
    assert 305_000 <= second < 308_000
    [(symbols, age, each)] = ages(late)
    assert (symbols, each) == (["C"], None)
    assert 305_000 <= age < 308_000


async def test_a_state_comes_before_what_is_said_of_it(hub: Hub) -> None:
    wire = FakeWire()
    join(hub, wire, ALL)
    wire.payloads()
    offer(hub, "A", 1, 1)
    hub.freshness(FreshnessStatement(QUIET, ("A",)))
    assert heard(wire) == [("PHYSICS_UPDATE", ["A"]), ("FRESHNESS", ["A"])]


async def test_who_comes_later_is_told_what_is_not_live(hub: Hub) -> None:
    offer(hub, "A", 1, 1), offer(hub, "B", 1, 1)
    hub.freshness(FreshnessStatement(QUIET, ("A",)))
    wire = FakeWire()
    session = join(hub, wire, named("B"))
    assert [event for event, _ in heard(wire)] == ["SNAPSHOT", "HEARTBEAT"]
    hub.request(session, parse_request('{"action":"subscribe","symbols":["A"]}'))
    assert heard(wire)[-1] == ("FRESHNESS", ["A"])
    hub.freshness(FreshnessStatement(DOWN))
    hub.freshness(FreshnessStatement(QUIET, ("A",)))
    late = FakeWire()
    join(hub, late, ALL)
    assert heard(late)[1:] == [("FRESHNESS", ["*"]), ("FRESHNESS", ["A"]), ("HEARTBEAT", [None])]


async def test_who_asks_for_all_again_is_told_anew_what_holds(hub: Hub) -> None:
    """A broadcaster does, for a whole SNAPSHOT: what became live meanwhile, it was not told."""
    offer(hub, "A", 1, 1)
    wire = FakeWire()
    session = join(hub, wire, ALL)
    hub.freshness(FreshnessStatement(QUIET, ("A",)))
    hub.request(session, parse_request('{"action":"unsubscribe","symbols":["*"]}'))
    hub.freshness(FreshnessStatement(Freshness("live", None, 0.1), ("A",)))
    wire.payloads()
    hub.request(session, parse_request('{"action":"subscribe","symbols":["*"]}'))
    assert heard(wire) == [("ACK", ["*"]), ("SNAPSHOT", [None]), ("FRESHNESS", ["*"])]


async def test_who_was_slow_is_told_what_holds_then(hub: Hub) -> None:
    offer(hub, "A", 1, 1), offer(hub, "B", 1, 1)
    wire = FakeWire()
    session = join(hub, wire, ALL)
    wire.payloads()
    wire.block()
    hub.freshness(FreshnessStatement(QUIET, ("A", "B")))
    hub.freshness(FreshnessStatement(Freshness("live", None, 0.1), ("B",)))
    offer(hub, "A", 1, 2)
    wire.room = None
    hub.drained(session)
    assert heard(wire) == [("PHYSICS_UPDATE", ["A"]), ("FRESHNESS", ["A"]), ("FRESHNESS", ["B"])]
    wire.block()
    hub.freshness(FreshnessStatement(DOWN))
    wire.room = None
    hub.drained(session)
    assert heard(wire) == [("FRESHNESS", ["*"])]


async def test_in_batches_it_waits_for_the_states_that_it_speaks_of(hub: Hub) -> None:
    wire = FakeWire()
    join(hub, wire, replace(ALL, batch=100))
    wire.payloads()
    hub.freshness(FreshnessStatement(QUIET, ("A",)))
    offer(hub, "A", 1, 1)
    await asyncio.sleep(0)
    assert wire.payloads() == []
    await asyncio.sleep(0.15)
    assert heard(wire, 100) == [("PHYSICS_UPDATE", ["A"]), ("FRESHNESS", ["A"])]


async def test_what_was_said_of_a_symbol_goes_with_its_state(hub: Hub) -> None:
    offer(hub, "A", 1, 1)
    hub.freshness(FreshnessStatement(QUIET, ("A",)))
    hub.remove("A")
    assert not hub.freshness_board.exceptions
