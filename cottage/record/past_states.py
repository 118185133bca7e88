"""What a reader of Redis would have got at a past time, by a record: the state, its version, and its freshness.

A state counts from when Redis wrote it, by Redis's clock, until the next one of its symbol was written. Where that
clock was set back, or another server with another clock took over, it showed the same time twice, and each time
another state held: the answer names all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cottage.errors import HistoryRefusal
from cottage.freshness import USUAL, Freshness, Thresholds, assess
from cottage.record.arrow_schema import pyarrow
from cottage.record.history import iso
from cottage.record.record import Record
from cottage.record.record_events import RecordEvents
from cottage.record.state_rows import state_of
from cottage.state import PhysicsState
from cottage.version import FARTHEST_AHEAD_SECONDS, Version

_MARGIN = 7_200_000_000
"""By how much a clock may have been set for both orders to be seen: two hours. Most versions are found within it."""
_BEYOND = 1 << 62
"""A time that is later than any, and that a column of times can be compared with."""
_COLUMNS = ("epoch", "seq", "prev_epoch", "prev_seq", "written", "recorded", "last")


class _RecordedVersion(NamedTuple):
    version: Version
    prev: Version | None
    written: int
    recorded: int


@dataclass(frozen=True, slots=True)
class PastState:
    """A recorded state."""

    state: PhysicsState
    asked: int
    """The time that it is told for, here and below in microseconds since 1970: that of the question, or when it was
    written."""
    freshness: Freshness
    """As a reader would have assessed it then, had every hop been well."""
    run: int
    recorded: int
    outages: list[dict[str, Any]]
    """The outages of hops at that time."""
    orders: tuple[Version, ...] = ()
    """All versions that held when the clock showed that time, where these are several, in order."""
    replaced: Version | None = None
    """What the next recorded version replaced, where that is not this one: another version may have held then."""


class PastStates:
    """Finds recorded states."""

    def __init__(self, record: Record, events: RecordEvents) -> None:
        self._record = record
        self._events = events

    def at(self, symbol: str, time: int, thresholds: Thresholds = USUAL, *, removed_too: bool = False) -> PastState:
        """What held at a time by Redis's clock, by `written` ≤ time. `removed_too`: also where it had been removed
        since. Raises HistoryRefusal: `no_record`, `not_recorded` or `no_such_symbol`."""
        reach = self._events.reach()
        if time > reach:
            raise HistoryRefusal("not_recorded", f"the record reaches until {iso(reach)} as yet")
        versions = self._versions(symbol, time)
        held = max((each for each in versions if each.written <= time), key=_by_written, default=None)
        if held is None:
            versions = versions or _versions(self._record.scan("samples", _COLUMNS, symbols=[symbol]))
            if versions:
                begin = min(each.written for each in versions)
                raise HistoryRefusal("not_recorded", f"the record of {symbol} begins at {iso(begin)}")
            raise self._unknown(symbol)
        after = versions[versions.index(held) + 1 :][:1]
        replaced = after[0].prev if after and after[0].prev != held.version else None
        removed = None if removed_too else self._removed(symbol, held.written, time)
        if removed is not None and not (after and after[0].prev == held.version):  # nobody can replace what is gone
            detail = f"there was no state of {symbol} then: it was removed at {iso(removed)}"
            raise HistoryRefusal("no_such_symbol", detail)
        orders = _held_at(versions, time) | {held.version}
        return self._told(symbol, held, time, thresholds, tuple(sorted(orders)) if len(orders) > 1 else (), replaced)

    def version(self, symbol: str, version: Version, thresholds: Thresholds = USUAL) -> PastState:
        """The state of exactly this version, with its freshness when it was written. Raises as `at` does."""
        self._events.reach()
        begin = min(version.epoch * 1000 - round(FARTHEST_AHEAD_SECONDS * 1e6), _BEYOND)
        near = min(version.epoch * 1000 + version.seq * 1_000_000, _BEYOND)
        for bounds in ((near - _MARGIN, near + _MARGIN), (begin, None)):
            rows = self._record.scan("samples", _COLUMNS, symbols=[symbol], recorded=bounds)
            for each in _versions(rows):
                if each.version == version:
                    return self._told(symbol, each, each.written, thresholds)
        if not len(self._record.scan("samples", ["recorded"], symbols=[symbol])):
            raise self._unknown(symbol)
        detail = f"version {version.epoch}-{version.seq} of {symbol} is not in the record"
        raise HistoryRefusal("not_recorded", detail)

    def _versions(self, symbol: str, time: int) -> list[_RecordedVersion]:
        """The versions that were written about then, or else all that were written before, in their order."""
        versions: list[_RecordedVersion] = []
        for since in (time - _MARGIN, None):
            bounds = (since, time + _MARGIN)
            stamped = self._record.scan("samples", _COLUMNS, symbols=[symbol], written=bounds)
            others = self._record.scan("samples", _COLUMNS, symbols=[symbol], recorded=bounds)
            others = others.filter(pyarrow().compute.is_null(others["written"]))
            versions = _versions(pyarrow().concat_tables([stamped, others]))
            if any(each.written <= time for each in versions):
                break
        return versions

    def _removed(self, symbol: str, since: int, until: int) -> int | None:
        """When the symbol was removed in that time, the last time; None if it was not."""
        bounds = (since, until + 1)
        rows = self._record.scan("freshness", ["status", "recorded"], symbols=[symbol], recorded=bounds).to_pylist()
        return max((row["recorded"] for row in rows if row["status"] == "removed"), default=None)

    def _told(
        self,
        symbol: str,
        held: _RecordedVersion,
        asked: int,
        thresholds: Thresholds,
        orders: tuple[Version, ...] = (),
        replaced: Version | None = None,
    ) -> PastState:
        bounds = (held.recorded, held.recorded + 1)
        found = self._record.scan("samples", symbols=[symbol], recorded=bounds).to_pylist()
        rows = [row for row in found if (row["epoch"], row["seq"]) == held.version]
        try:
            state = state_of(rows)
        except ValueError as error:
            detail = "the record has the samples of that state, and not the state itself (RECORDER_STATES=inputs)"
            raise HistoryRefusal("not_recorded", detail) from error
        freshness = assess(state.age(asked / 1e6), None, 0.0, thresholds, (state.lag_ms or 0) / 1000)
        outages = self._events.outages(asked, asked + 1)
        return PastState(state, asked, freshness, rows[0]["run"], held.recorded, outages, orders, replaced)

    def _unknown(self, symbol: str) -> HistoryRefusal:
        return HistoryRefusal("no_such_symbol", f"there is no state of {symbol} in the record")


def _versions(rows: Any) -> list[_RecordedVersion]:
    """The versions of some rows, in their order; one that Redis's clock did not stamp counts from when the recorder
    had it."""
    versions = []
    own = rows.filter(rows["last"])
    for epoch, seq, before, number, written, recorded in zip(
        *(own[name].to_pylist() for name in _COLUMNS[:-1]), strict=True
    ):
        prev = None if before is None else Version(before, number)
        versions.append(_RecordedVersion(Version(epoch, seq), prev, written or recorded, recorded))
    return sorted(versions)


def _by_written(each: _RecordedVersion) -> tuple[int, Version]:
    return each.written, each.version


def _held_at(versions: Sequence[_RecordedVersion], time: int) -> set[Version]:
    """The versions, of some in their order, that held when the clock showed a time: they were written until then, and
    the next one after."""
    nexts = [*versions[1:], None]
    return {
        each.version
        for each, following in zip(versions, nexts, strict=True)
        if each.written <= time and (following is None or following.written > time)
    }
