import json
from pathlib import Path

import pytest

from cottage.cli import main
from cottage.record.checkpoints import SAVED, CheckpointName
from tests.cottage.record.ticks import checkpoint, record, row


def test_inspect_says_what_a_record_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint(tmp_path, CheckpointName(SAVED, 1, "0/1"), {})
    record(tmp_path, [row(f"S{number}", 7, seq) for number in range(9) for seq in (1, 61)])
    assert main(["inspect", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a record, which SOURCE=replay FILE=… SPEED=max replays as it was taken",
        "recorded     2025-11-26T13:00:01.005Z to 2025-11-26T13:01:01.005Z",
        "market       2025-11-26T13:00:01.000Z to 2025-11-26T13:01:01.000Z",
        "source       live, since 2025-11-26T13:00:00.000Z",
        "checkpoints  1",
        "samples      18 of 9 symbols",
        *(f"  S{number}         2" for number in range(8)),
        "  and 1 more",
    ]
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["rows"], told["span_seconds"], told["checkpoints"]) == ("record", 18, 60.0, 1)
    assert told["runs"] == [{"source": "live", "run": "2025-11-26T13:00:00.000Z"}]


def test_a_record_without_a_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(record(tmp_path, []))]) == 2
    assert "is a record without a sample" in capsys.readouterr().err
