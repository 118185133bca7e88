"""What is kept of each confirmed version: its rows, what changed by it, and what is missing before it. Pure.

By symbol it holds what was recorded last. A version that does not follow that one by `prev` has a gap before it, with
the cause that is known. Rows wait in bounded room until the disk has them; where there is none, a version is not
recorded, and so the next one that is has a gap before it.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from cottage.record.state_rows import COLUMNS, Row, columns, none_reissued, rows_of
from cottage.version import Version
from services.recorder import metrics
from services.recorder.confirmation import Confirmed
from services.recorder.runs import Runs

Cause = Literal["recorder_down", "redis_lost", "state_gone", "lagged", "disk", "contradicted", "unknown"]
"""Why versions are missing."""
MOST_ROWS = 60_000
"""Rows that wait for the disk: some 70 MB."""
AT_ONCE = 200
"""So many symbols are settled before other work has its turn."""
WRITTEN_TOGETHER = 5_000
"""So many rows are written without waiting for more."""
REMEMBERED = 64
"""So many of the last samples of a symbol are known again when a new epoch issues them again."""
GAP_STEPS = 60
"""Samples further apart have a gap between them: see `gap` in cottage/notes.py."""
LATE = 60_000_000
"""Microseconds by which a sample of the same session may be late; one that is later is of another run."""
_TOLD = ("gap", "break", "correction")
"""Notes that are rows in the table `gaps` when they begin."""

_AT, _EVENT_TIME, _PRICE = (COLUMNS.index(name) for name in ("at", "event_time", "price"))
_LOST, _NOTES, _SAID, _REISSUED = (COLUMNS.index(name) for name in ("lost", "notes", "said", "reissued"))
_FEED_TIME, _SAMPLED, _LAST = (COLUMNS.index(name) for name in ("feed_time", "sampled", "last"))
_SOURCE, _RUN, _SESSION = (COLUMNS.index(name) for name in ("source", "run", "session"))
_RECORDED = COLUMNS.index("recorded")
KNOWN_BY = ("event_time", "feed_time", "sampled", "price", "volume", "trades")
"""The columns in which all versions of one sample are the same."""
_known_by = itemgetter(*map(COLUMNS.index, KNOWN_BY))
_WHICH = ("symbol", "source", "run", "epoch", "seq", "recorded")
_REGIME_COLUMNS = (*_WHICH, "at", "written")
_GAP_COLUMNS = (*_WHICH, "prev_epoch", "prev_seq")


class _Beginning(NamedTuple):
    """Where a window began after another one of its symbol, since it may be filled with older samples later."""

    since: int | None
    """The market's time of the sample before it; None where that is of another source."""
    after: Mapping[str, Any]
    """What a row of the table `gaps` says of its first sample."""
    last: Version
    notes: Sequence[str]
    """What is told of the window before."""


@dataclass(slots=True)
class Held:
    """What was recorded last of a symbol."""

    version: Version
    at: int
    """The market's time, microseconds since 1970; the next too."""
    event_time: int | None
    source: str | None
    run: int
    regime: str | None
    notes: Sequence[str]
    session: str | None = None
    size: int | None = None
    """How many samples the window has; None where that is not known."""
    beginning: _Beginning | None = None
    """Of the window, where no row tells yet what lies before it."""
    samples: "array[int]" = field(default_factory=lambda: array("q", bytes(8 * REMEMBERED)))
    """What the last samples are known by, the oldest overwritten first."""
    place: int = 0
    interruption: int = 0
    """The number of the last interruption before it was recorded."""
    sample: tuple[Any, ...] = ()
    """What its own sample is known by within an epoch: see KNOWN_BY."""

    def remember(self, named: int | None, price: float | None) -> None:
        self.samples[self.place] = hash((named, price))
        self.place = (self.place + 1) % REMEMBERED

    def remembers(self, named: int | None, price: float | None) -> bool:
        return hash((named, price)) in self.samples


