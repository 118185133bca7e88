"""Updates joined into writes, and conflated for who was not sent them."""

import orjson

from common.fanout.conflation import WRITE_BYTES, Backlog, Conflated, Update, chunks, conflate, take_backlog
from common.fanout.last_value_cache import LastValueCache
from cottage import protocol
from cottage.version import Version
from tests.common.fanout.wires import update


def test_chunks_hold_every_frame_in_order_within_their_size() -> None:
    updates = [Update(f"S{i}", b"x" * 1000, skipped=i % 3, removal=i % 10 == 0) for i in range(200)]
    joined = chunks(updates)
    assert len(joined) == 4
    assert all(len(chunk.joined) <= WRITE_BYTES for chunk in joined)
    assert [update for chunk in joined for update in chunk.updates] == updates
    assert sum(chunk.versions for chunk in joined) == 180
    assert sum(chunk.skipped for chunk in joined) == sum(update.skipped for update in updates)
    assert len(chunks([Update("A", b"x" * 2 * WRITE_BYTES)] * 2)) == 2
    assert chunks([]) == []


def test_what_is_missed_adds_up_and_a_removal_stays_known() -> None:
    pending: Backlog = {}
    conflate(pending, [Update("A", b"").conflated, Update("B", b"", skipped=4).conflated, Update("A", b"").conflated])
    conflate(pending, [Update("A", b"", removal=True).conflated, Update("A", b"").conflated])
    assert pending == {"A": Conflated(3, removed=True), "B": Conflated(5)}


def test_the_newest_is_taken_one_write_at_a_time() -> None:
    table = LastValueCache()
    pending: Backlog = {}
    for i in range(300):
        table.offer(f"S{i}", Version(1, 7), update(f"S{i}", 1, 7, note="x" * 300))
        conflate(pending, [(f"S{i}", Conflated(3))])
    parts = []
    while pending:
        parts.append(take_backlog(pending, table, b"".join))
    assert len(parts) > 1
    assert all(len(part.joined) < WRITE_BYTES + 1000 for part in parts)
    told = [orjson.loads(update.encoded) for part in parts for update in part.updates]
    assert [each["symbol"] for each in told] == [f"S{i}" for i in range(300)]
    assert {(each["seq"], each["skipped"]) for each in told} == {(7, 2)}
    assert [sum(part.versions for part in parts), sum(part.skipped for part in parts)] == [300, 600]
    missed = [update.conflated for part in parts for update in part.updates]
    assert missed == [(f"S{i}", Conflated(3)) for i in range(300)]


def test_what_was_removed_is_said_before_what_came_after_it() -> None:
    table = LastValueCache()
    table.offer("BACK", None, update("BACK"))
    pending = {"GONE": Conflated(2, removed=True), "BACK": Conflated(1, removed=True), "NEVER": Conflated(4)}
    part = take_backlog(pending, table, protocol.array)
    told = [(each["event"], each["symbol"]) for each in orjson.loads(part.joined)]
    assert told == [("REMOVED", "GONE"), ("REMOVED", "BACK"), ("PHYSICS_UPDATE", "BACK")]
    assert (part.versions, part.skipped) == (1, 6)
