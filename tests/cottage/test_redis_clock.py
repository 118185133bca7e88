"""Redis's clock as one process asks for it, also while another of its tasks does."""

import asyncio
from typing import cast

import pytest

from cottage.clock import SystemClock
from cottage.redis import Client
from cottage.redis_clock import RedisClock
from tests.support import library_events

NOW = 1_766_318_400.0


class Server(SystemClock):
    """A Redis whose answers are given by the test, and the asker's monotonic clock."""

    def __init__(self) -> None:
        self.at = 100.0
        self.questions: list[asyncio.Future[float]] = []

    def monotonic(self) -> float:
        return self.at

    async def now(self) -> float:
        self.questions.append(asyncio.get_running_loop().create_future())
        return await self.questions[-1]


@pytest.mark.parametrize("step", [-3600.0, 50.0])
async def test_of_two_that_ask_at_once_the_second_knows_until_when_the_first_found_the_clock_unset(
    step: float,
) -> None:
    server, clock = Server(), RedisClock()
    clock.answered(NOW, 100.0, 100.0)
    server.at = 101.0
    with library_events() as said:
        asking = [asyncio.create_task(clock.ask(cast("Client", server), server)) for _ in range(2)]
        await asyncio.sleep(0)
        server.at = 101.1
        server.questions[0].set_result(NOW + 1.05)
        first = await asking[0]
        assert (first.step, first.asked_at, first.unset_until) == (0.0, 101.0, 100.0)
        server.at = 101.2
        server.questions[1].set_result(NOW + 1.15 + step)
        second = await asking[1]
    assert second.time == NOW + 1.15 + step
    assert second.step == pytest.approx(step, abs=0.1)
    assert second.unset_until == 101.1, "not 100.0, as it was when the question was asked"
    assert [(line["event"], line["of"], line["seconds"]) for line in said] == [
        ("clock_stepped", "redis", pytest.approx(step, abs=0.1))
    ]
