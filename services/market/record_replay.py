"""Replays the ticks of a record: what feynman took then is handed over again, in the same portions.

The source Replayed uses it. A portion is what was taken of a symbol for one version of its state. In lock-step
feynman takes each as it did then, so what it computes is the same (docs/record.md, Time travel). At a speed a tick
happens when its market's time does, and feynman takes what is there when it ticks itself.

Samples are numbered here, and not as they are written: a number is left out before a sample of which the one before
was lost. Numbers begin at 1 where a window is another one, for there feynman begins to count too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cottage.record.recorded_ticks import RecordedSample, RecordedTick, RecordedVersion, ReplacedWindows
from cottage.snapshot import MarketSnapshot
from services.market.replay import SECOND, SOURCE


@dataclass(slots=True)
class _Place:
    """Where a symbol is: at its newest sample."""

    number: int = 0
    at: int | None = None
    same: int = 0
    """How many samples before it have the same time."""

    def after(self, sample: RecordedSample) -> None:
        self.number += 1 + sample.lost
        self.same = self.same + 1 if sample.at == self.at else 0
        self.at = sample.at


class RecordReplay:
    """One pass over the `ticks` of a record. As of Replay, only one thread at a time may call what reads ticks."""

    def __init__(self, ticks: Iterable[RecordedTick], speed: float = math.inf) -> None:
        """Read the first tick. Raises what the iterator `ticks` raises. `speed`: infinite in lock-step."""
        self.speed = speed
        self.started = 0
        """Milliseconds since 1970; 0 before `begin`."""
        self.recorded: int | None = None
        """The market's time in the newest tick that has happened, in microseconds since 1970."""
        self.folded = 0
        """Samples that have happened."""
        self._places: dict[str, _Place] = {}
        self._ticks = iter(ticks)
        self._elapsed = 0
        """Microseconds of the market's time that lie between the first tick and the next one. It may begin anew, such
        as with the next pass of a replay that was recorded, and is then taken to stand still."""
        self._next = next(self._ticks, None)
        self._replaced = () if self._next is None else self._next.replaced
        self.recorded_from = None if self._next is None else _at(self._next)
        """The market's time in the first tick; None where there is none."""

    def begin(self, started: int) -> None:
        """Start the replay, or move it: the first tick happens at `started`, in milliseconds since 1970."""
        self.started = started

    @property
    def symbols(self) -> list[str]:
        """The symbols that had a sample so far, or will have one as far as that is known."""
        return list(self._places)

    @property
    def finished(self) -> bool:
        """Whether all ticks have happened."""
        return self._next is None

    @property
    def next_at(self) -> float:
        """When the next tick happens, in milliseconds since 1970; infinite where there is none."""
        return math.inf if self._next is None else self.started + math.ceil(self._elapsed / (1000 * self.speed))

    def replaced(self) -> Sequence[ReplacedWindows]:
        """What feynman has to be told before the next tick happens; once."""
        replaced, self._replaced = self._replaced, ()
        for each in replaced:
            self._places.update((symbol, _Place()) for symbol in each.symbols)
        return replaced

    def until(self, now: int) -> list[MarketSnapshot]:
        """Snapshots of the symbols with a new sample since the last call and up to `now` (milliseconds), inclusive,
        or up to the next tick before which windows were replaced; each with the samples before it."""
        newest: dict[str, MarketSnapshot] = {}
        while self.next_at <= now and not self._replaced:
            for snapshot in self._take(min(now, math.floor(self.next_at))):
                newest[snapshot.symbol] = snapshot.following(newest.get(snapshot.symbol))
        return list(newest.values())

    def step(self, now: int) -> list[MarketSnapshot]:
        """In lock-step: the snapshots of the next tick, which happens at `now` (milliseconds), or a millisecond after
        the one before if that is later."""
        self.begin(max(now, self.started + 1))
        return self._take(self.started)

    def _take(self, at: int) -> list[MarketSnapshot]:
        tick = self._next
        assert tick is not None
        self._next = next(self._ticks, None)
        self.recorded = _at(tick)
        if self._next is not None:
            self._elapsed += max(0, _at(self._next) - self.recorded)
            self._replaced = self._next.replaced
        return [self._snapshot(version, at / 1000) for version in tick.versions]

    def _snapshot(self, version: RecordedVersion, timestamp: float) -> MarketSnapshot:
        *fill, own = (self._sample(version, sample, timestamp) for sample in version.samples)
        self.folded += len(version.samples)
        return replace(own, fill=tuple(fill))

    def _sample(self, version: RecordedVersion, sample: RecordedSample, timestamp: float) -> MarketSnapshot:
        place = self._places[version.symbol]
        place.after(sample)
        return MarketSnapshot(
            symbol=version.symbol,
            price=sample.price,
            timestamp=timestamp,
            volume=sample.volume,
            trades=sample.trades,
            source=SOURCE,
            bid=sample.bid,
            ask=sample.ask,
            session=sample.session,
            notes=sample.notes,
            native=version.writer[2],
            # Two samples of one time are taken for one that was handed over twice.
            event_time=(sample.at + place.same) / SECOND,
            interval=version.interval,
            tick=version.tick,
            received=None if sample.received is None else sample.received / SECOND,
            number=place.number,
        )


def _at(tick: RecordedTick) -> int:
    return max(version.samples[-1].at for version in tick.versions)
