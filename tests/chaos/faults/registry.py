"""The kinds of faults, and what has to be known of each."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.chaos.suite import Suite

Breaking = Callable[[Suite, random.Random], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    kind: str
    breaking: Breaking
    lossy: bool = False
    """Redis may hold older states after it, or none."""
    patience: float = 0.0
    """Seconds beyond the usual in which all has to be well again."""
    alone: bool = False
    """It is not combined with another."""
    deletes: bool = False
    """States are gone for good."""
    ends_processes: bool = False
    """Of the suite, whose memory then begins anew."""
    steps: bool = False
    """It sets a clock: without a ClockShim it cannot be."""
    takes_back: bool = False
    """Versions that clients hold are taken back by REMOVED."""
    healing: float = 0.0
    """Seconds that are promised beyond the usual."""
    undates: bool = False
    """Who wrote did not see a step: samples of before look older than they are, or expired, until there are newer."""


KINDS: dict[str, Fault] = {}


def fault(**properties: Any) -> Callable[[Callable[[Suite, random.Random], AsyncIterator[None]]], Breaking]:
    """Registers a kind of fault under its function's name, with these properties of Fault."""

    def register(function: Callable[[Suite, random.Random], AsyncIterator[None]]) -> Breaking:
        breaking: Breaking = asynccontextmanager(function)
        KINDS[function.__name__] = Fault(function.__name__, breaking, **properties)
        return breaking

    return register
