"""What `cottage watch` shows of a StateClient: a row for each symbol, and the present problem in words. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from cottage.client.replica import Phase, ReplicaState
from cottage.client.state_client import StateClient
from cottage.clock import iso_millis
from cottage.faults import IN_WORDS, is_fault
from cottage.freshness import Cause

SERVER_DOWN = "the server is silent"


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """One symbol as both displays show it."""

    symbol: str
    state: ReplicaState | None
    """None if the symbol has no state."""
    freshness: str
    cause: str | None
    age: float | None
    """Seconds since the newest sample; None if that is not known."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON object that `cottage watch --json` prints."""
        return {
            "symbol": self.symbol,
            "state": None if self.state is None else _published(self.state),
            "freshness": self.freshness,
            "cause": self.cause,
            "age": None if self.age is None else round(self.age, 3),
        }


class View:
    """The client as the displays show it. Rows are computed on demand, since there may be thousands of symbols."""

    def __init__(self, client: StateClient, wanted: Sequence[str] = ()) -> None:
        """`wanted`: the symbols to show, in this order. If there are none, all are shown, sorted by name."""
        self._client = client
        self._wanted = wanted

    @property
    def url(self) -> str:
        return self._client.url

    @property
    def phase(self) -> Phase:
        return self._client.phase

    @property
    def symbols(self) -> Sequence[str]:
        return self._wanted or sorted(self._client.states)

    @property
    def missing(self) -> Collection[str]:
        """The symbols that were requested by name and have no state."""
        return self._client.missing

    @property
    def problem(self) -> str | None:
        """Why no new states arrive; None if they do, or if that is not known yet."""
        client = self._client
        if client.phase is not Phase.CONNECTED:
            return client.problem
        if any(client.cause(symbol) == "server_down" for symbol in islice(client.states, 1)):  # or none
            return SERVER_DOWN
        upstream = client.upstream
        if upstream is None:
            return None
        if upstream.status == "live":
            return "; ".join(self._broken()) or None
        cause = upstream.cause
        return "the server has lost its source" if cause is None else IN_WORDS.get(cause, words(cause))

    def _broken(self) -> Iterator[str]:
        """What is broken for the symbols of single sources, in words."""
        symbols: Counter[tuple[Cause, str | None]] = Counter()
        of_source: Counter[str | None] = Counter()
        for symbol, state in self._client.states.items():
            of_source[state.source] += 1
            if (cause := self._client.cause(symbol)) is not None:
                symbols[cast("Cause", cause), state.source] += 1
        for (cause, source), count in symbols.items():
            if is_fault(cause, count, of_source[source]):
                yield f"{IN_WORDS.get(cause, words(cause))} ({count} of {source})"

    def freshness(self, symbol: str) -> tuple[str, str | None]:
        """The symbol's freshness (`live`, `stale`, `expired`, `undated` or `missing`), and the cause if it is stale
        or expired."""
        return self._client.freshness(symbol), self._client.cause(symbol)

    def counts(self, symbols: Iterable[str]) -> Counter[str]:
        """How many of these symbols have each freshness."""
        return Counter(map(self._client.freshness, symbols))

    def row(self, symbol: str) -> SymbolRow:
        return SymbolRow(symbol, self._client.states.get(symbol), *self.freshness(symbol), self._client.age(symbol))


def words(name: str) -> str:
    """A cause or a note as words, such as "feed down", "Redis down" or "no volume"."""
    return name.replace("_", " ").replace("redis", "Redis")


def _published(state: ReplicaState) -> dict[str, Any]:
    """The fields of a PHYSICS_UPDATE as one flat object."""
    fields = dict(state.data)
    if state.time is not None:
        fields["timestamp"] = iso_millis(state.time)
    if state.version is not None:
        fields["epoch"], fields["seq"] = state.version
    return fields
