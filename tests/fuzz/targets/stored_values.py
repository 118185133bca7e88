"""Values of keys in Redis: whoever may write a key can put anything there. The first line says of which kind."""

import random
from collections.abc import Callable, Iterable

import orjson

from tests.fuzz.mutation import of_json, of_lines
from tests.fuzz.target import Run, Target, Unnamed
from tests.fuzz.targets.messages import NOW

HASH, ROW, STATE, WARM, LEASE, FILL, FEED = b"hash", b"row", b"state", b"warm", b"lease", b"fill", b"feed"


def _prepare() -> Run:
    from cottage import keys
    from cottage.errors import InvalidMessage, InvalidName
    from cottage.fields import load_object
    from cottage.living_feeds import complete_list
    from cottage.messages import parse_state_update
    from cottage.snapshot import SAMPLE_FIELDS, MarketSnapshot
    from cottage.state import PhysicsState
    from cottage.warm import WarmSamples
    from services.bridge.leases import LivingLeases
    from services.feynman import fills, sample_columns

    def state(value: bytes) -> None:
        read = PhysicsState.from_bytes(value)
        if parse_state_update(read.update("SPY"), None) is None:
            raise Unnamed("what is stored cannot be announced")

    def snapshot(value: bytes) -> None:
        stored = load_object(value)
        if all(isinstance(each, str) for each in stored.values()):
            MarketSnapshot.from_hash("SPY", stored, NOW)

    def rows(value: bytes) -> None:
        """Fields of hashes, as HMGET answers: a line is a hash, cells are parted by |, an empty one is None."""
        table = []
        for line in value.split(b"\n"):
            cells: list[bytes | None] = [cell or None for cell in line.split(b"|")[: len(SAMPLE_FIELDS)]]
            table.append(cells + [None] * (len(SAMPLE_FIELDS) - len(cells)))
        samples, refused = sample_columns.parse(table, NOW)
        if len(samples) + len(refused) != len(table):
            raise Unnamed("a row is neither taken nor refused")
        for _place, error in refused:
            raise error

    def lease(value: bytes) -> None:
        leases = LivingLeases()
        leases.take([value, None], [5000, -2], NOW, 1.0)
        leases.names()

    def fill(value: bytes) -> None:
        doubts: list[InvalidMessage] = []
        fills.following(value.split(b"\n"), fills.Place(9, NOW, 1), fills.Place(1, NOW - 60, 1), doubts.append)
        for doubt in doubts:
            raise doubt

    readers: dict[bytes, Callable[[bytes], object]] = {
        HASH: snapshot,
        ROW: rows,
        STATE: state,
        WARM: lambda value: WarmSamples.from_bytes(value, NOW),
        LEASE: lease,
        FILL: fill,
        FEED: lambda value: complete_list(load_object(value)),
    }

    def run(data: bytes) -> str:
        kind, _, value = data.partition(b"\n")
        keys.symbol_of(kind.decode(errors="replace")[:300] or "X") if kind not in readers else None
        for name, read in readers.items():
            if kind in (name, b"") or name == STATE:
                try:
                    read(value)
                except InvalidMessage as error:
                    if not error.reason.isidentifier() or len(error.reason) > 20:
                        raise Unnamed(f"{error.reason!r}: {error}") from error
                    if kind == name:
                        return f"{name.decode()} {error.reason}"
                except InvalidName:
                    return "name"
        return "taken"

    def named(data: bytes) -> str:
        try:
            return run(data)
        except InvalidName:
            return "name"

    return named


def _seeds() -> Iterable[bytes]:
    from cottage.lease import LeaseRecord
    from cottage.snapshot import SAMPLE_FIELDS, MarketSnapshot
    from cottage.state import PhysicsState
    from cottage.warm import WarmSamples

    snapshot = MarketSnapshot(
        "SPY", 100.5, NOW, 1000.0, 10.0, "live", 100.4, 100.6, 99.0, 101.0, 98.0, "2026-11-26", ("jump", "own_word"),
        "spy.N", NOW - 1, 60.0, 0.01, NOW,
    )  # fmt: skip
    hashed = {name: str(value) for name, value in snapshot.to_hash().items()}
    yield HASH + b"\n" + orjson.dumps(hashed)
    row = b"|".join(hashed.get(name, "").encode() for name in SAMPLE_FIELDS)
    yield ROW + b"\n" + b"\n".join([row, row, b"1.5|1e9|0|0|replay"])
    yield FILL + b"\n" + b"\n".join(snapshot.element(number) for number in range(2, 9))
    states = PhysicsState(0.5, -0.3, 0.5, 0.7, 0.1, "Gaussian", 3.5, timestamp="2026-11-26T11:59:58.123Z")
    yield STATE + b"\n" + states.to_bytes()
    warm = WarmSamples(
        "live", [1.0, 2.0, 3.0], [1, 2, 3], "MKT-1", "spy.N", [1, None, 3], [1.0, None, 2.0], [1.0, 2.0, 3.0],
        ((0, "a"), (2, "b")), ((1, "jump"),), ((0, 0.01),), ((0, 60.0),), (1,), 1.0, 0.01, 3, "Gaussian", 1,
    )  # fmt: skip
    yield WARM + b"\n" + warm.to_bytes()
    yield LEASE + b"\n" + LeaseRecord("host:1:abc", round(NOW * 1000), 2, 10_000).to_bytes()
    yield FEED + b"\n" + orjson.dumps({"symbols": ["SPY", "QQQ"], "complete": True, "lifetime_ms": 1000})


def mutate(data: bytes, source: random.Random) -> bytes:
    kind, _, value = data.partition(b"\n")
    if kind in (ROW, FILL):
        lines = value.split(b"\n")
        at = source.randrange(len(lines))
        lines[at] = of_json(lines[at], source)
        value = of_lines(b"\n".join(lines), source)
    else:
        value = of_json(value, source)
    return kind + b"\n" + value


TARGET = Target(
    name="stored_values",
    about="states, snapshots, lists of samples, warm starts, leases and announcements, as they stand in Redis",
    prepare=_prepare,
    seeds=_seeds,
    covered=("cottage", "services.feynman", "services.bridge"),
    words=(HASH, ROW, STATE, WARM, LEASE, FILL, FEED, b'"price"', b'"version"', b'"session"', b"nan", b"inf"),
    mutate=mutate,
)
