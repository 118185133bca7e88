"""The record of real processes: every version is there, or a gap says that it is not, whatever is killed."""

import asyncio
from collections.abc import Mapping

import orjson
import pytest

from cottage.record.record import Record
from cottage.redis import Client
from cottage.store import PhysicsStates
from tests.chaos.record_check import wrong_in
from tests.e2e.suite import Suite, suite
from tests.e2e.test_suite import FAST
from tests.one_kind import on_one_kind
from tests.support import eventually

pytest_generate_tests = on_one_kind
SETTINGS = {**FAST, "RECORDER_FLUSH_SECONDS": "0.2"}
SYMBOLS = ("SPY", "QQQ", "BRK.B")


async def stored(client: Client, after: int = 0) -> Mapping[str, bytes]:
    """The states of all symbols, once they are of a later epoch than `after`."""

    async def all_of_them() -> Mapping[str, bytes]:
        found = await PhysicsStates(client).stored(SYMBOLS)
        return found if len(found) == len(SYMBOLS) and min(map(epoch_of, found.values())) > after else {}

    return await eventually(all_of_them, 30)


def epoch_of(payload: bytes) -> int:
    return int(orjson.loads(payload)["epoch"])


async def all_is_said(running: Suite, payloads: Mapping[str, bytes]) -> None:
    """Wait until the record has these states, and nothing is wrong with it."""

    async def right() -> bool:
        return await asyncio.to_thread(wrong_in, running.record, payloads) == []

    await eventually(right, 20)


async def test_every_state_is_recorded_as_it_was_stored(redis_url: str, client: Client) -> None:
    async with suite(redis_url, SETTINGS) as running:
        for _ in range(3):
            await all_is_said(running, await stored(client))
        status = (await running.processes["recorder"].get("/status")).json()
        assert set(status["missed"]) <= {"recorder_down"}, "what was written before it was there"
        assert status["symbols"] == len(SYMBOLS)
        assert await running.processes["recorder"].stop() == 0
        await all_is_said(running, {})


@pytest.mark.parametrize("victim", ["recorder", "feynman", "bridge"])
async def test_what_is_missed_is_said_whoever_is_killed(redis_url: str, client: Client, victim: str) -> None:
    async with suite(redis_url, SETTINGS) as running:
        await all_is_said(running, await stored(client))
        await running.processes[victim].kill()
        during = await stored(client)
        await running.start(victim)
        await running.processes[victim].ready()
        await all_is_said(running, during)
        before = max(map(epoch_of, during.values())) if victim == "feynman" else 0
        await all_is_said(running, await stored(client, before))
        rows = Record(running.record).scan("samples", ["epoch", "reissued"]).to_pylist()
        assert (len({row["epoch"] for row in rows}) > 1) == (victim == "feynman")
