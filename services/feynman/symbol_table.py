"""The symbol table: for each symbol that feynman computes its window, its newest state, and whether it was published.

It does no input or output: the service hands it snapshots and writes what it returns.
"""

import math
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from cottage import keys, notes
from cottage.clock import AHEAD_SECONDS, from_iso
from cottage.errors import InvalidMessage
from cottage.freshness import USUAL
from cottage.plain_numbers import too_far
from cottage.snapshot import SAMPLE_FIELDS, RawSample, faults, latest, parse_fill
from cottage.state import MOST_TAKEN, WAIT, PhysicsState
from cottage.version import Version
from cottage.warm import WarmSamples
from services.feynman import metrics, states
from services.feynman.checkpoint import CheckpointPart
from services.feynman.feed_lags import FeedLags
from services.feynman.fills import FillSample, Place, following, in_place, missed, rounds
from services.feynman.regime import REGIMES
from services.feynman.sample_columns import SampleColumns, parse
from services.feynman.sample_times import SampleTimes
from services.feynman.standing_texts import StandingTexts
from services.feynman.vector import compute, regimes
from services.feynman.warming import Warming
from services.feynman.window_inputs import WindowInputs, take
from services.feynman.window_replacements import WindowReplacements
from services.feynman.windows import BoolArray, FloatArray, IntArray, Rows, Windows
from services.feynman.writer_changes import WriterChanges

T = TypeVar("T")

UNTOLD = "*"

AHEAD = "ahead of Redis's clock"

_FILL = SAMPLE_FIELDS.index("fill")

TWO_WRITERS = notes.BITS["two_writers"]

SETTLING_SECONDS = 3.0
"""After Redis's clock was set back some feeds stamp by the clock of before, until they have noticed too."""


class StateWrite(NamedTuple):
    """What the writer is to write for one symbol."""

    symbol: str
    state: bytes
    """A new one lacks its end, the stamp that it gets as it is written (stamp.lua)."""
    update: bytes | None
    """The PHYSICS_UPDATE to publish with a new one, which lacks the same stamp; None for one that was published
    already."""


class RefusedSnapshot(NamedTuple):
    """A snapshot that is not used."""

    symbol: str
    faults: tuple[InvalidMessage, ...]
    """What is wrong with each field; the reason is its name."""


_Refused = tuple[RawSample | InvalidMessage, RefusedSnapshot]


@dataclass(slots=True)
class SymbolEntry:
    """What the table holds of one symbol."""

    row: int
    absent_since: float | None = None
    """When its snapshot was first found missing, in monotonic seconds; None if it was there."""
    source: str | None = None
    feed: str | None = None
    """Of the newest sample; UNTOLD for a window from a checkpoint, which does not say it."""
    native: str | None = None
    """Likewise."""
    fill: int = 0
    """The newest sample's number in `market:fill:{SYMBOL}`; 0 if it has none, or that is not known."""
    sampled_at: float = -math.inf
    """When that was taken, by the monotonic clock."""
    refused: int | None = None
    """Hash of the last invalid snapshot and its faults, so that it is told once and not at every tick."""
    texts: tuple[bytes, bytes] | None = None
    """Its newest state and the PHYSICS_UPDATE of it, both without their version."""
    version: Version | None = None
    """That which the newest state was given last; None if it has had none."""
    endings: tuple[bytes, bytes] | None = None
    """How these end, with the version that the newest state was given last; None if it has had none."""
    stamped: bytes | None = None
    """How the state ends in Redis, once the PHYSICS_UPDATE has been published under this version."""


class _Round(NamedTuple):
    """Samples to take: one snapshot a symbol."""

    symbols: Sequence[str]
    entries: list[SymbolEntry]
    samples: SampleColumns
    found: Mapping[int, Sequence[FillSample]]
    """What was handed over before some of them, by position."""

    def rest(self, own: Collection[int]) -> "_Round | None":
        """What is left where MOST_TAKEN are taken, and for those at the positions `own` one more, which their version
        is of; None where that is nothing."""
        places = sorted(own)
        found = {place: self.found[i][MOST_TAKEN + 1 :] for place, i in enumerate(places)}
        which = np.array(places, np.int64)
        left = [self.symbols[i] for i in places], [self.entries[i] for i in places], self.samples.where(which)
        return _Round(*left, found) if places else None


