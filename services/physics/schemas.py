"""The schemas of the API's answers, for its OpenAPI document only: answers are built from dicts, not with these.

OpenAPI 3.0 is what the packaged Swagger UI reads: there, what may be null says `nullable`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from cottage import keys

Regime = Literal["WAIT", "Gaussian", "Lévy Stable", "Critical"]
_CAUSES = ["redis_down", "writer_down", "feed_down", "feed_ended", "feed_late", "market_quiet"]
_COMPLETE = (
    "false while Redis does not answer: what is here was remembered; and if it has too many states to answer with"
)
_UNFED = "with unfed=false: the symbols that no feed brings any more, which are left out"
Symbol = Annotated[str, Field(pattern=f"^{keys.SYMBOL_PATTERN}$")]
Pillar = Literal["mass", "momentum", "friction", "entropy", "nash_dist"]

FRESHNESS_EXAMPLE: dict[str, Any] = {"status": "stale", "cause": "market_quiet", "age_ms": 12400, "origin": "redis"}
STATE_EXAMPLE: dict[str, Any] = {
    "mass": 0.42,
    "momentum": 1.23,
    "friction": 0.15,
    "entropy": 0.08,
    "nash_dist": 0.05,
    "regime": "Gaussian",
    "alpha_coefficient": 2.8,
    "alpha_low": 2.3,
    "alpha_high": 3.6,
    "price": 450.32,
    "samples": 1000,
    "nonzero": 812,
    "source": "live",
    "regime_since": "2025-12-21T10:47:13.000Z",
    "event_time": "2025-12-21T12:00:00.100Z",
    "step": 1.0,
    "holes": 3,
    "snapped": 2,
    "timestamp": "2025-12-21T12:00:00.000Z",
    "feed_time": "2025-12-21T12:00:00.250Z",
    "lag_ms": 1200,
    "notes": ["no_trades"],
    "void": ["friction"],
    "native": "BTC/USD",
    "feed": "COINBASE",
    "epoch": 1766318400000,
    "seq": 4711,
    "freshness": FRESHNESS_EXAMPLE,
}


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class FreshnessAnswer(_Answer):
    status: Literal["live", "stale", "expired"] = Field(
        description="live: less than 10 s since the sample; stale: after that, or 3 s after a hop fell silent; "
        "expired: after 60 s"
    )
    cause: Annotated[str | None, WithJsonSchema({"type": "string", "enum": [*_CAUSES, None], "nullable": True})] = (
        Field(
            description="the broken hop nearest to the reader, else feed_late (as old as is usual of its feed) or "
            "market_quiet; null while live"
        )
    )
    age_ms: Annotated[int | None, WithJsonSchema({"type": "integer", "minimum": 0, "nullable": True})] = Field(
        description="milliseconds since the newest sample, by Redis's clock; null where that is not known"
    )
    origin: Literal["redis", "remembered", "fallback"] = Field(
        description="redis: what Redis holds now; remembered: the last good state that was read, aged; "
        "fallback: no state, but the fail-safe vector"
    )


class PhysicsStateAnswer(_Answer):
    model_config = ConfigDict(extra="allow", json_schema_extra={"example": STATE_EXAMPLE})

    mass: float = Field(ge=0, le=1)
    momentum: float
    friction: float = Field(ge=0, le=1)
    entropy: float = Field(ge=0, le=1)
    nash_dist: float = Field(ge=0, le=1)
    regime: Regime = Field(
        description="Gaussian: variance finite; Lévy Stable: in doubt; Critical: not finite; WAIT: too little to tell"
    )
    alpha_coefficient: float = Field(ge=0.5, le=10, description="the tail index α; 10 is its bound, no measurement")
    # What only FeynmanService writes is left out of a state that somebody else wrote.
    alpha_low: float = Field(0.5, ge=0.5, le=10, description="the lower end of α's 90 % interval")
    alpha_high: float = Field(10.0, ge=0.5, le=10, description="its upper end; at 10 it has none")
    price: float = Field(0.0, json_schema_extra={"description": "of the newest sample"})
    samples: int = Field(0, ge=0, description="samples in the window")
    nonzero: int = Field(0, ge=0, description="returns in it that are not zero; below 64 the regime is WAIT")
    source: str = Field("", description="simulate, replay, live, a feed's own word, or fallback")
    regime_since: str = Field(
        "",
        description="since when the regime is this one: the event time of a sample",
        json_schema_extra={"format": "date-time"},
    )
    event_time: str = Field(
        "",
        description="the market's own time of the newest sample; left out where it is the feed's",
        json_schema_extra={"format": "date-time"},
    )
    step: float = Field(1.0, gt=0, description="seconds; a return spans three steps at most")
    holes: int = Field(
        0,
        ge=0,
        description="samples in the window without a return: more than three steps, or lost samples, lie before",
    )
    snapped: int = Field(
        0,
        ge=0,
        description="prices in the window off the grid of the others, rounded to it for alpha; left out if 0",
    )
    timestamp: str = Field(
        "",
        description="time of the newest sample, UTC; never later than Redis's clock when it was first seen",
        json_schema_extra={"format": "date-time"},
    )
    feed_time: str = Field(
        "",
        description="the sample's time as its feed wrote it; left out where it is `timestamp`",
        json_schema_extra={"format": "date-time"},
    )
    lag_ms: int = Field(0, ge=0, description="how late samples of this feed usually are; left out below a second")
    notes: list[str] = Field([], description="words for what the numbers stand on; left out if there are none")
    void: list[Pillar] = Field(
        [], description="the pillars that mean nothing now, and are 0; left out if there are none"
    )
    native: str = Field("", description="the symbol as its venue spells it; left out where it is the same")
    feed: str = Field("", description="id of the feed that brought the sample")
    epoch: int = Field(0, ge=0, json_schema_extra={"format": "int64"})
    seq: int = Field(0, ge=0, json_schema_extra={"format": "int64"}, description="(epoch, seq) orders all versions")
    freshness: FreshnessAnswer


class PhysicsStatesAnswer(_Answer):
    states: dict[str, PhysicsStateAnswer] = Field(description="by symbol")
    missing: list[Symbol] = Field(description="asked for, and Redis has no state of it")
    complete: bool = Field(description=_COMPLETE)
    unfed: list[Symbol] = Field([], description=_UNFED)


class RegimesAnswer(_Answer):
    regimes: dict[str, list[Symbol]] = Field(description="symbols by regime; each of the four is there")
    not_live: list[Symbol] = Field(description="those of them whose state is stale or expired")
    complete: bool = Field(description=_COMPLETE)
    unfed: list[Symbol] = Field([], description=_UNFED)


class MarketSnapshotAnswer(_Answer):
    symbol: Symbol
    price: float
    timestamp: float = Field(description="seconds since 1970, with a fraction")
    volume: float = Field(default=0.0, ge=0, description="cumulative over the session; left out if it is not known")
    trades: float = Field(default=0.0, ge=0, description="number of trades, as `volume`")
    source: str
    bid: float = Field(
        default=0.0, gt=0, description="left out if it is doubtful: above the ask, or far from the price"
    )
    ask: float = Field(default=0.0, gt=0, description="as `bid`")
    open: float = 0.0
    high: float = 0.0
    low: float = 0.0
    session: str = Field(default="", description="the feed's mark of the session")
    event_time: float = Field(
        default=0.0, description="the market's own time, as `timestamp`; left out where the feed states none"
    )
    interval: float = Field(default=0.0, gt=0, description="how many seconds a bar of this feed lasts")
    tick: float = Field(default=0.0, gt=0, description="the step of the grid on which its prices lie")
    notes: str = Field(default="", description="the feed's words about this sample, with blanks between")
    native: str = Field(default="", description="the symbol as its venue spells it; left out where it is the same")


class ProblemAnswer(_Answer):
    """RFC 9457."""

    type: str = Field(description="about:blank: the status and `code` say what it is")
    title: str
    status: int
    detail: str
    instance: str = Field(description="the path that was asked for")
    code: str = Field(description="a word for programs")
