"""From which sample on the states of a symbol must be equal in two recordings, the second a replay of the first.

A state depends on all that its window has ever remembered. Where both windows begin in the recordings, or the replay
began with the checkpoint of the first, it is the first sample. Else it is the first at which all of it has been
settled anew:

- the window: in both at least one sample more was recorded than it holds, so the newest that has left was too;
- δ with its failed votes, the step, and the regime: they are the same in both. Each follows from the window and from
  what it was before, so once they are the same they stay so.

Since when a regime holds may lie before that, and is compared from the first change of it on.
"""

from dataclasses import dataclass

REMEMBERED = ("grid", "votes", "step", "regime")
"""What a state remembers beside its window."""


@dataclass(slots=True)
class Settling:
    """How far a symbol has settled in two recordings."""

    recorded: int = 0
    """How many samples both have, since the beginning or since one of them has missed some."""
    exact: bool | None = None
    """Whether all is known from the first sample on; None before the first state."""
    settled: int | None = None
    """The market's time of the sample from which states must be equal; None before it."""

    def begin_anew(self) -> None:
        """One of the recordings lacks samples here; which before the first that both have is of no account."""
        if self.recorded:
            self.recorded, self.exact, self.settled = 0, False, None

    def take(self, at: int, samples: tuple[int, int] | None, *, same: bool) -> bool:
        """Both have this sample. Returns whether its states must be equal.

        `samples`: how many the windows of the two hold, None where one has no state; `same`: whether what is
        REMEMBERED is the same in both."""
        self.recorded += 1
        if samples is None:
            return False
        if self.exact is None:
            first, second = samples
            # A window that holds more than was replayed began with a checkpoint.
            self.exact = second > self.recorded or first == second
            if self.exact:
                self.settled = at
        if self.settled is None and same and self.recorded > max(samples):
            self.settled = at
        return self.settled is not None
