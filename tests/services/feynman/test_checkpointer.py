"""When windows are saved, and what becomes of what cannot be."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from cottage.clock import SystemClock
from services.feynman.checkpoint import CheckpointPart, CheckpointWriter, read
from services.feynman.checkpointer import Checkpointer
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import SymbolTable
from tests.support import eventually

NOW = 1_766_318_400.0


def settings_for(folder: Path | str, **changed: Any) -> FeynmanSettings:
    return FeynmanSettings(**{"checkpoint_dir": str(folder), "window": 20, "checkpoint_seconds": 1, **changed})


def table_with(symbols: int, samples: int = 5) -> SymbolTable:
    table = SymbolTable(20, 3600.0)
    names = [f"S{i}" for i in range(symbols)]
    table.add(names)
    for step in range(samples):
        rows = [
            (name, [str(100 + step).encode(), str(NOW + step).encode(), b"7", b"1", b"live", *[None] * 12])
            for name in names
        ]
        assert len(table.take(rows, NOW + step, 0.0)[0]) == symbols
    return table


def samples_of(table: SymbolTable) -> dict[str, int]:
    part = table.saved(list(table))
    return dict(zip(part.symbols, part.arrays["samples"].tolist(), strict=True))


async def restored(settings: FeynmanSettings) -> SymbolTable:
    table = SymbolTable(settings.window, 3600.0)
    checkpointer = Checkpointer(settings, table, SystemClock())
    await checkpointer.load()
    return table


@pytest.fixture
def logs() -> Any:
    with structlog.testing.capture_logs() as captured:
        yield captured


def events(logs: list[Any]) -> list[str]:
    return [line["event"] for line in logs]


async def saved(settings: FeynmanSettings, table: SymbolTable) -> None:
    await Checkpointer(settings, table, SystemClock()).save_final()


async def test_a_symbol_table_is_known_again(tmp_path: Path, logs: list[Any]) -> None:
    settings = settings_for(tmp_path)
    table = table_with(600)  # several parts
    table.add(["EMPTY"])
    await saved(settings, table)
    again = await restored(settings)
    assert samples_of(again) == {f"S{i}": 5 for i in range(600)}
    # The next snapshot is its sixth sample.
    row = [b"105", str(NOW + 5).encode(), b"8", b"1", b"live", *[None] * 12]
    assert again.take([("S1", row)], NOW + 5, 0.0)[0] == ["S1"]
    assert samples_of(again)["S1"] == 6
    # Another source begins anew.
    again.take([("S3", [*row[:4], b"replay", *[None] * 12])], NOW + 5, 0.0)
    assert samples_of(again)["S3"] == 1
    assert events(logs) == ["checkpoint_saved", "checkpoint_loaded"]
    assert (logs[0]["symbols"], logs[1]["symbols"]) == (600, 600)


async def test_nothing_is_written_before_a_snapshot_is_seen(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    await saved(settings, table_with(2))
    again = await restored(settings)
    again.version(1, 1, list(again))
    assert list(again.writes()) == []  # what Redis holds may be newer
    behind = [b"103", str(NOW + 3).encode(), b"7", b"1", b"live", *[None] * 12]
    (refusal,) = again.take([("S0", behind)], NOW + 5, 0.0)[1]
    assert [fault.reason for fault in refusal.faults] == ["timestamp"]
    again.version(1, 2, list(again))
    assert list(again.writes()) == []


async def test_a_snapshot_that_has_not_advanced_gives_the_state_that_there_was(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    before = table_with(2)
    await saved(settings, before)
    again = await restored(settings)
    row = [b"104", str(NOW + 4).encode(), b"7", b"1", b"live", *[None] * 12]
    assert again.take([("S0", row)], NOW + 5, 0.0) == (["S0"], [])
    assert again.take([("S0", row)], NOW + 5, 0.0) == ([], [])  # once
    assert samples_of(again) == {"S0": 5, "S1": 5}
    for table in (before, again):
        table.version(2, 1, ["S0"])
    assert list(again.writes()) == [write for write in before.writes() if write.symbol == "S0"]


async def test_only_the_symbols_that_were_asked_for(tmp_path: Path) -> None:
    await saved(settings_for(tmp_path), table_with(3))
    assert set(await restored(settings_for(tmp_path, symbols="S1,S9"))) == {"S1"}


async def test_without_a_folder_it_says_so_and_does_nothing(logs: list[Any]) -> None:
    settings = settings_for("")
    table = await restored(settings)
    checkpointer = Checkpointer(settings, table, SystemClock())
    await checkpointer.save_periodically()
    await checkpointer.save_final()
    assert events(logs) == ["checkpoints_off"]
    assert checkpointer.status() is None


async def test_without_a_file_it_begins_anew(tmp_path: Path, logs: list[Any]) -> None:
    assert len(await restored(settings_for(tmp_path / "not there yet"))) == 0
    assert events(logs) == []


async def test_one_that_cannot_be_used_is_said_and_left_aside(tmp_path: Path, logs: list[Any]) -> None:
    await saved(settings_for(tmp_path), table_with(2))
    path = tmp_path / "windows-0-of-1.npz"
    content = path.read_bytes()
    assert len(await restored(settings_for(tmp_path, window=30))) == 0
    assert logs[-1]["event"] == "checkpoint_refused"
    assert logs[-1]["reason"] == "it was sampled with window 20, now it is 30"
    assert logs[-1]["left_aside"] == str(path) + ".refused"
    assert ((tmp_path / "windows-0-of-1.npz.refused").read_bytes(), path.exists()) == (content, False)
    # Another split of the symbols has files of its own.
    assert len(await restored(settings_for(tmp_path, shard="0/2"))) == 0


async def test_one_that_is_too_old_is_said_and_replaced(
    tmp_path: Path, logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path)
    await saved(settings, table_with(2))
    later = SystemClock().time() + 4000
    monkeypatch.setattr(SystemClock, "time", lambda _self: later)
    assert len(await restored(settings)) == 0
    assert (logs[-1]["event"], logs[-1]["reason"]) == ("checkpoint_too_old", "it is 4000 s old")
    assert (tmp_path / "windows-0-of-1.npz").exists()


@pytest.fixture
async def keeping(tmp_path: Path) -> AsyncIterator[tuple[Checkpointer, SymbolTable]]:
    table = table_with(300)
    checkpointer = Checkpointer(settings_for(tmp_path / "folder"), table, SystemClock())
    task = asyncio.create_task(checkpointer.save_periodically())
    yield checkpointer, table
    task.cancel()
    await asyncio.wait([task])
    await checkpointer.save_final()


async def test_it_saves_again_and_again(keeping: tuple[Checkpointer, SymbolTable], tmp_path: Path) -> None:
    checkpointer, table = keeping

    def file_of() -> os.stat_result | None:
        path = tmp_path / "folder" / "windows-0-of-1.npz"
        return path.stat() if path.exists() else None

    first = await eventually(file_of)
    table.take([("S0", [b"105", str(NOW + 5).encode(), b"8", b"1", b"live", *[None] * 12])], NOW + 5, 0.0)
    await eventually(lambda: file_of() != first and _samples_in(tmp_path / "folder") == 6)
    status = checkpointer.status()
    assert status is not None
    assert status["problem"] is None
    assert status["saved_at"] > NOW


class VirtualClock(SystemClock):
    """Time passes where somebody sleeps, or where a test lets it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize("disk", [0.0, 0.05, 0.5], ids=["fast", "slow", "slower"])
