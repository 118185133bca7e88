"""The freshness board keeps the last stated freshness of every symbol. Pure.

The bridge, the broadcaster and every client have one. It holds one freshness for all symbols, and exceptions for
those that differ. A statement about all symbols replaces everything; a statement about some makes exceptions of them.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from cottage.freshness import Cause, Freshness, FreshnessStatement, Status

MOST_NAMED = 4096
"""Symbols in one statement, so that it fits into a frame."""


class _Stated(NamedTuple):
    freshness: Freshness
    at: float
    """The time of the statement by the local monotonic clock."""

    def aged(self, now: float) -> Freshness:
        return self.freshness.aged(now - self.at)


class FreshnessBoard:
    """The freshness of every symbol. `now` is monotonic, in seconds, in all methods."""

    def __init__(self) -> None:
        self._overall = _Stated(Freshness("live", None, None), 0.0)
        self._exceptions: dict[str, _Stated] = {}

    @property
    def overall(self) -> Freshness:
        """What was last stated about all symbols, with the age at that time."""
        return self._overall.freshness

    @property
    def exceptions(self) -> Mapping[str, object]:
        """The symbols whose freshness differs from the overall one."""
        return self._exceptions

    def of(self, symbol: str) -> Freshness:
        """The freshness of a symbol, with the age at the time of the statement."""
        return self._exceptions.get(symbol, self._overall).freshness

    def by_cause(self, symbols: int) -> Counter[Cause | None]:
        """How many of all `symbols` are not live, by cause; under None those that are live."""
        causes = Counter(stated.freshness.cause for stated in self._exceptions.values())
        causes[self.overall.cause] += symbols - len(self._exceptions)
        return causes

    def apply(self, statement: FreshnessStatement, now: float) -> None:
        """Apply a FRESHNESS message."""
        said = statement.freshness
        if statement.symbols is None:
            self._overall = _Stated(said, now)
            self._exceptions.clear()
        elif said.alike(self.overall):
            for symbol in statement.symbols:
                self._exceptions.pop(symbol, None)
        else:
            for symbol, age in statement.each():
                self._exceptions[symbol] = _Stated(Freshness(said.status, said.cause, age), now)

    def forget(self, symbol: str) -> None:
        """Remove a symbol's exception, since it has no state any more, or a newer sample."""
        self._exceptions.pop(symbol, None)

    def differences(
        self, overall: Freshness, exceptions: Mapping[str, Freshness], age: Callable[[str], float | None]
    ) -> list[FreshnessStatement]:
        """The statements that lead from what this board holds to `overall` with these `exceptions`.

        `age` gives the age of a symbol's sample, for symbols that are exceptions no longer.
        """
        if not overall.alike(self.overall):
            return [FreshnessStatement(overall), *grouped(exceptions.items())]
        changed = [(symbol, each) for symbol, each in exceptions.items() if not each.alike(self.of(symbol))]
        ended = [symbol for symbol in self._exceptions if symbol not in exceptions]
        changed += [(symbol, Freshness(overall.status, overall.cause, age(symbol))) for symbol in ended]
        return list(grouped(changed))

    def all_statements(self, symbols: Iterable[str] | None, now: float) -> list[FreshnessStatement]:
        """The statements that a new client needs about these symbols; None means all symbols."""
        chosen = self._exceptions if symbols is None else [name for name in symbols if name in self._exceptions]
        exceptions = grouped((symbol, self._exceptions[symbol].aged(now)) for symbol in chosen)
        return [FreshnessStatement(self._overall.aged(now)), *exceptions]

    def statements_for(self, symbols: Iterable[str], now: float) -> list[FreshnessStatement]:
        """The statements that a client needs whose view of these symbols is out of date."""
        overall = Freshness(self.overall.status, self.overall.cause, None)  # of no single symbol's sample
        held = ((symbol, self._exceptions.get(symbol)) for symbol in symbols)
        return list(grouped((symbol, overall if stated is None else stated.aged(now)) for symbol, stated in held))


def grouped(items: Iterable[tuple[str, Freshness]]) -> Iterator[FreshnessStatement]:
    """One statement for all symbols of the same status and cause."""
    groups: dict[tuple[Status, Cause | None], dict[str, float | None]] = {}
    for symbol, each in items:
        groups.setdefault((each.status, each.cause), {})[symbol] = each.age
    for (status, cause), ages in groups.items():
        left = iter(ages.items())
        while part := dict(islice(left, MOST_NAMED)):
            yield FreshnessStatement.of_symbols(status, cause, part)
