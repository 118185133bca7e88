"""Which refusals get a line of their own in the log, and when a summary is due.

What comes from outside may be wrong in many places at once and for long. The rule: each reason is told once for each
subject, which is a symbol or a line, until there were many lines; the rest is counted, and a summary tells how many
there were of each reason. Feynman uses it for snapshots and names, the market service for rows.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_LINES = 50
WINDOW_SECONDS = 60.0
"""In such a time no refusal is told twice, MOST_LINES are told, and there is one summary."""
GATHERED_SECONDS = 10.0
"""A summary waits for so long while more is refused, so that it counts what belongs together."""


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
    _summarised_at: float | None = None

    def take(self, reason: str, subject: str | int) -> bool:
        """Count a refusal. Returns whether it is to have a line of its own."""
        now = self.monotonic()
        if not self.counts:
            self._first_at = now
        self.counts[reason] += 1
        while self._told and now - next(iter(self._told.values())) >= WINDOW_SECONDS:
            del self._told[next(iter(self._told))]
        if (reason, subject) in self._told or len(self._told) >= MOST_LINES:
            self._untold += 1
            return False
        self._told[reason, subject] = now
        return True

    def summary(self, *, quiet: bool = False, last: bool = False) -> Counter[str] | None:
        """The counts, if a summary is due: there were several, and no more come now (`quiet`), or it waited for long.

        last: it is due if there is anything to tell, since nothing comes after it."""
        now = self.monotonic()
        recent = self._summarised_at is not None and now - self._summarised_at < WINDOW_SECONDS
        gathered = quiet or now - self._first_at >= GATHERED_SECONDS
        if not self.counts or not (last or (gathered and not recent)):
            return None
        counts, untold = self.counts, self._untold
        self.counts, self._untold = Counter(), 0
        if counts.total() == 1 and not untold:
            return None
        self._summarised_at = now
        return counts
