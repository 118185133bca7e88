"""Whose samples go into a symbol's window, where the writer of its snapshots changes. Pure; the symbol table uses it.

A writer is known by its source and its feed. Our own feeds keep each other from writing one symbol
(cottage/ownership.py); strangers that write by HSET do not, and their prices must not share a window. The rule:

- So is one that writes another spelling of the same symbol, such as `BRK/B` beside `BRK-B`.
- A writer that is new takes the symbol over at once, with a new window: a feed was replaced.
- If one that was replaced comes back within a minute of its last sample, both are writing. The older one, which came
  back, has the symbol again, and keeps it until it has been silent for a minute. So the window begins anew twice, and
  not at each change for ever. The samples of all others are refused meanwhile.
"""

from dataclasses import dataclass, field

SILENT_SECONDS = 60.0
"""A writer without a new sample for so long has gone."""
MOST_WRITERS = 8
"""Within a minute; further ones are refused, or one who writes under ever new names would begin ever new windows."""

SnapshotWriter = tuple[str, str | None, str | None]
"""The source, the feed, and the symbol as its venue spells it where that differs."""


@dataclass(slots=True)
class _Contest:
    """The writers of one symbol within the last minute."""

    former: dict[SnapshotWriter, float] = field(default_factory=dict)
    """Those that had the symbol, with the time of their last sample."""
    until: float = -1.0
    """Until when several writers are known to be there."""


class WriterChanges:
    """The writers that the symbols had within the last minute. All times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._contests: dict[str, _Contest] = {}

    def admits(self, symbol: str, holder: SnapshotWriter, held_at: float, writer: SnapshotWriter, now: float) -> bool:
        """Whether the symbol, which `holder` has, goes over to another `writer`, of whom there is a snapshot now.

        held_at: when the holder's last sample was first seen.
        """
        contest = self._contests.setdefault(symbol, _Contest())
        contest.former = {name: at for name, at in contest.former.items() if now - at < SILENT_SECONDS}
        comes_back, there = writer in contest.former, now - held_at < SILENT_SECONDS
        if there and (now < contest.until or (len(contest.former) >= MOST_WRITERS and not comes_back)):
            contest.until = now + SILENT_SECONDS
            return False
        contest.until = now + SILENT_SECONDS if there and comes_back else -1.0
        contest.former.pop(writer, None)
        contest.former[holder] = held_at
        return True

    def several(self, now: float) -> set[str]:
        """The symbols that several writers wrote within the last minute."""
        self._contests = {
            symbol: contest
            for symbol, contest in self._contests.items()
            if now < contest.until or any(now - at < SILENT_SECONDS for at in contest.former.values())
        }
        return {symbol for symbol, contest in self._contests.items() if now < contest.until}

    def forget(self, symbol: str) -> None:
        """The symbol is dropped."""
        self._contests.pop(symbol, None)
