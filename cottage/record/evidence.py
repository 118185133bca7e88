"""The samples of a symbol's record as feynman took them, and which of them a state's window holds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from cottage.notes import BITS, OF_A_TICK
from cottage.reference.middle import Memory
from cottage.reference.plain_samples import PlainSample, apart, nothing_traded
from cottage.reference.plain_spacing import YOUNG, Spacing, follow_steps, spacings_of

Row = Mapping[str, Any]
"""A row of the table `samples`, by column."""
_FLAGS = {"break": "states_break", "mid": "mid", "auction": "auction"}
_WORDS = BITS.keys() - OF_A_TICK - _FLAGS.keys()
COUNTERS_SETTLE = 200
"""After so many samples it does not matter any more what a counter was before, unless it stands still."""


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """A sample that feynman took."""

    row: Row
    """Where it is recorded first."""
    sample: PlainSample
    time: float
    """Its event time, in seconds since 1970."""


@dataclass(slots=True)
class Evidence:
    """The samples of a symbol up to a version, in order, and where in them the states are."""

    taken: list[SampleTaken] = field(default_factory=list)
    states: list[tuple[int, Row]] = field(default_factory=list)
    """For each version that has a state, the place of its newest sample, and its row."""
    _session: int = 0
    _marks: dict[str, int] = field(default_factory=dict)
    _offset: float = 0.0
    """By how many seconds Redis's clock was set since the first sample."""
    _sampled: float = 0.0
    """The timestamp of the newest snapshot."""

    @classmethod
    def of(cls, versions: Iterable[Sequence[Row]]) -> "Evidence":
        """`versions`: the rows of each, ascending."""
        evidence = cls()
        for rows in versions:
            evidence._add(rows)
        return evidence

    def _add(self, rows: Sequence[Row]) -> None:
        own = rows[-1]
        newest = self.taken[-1] if self.taken else None
        if newest is not None and _named(own) == _named(newest.row):  # it is issued again
            stamp = _seconds(own["sampled"])
            self._offset += stamp - self._sampled
            self._sampled = stamp
        else:
            for row in rows:
                self._take(row, own)
        if own["last"] and own["regime"] is not None and self.taken:
            self.states.append((len(self.taken) - 1, own))

    def _take(self, row: Row, own: Row) -> None:
        self._sampled = _seconds(row["sampled"])
        sample = self._sample(row, own)
        if self.taken and nothing_traded(sample, self.taken[-1].sample, self._session):
            return
        self._session = sample.session or self._session
        event_time = row["event_time"] or row["feed_time"] or row["sampled"]
        self.taken.append(SampleTaken(row, sample, _seconds(event_time)))

    def _sample(self, row: Row, own: Row) -> PlainSample:
        said = set((row["said"] if row["last"] else row["notes"]) or ())
        mark = row["session"]
        event_time = row["event_time"]
        return PlainSample(
            self._sampled - self._offset,
            row["price"],
            _counter(row, "volume"),
            _counter(row, "trades"),
            0 if mark is None else self._marks.setdefault(mark, len(self._marks) + 1),
            own["tick"],
            event_time=None if event_time is None else _seconds(event_time),
            interval=own["interval"],
            lost=bool(row["lost"]),
            words=frozenset(said & _WORDS),
            **{flag: word in said for word, flag in _FLAGS.items()},
        )


@dataclass(frozen=True, slots=True)
class Window:
    """Which samples a state's window holds: places in an Evidence."""

    oldest: int
    newest: int
    told: int
    """How many samples the state says that it holds."""
    life: int | None
    """Where the window began; None where that was before the record. Its first sample has no return."""
    before: int | None
    """Which of the states is the one before: the place in `states`; None where none is of this window."""
    base: int
    """The newest sample of that state, or the one before the window's beginning."""

    @property
    def samples(self) -> int:
        return self.newest - self.oldest + 1

    def continues(self, place: int, earlier: Row) -> bool:
        """Whether the window goes on from that of an earlier state, whose newest sample is at this place: one that
        was filled from the record since does not."""
        return bool(earlier["samples"] + self.newest - place >= self.told)

    @property
    def start(self) -> int:
        """From where on samples are looked at: the window's beginning, or as many before the windows of this state
        and of the one before as these hold, and 200 at least, since what is said of each sample depends on those
        before it."""
        return max(self._enough, 0) if self.life is None or self.life < 0 else self.life

    @property
    def _enough(self) -> int:
        return min(self.oldest, self.base - self.samples + 1) - max(self.samples, COUNTERS_SETTLE)

    @property
    def from_beginning(self) -> bool:
        return self.start == self.life

    @property
    def missing(self) -> int:
        """How many samples that it needs are not recorded."""
        return max(0, (0 if self.life == self.oldest else 1) - self.oldest)

    @property
    def settled(self) -> bool:
        """Whether what each of its samples says follows from the record alone."""
        return self.from_beginning or self.start == self._enough


