"""What is proved of the states of a process that took over from one that was killed."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from cottage.record.checkpoints import BEGUN, SAVED, CheckpointName
from cottage.record.proof import Proof, prove
from cottage.record.record import Record
from cottage.record.state_rows import state_of, version_of
from cottage.record.takeovers import begun_with
from cottage.reference import PlainSample
from cottage.version import Version
from services.feynman.symbol_table import SymbolTable
from tests.cottage.record.feynman_rows import RecordedFeynman, element, snapshot
from tests.cottage.record.kernel_rows import eventful_history
from tests.cottage.record.ticks import checkpoint, record

WINDOW = 40


class Restarted(RecordedFeynman):
    """One whose process is killed, and begins with the checkpoint that was saved last."""

    def __init__(self, history: Sequence[PlainSample]) -> None:
        super().__init__(WINDOW)
        self.begun: dict[int, Mapping[str, Sequence[int] | None]] = {}
        """By epoch, what its checkpoint holds."""
        self._history, self._next = history, 0
        self._part = self.table.saved(["SPY"])

    def save(self) -> None:
        self._part = self.table.saved(["SPY"])

    def take(self, number: int, each: int = 1, *, listed: bool = True) -> None:
        """Take so many samples more, `each` together. `listed`: whether the feed has listed those before."""
        for place in range(self._next + each - 1, self._next + number, each):
            sample = self._history[place]
            now, fills = sample.timestamp + 0.1, range(max(0, place - 90), place) if listed else ()
            listing = {"SPY": [element(self._history[at], at + 1, 0.0) for at in fills]}
            sampled, refused = self.table.take([("SPY", snapshot(sample, place + 1, 0.0))], now, now, listing)
            assert not refused
            while sampled:
                self.write(now)
                sampled = self.table.take_rest(now, now)
        self._next += number

    def restart(self) -> None:
        self.table = SymbolTable(WINDOW, 3600.0)
        if self._part.symbols:
            self.table.restore(self._part)
        self.table.add(["SPY"])
        *_, newest = (list(rows) for _, rows in groupby(self.rows, version_of))
        now = self._history[self._next].timestamp
        self.table.adopt(["SPY"], {"SPY": state_of(newest)}, now, now)
        self.new_epoch()
        versions = zip(self._part.symbols, self._part.versions or (), strict=True)
        self.begun[self.epoch] = {symbol: version and [*version] for symbol, version in versions}

    def record(self, folder: Path, *, begun: bool = True) -> Record:
        """`begun`: with what each process began with."""
        record(folder, self.rows)
        for epoch, held in self.begun.items() if begun else ():
            checkpoint(folder, CheckpointName(BEGUN, epoch, "0/1"), held)
        return Record(folder)


def proofs(found: Record, rows: Sequence[Mapping[str, Any]]) -> list[Proof]:
    return [prove(found, "SPY", Version(row["epoch"], row["seq"]), row["recorded"]) for row in rows if row["last"]]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("lost", [0, 30, 80])
@pytest.mark.parametrize("saved", [True, False])
def test_states_behind_a_takeover_are_proved(tmp_path: Path, saved: bool, lost: int, listed: bool) -> None:
    """Some samples after the checkpoint the process is killed. The next one takes again what is listed."""
    feynman = Restarted(eventful_history(5, 300))
    feynman.take(90)
    if saved:
        feynman.save()
    feynman.take(lost)
    before = len(feynman.rows)
    feynman.restart()
    feynman.take(30, 3, listed=listed)
    feynman.restart()
    feynman.take(48, 2)
    doubts = [proof.doubts for proof in proofs(feynman.record(tmp_path), feynman.rows[before:][::7])]
    assert doubts == [[] for _ in doubts]


def test_where_it_is_not_known_with_what_it_began_that_is_the_one_reason(tmp_path: Path) -> None:
    feynman = Restarted(eventful_history(5, 300))
    feynman.take(90)
    feynman.save()
    feynman.take(60)
    feynman.restart()
    feynman.take(20, listed=False)
    (proof,) = proofs(feynman.record(tmp_path, begun=False), feynman.rows[-1:])
    ((code, detail),) = proof.doubts
    assert code == "writers"
    assert detail.startswith(
        f"another process of feynman took over with epoch {feynman.epoch} (2 writers in the window)"
    )
    assert proof.computed is not None
    assert all(difference.field in detail for difference in proof.computed.differences)


def test_a_row_that_was_altered_behind_a_takeover_is_told(tmp_path: Path) -> None:
    feynman = Restarted(eventful_history(5, 300))
    feynman.take(90)
    feynman.save()
    place = len(feynman.rows) - 5
    feynman.take(10)
    feynman.restart()
    feynman.take(8)
    feynman.rows[place] = feynman.rows[place] | {"price": feynman.rows[place]["price"] + 0.25}
    (proof,) = proofs(feynman.record(tmp_path), feynman.rows[-1:])
    assert {doubt.code for doubt in proof.doubts} == {"differs"}


def test_what_each_process_began_with(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    checkpoint(tmp_path, CheckpointName(BEGUN, 7, "0/1"), {})
    checkpoint(tmp_path, CheckpointName(BEGUN, 8, "0/1"), {"SPY": [7, 2]})
    checkpoint(tmp_path, CheckpointName(BEGUN, 9, "0/1"), {"SPY": None})  # a file of before it said so
    checkpoint(tmp_path, CheckpointName(SAVED, 10, "0/1"), {"SPY": [7, 3]})
    (folder / "begun-11-0-of-1.npz").write_bytes(b"torn")
    checkpoint(tmp_path, CheckpointName(BEGUN, 12, "0/1"), {"SPY": [7, 4]})
    assert begun_with(tmp_path, "SPY", range(12)) == {7: None, 8: Version(7, 2)}