async def test_no_saved_sample_is_ever_older_than_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: float
) -> None:
    """A kill just before a file is whole costs what has come since the one before began."""
    clock = VirtualClock()
    begun: list[float] = []
    finished: list[float] = []

    class Observed(CheckpointWriter):
        def open(self) -> None:
            begun.append(clock.now)
            super().open()

        def add(self, part: CheckpointPart) -> None:
            clock.now += disk
            super().add(part)

        def finish(self, now: float) -> int:
            finished.append(clock.now)
            return super().finish(now)

    monkeypatch.setattr("services.feynman.checkpointer.CheckpointWriter", Observed)
    monkeypatch.setattr("services.feynman.checkpointer.PART_SYMBOLS", 10)
    checkpointer = Checkpointer(settings_for(tmp_path, checkpoint_seconds=60), table_with(300), clock)
    task = asyncio.create_task(checkpointer.save_periodically())
    await eventually(lambda: len(finished) >= 6)
    task.cancel()
    await asyncio.wait([task])
    assert finished[0] <= 60 + 30 * disk  # how long the first takes is not known before it
    ages = [end - begin for begin, end in zip(begun, finished[1:], strict=False)]
    assert max(ages[1:]) <= 60
    assert min(ages[1:]) > 40  # nor is it saved all the time