def window_of(evidence: Evidence) -> Window:
    """The window of the newest state."""
    *earlier, (newest, own) = evidence.states
    life = _life(evidence)
    oldest = newest - int(own["samples"]) + 1
    if life is not None:  # where the record lacks samples, the window seems to begin later than its state says
        oldest = max(oldest, life)
    window = Window(oldest, newest, int(own["samples"]), life, None, (oldest if life is None else life) - 1)
    for index, (place, row) in reversed([*enumerate(earlier)]):
        if window.continues(place, row) and (life is None or place >= life):
            return replace(window, before=index, base=place)
    return window


def _life(evidence: Evidence) -> int | None:
    """Where the window of the newest state began, by how many samples the states had; None where that is not told.

    A window grows by one a sample, until it is full. One that was filled from the record has grown by more."""
    (first, begin), (newest, own) = evidence.states[0], evidence.states[-1]
    if len(evidence.states) == 1:
        return min(0, newest - int(own["samples"]) + 1)
    # It began with the record, if its first state has no more samples than that one's version.
    life = 0 if begin["samples"] == first + 1 else None
    for (before, earlier), (after, later) in pairwise(evidence.states):
        grown = later["samples"] - earlier["samples"]
        if grown > after - before:
            life = None
        elif grown > 0:
            life = before - earlier["samples"] + 1
        elif grown < 0:
            life = after - later["samples"] + 1
    return life


def memory_of(evidence: Evidence, window: Window) -> Memory:
    """What the state before it remembers."""
    if window.before is None:
        return Memory()
    row = evidence.states[window.before][1]
    since = row["regime_since"]
    return Memory(row["regime"], None if since is None else _seconds(since), row["grid"], row["votes"] or 0)


def steps_in(evidence: Evidence, window: Window) -> tuple[list[float], list[int]]:
    """The step after each sample from the window's `start` on, and the places at which one that is recorded does not
    follow from the samples. Where that is the newest, its step is the one that does."""
    start, end = window.start, window.newest + 1
    recorded = {place: row["step"] for place, row in reversed(evidence.states) if window.continues(place, row)}
    told = [recorded.get(place) for place in range(start, end)]
    steps, odd = _steps(evidence, window, told)
    if odd and odd[-1] == window.newest:
        steps, odd = _steps(evidence, window, [*told[:-1], None])
    return steps, odd


def _steps(evidence: Evidence, window: Window, told: Sequence[float | None]) -> tuple[list[float], list[int]]:
    start = window.start
    samples = [taken.sample for taken in evidence.taken[start : window.newest + 1]]
    pairs = zip(samples, [samples[0], *samples], strict=False)
    distances = [(apart(now, before), now.interval) for now, before in pairs]
    anchor, first, young = -1, [Spacing()], 0
    if not window.from_beginning:
        anchor = next((place for place, step in enumerate(told) if step is not None), len(told) - 1)
        first, young = spacings_of(told[anchor] or 1.0), YOUNG
    behind = slice(anchor + 1, None)
    steps, odd = follow_steps(distances[behind], told[behind], first, young, slack=0.0)
    if odd:
        steps, odd = follow_steps(distances[behind], told[behind], first, young)
    return [first[0].step] * (anchor + 1) + steps, [start + anchor + 1 + place for place in odd]


def _named(row: Row) -> tuple[Any, ...]:
    """What a sample is known by."""
    feed_time = row["sampled"] if row["feed_time"] is None else row["feed_time"]
    return row["event_time"], feed_time, row["price"]


def _counter(row: Row, name: str) -> float | None:
    """A counter: a state that does not say that it is missing has one that is too great to be told."""
    value: float | None = row[name]
    if value is None and row["last"] and row["regime"] is not None and f"no_{name}" not in (row["notes"] or ()):
        return math.inf
    return value


def _seconds(micros: int) -> float:
    return micros / 1e6
