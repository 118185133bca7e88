"""The recorder as a process, on a real Redis and a real disk: what it records, and what it says of what it missed."""

import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cottage import keys
from cottage.clock import iso_millis
from cottage.record.record import Record
from cottage.record.state_rows import state_of
from cottage.redis import Client, connect
from cottage.state import PhysicsState
from cottage.version import Version
from deploy.redis_server import free_port
from tests.clock_shim import ClockShim
from tests.integration.fanout import beat, bridging, put, write
from tests.one_kind import on_one_kind
from tests.services.recorder.states import forged, state
from tests.support import OwnRedis, ServiceProcess, eventually, service

pytest_generate_tests = on_one_kind
S = "SPY"


class Recording:
    """A recorder's process and its folder."""

    def __init__(self, process: ServiceProcess, folder: Path) -> None:
        self.process = process
        self.folder = folder

    def rows(self, table: str = "samples") -> list[dict[str, Any]]:
        """All rows that are on the disk now, in order."""
        return rows(self.folder, table)

    async def seqs(self, *expected: int) -> None:
        """Wait until these ticks of SPY are there, each once."""

        def there() -> bool:
            return [row["seq"] for row in self.rows()] == list(expected)

        await eventually(there)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def rows(folder: Path, table: str = "samples") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Record(folder).scan(table).to_pylist()
    return sorted(
        found, key=lambda row: (row["recorded"], row.get("epoch", 0), row.get("seq", 0), row.get("number", 0))
    )


