"""How long a step is, from how far samples lie apart, in plain Python."""

import math

YOUNG = 64
LONGEST_STEP = 1e9


class Spacing:
    """The running median of how far samples lie apart, and the step, from sample to sample."""

    def __init__(self) -> None:
        self.median = 2.0
        self.step = 1.0
        self.samples = 0

    def after(self, seconds: float, interval: float | None) -> float:
        """The step after a sample that lies so many seconds behind the one before it."""
        factor = 2 ** (1 / 8) if self.samples < YOUNG else 2 ** (1 / 64)
        self.median = max(2.0, self.median * factor if seconds > self.median else self.median / factor)
        if self.median / 2 >= 1.5 * self.step or self.median / 2 <= self.step / 1.5:
            self.step = float(math.floor(self.median / 2 + 0.5))
        if interval is not None:
            self.step = min(interval, LONGEST_STEP)
            self.median = 2 * self.step
        self.samples += 1
        return self.step
