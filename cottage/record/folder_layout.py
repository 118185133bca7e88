"""Where things are in the folder of a record, and what they are called."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

LOCK = "lock"
AHEAD = "ahead"
PIECES = "pieces"
STAGING = "staging"
"""What a job in progress writes: nobody else's business, and removed when a writer begins."""
READY = f"{STAGING}/ready"
"""Finished files on their way to their places, by the same paths within."""
HOUR = 3_600_000_000
"""In microseconds."""


def hour_path(table: str, hour: int, number: int) -> str:
    """The path of the file of an hour (in hours since 1970), such as samples/date=2026-11-26/14.parquet; `number` is
    which one of this hour, from 0."""
    begin = _begin(hour)
    return f"{table}/date={begin:%Y-%m-%d}/{begin:%H}{f'-{number}' if number else ''}.parquet"


def piece_path(table: str, hour: int, number: int) -> str:
    return f"{PIECES}/{table}/{_begin(hour):%Y-%m-%dT%H}-{number:08}.parquet"


def free_hour_path(folder: Path, table: str, hour: int, taken: set[str]) -> str:
    """The first path of that hour that no file has."""
    number = 0
    while (path := hour_path(table, hour, number)) in taken or (folder / path).exists():
        number += 1
    return path


def _begin(hour: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(hours=hour)
