"""The client protocol `cottage.v1`: builds and parses its messages, JSON text frames over a WebSocket.

Pure: bytes in, values out, and back.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any
from urllib.parse import parse_qs

import orjson

from cottage import keys
from cottage.clock import iso_millis
from cottage.errors import CottageError, InvalidMessage, InvalidName
from cottage.freshness import Freshness, FreshnessStatement, is_age, milliseconds
from cottage.grant import ALL, ANYBODY, Grant
from cottage.version import Version

SUBPROTOCOL = "cottage.v1"
TOKEN_SUBPROTOCOL = "bearer."
"""A browser, which can set no headers, offers its token behind this beside SUBPROTOCOL. It is never selected."""
PATH = "/ws"
MAX_REQUEST_BYTES = 64 * 1024
MAX_TOKEN_BYTES = 4096
"""The most bytes of a token, measured before anything is read of it."""
MAX_PROVEN_SYMBOLS = 64
"""A client that named at most so many symbols gets their versions with every HEARTBEAT."""


MOST_SYMBOL_BYTES = keys.LONGEST_SYMBOL + 3
"""The most bytes of a symbol in a JSON list, with its quotes and comma."""
BATCHES = (100, 250, 500, 1000)
"""The values, in milliseconds, that ?batch= may have."""


class Close(IntEnum):
    """Why the server closes a connection; after all but POLICY and UNAUTHORIZED a client should connect again."""

    GOING_AWAY = 1001
    POLICY = 1008
    TOO_BIG = 1009
    SILENT = 1011
    TRY_AGAIN_LATER = 1013
    UNAUTHORIZED = 4401
    """No token came, or none that is good now; the reason is one word. With another token a client may come back."""


class Code(StrEnum):
    """The codes of ERROR."""

    BINARY = "binary"  # a binary frame; only text is understood
    BAD_JSON = "bad_json"  # not one JSON object
    UNKNOWN_ACTION = "unknown_action"
    BAD_REQUEST = "bad_request"  # a field is missing or of the wrong type
    BAD_SYMBOL = "bad_symbol"
    TOO_MANY_SYMBOLS = "too_many_symbols"  # more than the grant's max_symbols
    SUBSCRIBED_TO_ALL = "subscribed_to_all"  # single symbols cannot be taken out of ["*"]
    NOT_ALLOWED = "not_allowed"  # symbols beyond the client's grant, whether or not there are such
    BAD_TOKEN = "bad_token"  # not good, or of another principal: the one before stands


class RequestRefused(CottageError):
    """A request that is refused: it is answered with ERROR, and the connection stays open."""

    def __init__(
        self, code: Code, message: str, request_id: object = None, symbols: Iterable[str] | None = None
    ) -> None:
        """`symbols`: those that are refused, where the others of the request are not."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.symbols = None if symbols is None else sorted(symbols)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client subscribed to, all symbols or some by name, and how it is sent."""

    everything: bool
    named: frozenset[str] = frozenset()
    batch: int = 0
    """The length of batch windows in milliseconds; 0 means no batches."""
    deflated: bool = False
    """Whether frames for all clients of a batch are compressed, which they must have offered to read."""

    def nothing(self) -> "Subscription":
        """A subscription to no symbols, sent in the same way."""
        return replace(self, everything=False, named=frozenset())

    def with_more(self, added: "Subscription") -> "Subscription":
        if self.everything or added.everything:
            return replace(self, everything=True, named=frozenset())
        return replace(self, named=self.named | added.named)

    def without(self, gone: "Subscription") -> "Subscription":
        return replace(self, named=self.named - gone.named)


@dataclass(frozen=True, slots=True)
class Request:
    action: str
    """`subscribe`, `unsubscribe`, `ping` or `auth`"""
    subscription: Subscription
    request_id: object = None
    token: str = field(default="", repr=False)
    """Of `auth`."""


def parse_freshness(message: dict[str, Any]) -> FreshnessStatement:
    """Parse a FRESHNESS message. Raises InvalidMessage."""
    symbols = message.get("symbols")
    if not isinstance(symbols, list) or not all(name == ALL or keys.is_symbol(name) for name in symbols):
        raise InvalidMessage("type", "a FRESHNESS without symbols")
    freshness = Freshness.from_fields(message)
    if ALL in symbols:
        return FreshnessStatement(freshness)
    return FreshnessStatement(freshness, tuple(symbols), _ages(message, len(symbols)))


