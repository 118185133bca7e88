"""The version of a symbol's state, (epoch, seq), by which every process decides which of two states is newer."""

from typing import NamedTuple

from cottage.clock import FUTURE_SECONDS
from cottage.errors import InvalidMessage


class Version(NamedTuple):
    """Orders all versions of a symbol's state: the greater pair is the newer one."""

    epoch: int
    """The epoch of the lease under which it was written, in milliseconds since 1970; above all earlier ones."""
    seq: int
    """The number of the writer's tick within that epoch."""


def check_epoch(epoch: int, now: float) -> None:
    """Raises InvalidMessage("epoch") where it lies more than 60 s ahead of Redis's clock `now` (epoch seconds)."""
    if epoch > (now + FUTURE_SECONDS) * 1000:
        raise InvalidMessage("epoch", f"{epoch} lies in the future")
