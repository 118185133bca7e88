"""Which refusals get a line of their own in the log, and when a summary is due.

What comes from outside may be wrong in many places at once and for long. The rule: each reason is told once for each
subject, which is a symbol or a line, until there were many lines; the rest is counted, and a summary tells how many
there were of each reason. Feynman uses it for snapshots and names, the market service for rows.
"""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_LINES = 50
WINDOW_SECONDS = 60.0
"""In such a time no refusal is told twice, and MOST_LINES are told."""
GATHERED_SECONDS = 5.0
"""The first summary comes so long after the first refusal that it counts, so that it counts what belongs together."""
LONGEST_GATHERED_SECONDS = 600.0
"""While it goes on, each further one takes twice as long, up to this."""


@dataclass(slots=True)
class RefusalTally:
    """Counts refusals by reason, and knows what was told of them. Its memory is bounded by MOST_LINES."""

    monotonic: Callable[[], float] = time.monotonic
    counts: Counter[str] = field(default_factory=Counter)
    """How many there were of each reason since the last summary."""
    _told: dict[tuple[str, str | int], float] = field(default_factory=dict)
    """When each was told, the earliest first."""
    _untold: int = 0
    """How many of the counted ones had no line."""
    _first_at: float = 0.0
    _summarised_at: float = -math.inf
    _gathering: float = GATHERED_SECONDS

    def take(self, reason: str, subject: str | int) -> bool:
        """Count a refusal. Returns whether it is to have a line of its own."""
        now = self.monotonic()
        if not self.counts:
            self._first_at = now
            if now - self._summarised_at > GATHERED_SECONDS:  # it does not go on, but begins again
                self._gathering = GATHERED_SECONDS
        self.counts[reason] += 1
        while self._told and now - next(iter(self._told.values())) >= WINDOW_SECONDS:
            del self._told[next(iter(self._told))]
        if (reason, subject) in self._told or len(self._told) >= MOST_LINES:
            self._untold += 1
            return False
        self._told[reason, subject] = now
        return True

    def summary(self, *, last: bool = False) -> Counter[str] | None:
        """The counts, if a summary is due. `last`: it is, if there is anything to tell, since nothing comes after."""
        now = self.monotonic()
        if not self.counts or (now - self._first_at < self._gathering and not last):
            return None
        counts, untold = self.counts, self._untold
        self.counts, self._untold = Counter(), 0
        if counts.total() == 1 and not untold:  # it had a line of its own
            return None
        self._summarised_at = now
        self._gathering = min(2 * self._gathering, LONGEST_GATHERED_SECONDS)
        return counts
