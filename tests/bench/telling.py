"""What a benchmark says: figures on stdout, and on stderr how far it has come."""

import sys


def say(text: str = "", end: str = "\n") -> None:
    print(text, end=end, flush=True)


def progress(text: str) -> None:
    """In one line that the next one overwrites; an empty one clears it."""
    print(f"\r{text:70}\r", end="", file=sys.stderr, flush=True)
