"""Clients that only read, and how memory grows."""

from pathlib import Path

import pytest

from deploy.redis_server import Server, free_port
from tests.chaos.pace import QUICK
from tests.chaos.soak import WARM_SECONDS, Audience, Memory, growth_table, slope
from tests.chaos.suite import Suite
from tests.chaos.watch import Violations
from tests.integration.fanout import broadcasting
from tests.support import eventually


def test_growth_is_the_slope_after_the_warm_up() -> None:
    assert slope([(2.0, 10.0), (3.0, 12.0), (4.0, 14.0)]) == pytest.approx(2.0)
    server = Server("redis", "7.0", Path("redis-server"), embedded=False)  # it is not started
    memory = Memory(Suite(server, Path("nowhere"), QUICK, Violations(print)))
    grown = [(float(second), 2**20 * (100 if second < WARM_SECONDS else 50 + second // 60)) for second in range(600)]
    memory._samples = {("steady", 1): grown, ("restarted", 2): grown[300:]}
    (first, last, rate) = memory.growth()["steady"]
    assert (first, last) == (52.0, 59.0)
    assert rate == pytest.approx(1.0, abs=0.05)
    assert "restarted" not in memory.growth()
    assert growth_table(memory.growth()).splitlines()[1].split()[0] == "steady"


async def test_an_audience_is_let_in_and_comes_back() -> None:
    port = free_port()
    audience = Audience([f"ws://127.0.0.1:{port}/ws"], 3)
    async with audience.attending():
        for connections in (3, 6):
            async with broadcasting(free_port(), port, ready=False) as broadcaster:
                await eventually(lambda: broadcaster.status()["clients"] == 3)
            await eventually(lambda wanted=connections: audience.connections >= wanted)  # type: ignore[misc]
