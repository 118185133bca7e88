"""A replay is recorded, and its record replayed: the same comes out. Real processes on a real Redis. Of any file:

REPLAY_FILE=trades.csv.gz make test ARGS='-s tests/integration/test_time_travel.py'
"""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cottage.record.checkpoints import BEGUN, SAVED, checkpoints
from cottage.record.compare import Comparison, compared
from cottage.redis import Client
from tests.integration.feynman import process, states_when
from tests.integration.test_lock_step import USUAL, market
from tests.integration.test_recorder import recording, rows
from tests.one_kind import on_one_kind
from tests.support import ServiceProcess, eventually, service

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

SYMBOLS = ("ES", "NQ")
WINDOW = 200


def trades(path: Path, seconds: int) -> str:
    """Some trades of each symbol in most seconds, now and then with a gap, an auction or a price off the grid."""
    generator, price, lines = random.Random(7), dict.fromkeys(SYMBOLS, 1000.0), ["timestamp,symbol,price,size"]
    moment = 1_381_143_600.0
    for _ in range(seconds):
        moment += generator.choice((1, 1, 1, 1, 1, 2, 3, 90)) if generator.random() < 0.2 else 1
        for symbol in SYMBOLS:
            for part in range(generator.choice((0, 1, 1, 2, 3))):
                price[symbol] += 0.25 * generator.choice((-8, -3, -2, -1, 0, 1, 2, 3, 8)) + generator.choice(
                    (0, 0, 0, 0.01)
                )
                lines.append(f"{moment + part / 8:.3f},{symbol},{price[symbol]},{generator.randint(1, 9)}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@asynccontextmanager
async def feynman(
    redis_url: str, record: Path, checkpoint_dir: Path | None = None, replayed: Path | None = None, **settings: Any
) -> AsyncIterator[ServiceProcess]:
    """One that keeps checkpoints in the record."""
    chosen = {**USUAL, "window": WINDOW, "record_dir": record, "replay_dir": replayed or ""}
    chosen |= {"checkpoint_dir": checkpoint_dir or "", "checkpoint_seconds": 1.0}
    async with process(redis_url, **{**chosen, **settings}) as running:
        yield running


async def recorded(
    client: Client,
    redis_url: str,
    file: str,
    folder: Path,
    speed: str = "max",
    *,
    replayed: Path | None = None,
    samples: int = 0,
    **settings: Any,
) -> Path:
    """The record of a replay from beginning to end, on a Redis without anything in it, as of FRESH=1. `samples`: so
    many are waited for."""
    await client.flushall()
    async with (
        feynman(redis_url, folder, replayed=replayed, **settings),
        recording(redis_url, folder, RECORDER_WARM="off") as recorder,
        market(redis_url, file, speed, exit_at_end="true") as replay,
    ):
        assert await replay.ended(300) == 0, replay.report()
        await eventually(lambda: len(recorder.rows()) >= samples, 40)
        assert await recorder.process.stop() == 0
    return folder


def told(found: Comparison) -> str:
    return "\n".join(found.lines())


async def test_a_replay_of_a_record_is_equal(redis_url: str, client: Client, tmp_path: Path) -> None:
    file, window = os.environ.get("REPLAY_FILE"), 1000
    if file is None:
        file, window = trades(tmp_path / "trades.csv", 400), WINDOW
    first = await recorded(client, redis_url, file, tmp_path / "a", window=window)
    second = await recorded(client, redis_url, str(first), tmp_path / "b", replayed=first, window=window)
    found = compared(first, second)
    print(told(found))
    assert found.equal, told(found)
    assert found.exact == found.states == found.samples > 500


async def test_at_a_speed_the_same_samples_have_fewer_states(redis_url: str, client: Client, tmp_path: Path) -> None:
    """And those are the same, also where windows are replaced while time goes by."""
    first = await recorded(client, redis_url, trades(tmp_path / "trades.csv", 400), tmp_path / "a")
    samples = len(rows(first))
    second = await recorded(client, redis_url, str(first), tmp_path / "b", "200", replayed=first, samples=samples)
    found = compared(first, second)
    assert found.equal, told(found)
    assert found.samples > 500
    assert found.exact == found.states < found.samples
    assert found.alone == found.samples - found.states


async def test_a_changed_setting_is_a_difference(redis_url: str, client: Client, tmp_path: Path) -> None:
    first = await recorded(client, redis_url, trades(tmp_path / "trades.csv", 200), tmp_path / "a")
    second = await recorded(
        client, redis_url, str(first), tmp_path / "b", replayed=first, interval_widening=1.5, window=WINDOW
    )
    found = compared(first, second)
    assert set(found.counts) == {"alpha_low", "alpha_high"}, told(found)


@pytest.mark.parametrize("checkpoints_kept", [True, False])
async def test_feynman_killed_in_the_middle_is_replayed_as_it_went_on(
    redis_url: str, client: Client, tmp_path: Path, checkpoints_kept: bool
) -> None:
    """With the windows of its checkpoint, or with none: what they lacked is taken again, or lost."""
    first, kept = tmp_path / "a", tmp_path / "windows" if checkpoints_kept else None
    file = trades(tmp_path / "trades.csv", 1200)
    async with (
        recording(redis_url, first, RECORDER_WARM="off") as recorder,
        feynman(redis_url, first, kept) as killed,
        market(redis_url, file, "max", exit_at_end="true") as replay,
    ):
        await states_when(client, SYMBOLS, lambda state: (state.samples or 0) > 100)
        if checkpoints_kept:
            await killed.logged("checkpoint_saved")
        await killed.kill()
        async with feynman(redis_url, first, kept):
            assert await replay.ended(300) == 0, replay.report()
            assert await recorder.process.stop() == 0
    assert len([name for name in checkpoints(first) if name.kind == BEGUN]) == 2
    second = await recorded(client, redis_url, str(first), tmp_path / "b", replayed=first)
    found = compared(first, second)
    assert found.equal, told(found)
    assert found.exact == found.states > 500


async def test_what_was_recorded_live_is_replayed_from_a_checkpoint_on(
    redis_url: str, client: Client, tmp_path: Path
) -> None:
    """The recorder comes when the windows have samples already, of a feed that states no event time."""
    first, kept = tmp_path / "a", tmp_path / "windows"
    simulate = {"REDIS_URL": redis_url, "MARKET_INTERVAL_SECONDS": "0.02", "MARKET_SYMBOLS": "ES,NQ,SPY"}
    async with (
        service("market", simulate),
        feynman(redis_url, first, kept, tick_seconds=0.02, discovery_seconds=0.2, window=100),
    ):
        await states_when(client, ("ES", "NQ", "SPY"), lambda state: (state.samples or 0) > 30)
        async with recording(redis_url, first, RECORDER_WARM="off") as recorder:
            await eventually(lambda: any(name.kind == SAVED for name in checkpoints(first)), 40)
            versions = len(recorder.rows())
            await eventually(lambda: len(recorder.rows()) > versions + 450, 40)
            assert await recorder.process.stop() == 0
    second = await recorded(client, redis_url, str(first), tmp_path / "b", replayed=first, window=100)
    found = compared(first, second)
    assert found.equal, told(found)
    assert found.exact == found.states > 300
    assert set(found.settling) == {"ES", "NQ", "SPY"}
