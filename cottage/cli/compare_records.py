"""`cottage compare`: prints where two records differ."""

from pathlib import Path

from cottage.errors import UnusableSource
from cottage.record.compare import compared
from cottage.record.record import is_record


def compare(first: str, second: str) -> int:
    """Print the report. Returns the exit status: 0 where they are equal, else 1. Raises UnusableSource for a folder
    that is no record, and what `compared` does."""
    for folder in (first, second):
        if not is_record(Path(folder)):
            raise UnusableSource(f"{folder} is no record: it has no manifest.json")
    found = compared(Path(first), Path(second))
    print("\n".join(found.lines()))
    return 0 if found.equal else 1