class SymbolTable:
    """The entries of all symbols by name, and their windows. The service and the checkpointer share one."""

    def __init__(
        self,
        window: int,
        forget_seconds: float,
        most: int = sys.maxsize,
        widening: float = 1.0,
    ) -> None:
        """`most`: how many symbols it has places for. `widening`: by how much wider α's interval is."""
        self._windows = Windows(window, widening=widening)
        self._times = SampleTimes()
        self._lags = FeedLags()
        self._standing = StandingTexts()
        self.warming = Warming(self._windows, widening, forget_seconds)
        self._replacements = WindowReplacements(self._windows)
        self._forget_seconds = forget_seconds
        self._most = most
        self._entries: dict[str, SymbolEntry] = {}
        self._newcomers: set[str] = set()
        self._step_back, self._settled_at = 0.0, -math.inf
        """By how many seconds Redis's clock was set last, 0.0 if not back, and until when feeds may not know it."""
        self._writer_changes = WriterChanges()
        self.contests: dict[str, str] = {}
        """The symbols of which a sample was refused at the last tick since another writer has them; both in words."""
        self.refused: dict[str, tuple[InvalidMessage, ...]] = {}
        """The symbols whose snapshot was refused at the last tick, with what is wrong with each field."""
        self.doubtful: dict[str, list[InvalidMessage]] = {}
        """The symbols whose snapshot was used at the last tick without some fields, and what is wrong with each."""
        self.warmed: list[str] = []
        """The symbols whose windows were filled with older samples at the last tick."""
        self._rest: _Round | None = None
        """What a version did not take, since there were too many."""
        self.unfilled: Collection[str] = ()
        """The symbols whose hash was there at the last search and had none of the fields that are read."""

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._entries

    @property
    def room(self) -> int:
        """For how many more symbols there is a place."""
        return self._most - len(self._entries)

    def add(self, symbols: Iterable[str]) -> list[str]:
        """Add the symbols that are not in the table yet, each with an empty window, as long as there is room; returns
        them."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._entries][: self.room]
        for symbol in new:
            self._enter(symbol)
        return new

    def newcomers(self) -> list[str]:
        """New symbols, which are to be given to `adopt` before they are sampled."""
        return sorted(self._newcomers)

    def adopt(
        self, newcomers: Iterable[str], stored: Mapping[str, PhysicsState], redis_now: float, now: float
    ) -> None:
        """Take over what the `newcomers`' stored states, or else their windows from a checkpoint, tell of the age of
        the newest sample, so that none looks younger to us than to whoever saw it arrive. Clocks as in `take`.

        A window may end ahead of Redis's clock, if that was set back. Any sample follows it, like one after a gap.
        Where one of these times lies ahead, nobody knows by how much the others are too late.
        """
        told: dict[str, tuple[float, float]] = {}
        for symbol in self._newcomers.intersection(newcomers):
            row, state = self._entries[symbol].row, stored.get(symbol)
            told[symbol] = float(self._windows.feed_time[row]), float(self._windows.last_timestamp[row])
            if state is not None and state.timestamp is not None:
                told[symbol] = from_iso(state.market_time), from_iso(state.timestamp)
        set_back = any(timestamp > redis_now + AHEAD_SECONDS for _feed_time, timestamp in told.values())
        for symbol, (feed_time, timestamp) in told.items():
            entry, state = self._entries[symbol], stored.get(symbol)
            row = entry.row
            if state is not None and entry.native == UNTOLD and state.source == entry.source:
                entry.native = state.native
            if state is not None:
                self._adopt_regime(entry, state)
            last = float(self._windows.last_timestamp[row])
            if state is not None and state.lag_ms is not None and (feed := state.feed or state.source) is not None:
                self._lags.adopt(feed, state.lag_ms)
            age = max(redis_now - timestamp, USUAL.expired if set_back else 0.0)
            self._times.adopt(row, feed_time, age, now)
            if last > redis_now:
                self._times.after[row], self._windows.last_timestamp[row] = -math.inf, 0.0
        self._newcomers.difference_update(newcomers)

    def continue_regimes(self, stored: Mapping[str, PhysicsState]) -> None:
        """Go on with the regimes of these states, which another process has written last, instead of our own: what
        its clients see is then no change. The rule is applied to the newest samples."""
        entries = [self._entries[symbol] for symbol in stored if symbol in self._entries]
        states_of = [state for symbol, state in stored.items() if symbol in self._entries]
        there = [entry for entry, state in zip(entries, states_of, strict=True) if self._adopt_regime(entry, state)]
        there = [entry for entry in there if entry.texts is not None]
        rows = _rows(there)
        stated = self._windows.event_time[rows]
        event_time = np.where(np.isnan(stated), self._times.feed_time[rows], stated)
        self._windows.keep_regime(rows, compute(self._windows, rows).regime, event_time)
        kept = zip(there, self._windows.regime[rows].tolist(), self._windows.regime_since[rows].tolist(), strict=True)
        for entry, code, since in kept:
            assert entry.texts is not None
            state, update = entry.texts
            entry.texts = states.with_regime(state, code, since), states.with_regime(update, code, since)

    def clock_stepped(self, step: float, redis_now: float, now: float) -> None:
        """Redis's clock was set by `step` seconds. Every sample stays as old as it is, so its time by that clock
        changes, and its state with it; the state says then which time its feed gave it. Clocks as in `take`."""
        self._lags.begin_anew()
        self.warming.forget()  # what was kept has times by the clock of before
        earlier = self._step_back if now < self._settled_at else 0.0
        self._step_back, self._settled_at = min(earlier + step, 0.0), now + SETTLING_SECONDS
        every, having = (_rows(entries) for entries in (self._entries.values(), self._having_states()))
        last, after = self._windows.last_timestamp, self._times.after
        last[every] = np.maximum(last[every] + step, 0.0)
        last[having] = self._times.by_redis(having, redis_now, now)
        after[every] = np.minimum(after[every], last[every])  # a feed may follow that clock or not: both go on
        times = states.times(last[having], self._times.feed_time[having])
        for entry, time in zip(self._having_states(), times, strict=True):
            assert entry.texts is not None
            state, update = entry.texts
            entry.texts = states.at(state, time), states.at(update, time)

    def sampled(self) -> list[str]:
        """The symbols that have had a sample, whose windows are worth saving."""
        return [symbol for symbol, entry in self._entries.items() if entry.source is not None]

    def saved(self, symbols: Sequence[str]) -> CheckpointPart:
        """A copy of the windows of those symbols that are still in the table and have a sample."""
        there = [symbol for symbol in symbols if symbol in self._entries]
        rows = _rows([self._entries[symbol] for symbol in there])
        sampled = self._windows.samples[rows] > 0
        names = [symbol for symbol, has in zip(there, sampled, strict=True) if has]
        arrays = self._windows.saved(rows[sampled])
        of_names = [self._entries[name] for name in names]
        return CheckpointPart(
            names, [str(entry.source) for entry in of_names], arrays, [entry.version for entry in of_names]
        )

    def restore(self, part: CheckpointPart, only: Collection[str] = ()) -> int:
        """Add the symbols of a checkpoint with their windows, or those of them that `only` names, as long as there is
        room; returns how many.

        Symbols that are in the table already stay as they are. A restored symbol has a state again as soon as its
        snapshot is seen, even if that is not newer than the window.
        """
        wanted = set(only or part.symbols).difference(self._entries)
        chosen = [i for i, name in enumerate(part.symbols) if name in wanted][: self.room]
        for i in chosen:
            self._enter(part.symbols[i], part.sources[i], UNTOLD, UNTOLD)
        rows = _rows([self._entries[part.symbols[i]] for i in chosen])
        self.warming.drop(rows)
        self._windows.restore(rows, {name: array[chosen] for name, array in part.arrays.items()})
        self._times.restore(rows, self._windows.feed_time[rows], self._windows.last_timestamp[rows])
        return len(chosen)

    def absent(self) -> list[str]:
        """The symbols of which the last tick found no snapshot, or one without any field that is read."""
        return [symbol for symbol, entry in self._entries.items() if entry.absent_since is not None]

    def forget(self, now: float) -> list[str]:
        """Remove the symbols whose snapshot has been gone for too long (`now` is monotonic); returns their names.

        The time counts from when a read first found no snapshot, so an outage of Redis removes no symbol.
        """
        gone = [
            symbol
            for symbol, entry in self._entries.items()
            if entry.absent_since is not None and now - entry.absent_since > self._forget_seconds
        ]
        self.remove(gone)
        return gone

    def remove(self, symbols: Iterable[str]) -> None:
        """Drop these symbols with their windows, as far as they are in the table."""
        for symbol in symbols:
            if (entry := self._entries.pop(symbol, None)) is not None:
                self._windows.release(entry.row)
                self.warming.drop(entry.row)
                self._newcomers.discard(symbol)
                self._writer_changes.forget(symbol)

    def newer(self, symbol: str, time: float) -> bool:
        """Whether a symbol of the table has a sample of after that time, in seconds since 1970."""
        return bool(self._windows.last_timestamp[self._entries[symbol].row] > time)

    def missed(self, rows: Iterable[tuple[str, RawSample | InvalidMessage]]) -> dict[str, int]:
        """The symbols whose feeds have handed over samples between the window's newest and the snapshot's, and how
        many: they are to be read from `market:fill:{SYMBOL}`. `rows` as of `take`."""
        wanted = {}
        for symbol, row in rows:
            if isinstance(row, InvalidMessage) or row[_FILL] is None:
                continue
            number, newest = parse_fill(row[_FILL]), self._entries[symbol].fill
            if number not in (0, newest, newest + 1):
                wanted[symbol] = missed(number, newest)
        return wanted

    def take(
        self,
        rows: Iterable[tuple[str, RawSample | InvalidMessage]],
        redis_now: float,
        now: float,
        fills: Mapping[str, Sequence[bytes]] | None = None,
    ) -> tuple[list[str], list[RefusedSnapshot]]:
        """Sample the snapshots whose time has advanced, and compute their vectors.

        `rows`: each symbol once, with its raw SAMPLE_FIELDS or the error of reading them. `redis_now`: Redis's clock
        after they were read, at the monotonic time `now`. `fills`: what was read for those that `missed` returns.
        Returns the symbols with a new state, and what is refused and was not before. Where there were more samples
        than a version may have, the others are for `take_rest`.
        """
        symbols, entries, snapshots, refused = self._there(rows, redis_now, now)
        self.doubtful, self.warmed = {}, []
        # `_timely` judges how far ahead they are.
        samples, invalid = parse(snapshots, math.inf, redis_now, lambda i, error: self._doubt(symbols[i], error))
        if any(samples.native):
            pairs = zip(samples.native, samples.index.tolist(), strict=True)
            samples.native[:] = [None if native == symbols[i] else native for native, i in pairs]
        refused += [(snapshots[i], RefusedSnapshot(symbols[i], error.faults)) for i, error in invalid]
        samples, untimely = self._timely(symbols, _at(entries, samples.index), samples, redis_now, now)
        refused += [(snapshots[i], refusal) for i, refusal in untimely]
        self.refused = {refusal.symbol: refusal.faults for _row, refusal in refused}
        sampled = _at(symbols, samples.index)
        self._rest = None
        if sampled:
            self._note_rivals(sampled, samples, redis_now, now)
            at = _at(entries, samples.index)
            if self._replacements:
                self._move_in_replacements(sampled, at, samples)
            found = self._following(sampled, at, samples, fills or {})
            self._sample(_Round(sampled, at, samples, found), redis_now, now)
        return sampled, [refusal for row, refusal in refused if self._is_new_refusal(refusal, row)]

    def replace_windows(self, symbols: Collection[str], parts: Sequence[CheckpointPart], *, goes_on: bool) -> None:
        """The next samples of these symbols belong into the windows that they have in these parts of a checkpoint, or
        into empty ones; and are counted from 1. As of WindowReplacements.add."""
        self._replacements.add(symbols, parts, goes_on=goes_on)
        for symbol in symbols:
            if (entry := self._entries.get(symbol)) is not None:
                entry.fill = 0

    def _move_in_replacements(
        self, symbols: Sequence[str], entries: Sequence[SymbolEntry], samples: SampleColumns
    ) -> None:
        """Replace the windows that wait for these samples, those of them that are new."""
        rows = _rows(entries)
        new = np.flatnonzero(~self._times.held(rows, samples.timestamp))
        moved = self._replacements.move_in([symbols[i] for i in new.tolist()], rows[new])
        self.warming.drop(rows[new[moved]])  # they are as they were

    def warmable(self, now: float) -> list[str]:
        """The symbols whose windows have begun lately and may be filled with older samples. `now` is monotonic."""
        rows = self.warming.wanted(now)
        if not len(rows):
            return []
        wanted = set(rows.tolist())
        return [symbol for symbol, entry in self._entries.items() if entry.row in wanted]

    def warm(self, symbol: str, samples: WarmSamples) -> None:
        """Have a symbol's window filled with those of these samples that are older than its own, once `warming` is
        told to begin. Raises InvalidMessage where they are not for it."""
        entry = self._entries.get(symbol)
        if entry is None:
            raise InvalidMessage("window", "there is none of this symbol any more")
        held, offered = (entry.source, entry.feed, entry.native), (samples.source, samples.feed, samples.native)
        if held != offered:
            raise InvalidMessage("source", f"{_writer(*offered)} beside {_writer(str(entry.source), *held[1:])}")
        self.warming.prepare(entry.row, samples)

    def _there(
        self, rows: Iterable[tuple[str, RawSample | InvalidMessage]], redis_now: float, now: float
    ) -> tuple[list[str], list[SymbolEntry], list[RawSample], list[_Refused]]:
        """The symbols that have a snapshot, with their entries and snapshots, and what is refused unread."""
        symbols: list[str] = []
        entries: list[SymbolEntry] = []
        snapshots: list[RawSample] = []
        refused: list[_Refused] = []
        for symbol, row in rows:
            entry = self._entries[symbol]
            if isinstance(row, InvalidMessage):
                refused.append((row, RefusedSnapshot(symbol, (row,))))
            elif row[0] is None and row.count(None) == len(row):
                entry.absent_since = now if entry.absent_since is None else entry.absent_since
                if symbol in self.unfilled:
                    refused.append((row, RefusedSnapshot(symbol, tuple(faults(row, redis_now)))))
                continue
            else:
                symbols.append(symbol)
                entries.append(entry)
                snapshots.append(row)
            entry.absent_since = None
        return symbols, entries, snapshots, refused

    def take_rest(self, redis_now: float, now: float) -> list[str]:
        """Sample what `take`, or this, has left over, for the next version. Returns the symbols with a new state;
        none where nothing is left. Clocks as of `take`."""
        rest, self._rest = self._rest, None
        if rest is None:
            return []
        self._sample(rest, redis_now, now)
        return list(rest.symbols)

    def version(self, epoch: int, seq: int, symbols: Iterable[str], database: int = 0) -> None:
        """Give the newest states of `symbols` a new version, with which they are to be published from `database`."""
        version = Version(epoch, seq)
        endings = states.ending(version), states.ending(version, database)
        for symbol in symbols:
            entry = self._entries[symbol]
            if entry.texts is not None:
                entry.version, entry.endings, entry.stamped = version, endings, None

    def writes(self, symbols: Iterable[str] | None = None) -> Iterator[StateWrite]:
        """The states of these symbols, or every one, with a version, and the updates that are still to be published.
        Each is put together when it is asked for: at 10,000 symbols all of them would be 10 MB, which no core's cache
        holds."""
        for symbol in list(self._entries if symbols is None else symbols):
            entry = self._entries[symbol]
            if entry.texts is not None and entry.endings is not None:
                (state, update), (of_state, of_update) = entry.texts, entry.endings
                if entry.stamped is None:
                    yield StateWrite(symbol, state + of_state, update + of_update)
                else:
                    yield StateWrite(symbol, state + entry.stamped, None)

    def published(self, stamps: Iterable[tuple[str, bytes]]) -> None:
        """Record that the updates of these symbols have arrived, and with which stamp each was written."""
        for symbol, stamp in stamps:
            if (entry := self._entries.get(symbol)) is not None and entry.endings is not None:
                entry.stamped = entry.endings[0] + stamp

    def _enter(
        self, symbol: str, source: str | None = None, feed: str | None = None, native: str | None = None
    ) -> None:
        entry = self._entries[symbol] = SymbolEntry(self._windows.add(), source=source, feed=feed, native=native)
        self._times.begin(entry.row)
        self.warming.begin_window(entry.row)
        self._newcomers.add(symbol)

    def _doubt(self, symbol: str, error: InvalidMessage) -> None:
        self.doubtful.setdefault(symbol, []).append(error)

    def _adopt_regime(self, entry: SymbolEntry, state: PhysicsState) -> bool:
        """Let the window go on with the regime of a stored state, if that is of a sample of the same source which
        lies within the window, or so little after it: by as many steps of event time as the window has samples.
        Returns whether it does."""
        windows, row = self._windows, entry.row
        if state.regime == WAIT or state.source != entry.source or state.market_time is None:
            return False
        told, newest = state.event_time, windows.event_time[row]
        if told is None or math.isnan(newest):
            told, newest = state.market_time, windows.feed_time[row]
        off = abs(from_iso(told) - newest)  # nan where an older checkpoint did not say it
        if not off <= windows.step[row] * windows.samples[row]:
            return False
        since = math.nan if state.regime_since is None else from_iso(state.regime_since)
        windows.regime[row], windows.regime_since[row] = REGIMES.index(state.regime), since
        return True

    def _having_states(self) -> list[SymbolEntry]:
        return [entry for entry in self._entries.values() if entry.texts is not None]

    def _timely(
        self,
        symbols: Sequence[str],
        entries: list[SymbolEntry],
        samples: SampleColumns,
        redis_now: float,
        now: float,
    ) -> tuple[SampleColumns, list[tuple[int, RefusedSnapshot]]]:
        """The samples that are newer than the windows, and what is refused, by index: those too far ahead of Redis's
        clock, and those whose time has gone back. `entries`: those of the samples.

        A sample of the same time is the one that the window has already. It is used only for a restored window, which
        has no state yet, and for one that older samples have filled.
        """
        rows = _rows(entries)
        written = samples.timestamp
        if self._step_back and now < self._settled_at:
            before = written + self._step_back
            unaware = (written > redis_now) & (before > redis_now - SETTLING_SECONDS)
            written = np.where(unaware, before, written)
        self._times.see(rows, samples.timestamp, redis_now - written, now)
        ahead = (written > latest(redis_now)) & ~self._times.held(rows, samples.timestamp)
        refused = _untimely(symbols, samples, ahead, written - redis_now, AHEAD)
        if refused:
            kept = np.flatnonzero(~ahead)
            samples, rows, entries = samples.where(kept), rows[kept], _at(entries, kept)

        admitted = self._writers_change(symbols, samples, entries, now)
        if len(admitted) < len(samples):
            samples, rows, entries = samples.where(admitted), rows[admitted], _at(entries, admitted)
        held, after = self._times.held(rows, samples.timestamp), self._times.after[rows]
        behind = ~held & (samples.timestamp < after)
        refused += _untimely(symbols, samples, behind, after - samples.timestamp, "behind the newest sample")
        stateless = np.array([entry.texts is None for entry in entries], np.bool_)
        anew = stateless | self.warming.ready(rows)
        return samples.where(np.flatnonzero(np.where(held, anew, ~behind))), refused

    def _writers_change(
        self, symbols: Sequence[str], samples: SampleColumns, entries: Sequence[SymbolEntry], now: float
    ) -> IntArray:
        """Begin a new window where another writer takes a symbol over: prices of two must not share one. Returns the
        positions of the samples that are left; the others are `contests`."""
        refused = []
        self.contests = {}
        writers = zip(samples.source, samples.feed, samples.native, strict=True)
        for i, (entry, writer) in enumerate(zip(entries, writers, strict=True)):
            source, feed, native = writer
            if entry.source == source and entry.feed == feed and entry.native == native:
                continue
            restored = entry.feed == UNTOLD and entry.source == source and entry.native in (UNTOLD, native)
            if entry.source is not None and not restored:
                symbol, held_by = symbols[int(samples.index[i])], (entry.source, entry.feed, entry.native)
                if not self._writer_changes.admits(symbol, held_by, entry.sampled_at, writer, now):
                    refused.append(i)
                    self.contests[symbol] = f"{_writer(*writer)} beside {_writer(*held_by)}"
                    continue
                self._windows.clear(entry.row)
                self.warming.begin_window(entry.row)
                self._times.clear(entry.row)
            entry.source, entry.feed, entry.native = writer
        return np.delete(np.arange(len(samples)), refused)

    def _note_rivals(self, symbols: Sequence[str], samples: SampleColumns, redis_now: float, now: float) -> None:
        """Note it in the samples of symbols that somebody else writes too, or would like to write."""
        until = samples.rival_until
        rivals = (until > redis_now) & (until <= redis_now + keys.SNAPSHOT_TTL_SECONDS)
        if several := self._writer_changes.several(now):
            rivals |= np.array([symbol in several for symbol in symbols])
        samples.notes[rivals] |= TWO_WRITERS

    def _sample(self, batch: _Round, redis_now: float, now: float) -> None:
        """Append the samples to the windows that do not have them yet, each after those that its feed has handed over
        before it, and compute the new states. A snapshot before which nothing was traded is no sample: its state has
        the same numbers as the one before, as of its time.

        Where more than MOST_TAKEN were handed over, the state is that of the sample after so many.
        """
        symbols, entries, samples, found = batch
        rows = _rows(entries)
        moved, new = np.isin(rows, self.warming.move_in(rows)), ~self._times.held(rows, samples.timestamp)
        self.warmed += [symbols[i] for i in np.flatnonzero(moved).tolist()]
        taken = np.flatnonzero(new)
        own = {i: each[MOST_TAKEN] for i, each in found.items() if len(each) > MOST_TAKEN}
        self._rest = batch.rest(own)
        before = {i: each[:MOST_TAKEN] for i, each in found.items() if each}
        samples = in_place(samples, own)
        for which, earlier in rounds(samples, before):
            self._append(rows[which], earlier, earlier.timestamp)
            self._windows.keep_regime(rows[which], regimes(self._windows, rows[which]), earlier.event_time)
        timestamp, by_feed = self._hold(rows, samples, own, redis_now, now)
        told = np.rint(np.where(by_feed, samples.timestamp, timestamp) * 1000) / 1000  # in states, whole milliseconds
        self._append(rows[taken], samples.where(taken), told[taken])
        self._windows.last_timestamp[rows[~by_feed]] = told[~by_feed]
        self._windows.feed_time[rows] = samples.timestamp
        vectors = compute(self._windows, rows)
        self._windows.keep_regime(rows, vectors.regime, samples.event_time)
        lags = self._usual_lags(samples, by_feed | (moved & ~new), redis_now)
        held = self._windows.tick(rows), self._windows.against_grid[rows], self._windows.regime_since[rows]
        standing = self._standing.of(rows, vectors, samples, *held)
        taken_before = {i: [sample.taken() for sample in each] for i, each in before.items()}
        each = states.texts(symbols, vectors, samples, timestamp, lags, standing, taken_before)
        for entry, texts in zip(entries, each, strict=True):
            entry.texts, entry.sampled_at = texts, now
        for i in taken[samples.fill[taken] > 0].tolist():
            entries[i].fill = int(samples.fill[i])

    def _hold(
        self, rows: Rows, samples: SampleColumns, own: Collection[int], redis_now: float, now: float
    ) -> tuple[FloatArray, BoolArray]:
        """The timestamps of these samples' states, and which of them are no snapshots, but at the positions `own`:
        those are as old as their feeds say, and not later than now."""
        handed = np.zeros(len(rows), np.bool_)
        handed[list(own)] = True
        timestamp = np.minimum(samples.timestamp, round(redis_now * 1000) / 1000)
        timestamp[~handed] = self._times.hold(rows[~handed], samples.timestamp[~handed], redis_now, now)
        return timestamp, handed

    def _usual_lags(self, samples: SampleColumns, handed: BoolArray, redis_now: float) -> list[int]:
        """By how many ms the feed of each sample is late by nature, which all tell but those that were `handed` over,
        or were there before."""
        feeds, late = samples.feed_or_source, redis_now - samples.timestamp
        if not handed.any():
            return self._lags.usual_ms(feeds, late)
        snapshots = np.flatnonzero(~handed)
        lags = [self._lags.told_ms(feed) for feed in feeds]
        usual = self._lags.usual_ms(_at(feeds, snapshots), late[snapshots])
        for i, lag in zip(snapshots.tolist(), usual, strict=True):
            lags[i] = lag
        return lags

    def _following(
        self,
        symbols: Sequence[str],
        entries: Sequence[SymbolEntry],
        samples: SampleColumns,
        fills: Mapping[str, Sequence[bytes]],
    ) -> dict[int, list[FillSample]]:
        """The samples that were handed over before the new ones, by position. Which samples come after lost ones is
        said in the columns."""
        found = {}
        new = ~self._times.held(_rows(entries), samples.timestamp)
        for i in np.flatnonzero(new & (samples.fill > 0)).tolist():
            entry, row, number = entries[i], entries[i].row, int(samples.fill[i])
            if number != entry.fill + 1:
                last = float(self._windows.event_time[row])
                time = float(self._windows.last_timestamp[row]) if math.isnan(last) else last
                found[i], samples.lost[i] = following(
                    fills.get(symbols[i], ()),
                    Place(number, float(samples.event_time[i]), int(samples.session[i])),
                    Place(entry.fill, time, int(self._windows.session[row])),
                    partial(self._doubt, symbols[i]),
                )
        return found

    def _append(self, rows: Rows, samples: SampleColumns, timestamp: FloatArray) -> None:
        """Append these to the windows, but for those before which nothing was traded."""
        inputs = WindowInputs.of(samples, timestamp)
        self.warming.keep(rows, inputs)
        number, causes = take(self._windows, rows, inputs)
        metrics.SAMPLES.inc(number)
        metrics.count_unknown(causes)

    def _is_new_refusal(self, refusal: RefusedSnapshot, row: RawSample | InvalidMessage) -> bool:
        """Whether this invalid snapshot differs from the symbol's last invalid one, or other fields are at fault."""
        fields = tuple(fault.reason for fault in refusal.faults)
        digest = hash((str(row) if isinstance(row, InvalidMessage) else tuple(row), fields))
        entry = self._entries[refusal.symbol]
        entry.refused, before = digest, entry.refused
        return digest != before


def _writer(source: str, feed: str | None, native: str | None) -> str:
    return source + ("" if feed is None else f" of {feed}") + ("" if native is None else f" as {native}")


def _untimely(
    symbols: Sequence[str], samples: SampleColumns, which: BoolArray, seconds: FloatArray, where: str
) -> list[tuple[int, RefusedSnapshot]]:
    """The refusals of these samples, by index: they lie so many seconds from where they may be."""
    refused = []
    for i in np.flatnonzero(which).tolist():
        index, source = int(samples.index[i]), samples.source[i]
        time, off = samples.timestamp[i].item(), seconds[i].item()
        advice = too_far(time, off) if where is AHEAD else ""
        fault = InvalidMessage("timestamp", f"{time!r} of the feed {source} lies {off:.3f} s {where}{advice}")
        refused.append((index, RefusedSnapshot(symbols[index], (fault,))))
    return refused


def _at(items: list[T], which: IntArray) -> list[T]:
    """The items at these places, which are ascending."""
    return items if len(which) == len(items) else [items[i] for i in which.tolist()]


def _rows(entries: Collection[SymbolEntry]) -> Rows:
    return np.array([entry.row for entry in entries], np.intp)
