import asyncio

from cottage.snapshot import MarketSnapshot
from services.market.conflating_queue import ConflatingQueue


def snapshot(symbol: str, price: float) -> MarketSnapshot:
    return MarketSnapshot(symbol, price, 1_766_318_400.0)


async def test_it_keeps_the_newest_of_each_symbol() -> None:
    outbox = ConflatingQueue()
    assert outbox.put([snapshot("SPY", 1), snapshot("QQQ", 2)]) == 0
    assert outbox.put([snapshot("SPY", 3)]) == 1
    assert len(outbox) == 2
    assert [(s.symbol, s.price) for s in await outbox.take()] == [("SPY", 3), ("QQQ", 2)]
    assert len(outbox) == 0


async def test_what_comes_back_does_not_replace_what_is_newer() -> None:
    outbox = ConflatingQueue()
    outbox.put([snapshot("SPY", 1), snapshot("QQQ", 2)])
    failed = await outbox.take()
    outbox.put([snapshot("SPY", 3)])
    assert outbox.put_back(failed) == 1
    assert {s.symbol: s.price for s in await outbox.take()} == {"SPY": 3, "QQQ": 2}


async def test_taking_waits_for_something() -> None:
    outbox = ConflatingQueue()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.put([])
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.put([snapshot("SPY", 1)])
    assert len(await taking) == 1


async def test_closed_it_gives_what_is_left_and_then_nothing() -> None:
    outbox = ConflatingQueue()
    outbox.put([snapshot("SPY", 1)])
    outbox.close()
    assert len(await outbox.take()) == 1
    assert await outbox.take() == []
    assert outbox.closed


async def test_closing_wakes_who_waits() -> None:
    outbox = ConflatingQueue()
    taking = asyncio.create_task(outbox.take())
    await asyncio.sleep(0)
    outbox.close()
    assert await taking == []
