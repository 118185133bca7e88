"""`cottage compare`: prints where two records differ."""

from pathlib import Path

from cottage.errors import MissingExtra, UnusableSource
from cottage.record.record import is_record


def compare(first: str, second: str) -> int:
    """Print the report. Returns the exit status: 0 where they are equal, else 1. Raises UnusableSource for a folder
    that is no record, MissingExtra, and what `compared` does."""
    try:
        from cottage.record.compare import compared
    except ImportError as error:
        raise MissingExtra("a comparison needs pip install 'curiosity-cottage[files]'") from error
    check_record(first, second)
    found = compared(Path(first), Path(second))
    print("\n".join(found.lines()))
    return 0 if found.equal else 1


def check_record(*folders: str) -> None:
    """Raises UnusableSource for a folder that is no record."""
    for folder in folders:
        if not is_record(Path(folder)):
            raise UnusableSource(f"{folder} is no record: it has no manifest.json")
