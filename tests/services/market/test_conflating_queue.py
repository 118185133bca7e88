import asyncio

from cottage.snapshot import MarketSnapshot
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
