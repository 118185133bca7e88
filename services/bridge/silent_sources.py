"""Which sources have fallen silent as a whole, for longer than is usual of them. Pure.

A feed that writes by HSET says nothing of itself, so its death shows by this alone. A source may be slow by nature,
such as one of minute bars, so what is unusual is learned from its own silences.
"""

from collections import deque
from collections.abc import Mapping

REMEMBERED = 64
"""So many of the last silences of a source tell what is usual. An outage is forgotten after as many."""
UNUSUAL = 2.0
"""A silence is unusual if it is so many times as long as the longest of these."""


class SilentSources:
    """The silences of each source. The freshness monitor asks it regularly. Times are monotonic, in seconds."""

    def __init__(self, least: float) -> None:
        """`least`: no shorter silence is unusual."""
        self._least = least
        self._heard: dict[str, float] = {}
        self._silences: dict[str, deque[float]] = {}

    def look(self, heard: Mapping[str, float], now: float) -> dict[str, float]:
        """The sources that are silent for unusually long, each with its silence. `heard`: when the newest sample of
        each source was first heard of."""
        found = {}
        silences = {source: self._silences.get(source, deque(maxlen=REMEMBERED)) for source in heard}
        for source, at in heard.items():
            before = self._heard.get(source, at)
            if at > before:
                silences[source].append(at - before)
            if now - at >= max(self._least, UNUSUAL * max(silences[source], default=0.0)):
                found[source] = now - at
        self._heard, self._silences = dict(heard), silences
        return found

    def has_moved(self, source: str) -> bool:
        """Whether it has brought a sample since this process began."""
        return bool(self._silences.get(source))
