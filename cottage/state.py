"""The physics state of one symbol and the update that announces it.

An update is a function of the state alone, so what is healed from a stored state has the very bytes
that were published.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson

from cottage import keys
from cottage.clock import from_iso
from cottage.errors import InvalidMessage

WAIT = "WAIT"
CRITICAL = "Critical"
LEVY_STABLE = "Lévy Stable"
GAUSSIAN = "Gaussian"
REGIMES = frozenset({WAIT, CRITICAL, LEVY_STABLE, GAUSSIAN})
WAIT_ALPHA = 2.5
WAIT_RETURNS = 64
"""Non-zero returns that a window needs before its tail index means anything."""

PILLARS = ("mass", "momentum", "friction", "entropy", "nash_dist")
_EXTRAS = ("price", "samples", "nonzero", "source")
_LARGEST = 2**53 - 1  # a browser holds no greater whole number exactly


class Version(NamedTuple):
    """Orders all versions of a symbol's state: greater is newer, compared as a pair."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class PhysicsState:
    """The specification's seven fields, and what makes them trustworthy.

    What only FeynmanService writes is None in a state that somebody else wrote with the seven fields alone.
    """

    mass: float
    momentum: float
    friction: float
    entropy: float
    nash_dist: float
    regime: str
    alpha_coefficient: float
    price: float | None = None
    samples: int | None = None
    nonzero: int | None = None
    source: str | None = None
    timestamp: str | None = None
    version: Version | None = None

    def at(self, version: Version) -> "PhysicsState":
        """The same state as that version."""
        return replace(self, version=version)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `physics:state:{SYMBOL}`, without the fields that are not known."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in PILLARS}
        fields["regime"] = self.regime
        fields["alpha_coefficient"] = self.alpha_coefficient
        for name in (*_EXTRAS, "timestamp"):
            value = getattr(self, name)
            if value is not None:
                fields[name] = value
        if self.version is not None:
            fields["epoch"], fields["seq"] = self.version
        return fields

    def to_bytes(self) -> bytes:
        return orjson.dumps(self.as_dict())

    def update(self, symbol: str) -> bytes:
        """The PHYSICS_UPDATE that announces this state: the same bytes whoever builds it."""
        message: dict[str, Any] = {"event": "PHYSICS_UPDATE", "symbol": symbol}
        if self.timestamp is not None:
            message["timestamp"] = self.timestamp
        data: dict[str, Any] = {"alpha": self.alpha_coefficient, "regime": self.regime}
        for name in (*PILLARS, *_EXTRAS):
            value = getattr(self, name)
            if value is not None:
                data[name] = value
        message["data"] = data
        if self.version is not None:
            message["epoch"], message["seq"] = self.version
        return orjson.dumps(message)

    def age(self, now: float) -> float | None:
        """Seconds from the newest sample to `now` (seconds since 1970), not below 0; None if it has no time."""
        return None if self.timestamp is None else max(0.0, now - from_iso(self.timestamp))

    @classmethod
    def from_bytes(cls, payload: bytes | str) -> "PhysicsState":
        """Parse and check a stored state. Raises InvalidMessage; unknown fields are ignored."""
        fields = load_object(payload)
        timestamp = fields.get("timestamp")
        if timestamp is not None:
            from_iso(timestamp)
        return cls(
            **{name: _number(fields, name) for name in PILLARS},
            regime=regime(fields),
            alpha_coefficient=_number(fields, "alpha_coefficient"),
            price=None if fields.get("price") is None else _number(fields, "price"),
            samples=_optional_count(fields, "samples"),
            nonzero=_optional_count(fields, "nonzero"),
            source=_optional_text(fields, "source"),
            timestamp=timestamp,
            version=version(fields),
        )


FAIL_SAFE = PhysicsState(0.0, 0.0, 0.0, 0.0, 0.0, WAIT, WAIT_ALPHA, source="fallback")
"""What a reader without a usable state gives, and says so by its source."""


def load_object(payload: bytes | str) -> dict[str, Any]:
    """The JSON object in `payload`; InvalidMessage("json") or ("object")."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage("json", str(error)) from error
    if not isinstance(value, dict):
        raise InvalidMessage("object", f"a JSON {type(value).__name__}, not an object")
    return value


def version(fields: dict[str, Any]) -> Version | None:
    """(epoch, seq) of a state or an update; None where it has neither; InvalidMessage("version") for half of it."""
    epoch, seq = fields.get("epoch"), fields.get("seq")
    if epoch is None and seq is None:
        return None
    # `type() is int`, since True is an int to isinstance
    if type(epoch) is not int or type(seq) is not int or not (0 <= epoch <= _LARGEST and 0 <= seq <= _LARGEST):
        raise InvalidMessage("version", "epoch and seq must both be whole numbers from 0 to 2^53 - 1")
    return Version(epoch, seq)


def regime(fields: dict[str, Any]) -> str:
    value = fields.get("regime")
    if not isinstance(value, str) or value not in REGIMES:
        raise InvalidMessage("regime", "none of " + ", ".join(sorted(REGIMES)))
    return value


def symbol(fields: dict[str, Any]) -> str:
    value = fields.get("symbol")
    if not keys.is_symbol(value):
        raise InvalidMessage("symbol", "missing or not a symbol")
    return str(value)


def finite(value: object) -> bool:
    """Whether it is a finite JSON number (true and false are none)."""
    return type(value) in (float, int) and math.isfinite(value)  # type: ignore[arg-type]


def _number(fields: dict[str, Any], name: str) -> float:
    value: Any = fields.get(name)
    if not finite(value):
        raise InvalidMessage("number", f"{name} is not a finite number")
    return float(value)


def _optional_count(fields: dict[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None or (type(value) is int and value >= 0):
        return value
    raise InvalidMessage("number", f"{name} is not a whole number from 0")


def _optional_text(fields: dict[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidMessage("type", f"{name} is not text")
