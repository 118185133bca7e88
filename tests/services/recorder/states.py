"""States as feynman's script leaves them, for the tests of the recorder."""

from dataclasses import replace
from typing import Any

from cottage.clock import iso_millis
from cottage.state import GAUSSIAN, PhysicsState
from cottage.version import Version

EPOCH = 1_700_000_000_000
BEGINNING = 1_700_000_000.0


def state(seq: int, prev: int | tuple[int, int] | None = None, epoch: int = EPOCH, **others: Any) -> PhysicsState:
    """The state of this tick. `prev`: the tick, or the version, that it replaced; None: there was none."""
    time = BEGINNING + seq
    values: dict[str, Any] = {
        "price": 450.0 + seq / 4,
        "source": "simulate",
        "feed": "SIM",
        "timestamp": iso_millis(time),
        "step": 1.0,
        "written": round(time * 1e6),
        **others,
    }
    before = None if prev is None else Version(epoch, prev) if isinstance(prev, int) else Version(*prev)
    return PhysicsState(*(0.5,) * 5, GAUSSIAN, 4.0, version=Version(epoch, seq), prev=before, **values)


def forged(honest: PhysicsState) -> PhysicsState:
    """The same version with another price."""
    return replace(honest, price=1.0)
