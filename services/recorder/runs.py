"""Runs: a source that begins anew, such as a replay of the same file, begins a new run. Pure."""


class Runs:
    """The current run of each source: when its first row was recorded, in microseconds since 1970."""

    def __init__(self) -> None:
        self._current: dict[str | None, int] = {}

    def restore(self, source: str | None, run: int) -> None:
        """The record has rows of this run."""
        self._current[source] = max(run, self._current.get(source, run))

    def of(self, source: str | None, recorded: int) -> int:
        """The current run of this source. It begins now if there is none."""
        return self._current.setdefault(source, recorded)

    def begin(self, source: str | None, recorded: int) -> int:
        """Begin a new run of this source."""
        self._current[source] = max(recorded, self._current[source] + 1)  # the clock may have been set back
        return self._current[source]