@asynccontextmanager
async def recording(redis_url: str, folder: Path, **settings: str) -> AsyncIterator[Recording]:
    """A recorder that flushes often, and has no bridge; ready to record when the block begins."""
    environment = {
        "REDIS_URL": redis_url,
        "RECORDER_DIR": str(folder),
        "RECORDER_FLUSH_SECONDS": "0.1",
        "RECORDER_BRIDGE_URL": f"ws://127.0.0.1:{free_port()}/ws",
        "RECORDER_SILENCE_SECONDS": "0.5",
        "DRAIN_SECONDS": "6",
        **settings,
    }
    async with service("recorder", environment) as process:
        await process.logged("subscribed")
        yield Recording(process, folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "record"


async def test_what_is_written_is_recorded_and_comes_back_as_it_was(
    redis_url: str, client: Client, folder: Path
) -> None:
    versions = [state(1), state(2, 1, notes=("gap",)), state(3, 2)]
    async with recording(redis_url, folder) as recorder:
        for version in versions:
            await write(client, S, version)
        await recorder.seqs(1, 2, 3)
        assert await recorder.process.stop() == 0
    found = rows(folder)
    assert [state_of([row]).to_bytes() for row in found] == [version.to_bytes() for version in versions]
    assert not any(row["healed"] or row["reissued"] for row in found)
    assert [row["kind"] for row in rows(folder, "gaps")] == ["gap"]
    assert [row["regime"] for row in rows(folder, "regimes")] == ["Gaussian"]
    if any(line["event"].endswith("deadline_passed") for line in recorder.process.logs):
        return  # on a busy machine a stop is cut short before all of it is Parquet
    said = recorder.process.logs[-6:]
    assert not [*(folder / "ahead").glob("*.arrow"), *(folder / "pieces").rglob("*.parquet")], said
    assert list((folder / "samples").rglob("*.parquet"))


async def test_a_clean_stop_records_what_has_come_until_then(redis_url: str, client: Client, folder: Path) -> None:
    async with recording(redis_url, folder, RECORDER_FLUSH_SECONDS="60") as recorder:
        for seq in (1, 2, 3):
            await write(client, S, state(seq, seq - 1 or None))
        await recorder.process.get("/status")  # by then it has read what came before
        assert await recorder.process.stop() == 0
    assert [row["seq"] for row in rows(folder)] == [1, 2, 3]
    assert rows(folder, "gaps") == []


async def test_what_nobody_announced_is_read_from_redis(redis_url: str, client: Client, folder: Path) -> None:
    await put(client, S, state(4, 3))
    async with recording(redis_url, folder) as recorder:
        await recorder.seqs(4)
        await write(client, S, state(5, 4))
        await recorder.seqs(4, 5)
    found = rows(folder)
    assert [row["healed"] for row in found] == [True, False]
    (gap,) = rows(folder, "gaps")
    assert (gap["kind"], gap["cause"], gap["held_seq"], gap["prev_seq"]) == ("missed", "recorder_down", None, 3)


async def test_nothing_forged_is_recorded(redis_url: str, client: Client, folder: Path) -> None:
    async def forge(false: PhysicsState, symbol: str = S) -> None:
        await client.publish(keys.STATE_UPDATE, false.update(symbol))

    async with recording(redis_url, folder) as recorder:
        await write(client, S, state(1))
        await forge(forged(state(1)))
        await forge(state(2, 1, price=1.0))
        await forge(state(9, 1, price=1.0))
        await forge(state(1), "NEVER")
        await recorder.seqs(1)
        await write(client, S, state(3, 1))
        await recorder.seqs(1, 3)
        status = (await recorder.process.get("/status")).json()
        assert status["unborne"] == 4
        assert status["missed"] == {}
    assert {(row["symbol"], row["price"]) for row in rows(folder)} == {(S, 450.25), (S, 450.75)}


async def test_a_killed_recorder_has_what_was_flushed_and_says_what_it_missed(
    redis_url: str, client: Client, folder: Path
) -> None:
    async with recording(redis_url, folder) as recorder:
        await write(client, S, state(1))
        await write(client, S, state(2, 1))
        await recorder.seqs(1, 2)
        await recorder.process.kill()
    for seq in (3, 4):
        await write(client, S, state(seq, seq - 1))
    async with recording(redis_url, folder) as recorder:
        await recorder.seqs(1, 2, 4)
        await write(client, S, state(5, 4))
        await recorder.seqs(1, 2, 4, 5)
        missed = await recorder.process.logged("versions_missed")
        assert (missed["cause"], missed["symbols"], missed["first"]) == ("recorder_down", 1, [S])
    (gap,) = rows(folder, "gaps")
    assert (gap["cause"], gap["held_seq"], gap["prev_seq"], gap["seq"]) == ("recorder_down", 2, 3, 4)
    began, ended = (row for row in rows(folder, "outages") if row["hop"] == "recorder")
    assert began["until"] is None
    assert ended["since"] == began["since"] <= ended["until"]


async def test_a_restart_that_missed_nothing_says_so(redis_url: str, client: Client, folder: Path) -> None:
    for seq in (1, 2):
        async with recording(redis_url, folder) as recorder:
            await write(client, S, state(seq, seq - 1 or None))
            await recorder.seqs(*range(1, seq + 1))
            assert await recorder.process.stop() == 0
    assert rows(folder, "gaps") == []
    assert {row["run"] for row in rows(folder)} == {rows(folder)[0]["run"]}
    assert len(rows(folder, "regimes")) == 1


async def test_redis_that_is_gone_is_a_gap_with_its_cause(own_redis: OwnRedis, folder: Path) -> None:
    own_redis.restart("--appendonly", "yes", "--appendfsync", "always")
    async with recording(own_redis.url, folder) as recorder:
        async with connect(own_redis.url) as client:
            await write(client, S, state(1))
            await recorder.seqs(1)
        os.kill(recorder.process.pid, signal.SIGSTOP)  # so that it is not back before these are written
        own_redis.restart("--appendonly", "yes", "--appendfsync", "always")
        async with connect(own_redis.url) as client:
            await eventually(lambda: client.get(keys.physics_state(S)))
            for seq in (2, 3, 4):
                await write(client, S, state(seq, seq - 1))
        os.kill(recorder.process.pid, signal.SIGCONT)
        await recorder.seqs(1, 4)
        async with connect(own_redis.url) as client:
            await write(client, S, state(5, 4))
        await recorder.seqs(1, 4, 5)
    (gap,) = rows(folder, "gaps")
    assert (gap["cause"], gap["held_seq"], gap["prev_seq"], gap["seq"]) == ("redis_lost", 1, 3, 4)


async def test_a_second_recorder_on_one_folder_ends_with_one_line(redis_url: str, folder: Path) -> None:
    async with recording(redis_url, folder):
        environment = {"REDIS_URL": redis_url, "RECORDER_DIR": str(folder)}
        async with service("recorder", environment) as second:
            assert await second.ended() == 2
            (said,) = [line for line in second.logs if line["level"] == "error"]
            assert said["event"] == "failed"
            assert "RECORDER_DIR" in said["error"]


async def test_a_folder_that_cannot_be_written_is_named(redis_url: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    environment = {"REDIS_URL": redis_url, "RECORDER_DIR": str(tmp_path / "file")}
    async with service("recorder", environment) as recorder:
        assert await recorder.ended() == 2
        assert "RECORDER_DIR" in (await recorder.logged("failed"))["error"]


async def test_it_can_be_switched_off(redis_url: str, tmp_path: Path) -> None:
    environment = {"REDIS_URL": redis_url, "RECORDER_DIR": str(tmp_path / "record"), "RECORDER": "off"}
    async with service("recorder", environment) as recorder:
        await recorder.logged("recorder_off")
        await recorder.ready()
        assert await recorder.stop() == 0
    assert not names(tmp_path)


async def test_only_the_chosen_symbols_are_recorded(redis_url: str, client: Client, folder: Path) -> None:
    await put(client, "IWM", state(1))
    async with recording(redis_url, folder, RECORDER_SYMBOLS="SPY,QQQ") as recorder:
        for symbol in ("DIA", "SPY"):
            await write(client, symbol, state(1))
        await recorder.seqs(1)
    assert {row["symbol"] for row in rows(folder)} == {"SPY"}


async def test_a_new_epoch_issues_samples_again_and_they_are_marked(
    redis_url: str, client: Client, folder: Path
) -> None:
    first = state(1)
    assert first.version is not None
    later = first.version.epoch + 60_000
    async with recording(redis_url, folder) as recorder:
        await write(client, S, first)
        await write(client, S, state(1, first.version, epoch=later))
        await write(client, S, state(2, Version(later, 1), epoch=later))
        await recorder.seqs(1, 1, 2)
    assert [row["reissued"] for row in rows(folder)] == [False, True, False]
    assert rows(folder, "gaps") == []


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_by_an_hour_loses_nothing(
    stepped_redis: OwnRedis, clock_shim: ClockShim, folder: Path, step: float
) -> None:
    """Feynman issues all again under a new epoch, with times by the new clock; the next samples have those too."""
    async with recording(stepped_redis.url, folder) as recorder, connect(stepped_redis.url) as client:
        feed_time, epoch = iso_millis(await client.now()), round(await client.now() * 1000)
        await write(client, S, state(1, epoch=epoch, timestamp=feed_time))
        await recorder.seqs(1)
        clock_shim.step(step)
        assert (await recorder.process.logged("clock_stepped"))["seconds"] == pytest.approx(step, abs=0.5)
        now = iso_millis(await client.now())
        again = state(1, (epoch, 1), epoch=epoch + 1, timestamp=now, feed_time=feed_time)
        await write(client, S, again)
        await write(client, S, state(2, (epoch + 1, 1), epoch=epoch + 1, timestamp=iso_millis(await client.now())))
        await eventually(lambda: len(recorder.rows()) == 3)
    found = sorted(rows(folder), key=lambda row: (row["epoch"], row["seq"]))
    assert [(row["seq"], row["reissued"]) for row in found] == [(1, False), (1, True), (2, False)]
    assert rows(folder, "gaps") == []
    assert (found[2]["recorded"] - found[0]["recorded"]) / 1e6 == pytest.approx(step, abs=60)


async def test_what_the_bridge_says_is_recorded(redis_url: str, client: Client, folder: Path) -> None:
    port = free_port()
    link = {"RECORDER_BRIDGE_URL": f"ws://127.0.0.1:{port}/ws", "RECORDER_SYMBOLS": S}
    for symbol in ("DIA", S):
        await write(client, symbol, state(1))
    async with recording(redis_url, folder, **link) as recorder:
        await eventually(lambda: recorder.rows("outages"))
        async with bridging(redis_url, port):
            await beat(client)
            await eventually(lambda: S in {row["symbol"] for row in recorder.rows("freshness")})
            await recorder.process.logged("linked")
        await eventually(lambda: [row["hop"] for row in recorder.rows("outages")].count("bridge") >= 3)
    freshness = rows(folder, "freshness")
    assert freshness[0]["symbol"] == "*"
    assert {row["symbol"] for row in freshness} == {"*", S}, "only the chosen symbols have rows"
    assert {row["status"] for row in freshness if row["symbol"] == S} <= {"stale", "expired"}
    bridge = [row["until"] is None for row in rows(folder, "outages") if row["hop"] == "bridge"]
    assert bridge == [True, False, True]


async def test_a_full_disk_ends_nothing_and_is_said(redis_url: str, client: Client, folder: Path) -> None:
    """Its files may become no larger than a few KiB: as a full disk, the system refuses the rest."""
    async with recording(redis_url, folder) as recorder:
        await write(client, S, state(1))
        await recorder.seqs(1)
        _limit(recorder.process.pid, largest(folder))
        await write(client, S, state(2, 1))
        assert "error" in await recorder.process.logged("disk_takes_nothing")
        assert (await recorder.process.get("/status")).json()["record"]["problem"]
        _limit(recorder.process.pid, -1)
        await write(client, S, state(3, 2))
        await recorder.seqs(1, 2, 3)
        assert await recorder.process.stop() == 0
    assert rows(folder, "gaps") == []


def largest(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.rglob("*.arrow"))


def _limit(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
