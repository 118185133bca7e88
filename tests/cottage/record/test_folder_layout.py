from pathlib import Path

from cottage.record.folder_layout import free_hour_path, hour_path, piece_path
from tests.cottage.record.rows_of_samples import HOUR


def test_paths(tmp_path: Path) -> None:
    assert hour_path("samples", HOUR, 0) == "samples/date=2025-11-26/13.parquet"
    assert hour_path("gaps", HOUR + 11, 2) == "gaps/date=2025-11-27/00-2.parquet"
    assert piece_path("samples", HOUR, 42) == "pieces/samples/2025-11-26T13-00000042.parquet"
    taken = {hour_path("samples", HOUR, 0)}
    (tmp_path / "samples/date=2025-11-26").mkdir(parents=True)
    (tmp_path / hour_path("samples", HOUR, 1)).touch()
    assert free_hour_path(tmp_path, "samples", HOUR, taken) == "samples/date=2025-11-26/13-2.parquet"
