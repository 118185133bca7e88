"""A replay in lock-step with feynman: real processes on a real Redis."""

import asyncio
import json
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from cottage import keys
from cottage.lock_step import Mark, Taken
from cottage.redis import Client, subscribe
from cottage.snapshot import MarketSnapshot
from cottage.store import MarketSnapshots
from tests.integration.feynman import FAST, process, states, states_when
from tests.one_kind import on_one_kind
from tests.support import ServiceProcess, eventually, heard, service

pytestmark = pytest.mark.usefixtures("no_debug")
pytest_generate_tests = on_one_kind

SLOW = {"tick_seconds": 1.0, "heartbeat_seconds": 1.0, "discovery_seconds": 60.0}
"""As by default: a replay that does not wait for these ticks of its own, or this search, is in lock-step."""


def recording(folder: Path, seconds: int, symbols: Sequence[str] = ("ES", "NQ")) -> str:
    """A trade of each symbol in each second."""
    generator, price, lines = random.Random(5), dict.fromkeys(symbols, 1000.0), ["timestamp,symbol,price,size"]
    for second in range(seconds):
        for symbol in symbols:
            price[symbol] += 0.25 * generator.choice((-3, -2, -1, 1, 2, 3))
            lines.append(f"{1_381_143_600 + second},{symbol},{price[symbol]},{generator.randint(1, 9)}")
    path = folder / "trades.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def market(url: str, file: str, speed: str = "max", **more: str) -> object:
    env = {"REDIS_URL": url, "MARKET_SOURCE": "replay", "MARKET_FILE": file, "MARKET_SPEED": speed}
    return service("market", {**env, **{f"MARKET_{name.upper()}": value for name, value in more.items()}})


async def test_a_replay_runs_as_fast_as_feynman_takes_it_and_loses_nothing(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    file = recording(tmp_path, 200)
    async with process(redis_url, **SLOW) as feynman, market(redis_url, file, exit_at_end="true") as replay:
        assert await replay.ended() == 0, replay.report()
        found = await states(client, ["ES", "NQ"])
        assert {symbol: state.samples for symbol, state in found.items()} == {"ES": 200, "NQ": 200}
        assert {state.holes for state in found.values()} == {0}
        ticks = (await feynman.get("/metrics")).text
        taken = next(line for line in ticks.splitlines() if line.startswith("cottage_feynman_marks_taken_total "))
        assert 200 <= float(taken.split()[1]) <= 220
        finished = next(line for line in replay.logs if line["event"] == "replay_finished")
        assert finished["place"] == "11:03:19 of 3 min, 100 %"
