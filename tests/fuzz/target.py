"""What a fuzz target is: a reader of untrusted bytes, and what it may do with them."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Run = Callable[[bytes], str]
"""Reads one input. Returns what became of it: `taken`, or the name of the refusal. Anything that it raises is a
finding."""
Mutate = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """One reader, or several that read the same kind of thing."""

    name: str
    about: str
    prepare: Callable[[], Run]
    """Imports what is needed and returns what reads an input."""
    seeds: Callable[[], Iterable[bytes]]
    """Good inputs to begin with, beside the corpus."""
    covered: tuple[str, ...]
    """Packages whose branches guide the search, such as cottage.files."""
    words: tuple[bytes, ...] = ()
    """Words that mean something to the reader."""
    mutate: Mutate | None = None
    """A mutation that knows how inputs are made, beside those of any bytes."""
    longest: int = 64 * 1024
    """Bytes of an input."""
    seconds: float = 10.0
    """An input that takes longer hangs. A busy machine is allowed for."""
    most_bytes: int = 64 * 1024 * 1024
    """By how much inputs that are looked at together may raise the process's peak of memory."""
    looked_at_every: int = 64
    """After so many inputs the peak is looked at."""


class Unnamed(AssertionError):
    """A refusal that does not say what is wrong by one of the known words."""