class Keeper:
    """The rows of all tables that wait for the disk, and by symbol what was recorded last."""

    def __init__(self, *, inputs_only: bool = False, most_rows: int = MOST_ROWS) -> None:
        self._inputs_only = inputs_only
        self._most_rows = most_rows
        self._held: dict[str, Held] = {}
        self._runs = Runs()
        self._samples: list[Row] = []
        self._others: dict[str, list[Mapping[str, Any]]] = {"regimes": [], "gaps": []}
        self._interruption = 1
        self._interrupted_by: Cause = "recorder_down"
        """The number and the cause of the last interruption, since which all symbols may have missed versions."""
        self._causes: dict[str, Cause] = {}
        """Why single symbols miss versions."""
        self.missed: Counter[Cause] = Counter()
        """Gaps by cause."""
        self._missed_now: dict[Cause, list[str]] = {}
        """The symbols of those since the last report."""
        self.left_out = 0
        """Versions for which there was no room."""

    def restore(self, symbol: str, held: Held) -> None:
        """The record has this already."""
        self._held[symbol] = held
        self._runs.restore(held.source, held.run)

    def held(self, symbol: str) -> Version | None:
        """The newest recorded version of the symbol."""
        known = self._held.get(symbol)
        return None if known is None else known.version

    def when(self, symbol: str) -> tuple[int, int]:
        """The market's time of the newest recorded version of the symbol, and its run, in microseconds since 1970."""
        known = self._held[symbol]
        return known.at, known.run

    def __len__(self) -> int:
        """The number of symbols."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Rows of samples that wait for the disk."""
        return len(self._samples)

    def interrupted(self, cause: Cause) -> None:
        """Any symbol may have missed versions, for this reason."""
        self._interruption += 1
        self._interrupted_by = cause

    def missed_because(self, symbol: str, cause: Cause) -> None:
        """This symbol has missed a version, for this reason."""
        if symbol in self._held:  # anybody can invent others
            self._causes.setdefault(symbol, cause)

    def take(self) -> dict[str, dict[str, list[Any]]]:
        """The waiting rows, as columns by table, in the order in which they are to be written: what is missing before
        a version is said before that is there."""
        taken = {}
        for table, rows in self._others.items():
            if rows:
                taken[table] = {name: [row[name] for row in rows] for name in rows[0]}
                rows.clear()
        if self._samples:
            taken["samples"] = columns(self._samples)
            self._samples = []
        return taken

    def take_missed(self) -> dict[Cause, list[str]]:
        """The symbols of the gaps since the last call, by cause."""
        taken, self._missed_now = self._missed_now, {}
        return taken

    def keep(self, symbol: str, confirmed: Confirmed, recorded: int, *, behind: int = 0) -> bool:
        """Record a version that follows what is held. Returns whether there was room for it. Raises InvalidMessage
        for what cannot be a state.

        `recorded`: microseconds since 1970, by Redis's clock. `behind`: rows that were taken and are not on the disk.
        """
        if len(self._samples) + behind >= self._most_rows:
            self.left_out += 1
            metrics.LEFT_OUT.inc()
            self.missed_because(symbol, "disk")
            return False
        held = self._held.get(symbol)
        rows = self._rows(symbol, confirmed, held, recorded)
        own = rows[-1]
        run = own[_RUN]
        self._note_gaps(symbol, confirmed, held, rows)
        if confirmed.said.get("regime") not in (None, None if held is None else held.regime):
            self._note_regime(confirmed, held, own)
        self._samples += rows
        if held is None:
            held = self._held[symbol] = Held(confirmed.version, own[_AT], None, None, run, None, ())
        for row in rows:
            held.remember(row[_SAMPLED] if row[_FEED_TIME] is None else row[_FEED_TIME], row[_PRICE])
        held.version, held.at, held.event_time = confirmed.version, own[_AT], own[_EVENT_TIME]
        held.source, held.run, held.session = own[_SOURCE], run, own[_SESSION]
        held.notes = own[_NOTES] or ()
        held.sample = _known_by(own)
        held.regime, held.size = confirmed.said.get("regime"), confirmed.said.get("samples")
        held.interruption = self._interruption
        if self._causes:
            self._causes.pop(symbol, None)
        if confirmed.healed:
            metrics.HEALED.inc()
        return True

    def _rows(self, symbol: str, confirmed: Confirmed, held: Held | None, recorded: int) -> list[Row]:
        said, source = confirmed.said, confirmed.said.get("source")
        written = said.get("written") or recorded
        same = held is not None and held.source == source
        run = held.run if held is not None and same else self._runs.newest(source, written, recorded)
        again = held is not None and held.version.epoch != confirmed.version.epoch and same
        rows = rows_of(
            symbol,
            said,
            run=run,
            recorded=recorded,
            healed=confirmed.healed,
            reissued=held.remembers if held is not None and again else none_reissued,
            inputs_only=self._inputs_only,
        )
        if held is not None and same and not again and len(rows) == 1 and _is_warmed(held, confirmed, rows[0]):
            rows = [(*rows[0][:_REISSUED], True, *rows[0][_REISSUED + 1 :])]
        before, session = (held.event_time, held.session) if held is not None and same else (None, None)
        for place, row in enumerate(rows):
            time = row[_EVENT_TIME]
            if time is None or row[_REISSUED]:
                continue
            behind = -1 if before is None else before - time
            back = behind > LATE or (behind >= 0 and row[_SESSION] != session)
            number = self._runs.following(source, run, written, recorded, back=back)
            if number != run:
                run = number
                rows[place:] = [(*each[:_RUN], run, *each[_RUN + 1 :]) for each in rows[place:]]
            before, session = time, row[_SESSION]
        return rows

    def _note_regime(self, confirmed: Confirmed, held: Held | None, own: Row) -> None:
        said, before = confirmed.said, None if held is None else held.regime
        row = dict(zip(COLUMNS, own, strict=True))
        known = {name: row[name] for name in _REGIME_COLUMNS}
        alpha = {name: said.get(name) for name in ("alpha", "alpha_low", "alpha_high")}
        self._others["regimes"].append({**known, **alpha, "before": before, "regime": said["regime"]})

    def _note_gaps(self, symbol: str, confirmed: Confirmed, held: Held | None, rows: Sequence[Row]) -> None:
        """What is missing before this version, and what its samples tell of gaps in the market."""
        last = None if held is None else held.version
        if missed := confirmed.stamped and confirmed.prev != last:
            cause = self._cause(symbol, confirmed, held)
            self.missed[cause] += 1
            self._missed_now.setdefault(cause, []).append(symbol)
            metrics.MISSED.labels(cause).inc()
            self._gap(rows[-1], "missed", cause, None if held is None else held.at, last)
        if held is None:
            return
        known, step, size = held.notes, confirmed.said.get("step"), confirmed.said.get("samples") or 0
        if 0 < size <= len(rows) and not rows[-1][_REISSUED]:
            held.beginning = None if missed else self._begins(held, rows[0])
        elif held.size is not None and size > held.size + sum(not row[_REISSUED] for row in rows):
            self._note_filled(held, rows[-1], step)
            known = rows[-1][_NOTES] or ()  # what the older samples tell was told as they came
        since = held.at
        for row in rows:
            if row[_REISSUED]:
                continue
            if row[_NOTES] or row[_LOST]:
                for kind in self._told(row, known, row[_AT] - since, step):
                    self._gap(row, kind, kind, since, last)
            since = row[_AT]

    @staticmethod
    def _begins(held: Held, row: Row) -> _Beginning:
        """A window begins with this sample."""
        since, notes = (held.at, held.notes) if held.source == row[_SOURCE] else (None, _TOLD[1:])
        return _Beginning(since, _after(row), held.version, notes)

    def _note_filled(self, held: Held, own: Row, step: float | None) -> None:
        """Older samples have filled the window: say what lies between these and its first one. `own`: of the version
        that says so."""
        beginning, held.beginning = held.beginning, None
        if beginning is None:
            return
        since, after = beginning.since, {**beginning.after, "recorded": own[_RECORDED]}
        long = since is not None and _is_long(after["at"] - since, step)
        for word in own[_NOTES] or ():
            if word in _TOLD and ((word == "gap" and long) or word not in (*beginning.notes, *held.notes)):
                self._gap_before(after, word, word, since, beginning.last)

    @staticmethod
    def _told(row: Row, known: Sequence[str], elapsed: int, step: float | None) -> Iterator[str]:
        """The kinds of gaps before this sample, which is so many microseconds after the one before it. `known`: the
        notes of its window that are told already."""
        notes = row[_NOTES] or ()
        if row[_LOST]:
            yield "lost"
        for word in notes:
            if word not in _TOLD:
                continue
            # Of the version's own sample these are true as long as what they tell of is in the window.
            again = word == "gap" and _is_long(elapsed, step)
            if not row[_LAST] or word not in known or again or word in (row[_SAID] or ()):
                yield word

    def _cause(self, symbol: str, confirmed: Confirmed, held: Held | None) -> Cause:
        if confirmed.contradicted:
            return "contradicted"
        if symbol in self._causes:
            return self._causes[symbol]
        if held is None or held.interruption < self._interruption:
            return self._interrupted_by
        return "state_gone" if confirmed.prev is None else "unknown"

    def _gap(self, row: Row, kind: str, cause: str, since: int | None, last: Version | None) -> None:
        """A row of the table `gaps`. `row`: of the sample after it. `last`: the newest recorded version before it."""
        self._gap_before(_after(row), kind, cause, since, last)

    def _gap_before(
        self, after: Mapping[str, Any], kind: str, cause: str, since: int | None, last: Version | None
    ) -> None:
        held_epoch, held_seq = last or (None, None)
        if since is not None and since > after["at"]:  # of a run before, as of a replay that began anew
            since = None
        self._others["gaps"].append(
            {name: after[name] for name in _GAP_COLUMNS}
            | {"kind": kind, "cause": cause, "since": since, "until": after["at"]}
            | {"held_epoch": held_epoch, "held_seq": held_seq}
        )


def _after(row: Row) -> dict[str, Any]:
    """What a row of the table `gaps` says of the sample after it."""
    said = dict(zip(COLUMNS, row, strict=True))
    return {name: said[name] for name in (*_GAP_COLUMNS, "at")}


def _is_warmed(held: Held, confirmed: Confirmed, own: Row) -> bool:
    """Whether this version has the sample of the one before, whose window was filled with older ones meanwhile."""
    size = confirmed.said.get("samples")
    return size is not None and held.size is not None and size > held.size and _known_by(own) == held.sample


def _is_long(elapsed: int, step: float | None) -> bool:
    """Whether samples so many microseconds apart have a gap between them."""
    return step is not None and elapsed > GAP_STEPS * step * 1e6