def _ages(message: dict[str, Any], number: int) -> tuple[float | None, ...] | None:
    ages = message.get("ages_ms")
    if ages is None:
        return None
    if not (isinstance(ages, list) and len(ages) == number and all(age is None or is_age(age) for age in ages)):
        raise InvalidMessage("type", "ages_ms does not give an age for each symbol")
    return tuple(None if age is None else age / 1000 for age in ages)


def parse_target(target: str, grant: Grant = ANYBODY) -> Subscription | None:
    """The subscription in the path and query of a handshake; None if the path is not that of the WebSocket.

    Raises RequestRefused for a bad query, and for more than `grant` allows.
    """
    path, _, rest = target.partition("?")
    if path != PATH:
        return None
    query = parse_qs(rest, keep_blank_values=True)
    batch = _batch(query["batch"][-1]) if "batch" in query else 0
    if "symbols" not in query:
        return Subscription(everything=True, batch=batch)
    names = [name for names in query["symbols"] for name in names.split(",") if name]
    return replace(_subscription(names, grant, None), batch=batch)


def _batch(text: str) -> int:
    if text not in map(str, BATCHES):
        raise RequestRefused(Code.BAD_REQUEST, f"batch must be one of {', '.join(map(str, BATCHES))} (milliseconds)")
    return int(text)


def parse_request(message: str | bytes, grant: Grant = ANYBODY) -> Request:
    """Parse a request of a client. Raises RequestRefused, also for more than `grant` allows."""
    if not isinstance(message, str):
        raise RequestRefused(Code.BINARY, "send text frames, not binary ones")
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise RequestRefused(Code.BAD_JSON, "a request is one JSON object")
    request_id = fields.get("id")
    if request_id is not None and not (type(request_id) in (str, int) and len(str(request_id)) <= 64):
        raise RequestRefused(Code.BAD_REQUEST, "id must be text or a whole number of at most 64 characters")
    action = fields.get("action")
    if action == "ping":
        return Request("ping", Subscription(False), request_id)
    if action == "auth":
        return Request("auth", Subscription(False), request_id, _token(fields.get("token"), request_id))
    if action not in ("subscribe", "unsubscribe"):
        known = "action must be one of subscribe, unsubscribe, auth, ping"
        raise RequestRefused(Code.UNKNOWN_ACTION, known, request_id)
    symbols = fields.get("symbols")
    if not isinstance(symbols, list):
        raise RequestRefused(Code.BAD_REQUEST, 'symbols must be a list such as ["SPY"] or ["*"]', request_id)
    return Request(action, _subscription(symbols, grant, request_id), request_id)


def _token(token: object, request_id: object) -> str:
    if not isinstance(token, str):
        raise RequestRefused(Code.BAD_REQUEST, "token must be text", request_id)
    if len(token.encode()) > MAX_TOKEN_BYTES:
        raise RequestRefused(Code.BAD_TOKEN, f"a token has at most {MAX_TOKEN_BYTES} bytes", request_id)
    return token


def _subscription(symbols: Sequence[object], grant: Grant, request_id: object) -> Subscription:
    if ALL in symbols:
        return Subscription(everything=True)
    try:
        named = frozenset(keys.symbol(name) for name in symbols)
    except InvalidName as error:
        raise RequestRefused(Code.BAD_SYMBOL, str(error), request_id) from error
    check_count(named, grant, request_id)
    return Subscription(False, named)


def not_allowed(symbols: Iterable[str], request_id: object = None) -> RequestRefused:
    """The refusal of symbols beyond a client's grant. It says nothing of whether there are such."""
    return RequestRefused(Code.NOT_ALLOWED, "the token does not name these symbols", request_id, symbols)


def check_count(named: frozenset[str], grant: Grant, request_id: object) -> None:
    """Raises RequestRefused if the client may not name so many symbols."""
    if len(named) > grant.max_symbols:
        most = f'at most {grant.max_symbols} symbols can be named; ["*"] is all of them'
        raise RequestRefused(Code.TOO_MANY_SYMBOLS, most, request_id)


def snapshot(
    timestamp: str, updates: Iterable[bytes], *, last: bool, complete: bool, missing: Iterable[str]
) -> bytes:
    """A SNAPSHOT of encoded PHYSICS_UPDATEs, which are not changed."""
    head, tail = orjson.dumps(timestamp), orjson.dumps({"last": last, "complete": complete, "missing": list(missing)})
    return b'{"event":"SNAPSHOT","timestamp":%b,"updates":[%b],%b' % (head, b",".join(updates), tail[1:])


