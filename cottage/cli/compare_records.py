"""`cottage compare`: prints where two records differ."""

from pathlib import Path

from cottage.errors import UnusableSource
from cottage.record.compare import compared
from cottage.record.record import is_record


def compare(first: str, second: str) -> int:
    """Print the report. Returns the exit status: 0 where they are equal, else 1. Raises UnusableSource for a folder
    that is no record, and what `compared` does."""
    check_record(first, second)
    found = compared(Path(first), Path(second))
    print("\n".join(found.lines()))
    return 0 if found.equal else 1


def check_record(*folders: str) -> None:
    """Raises UnusableSource for a folder that is no record."""
    for folder in folders:
        if not is_record(Path(folder)):
            raise UnusableSource(f"{folder} is no record: it has no manifest.json")
