"""Where in a cluster a command goes."""

import pytest

from cottage.errors import RedisError, RedisUnavailable
from cottage.redis.slots import Command, Redirected, SlotMap, joined, scan_next, scan_place, slot_of, split, units

SLOTS = [[0, 5460, [b"10.0.0.1", 7000, b"id"]], [5461, 16383, [b"", 7001, b"id"], [b"10.0.0.3", 7002, b"id"]]]


@pytest.mark.parametrize(
    ("command", "slot"),
    [
        (("GET", "physics:state:SPY"), 13556),  # as CLUSTER KEYSLOT says
        (("SET", b"physics:state:SPY", b"x"), 13556),
        (("EVALSHA", "sha", 1, "physics:state:SPY", 1), 13556),
        (("get", "{physics:state:SPY}:x"), 13556),
        (("EVALSHA", "sha", 0), 0),
        (("TIME",), 0),
        (("PUBLISH", "state_update", "x"), 0),
    ],
)
def test_a_key_decides(command: Command, slot: int) -> None:
    assert slot_of(command) == slot


def test_a_slot_has_a_master() -> None:
    routes = SlotMap(SLOTS, ("10.0.0.2", 7009))
    assert routes.of(0) == ("10.0.0.1", 7000)
    assert routes.of(16383) == ("10.0.0.2", 7001), "who does not know its host is who was asked"
    assert routes.masters == [("10.0.0.1", 7000), ("10.0.0.2", 7001)]
    with pytest.raises(RedisUnavailable, match="slot 5461"):
        SlotMap(SLOTS[:1], ("x", 1)).of(5461)


def test_mget_is_gets_and_one_again() -> None:
    parts, sizes = split([("TIME",), ("MGET", "a", "b"), ("GET", "c")])
    assert parts == [("TIME",), ("GET", "a"), ("GET", "b"), ("GET", "c")]
    assert joined([[1, 2], b"A", None, b"C"], sizes) == [[1, 2], [b"A", None], b"C"]
    wrong, down = RedisError("WRONGTYPE it is a hash"), RedisUnavailable("gone")
    assert joined([[1, 2], b"A", wrong, b"C"], sizes)[1] == [b"A", None], "as MGET has it"
    assert joined([[1, 2], wrong, down, b"C"], sizes)[1] is down


def test_a_transaction_is_one_a_slot() -> None:
    first, second = units([("SET", "a", 1), ("SET", "b", 1), ("EXPIRE", "a", 60)], transaction=True)
    assert first.flat() == [("MULTI",), ("SET", "a", 1), ("EXPIRE", "a", 60), ("EXEC",)]
    assert (first.places, second.places) == ([0, 2], [1])
    assert first.take([b"OK", b"QUEUED", b"QUEUED", [b"OK", 1]]) is None
    assert first.replies == [b"OK", 1]
    refused = RedisError("EXECABORT")
    second.take([b"OK", RedisError("bad"), refused])
    assert second.replies == [refused]


def test_what_moves_is_sent_elsewhere() -> None:
    (unit,) = units([("GET", "a")], transaction=False)
    elsewhere = Redirected(("10.0.0.3", 7002), ask=True)
    assert unit.take([elsewhere]) is elsewhere
    unit.asked = elsewhere.address
    assert unit.flat() == [("ASKING",), ("GET", "a")]
    assert unit.take([b"OK", b"value"]) is None
    assert unit.replies == [b"value"]


def test_a_scan_walks_through_all_masters() -> None:
    masters = [("a", 1), ("b", 2), ("c", 3)]
    theirs = {("a", 1): [0], ("b", 2): [17, 0], ("c", 3): [2**63, 0]}
    cursor, asked = 0, []
    while True:
        address, own = scan_place(cursor, masters)
        asked.append((address[0], own))
        cursor = scan_next(cursor, theirs[address].pop(0), masters)
        if not cursor:
            break
    assert asked == [("a", 0), ("b", 0), ("b", 17), ("c", 0), ("c", 2**63)]
