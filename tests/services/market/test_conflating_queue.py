import asyncio
from dataclasses import replace

from cottage.snapshot import MOST_FILL, MarketSnapshot
from services.market.conflating_queue import ConflatingQueue


def snapshot(symbol: str, price: float) -> MarketSnapshot:
    return MarketSnapshot(symbol, price, 1_766_318_400.0)


async def test_it_keeps_the_newest_of_each_symbol() -> None:
    queue = ConflatingQueue()
    assert queue.put([snapshot("SPY", 1), snapshot("QQQ", 2)]) == 0
    assert queue.put([snapshot("SPY", 3)]) == 1
    assert len(queue) == 2
    assert [(s.symbol, s.price) for s in await queue.take()] == [("SPY", 3), ("QQQ", 2)]
    assert len(queue) == 0


async def test_what_comes_back_does_not_replace_what_is_newer() -> None:
    queue = ConflatingQueue()
    queue.put([snapshot("SPY", 1), snapshot("QQQ", 2)])
    failed = await queue.take()
    queue.put([snapshot("SPY", 3)])
    assert queue.put_back(failed) == 1
    assert {s.symbol: s.price for s in await queue.take()} == {"SPY": 3, "QQQ": 2}


def prices(snapshot: MarketSnapshot) -> list[float]:
    return [each.price for each in (*(snapshot.fill or ()), snapshot)]


def sampled(*at: float) -> MarketSnapshot:
    """A snapshot of the last price, which brings those before it along."""
    return replace(snapshot("SPY", at[-1]), fill=tuple(snapshot("SPY", price) for price in at[:-1]))


async def test_what_is_sampled_by_event_time_is_taken_along_in_order() -> None:
    queue = ConflatingQueue()
    assert queue.put([sampled(1, 2)]) == 0
    assert queue.put([sampled(3)]) == 1
    failed = await queue.take()
    assert [prices(each) for each in failed] == [[1, 2, 3]]
    queue.put([sampled(4, 5)])
    assert queue.put_back(failed) == 1
    (taken,) = await queue.take()
    assert prices(taken) == [1, 2, 3, 4, 5]
    assert [each.fill for each in taken.fill or ()] == [None] * 4
    queue.put([sampled(*range(1, MOST_FILL + 1))])
    queue.put([sampled(2000.0)])
    queue.put([sampled(3000.0)])
    (taken,) = await queue.take()
    assert prices(taken) == [*range(2, MOST_FILL + 1), 2000, 3000], "the oldest go"


async def test_taking_waits_for_something() -> None:
    queue = ConflatingQueue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.put([])
    await asyncio.sleep(0)
    assert not taking.done()
    queue.put([snapshot("SPY", 1)])
    assert len(await taking) == 1


async def test_closed_it_gives_what_is_left_and_then_nothing() -> None:
    queue = ConflatingQueue()
    queue.put([snapshot("SPY", 1)])
    queue.close()
    assert len(await queue.take()) == 1
    assert await queue.take() == []
    assert queue.closed


async def test_closing_wakes_who_waits() -> None:
    queue = ConflatingQueue()
    taking = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.close()
    assert await taking == []
