"""Windows outlive the process: on a real Redis, with processes that are really killed."""

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from cottage.redis import Client
from tests.integration.feynman import FAST, feed, process, states, states_when, taken_over
from tests.one_kind import on_one_kind

pytestmark = pytest.mark.usefixtures("no_debug")  # only the test itself runs in this process
pytest_generate_tests = on_one_kind

NAMES = [f"S{i}" for i in range(40)]
TICK = FAST["tick_seconds"]
INTERVAL = 1.0  # of the checkpoints, in seconds: 20 ticks


def feynman(url: str, folder: Path, **settings: Any) -> Any:
    return process(
        url, **{"lease_seconds": 1.0, "checkpoint_dir": folder, "checkpoint_seconds": INTERVAL, **settings}
    )


async def test_killed_at_any_moment_it_goes_on_with_the_samples_that_it_had(
    client: Client, redis_url: str, tmp_path: Path
) -> None:
    generator = random.Random(3)
    async with feed(client, NAMES):
        had = 0
        for _ in range(3):
            async with feynman(redis_url, tmp_path) as running:
                if had:
                    loaded = await running.logged("checkpoint_loaded")
                    assert loaded["symbols"] == len(NAMES)
                await running.logged("checkpoint_saved")
                await asyncio.sleep(generator.uniform(0, 2 * INTERVAL))  # wherever that is, within a save or not
                before = await states(client, NAMES)
                await running.kill()
            least = min(state.samples or 0 for state in before.values())
            async with feynman(redis_url, tmp_path) as running:
                found = await taken_over(client, before)
                await running.kill()
            # Not counted by the clock: on a slow machine the interval of a second may take longer, but a
            # window that was begun anew has a handful.
            assert min(state.samples or 0 for state in found.values()) > min(least - 3 * INTERVAL / TICK, least / 2)
            had = least


async def test_stopped_it_forgets_nothing(client: Client, redis_url: str, tmp_path: Path) -> None:
    async with feed(client, NAMES):
        async with feynman(redis_url, tmp_path, checkpoint_seconds=3600) as running:
            await states_when(client, NAMES, lambda state: (state.samples or 0) >= 70)
            assert await running.stop() == 0
        before = await states(client, NAMES)
        async with feynman(redis_url, tmp_path) as running:
            found = await taken_over(client, before)
            for name, state in found.items():
                assert (state.samples or 0) > (before[name].samples or 0)
                assert state.regime != "WAIT"
            body = (await running.get("/status")).json()
            assert body["checkpoint"]["file"] == str(tmp_path / "windows-0-of-1.npz")
            metrics = (await running.get("/metrics")).text
            assert f"cottage_feynman_symbols_restored_total {len(NAMES)}.0" in metrics


@pytest.mark.parametrize("damage", ["torn", "other settings"])
async def test_a_file_that_cannot_be_used_is_left_aside_and_the_work_begins(
    client: Client, redis_url: str, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "windows-0-of-1.npz"
    async with feed(client, NAMES):
        async with feynman(redis_url, tmp_path) as running:
            await running.logged("checkpoint_saved")
            running.signal(signal.SIGKILL)
            await running.ended()
        before = await states(client, NAMES)
        if damage == "torn":
            path.write_bytes(path.read_bytes()[:-100])
        window = 500 if damage == "other settings" else 1000
        async with feynman(redis_url, tmp_path, window=window) as running:
            refused = await running.logged("checkpoint_refused")
            assert refused["left_aside"] == f"{path}.refused"
            found = await taken_over(client, before)
            assert max(state.samples or 0 for state in found.values()) < min(s.samples or 0 for s in before.values())
            await running.logged("checkpoint_saved")
            assert path.exists()
