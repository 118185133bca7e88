"""Which marks wait, and when there may be a tick on them."""

import asyncio

from cottage.lock_step import Mark
from services.feynman.marks import IN_VAIN_SECONDS, MOST_READ, Marks, named


def payload(number: int, *symbols: str, database: int = 0) -> bytes:
    return Mark("REPLAY", number, symbols).to_bytes(database)


def test_marks_wait_for_the_next_tick_and_for_no_other() -> None:
    marks = Marks()
    marks.read([payload(1, "ES", "NQ"), b"{", payload(2, "ES", database=3)], 0)
    marks.read([payload(3, "ES", "YM")], 0)
    waiting = marks.take()
    assert [mark.number for mark in waiting] == [1, 3]
    assert named(waiting) == ["ES", "NQ", "YM"]
    assert marks.take() == []


def test_of_a_flood_the_last_are_read() -> None:
    marks = Marks()
    marks.read([payload(number) for number in range(1000)], 0)
    assert [mark.number for mark in marks.take()] == list(range(1000 - MOST_READ, 1000))


async def test_ticks_in_vain_have_so_much_time_between_two_of_our_own() -> None:
    marks = Marks()

    async def may_tick() -> bool:
        waiting = asyncio.create_task(marks.may_tick())
        await asyncio.sleep(0)
        return waiting.done() or not waiting.cancel()

    for _ in range(100):
        marks.ticked(sampled=1, seconds=IN_VAIN_SECONDS)
        assert await may_tick(), "it was not in vain"
    marks.ticked(sampled=0, seconds=0.7 * IN_VAIN_SECONDS)
    assert await may_tick()
    marks.ticked(sampled=0, seconds=0.7 * IN_VAIN_SECONDS)
    assert not await may_tick()
    marks.own_tick()
    assert await may_tick()
    marks.ticked(sampled=0, seconds=0.7 * IN_VAIN_SECONDS)
    assert await may_tick(), "it begins anew"
