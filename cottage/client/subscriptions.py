"""What a client wants of its server, and what it has asked for: the requests that make the one the other. Pure.

StateReplica has one. Calls only say what is wanted; requests are made when they are sent, so the calls of one turn
are one request. Requests are never more than a server allows, and what is refused is not wanted any more.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from cottage import keys
from cottage.grant import ALL, MAX_NAMED_SYMBOLS
from cottage.token_bucket import TokenBucket

NAMES_IN_URL = 100
"""The most symbols in the URL of a handshake; more are requested over the connection."""
NAMES_A_REQUEST = 1800
"""The most symbols in one request, since a server accepts at most 64 KiB."""
BURST = 5.0
"""A server allows ten requests and 32 KiB a second, and ten times as much at once. A client stays below: its bucket
holds seconds, of which each request costs some, and may be overdrawn by so many."""
REQUEST_SECONDS = 1 / 8
BYTE_SECONDS = 1 / (32 * 1024)


def symbol_names(symbols: Iterable[str]) -> set[str]:
    """The names that a call was given. Raises TypeError if it is no collection of texts, and InvalidName, which is a
    ValueError, for a text that is neither a symbol nor "*"."""
    if isinstance(symbols, str | bytes) or not isinstance(symbols, Iterable):
        raise TypeError(f'symbols must be a list such as ["SPY"] or ["*"], not {symbols!r:.40}')
    names = set()
    for name in symbols:
        if not isinstance(name, str):
            raise TypeError(f"a symbol is a text, not {name!r:.40}")
        names.add(name if name == ALL else keys.symbol(name))
    return names


class Subscriptions:
    """What is wanted, what was asked for over the present connection, and what of that is not answered."""

    def __init__(self, wanted: set[str] | None, ids: Iterator[int]) -> None:
        """`wanted`: the names; None means all symbols. `ids`: those of the client's requests."""
        _check_number(len(wanted or ()))
        self.wanted = wanted
        self._ids = ids
        self._asked = None if wanted is None else set(wanted)
        self._gone: set[str] = set()
        """What the server is still to be told to leave out."""
        self._unanswered: dict[int, set[str]] = {}
        self._accepted = True
        """Whether the last handshake was; one that named symbols may have been refused for them."""
        self._pace = TokenBucket(1.0, BURST)

    def dialled(self) -> set[str] | None:
        """Take note of a new handshake. Returns the symbols that it is to name; None means all."""
        self._unanswered.clear()
        self._gone.clear()
        self._pace = TokenBucket(1.0, BURST)
        if self.wanted is None:
            self._asked = None
        else:
            inline = self._accepted and len(self.wanted) <= NAMES_IN_URL
            self._asked = set(self.wanted) if inline else set()
        self._accepted = False
        return self._asked

    def accepted(self) -> None:
        """Take note that the handshake was."""
        self._accepted = True

    def wants(self, name: str) -> bool:
        return self.wanted is None or name in self.wanted

    def names(self, name: str) -> bool:
        """Whether it is wanted by its name."""
        return self.wanted is not None and name in self.wanted

    def add(self, names: set[str]) -> None:
        """Want these too; "*" is all. Raises ValueError if they would be more than a server allows."""
        if ALL in names:
            if self.wanted is not None:
                self.wanted = None
                self.again([ALL])  # so that the SNAPSHOT has all of them
        elif self.wanted is not None:
            _check_number(len(self.wanted) + len(names - self.wanted))
            self.wanted |= names

    def drop(self, names: set[str]) -> None:
        """Want these no longer; "*" is all. Raises ValueError for single symbols while all are wanted."""
        if ALL in names:
            self.wanted = set()
            self.again([ALL])
        elif self.wanted is None:
            raise ValueError('subscribed to all: unsubscribe(["*"]) first')
        else:
            self.again(names & self.wanted)
            self.wanted -= names

    def again(self, names: Iterable[str]) -> None:
        """The server is to leave these out, and is asked for them anew where they are wanted, for a SNAPSHOT."""
        known, named = self._asked, set(names)
        if ALL in named or (known is None and named):  # single symbols cannot be taken out of all
            self._gone, self._asked = {ALL}, set()
        elif known is not None:
            self._gone |= known & named
            known -= named

    def due(self, now: float) -> list[dict[str, Any]]:
        """The requests that are to be sent now; what is too much at once comes later. `now`: monotonic seconds."""
        requests: list[dict[str, Any]] = []
        while names := sorted(self._gone)[:NAMES_A_REQUEST]:
            if not self._take("unsubscribe", names, now, requests):
                return requests
            self._gone.difference_update(names)
        while names := sorted(self._new())[:NAMES_A_REQUEST]:
            if not self._take("subscribe", names, now, requests):
                return requests
            self._unanswered[requests[-1]["id"]] = set(names)
            self._asked = None if ALL in names else (self._asked or set()).union(names)
        return requests

    def _new(self) -> set[str]:
        """What is wanted and was not asked for."""
        asked, wanted = self._asked, self.wanted
        if asked is None or (wanted is not None and len(asked) == len(wanted)):  # what was asked for is wanted
            return set()
        return {ALL} if wanted is None else wanted - asked

    def _take(self, action: str, names: list[str], now: float, requests: list[dict[str, Any]]) -> bool:
        """Add a request for these names, if the server allows one more now. Returns whether it does."""
        cost = REQUEST_SECONDS + BYTE_SECONDS * sum(len(name) + 3 for name in names)
        if not self._pace.take(cost, now):
            return False
        requests.append({"action": action, "symbols": names, "id": next(self._ids)})
        return True

    @property
    def settled(self) -> bool:
        """Whether everything that is wanted was asked for and answered."""
        return not self._unanswered and not self._gone and not self._new()

    def granted(self, request_id: object) -> bool:
        """An ACK has come. Returns whether it is that of a `subscribe`, so that a SNAPSHOT follows."""
        return self._answered(request_id) is not None

    def refused(self, request_id: object) -> set[str]:
        """An ERROR has come. Returns what is not wanted any more because of it: it would be refused again."""
        names = self._answered(request_id) or set()
        if ALL in names:
            self.wanted, self._asked = set(), set()
        elif self.wanted is not None and self._asked is not None:
            self.wanted -= names
            self._asked -= names
        return names

    def _answered(self, request_id: object) -> set[str] | None:
        return self._unanswered.pop(request_id, None) if isinstance(request_id, int) else None


def _check_number(symbols: int) -> None:
    if symbols > MAX_NAMED_SYMBOLS:
        raise ValueError(f'{symbols} symbols are too many: at most {MAX_NAMED_SYMBOLS} by name; ["*"] is all of them')
