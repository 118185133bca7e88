"""What was traded since the sample before, from one counter, in plain Python."""

import math


class PlainCounter:
    """Volume or trades, cumulative over the session, from sample to sample."""

    def __init__(self, field: str) -> None:
        self.missing = f"no_{field}"
        self.score = 0
        self.fell_from = 0.0
        """From where it fell by more than half, until it is back there; 0 if it did not."""
        self.newest: float | None = None
        """The newest difference."""
        self.taken_back = False
        """Whether the value before the newest was a mistake."""

    def difference(
        self, value: float | None, previous: float | None, hole: bool, gap: bool, session: bool
    ) -> tuple[float | None, str | None]:
        """What was traded since the sample before, or None and why it is unknown."""
        self.taken_back = False
        fell_from = self.fell_from
        if hole and value is not None and previous is not None and value < previous / 2:
            gap = True
        if session:
            self.score = 0
        if session or gap or (value is not None and value >= fell_from):
            self.fell_from = 0.0
        if value is None or previous is None:
            cause = self.missing
        elif math.isinf(value) or math.isinf(previous):
            cause = "overflow"
        elif session or (gap and value < previous / 2):
            cause = "session"
        elif gap:
            cause = "gap"
        elif any(
            0.9 * 2**bits <= previous <= 2**bits and value < (1 - 0.9) * 2**bits for bits in (31, 32, 53, 63, 64)
        ):
            cause = "overflow"
        else:
            return self.of_one_counter(value, previous, fell_from)
        return self.told(None, cause)

    def of_one_counter(self, value: float, previous: float, fell_from: float) -> tuple[float | None, str | None]:
        """The same, where both are of one counter that did not wrap."""
        if value > previous:
            if fell_from > 0 and value >= fell_from / 2 and value > 2 * previous:
                self.fell_from = 0.0
                return self.told(None, "correction")
            self.score = max(0, self.score - 1)
        if value >= previous:
            return self.told(value - previous, None)
        self.score += 16
        if self.score >= 40:
            self.score = 200
        if value < previous / 2:
            self.taken_back = self.newest is not None and value >= previous - self.newest
            if not self.taken_back:
                self.fell_from = max(self.fell_from, previous)
        return self.told(None, "correction")

    def told(self, increase: float | None, cause: str | None) -> tuple[float | None, str | None]:
        """A rolling figure tells nothing, whether it rises or falls."""
        if self.score >= 40 and cause in (None, "correction"):
            increase, cause = None, "rolling"
        self.newest = increase
        return increase, cause
