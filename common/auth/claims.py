"""What the claims of a token allow, as a Grant. Pure. The signature was checked before.

No library's default decides here: each claim is asked for by name.

=======================  =============================================================================================
`sub`                    who the holder is: printable text of at most 255 characters
`aud`                    for whom the token is: a text or a list of them, which has AUTH_AUDIENCE
`exp`                    when it ends: whole seconds since 1970, at most AUTH_MAX_TTL ahead
`jti`                    the token's own name, by which it can be denied: as `sub`
`iat`, `nbf`             since when it holds, if it says so; 30 s are allowed for a clock that goes ahead
`symbols`                the symbols it is for, such as `["SPY", "BTC-*"]`, at most 256; without it there are none
`events`                 the topics of events it is for, such as `["AGENT_UPDATE"]`; without it there are none.
                         Topics that are not known here are left aside
`max_symbols`            how many symbols its holder may name; `requests_per_second`, `bytes_per_second`: how much it
                         may send. All three are above 0, and only lower what the server allows
=======================  =============================================================================================
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.auth.authentication import TokenRefused
from common.auth.compact_token import is_name
from cottage.errors import InvalidName
from cottage.events import TOPICS
from cottage.grant import ANYBODY, MAX_PATTERNS, NO_SYMBOL, Grant, SymbolPatterns

LEEWAY_SECONDS = 30.0
"""So far ahead of our clock the issuer's may go."""
MOST_LIMIT = 1e9
"""The largest limit that a token may state: larger ones are no numbers to count with."""


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What is asked of the claims of every token."""

    audience: str
    max_ttl: float
    """For how many seconds from now a token may hold at most."""
    most: Grant = ANYBODY
    """The server's own limits, which no token raises."""

    def grant(self, claims: Mapping[str, Any], now: float) -> Grant:
        """What a token with these claims allows at `now`, in seconds since 1970. Raises TokenRefused."""
        principal, token_id, expires = claims.get("sub"), claims.get("jti"), claims.get("exp")
        if not (isinstance(principal, str) and is_name(principal)):
            raise TokenRefused("bad")
        if not (isinstance(token_id, str) and is_name(token_id) and self._is_for_us(claims.get("aud"))):
            raise TokenRefused("bad", principal)
        if type(expires) is not int or expires > now + self.max_ttl:
            raise TokenRefused("bad", principal)
        if expires <= now:
            raise TokenRefused("expired", principal)
        for name in ("iat", "nbf"):
            if name in claims and _number(claims[name], principal) > now + LEEWAY_SECONDS:
                raise TokenRefused("early", principal)
        return Grant(
            principal=principal,
            symbols=_symbols(claims, principal),
            events=_events(claims, principal),
            max_symbols=min(_limit(claims, "max_symbols", principal) or self.most.max_symbols, self.most.max_symbols),
            requests_per_second=self._rate(claims, "requests_per_second", principal),
            bytes_per_second=self._rate(claims, "bytes_per_second", principal),
            expires_at=float(expires),
            token_id=token_id,
        )

    def _is_for_us(self, audience: object) -> bool:
        named = audience if isinstance(audience, list) else [audience]
        return all(isinstance(each, str) for each in named) and self.audience in named

    def _rate(self, claims: Mapping[str, Any], name: str, principal: str) -> float:
        most: float = getattr(self.most, name)
        asked: float | None = _limit(claims, name, principal)
        if asked is None:
            return most
        return min(asked, most) if most else asked


def _number(value: object, principal: str) -> int | float:
    """A time or a limit: JSON has no other numbers, but a bool is an int to Python, and 1e999 is infinite to it."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise TokenRefused("bad", principal)


def _limit(claims: Mapping[str, Any], name: str, principal: str) -> Any:
    if name not in claims:
        return None
    value = _number(claims[name], principal)
    if not 0 < value <= MOST_LIMIT or (name == "max_symbols" and type(value) is not int):
        raise TokenRefused("bad", principal)
    return value


def _symbols(claims: Mapping[str, Any], principal: str) -> SymbolPatterns:
    patterns = _texts(claims, "symbols", principal)
    try:
        return SymbolPatterns.parse(patterns) if patterns else NO_SYMBOL
    except InvalidName:
        raise TokenRefused("bad", principal) from None


def _events(claims: Mapping[str, Any], principal: str) -> frozenset[str]:
    return frozenset(_texts(claims, "events", principal)).intersection(TOPICS)  # `& TOPICS.keys()` is a plain set


def _texts(claims: Mapping[str, Any], name: str, principal: str) -> list[str]:
    value = claims.get(name, [])
    if not isinstance(value, list) or len(value) > MAX_PATTERNS or not all(isinstance(each, str) for each in value):
        raise TokenRefused("bad", principal)
    return value