def split_snapshot(message: bytes) -> list[bytes]:
    """Undo `snapshot`: the updates as they were published. Raises InvalidMessage.

    Parsing and writing them anew would give other bytes where the publisher writes JSON in another way.
    """
    head = b'"updates":['
    start = message.find(head)
    if start < 0:
        raise InvalidMessage("type", "a SNAPSHOT without updates")
    text = message[start + len(head) :].decode()
    updates: list[bytes] = []
    begin = 0
    try:
        if text.startswith("]"):
            return updates
        while True:
            _, end = _decoder.raw_decode(text, _after_space(text, begin))
            end = _after_space(text, end)
            updates.append(text[begin:end].encode())
            if text[end] != ",":
                return updates
            begin = end + 1
    except (ValueError, IndexError, RecursionError) as error:
        raise InvalidMessage("json", f"updates of a SNAPSHOT: {error}") from error


_decoder = json.JSONDecoder()  # orjson does not tell where a value ends


def _after_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def heartbeat(timestamp: str, upstream: Freshness, seqs: dict[str, Version] | None) -> bytes:
    message: dict[str, Any] = {"event": "HEARTBEAT", "timestamp": timestamp, "upstream": upstream.as_dict()}
    if seqs is not None:
        message["seqs"] = {symbol: tuple(version) for symbol, version in seqs.items()}  # orjson knows no named tuples
    return orjson.dumps(message)


def freshness(statement: FreshnessStatement) -> bytes:
    names = [ALL] if statement.symbols is None else statement.symbols
    message = {"event": "FRESHNESS", **statement.freshness.as_dict(), "symbols": names}
    if statement.ages is not None:
        message["ages_ms"] = tuple(map(milliseconds, statement.ages))
    return orjson.dumps(message)


def removed(symbol: str) -> bytes:
    return orjson.dumps({"event": "REMOVED", "symbol": symbol})


def pong(timestamp: str, request_id: object, upstream: Freshness | None = None) -> bytes:
    """The answer to a ping. With `upstream`, as in a HEARTBEAT, it answers for the hops before the server too."""
    message: dict[str, Any] = {"event": "PONG", "timestamp": timestamp}
    if upstream is not None:
        message["upstream"] = upstream.as_dict()
    return _answer(message, request_id)


def ack(request: Request) -> bytes:
    """The answer to `subscribe` and `unsubscribe`."""
    wanted = [ALL] if request.subscription.everything else sorted(request.subscription.named)
    return _answer({"event": "ACK", "action": request.action, "symbols": wanted}, request.request_id)


def auth_ack(request: Request, grant: Grant) -> bytes:
    """The answer to `auth`: what the client may do from now on, and until when."""
    message: dict[str, Any] = {"event": "ACK", "action": "auth", "symbols": grant.symbols.written()}
    message["events"] = [ALL] if grant.events is None else sorted(grant.events)
    message["expires"] = None if grant.expires_at is None else iso_millis(grant.expires_at)
    return _answer(message, request.request_id)


def revoked(symbols: Iterable[str]) -> bytes:
    """The client may no longer know of these: it forgets them. Redis may still have them, so this is no REMOVED."""
    return orjson.dumps({"event": "REVOKED", "symbols": list(symbols)})


def error(refused: RequestRefused) -> bytes:
    message: dict[str, Any] = {"event": "ERROR", "code": str(refused.code), "message": refused.message}
    if refused.symbols is not None:
        message["symbols"] = refused.symbols
    return _answer(message, refused.request_id)


def _answer(message: dict[str, Any], request_id: object) -> bytes:
    if request_id is not None:
        message["id"] = request_id
    return orjson.dumps(message)


def array(messages: Iterable[bytes]) -> bytes:
    """The frame of a client that asked for batches: a JSON array of messages."""
    return b"[%b]" % b",".join(messages)


def with_skipped(update: bytes, skipped: int) -> bytes:
    """Add to an update the number of versions that its receiver was not sent; for 0 it is unchanged."""
    if skipped == 0:
        return update
    return b'%b,"skipped":%d}' % (update.rstrip()[:-1], skipped)


def split_skipped(update: bytes, skipped: int) -> bytes:
    """Undo `with_skipped`: the update as it was published. Raises InvalidMessage."""
    tail = b',"skipped":%d}' % skipped
    if skipped < 1 or not update.endswith(tail):
        raise InvalidMessage("skipped", "not where this protocol puts it")
    return update.removesuffix(tail) + b"}"
