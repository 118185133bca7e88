"""What a mark about windows does, and where it does nothing."""

from pathlib import Path
from typing import Any

import pytest
import structlog

from cottage.clock import SystemClock
from cottage.lock_step import Mark
from cottage.record.checkpoints import SAVED, CheckpointName
from services.feynman.replayed_record import ReplayedRecord
from services.feynman.settings import FeynmanSettings
from services.feynman.symbol_table import SymbolTable
from tests.services.feynman.test_checkpointer import events, saved, settings_for, table_with
from tests.services.feynman.test_symbol_table import NOW, raw, state, take

NAME = CheckpointName(SAVED, 1, "0/1")


@pytest.fixture
def logs() -> Any:
    with structlog.testing.capture_logs() as captured:
        yield captured


async def record(folder: Path) -> Path:
    """A record with a checkpoint of S0 and S1, which have had five samples, at prices from 100 on."""
    await saved(settings_for(folder / "own"), table_with(2))
    NAME.path(folder).parent.mkdir()
    (folder / "own" / "windows-0-of-1.npz").rename(NAME.path(folder))
    return folder


def replayed(table: SymbolTable, folder: Path | str, **settings: Any) -> ReplayedRecord:
    chosen = FeynmanSettings(replay_dir=str(folder), **{"window": 20, **settings})
    return ReplayedRecord(chosen, table, SystemClock())


def sample(table: SymbolTable, symbol: str, second: int, price: float = 200.0) -> int | None:
    """How many samples the window has after one more."""
    row = raw(price, NOW + second, 8 + second, 2 + second, source=b"replay", event_time=NOW + second)
    assert take(table, symbol, row)[0] == [symbol]
    return state(table, symbol, (1, second)).samples


async def test_the_next_sample_is_appended_to_the_window_of_the_checkpoint(tmp_path: Path, logs: list[Any]) -> None:
    table = SymbolTable(20, 3600.0)
    table.add(["S0", "S1", "S2"])
    replay = replayed(table, await record(tmp_path))
    assert [sample(table, symbol, 10) for symbol in ("S0", "S2")] == [1, 1]
    await replay.replace_windows([Mark("REPLAY", 1, ("S0", "S2"), str(NAME))])
    assert state(table, "S0", (1, 11)).samples == 1, "until then the state stays what it is"
    assert [sample(table, symbol, 12) for symbol in ("S0", "S1", "S2")] == [6, 1, 1], (
        "S1 was not named, S2 is not there"
    )
    assert [sample(table, symbol, 13) for symbol in ("S0", "S1", "S2")] == [7, 2, 2]
    assert state(table, "S0", (1, 14)).source == "replay"
    assert [line for line in logs if line["event"] == "windows_replaced"] == [
        {"event": "windows_replaced", "log_level": "info", "symbols": 2, "checkpoint": str(NAME)}
    ]


async def test_a_mark_that_is_sent_again_is_done_once(tmp_path: Path) -> None:
    table = SymbolTable(20, 3600.0)
    table.add(["S0"])
    replay = replayed(table, await record(tmp_path))
    mark = Mark("REPLAY", 1, ("S0",), str(NAME))
    await replay.replace_windows([mark])
    assert sample(table, "S0", 10) == 6
    await replay.replace_windows([mark, Mark("REPLAY", 2, ("S0",))])
    assert sample(table, "S0", 11) == 7
    await replay.replace_windows([Mark("REPLAY", 3, ("S0",), "")])
    assert sample(table, "S0", 12) == 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [(str(NAME), {"window": 30}), (str(CheckpointName(SAVED, 2, "0/1")), {}), ("../windows", {}), ("", {})],
    ids=["another window", "no such file", "no name", "none"],
)
async def test_without_a_checkpoint_that_can_be_used_windows_begin_empty(
    tmp_path: Path, name: str, settings: dict[str, Any], logs: list[Any]
) -> None:
    table = SymbolTable(settings.get("window", 20), 3600.0)
    table.add(["S0"])
    replay = replayed(table, await record(tmp_path), **settings)
    assert [sample(table, "S0", second) for second in (10, 11)] == [1, 2]
    await replay.replace_windows([Mark("REPLAY", 1, ("S0",), name)])
    assert sample(table, "S0", 12) == 1
    assert ("windows_begin_empty" in events(logs)) == name.startswith("saved")


async def test_only_symbols_of_the_own_shard(tmp_path: Path, logs: list[Any]) -> None:
    table = SymbolTable(20, 3600.0)
    replay = replayed(table, await record(tmp_path), shard="1/2")
    await replay.replace_windows([Mark("REPLAY", 1, tuple(f"S{i}" for i in range(20)), "")])
    *_, line = logs
    assert 0 < line["symbols"] < 20


async def test_who_replays_no_record_keeps_all_windows(tmp_path: Path, logs: list[Any]) -> None:
    table = SymbolTable(20, 3600.0)
    table.add(["S0"])
    replay = replayed(table, "")
    assert [sample(table, "S0", second) for second in (10, 11)] == [1, 2]
    await replay.replace_windows([Mark("REPLAY", 1, ("S0",), "")])
    assert sample(table, "S0", 12) == 3
    assert events(logs) == ["windows_kept"]
