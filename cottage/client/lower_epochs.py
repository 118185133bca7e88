"""How a holder of states comes down from a higher epoch that it was not told to forget. Pure.

REMOVED takes a state back whose epoch is too high: a forged one, or one from before Redis lost its data while its
clock went back. Whoever had no connection at that moment still holds it. Servers compare all that they have with
Redis within some seconds, so a lower epoch that a server still states after that is what Redis has; one that merely
lags behind has caught up by then.
"""

import math

from cottage.version import Version

TAKEN_BACK_SECONDS = 6.0
"""For so long a server must have stated a lower epoch over one connection."""


class LowerEpochs:
    """The symbols of which a server states a lower epoch than what is held. StateReplica and the link have one.
    `now`: monotonic, in seconds."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def clear(self) -> None:
        """To be called on a new connection."""
        self._since.clear()

    def forget(self, name: str) -> None:
        """A newer state of it was taken, or it is gone."""
        if self._since:
            self._since.pop(name, None)

    def stated(self, name: str, newness: Version | None, held: Version | None, now: float) -> bool:
        """The server states a version that is not newer than the held one. Whether to forget the held one."""
        if newness is None or held is None or newness.epoch >= held.epoch:
            self.forget(name)
            return False
        return now - self._since.setdefault(name, now) >= TAKEN_BACK_SECONDS

    def due(self, now: float) -> list[str]:
        """The symbols of which no update has come since: their states are to be asked for again, once."""
        names = [name for name, since in self._since.items() if TAKEN_BACK_SECONDS <= now - since < math.inf]
        self._since.update(dict.fromkeys(names, -math.inf))
        return names
