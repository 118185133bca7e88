"""How far the states may be trusted, as it was said last: of all, and of those that stand apart. Pure.

A symbol is live until something else is said of it. What is said of all holds for each, and begins anew; what
is said of some afterwards sets them apart.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from cottage.freshness import Freshness, FreshnessStatement

MOST_NAMED = 4096
"""Symbols in one statement, so that it fits into a frame."""


class _Said(NamedTuple):
    freshness: Freshness
    at: float
    """When, by our monotonic clock: ages grow."""

    def aged(self, now: float) -> Freshness:
        return self.freshness.aged(now - self.at)


class FreshnessBoard:
    """`now`, here and below: monotonic, in seconds."""

    def __init__(self) -> None:
        self._whole = _Said(Freshness("live", None, None), 0.0)
        self._apart: dict[str, _Said] = {}

    @property
    def whole(self) -> Freshness:
        """What was said of all, with the age of then."""
        return self._whole.freshness

    @property
    def apart(self) -> Mapping[str, object]:
        """The symbols that stand apart."""
        return self._apart

    def of(self, symbol: str) -> Freshness:
        """What holds for a symbol, with the age of then."""
        return self._apart.get(symbol, self._whole).freshness

    def take(self, statement: FreshnessStatement, now: float) -> None:
        said = _Said(statement.freshness, now)
        if statement.symbols is None:
            self._whole = said
            self._apart.clear()
            return
        for symbol in statement.symbols:
            if said.freshness.alike(self.whole):
                self._apart.pop(symbol, None)
            else:
                self._apart[symbol] = said

    def forget(self, symbol: str) -> None:
        """It has no state any more."""
        self._apart.pop(symbol, None)

    def changes(
        self, whole: Freshness, apart: Mapping[str, Freshness], age: Callable[[str], float | None]
    ) -> list[FreshnessStatement]:
        """What is to be said so that this holds: of all, but for those `apart`. `age`: of a symbol's sample, for
        those that no longer stand apart."""
        if not whole.alike(self.whole):
            return [FreshnessStatement(whole), *gathered(apart.items())]
        news = [(symbol, each) for symbol, each in apart.items() if not each.alike(self.of(symbol))]
        back = [symbol for symbol in self._apart if symbol not in apart]
        news += [(symbol, Freshness(whole.status, whole.cause, age(symbol))) for symbol in back]
        return list(gathered(news))

    def whole_of(self, symbols: Iterable[str] | None, now: float) -> list[FreshnessStatement]:
        """What tells somebody who knows nothing what holds of these; None is all."""
        chosen = self._apart if symbols is None else [symbol for symbol in symbols if symbol in self._apart]
        apart = gathered((symbol, self._apart[symbol].aged(now)) for symbol in chosen)
        return [FreshnessStatement(self._whole.aged(now)), *apart]

    def each_of(self, symbols: Iterable[str], now: float) -> list[FreshnessStatement]:
        """What holds of these, for somebody who knows something else."""
        whole = Freshness(self.whole.status, self.whole.cause, None)  # of no single symbol's sample
        held = ((symbol, self._apart.get(symbol)) for symbol in symbols)
        return list(gathered((symbol, whole if said is None else said.aged(now)) for symbol, said in held))


def gathered(items: Iterable[tuple[str, Freshness]]) -> Iterator[FreshnessStatement]:
    """One statement for those of the same status and cause, with the greatest of their ages."""
    alikes: dict[tuple[str, str | None], dict[str, Freshness]] = {}
    for symbol, each in items:
        alikes.setdefault((each.status, each.cause), {})[symbol] = each
    for same in alikes.values():
        left = iter(same.items())
        while part := dict(islice(left, MOST_NAMED)):
            ages = [each.age for each in part.values() if each.age is not None]
            one = next(iter(part.values()))
            yield FreshnessStatement(Freshness(one.status, one.cause, max(ages, default=None)), tuple(part))
