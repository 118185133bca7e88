"""The version of a symbol's state, (epoch, seq), by which every process decides which of two states is newer."""

from typing import NamedTuple

from cottage.errors import InvalidMessage


class Version(NamedTuple):
    """Orders all versions of a symbol's state: the greater pair is the newer one."""

    epoch: int
    """The epoch of the lease under which it was written, in milliseconds since 1970; above all earlier ones."""
    seq: int
    """The number of the writer's tick within that epoch."""


FARTHEST_AHEAD_SECONDS = 2 * 86400.0
"""An epoch may lie so far ahead of Redis's clock, since that clock may have been set back since the epoch was taken.
One further ahead counts for nobody, or a single forged state could outrank every honest one for ever."""


def latest_epoch(now: float) -> int:
    """The greatest epoch that counts. `now`: Redis's clock, in seconds since 1970."""
    return int((now + FARTHEST_AHEAD_SECONDS) * 1000)


def check_epoch(epoch: int, now: float) -> None:
    """Raises InvalidMessage("epoch") if it lies more than two days ahead of Redis's clock `now` (epoch seconds)."""
    if epoch > latest_epoch(now):
        raise InvalidMessage("epoch", f"{epoch} lies more than two days ahead")
