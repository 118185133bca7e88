"""`cottage compare`: its report and its exit status."""

from pathlib import Path
from typing import Any

import pytest

from cottage.cli import main
from tests.cottage.record.ticks import record, row


def states(folder: Path, **last: Any) -> Path:
    """Three states of one symbol; `last`: what the newest says otherwise."""
    said = {"mass": 0.5, "regime": "WAIT", "alpha": 2.5}
    rows = [row("SPY", 7, seq, samples=seq, **said) for seq in (1, 2, 3)]
    return record(folder, [*rows[:2], rows[2] | last])


def test_the_exit_status_says_whether_two_records_are_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = states(tmp_path / "a"), states(tmp_path / "b", mass=0.25, alpha=2.0)
    assert main(["compare", str(first), str(first)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "equal: all 3 states",
        "3 samples in both",
        "3 states compared, 3 of them in all digits",
    ]
    assert main(["compare", str(first), str(second)]) == 1
    assert capsys.readouterr().out.splitlines()[:3] == [
        "first difference: SPY at 2025-11-26T13:00:03.000Z, alpha: 2.5 and 2.0",
        "          1 × mass",
        "          1 × alpha",
    ]


def test_a_folder_that_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(states(tmp_path / "a")), str(tmp_path)]) == 2
    assert "is no record: it has no manifest.json" in capsys.readouterr().err