def _samples_in(folder: Path) -> int:
    with np.load(folder / "windows-0-of-1.npz") as archive:
        return int(archive["0/samples"][0])


async def test_a_folder_that_cannot_be_written_to_is_said_and_tried_again(tmp_path: Path, logs: list[Any]) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    settings = settings_for(blocked)
    table = table_with(3)
    checkpointer = Checkpointer(settings, table, SystemClock())
    task = asyncio.create_task(checkpointer.save_periodically())
    await eventually(lambda: "checkpoint_failed" in events(logs))
    status = checkpointer.status()
    assert status is not None
    assert "file" in status["problem"]
    blocked.unlink()
    await eventually(lambda: events(logs)[-2:] == ["checkpoint_recovered", "checkpoint_saved"])
    assert events(logs).count("checkpoint_failed") == 1
    task.cancel()
    await asyncio.wait([task])
    await checkpointer.save_final()


async def test_of_two_processes_with_the_same_file_one_saves(tmp_path: Path, logs: list[Any]) -> None:
    settings = settings_for(tmp_path)
    holder = Checkpointer(settings, table_with(2), SystemClock())
    await holder.save(0.0)
    standby = Checkpointer(settings, table_with(3), SystemClock())
    for _ in range(3):
        await standby.save(0.0)
    assert set(await restored(settings)) == {"S0", "S1"}
    assert events(logs).count("checkpoint_standby") == 1
    status = standby.status()
    assert status is not None
    assert status["problem"] == "another process saves to this file"
    await holder.save_final()

    async def saved_by_the_other() -> bool:
        await standby.save(0.0)
        return set(await restored(settings)) == {"S0", "S1", "S2"}

    await eventually(saved_by_the_other)  # the thread gives the lock back when it has done the rest
    await standby.save_final()


async def test_what_another_process_saves_is_not_moved(tmp_path: Path, logs: list[Any]) -> None:
    holder = Checkpointer(settings_for(tmp_path), table_with(2), SystemClock())
    await holder.save(0.0)
    assert len(await restored(settings_for(tmp_path, window=30))) == 0
    refused = next(line for line in logs if line["event"] == "checkpoint_refused")
    assert refused["left_aside"] == "not moved: another process saves to this file"
    assert set(await restored(settings_for(tmp_path))) == {"S0", "S1"}
    await holder.save_final()


async def test_a_stop_while_it_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path)
    await saved(settings, table_with(2))
    reading, go_on = threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> Generator[CheckpointPart, None, None]:
        reading.set()
        assert go_on.wait(20)
        yield from read(*arguments)

    monkeypatch.setattr("services.feynman.checkpointer.read", slowly)
    checkpointer = Checkpointer(settings, SymbolTable(20, 3600.0), SystemClock())
    task = asyncio.create_task(checkpointer.load())
    await eventually(reading.is_set)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    go_on.set()
    await checkpointer.save_final()


async def test_what_is_cut_short_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.feynman.checkpointer.PART_SYMBOLS", 1)
    table = table_with(200)
    checkpointer = Checkpointer(settings_for(tmp_path, checkpoint_seconds=60), table, SystemClock())
    task = asyncio.create_task(checkpointer.save(60.0))
    await eventually(lambda: list(tmp_path.glob(".windows*.tmp")))
    task.cancel()
    await asyncio.wait([task])
    await eventually(lambda: [path.name for path in tmp_path.iterdir()] == [".windows-0-of-1.npz.lock"])


async def test_a_last_one_that_takes_too_long_is_given_up(
    tmp_path: Path, logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.feynman.checkpointer.FINAL_SECONDS", 0.0)
    await saved(settings_for(tmp_path), table_with(2000))
    assert events(logs) == ["checkpoint_too_slow"]
    assert not (tmp_path / "windows-0-of-1.npz").exists()
