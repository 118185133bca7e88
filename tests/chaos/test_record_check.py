"""The check of a record finds what is hidden, dropped or doubled, also where the recorder itself does it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from cottage.record.record_writer import RecordWriter
from cottage.record.state_rows import said_by_update
from cottage.state import PhysicsState
from services.recorder.confirmation import Confirmed
from services.recorder.keeper import Keeper
from tests.chaos import sabotage
from tests.chaos.record_check import wrong_in
from tests.services.recorder.states import EPOCH, state


@pytest.fixture(autouse=True)
def _made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sabotage takes out of the keeper is put back after the test."""
    for name in ("keep", "_note_gaps"):
        monkeypatch.setattr(Keeper, name, getattr(Keeper, name))


def record(folder: Path, *versions: PhysicsState) -> None:
    """The record of these versions of SPY."""
    keeper = Keeper()
    for version in versions:
        assert version.version is not None
        said = said_by_update(orjson.loads(version.update("SPY")))
        keeper.keep("SPY", Confirmed(version.version, version.prev, said, True, False), 7)
    with RecordWriter(folder) as writer:
        for table, columns in keeper.take().items():
            writer.append(table, columns)


WHOLE = [state(1), *(state(seq, seq - 1) for seq in range(2, 30))]
WITH_A_GAP = [*WHOLE, state(40, 39), state(41, 40)]
BEGUN_ANEW = [state(1, epoch=EPOCH - 9), state(2, (EPOCH - 9, 1), epoch=EPOCH - 9)]


def test_nothing_is_wrong_where_what_is_missing_is_said(tmp_path: Path) -> None:
    record(tmp_path, *WITH_A_GAP)
    assert wrong_in(tmp_path, {"SPY": WITH_A_GAP[-1].to_bytes()}) == []


def test_a_redis_that_lost_its_data_begins_anew_with_a_lower_epoch(tmp_path: Path) -> None:
    record(tmp_path, *WHOLE, *BEGUN_ANEW)
    assert wrong_in(tmp_path, {"SPY": BEGUN_ANEW[-1].to_bytes()}) == []


@pytest.mark.parametrize(
    ("taken_out", "versions", "words"),
    [
        (sabotage.gaps_hidden, WITH_A_GAP, "no gap says so"),
        (sabotage.gaps_hidden, [*WHOLE, *BEGUN_ANEW], "no gap says so"),
        (sabotage.rows_dropped, WHOLE, "no gap says so"),
        (sabotage.rows_doubled, WHOLE, "is there twice"),
    ],
)
def test_what_a_sabotaged_recorder_does_is_found(
    tmp_path: Path, taken_out: Callable[[], None], versions: Any, words: str
) -> None:
    taken_out()
    record(tmp_path, *versions)
    for payloads in ({}, {"SPY": versions[-1].to_bytes()}):
        assert any(words in each for each in wrong_in(tmp_path, payloads))


def test_a_state_that_is_not_there_or_says_something_else_is_found(tmp_path: Path) -> None:
    record(tmp_path, *WHOLE)
    for other, words in ((state(31, 30), "lacks"), (state(29, 28, price=1.0), "another state")):
        assert any(words in each for each in wrong_in(tmp_path, {"SPY": other.to_bytes()}))


def test_a_state_in_a_gap_that_is_said_is_not_missing(tmp_path: Path) -> None:
    record(tmp_path, *WITH_A_GAP)
    assert wrong_in(tmp_path, {"SPY": state(35, 34).to_bytes()}) == []
