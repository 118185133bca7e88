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
_WRITTEN = "when Redis wrote this version, in microseconds since 1970; left out where its writer does not say so"
_TOKEN = "docs/security.md says what is in it; its holder gets answers about the symbols that it names alone"
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
    "volume": 89234567.0,
    "trades": 512345.0,
    "bid": 450.31,
    "ask": 450.33,
    "samples": 1000,
    "nonzero": 812,
    "source": "live",
    "regime_since": "2025-12-21T10:47:13.000Z",
    "step": 1.0,
    "holes": 3,
    "snapped": 2,
    "grid": 0.01,
    "votes": 4,
    "tick": 0.01,
    "interval": 1.0,
    "session": "2025-12-21",
    "event_time": "2025-12-21T12:00:00.100Z",
    "received": "2025-12-21T12:00:00.137Z",
    "timestamp": "2025-12-21T12:00:00.000Z",
    "feed_time": "2025-12-21T12:00:00.250Z",
    "lag_ms": 1200,
    "notes": ["no_trades"],
    "void": ["friction"],
    "native": "BTC/USD",
    "said": ["auction"],
    "lost": True,
    "taken": [{"price": 450.31, "timestamp": "2025-12-21T11:59:59.500Z", "volume": 89234500.0}],
    "feed": "COINBASE",
    "epoch": 1766318400000,
    "seq": 4711,
    "prev": [1766318400000, 4710],
    "written": 1766318400212345,
    "freshness": FRESHNESS_EXAMPLE,
}


_TIME: dict[str, Any] = {"format": "date-time"}
_NULLABLE: dict[str, Any] = {"nullable": True}
TimedBy = Literal["at", "written"]


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
    origin: Literal["redis", "remembered", "fallback", "recorded"] = Field(
        description="redis: what Redis holds now; remembered: the last good state that was read, aged; "
        "fallback: no state, but the fail-safe vector; recorded: a past state"
    )


class TakenSampleAnswer(_Answer):
    """What is not known is left out."""

    price: float = Field(gt=0)
    timestamp: str = Field(
        description="the sample's time as its feed wrote it", json_schema_extra={"format": "date-time"}
    )
    volume: float = Field(0.0, description="as of the state, and so all others")
    trades: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    event_time: str = Field("", json_schema_extra={"format": "date-time"})
    received: str = Field("", json_schema_extra={"format": "date-time"})
    session: str = ""
    notes: list[str] = Field([], description="the words that the feed said of it")
    lost: bool = Field(False, description="whether the sample before was handed over, by its number, and is lost")


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
    volume: float = Field(0.0, description="the counter of what was traded, as in the snapshot; left out if unknown")
    trades: float = Field(0.0, description="the counter of trades, likewise")
    bid: float = Field(0.0, description="the quote beside the price, where the feed states one that can be true")
    ask: float = Field(0.0, description="as `bid`")
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
    grid: float = Field(0.0, description="the tick on which alpha is computed; left out where there is none")
    votes: int = Field(0, ge=0, description="samples in a row that have voted for another grid; left out if 0")
    tick: float = Field(0.0, description="the grid of prices that the feed states")
    interval: float = Field(0.0, description="seconds that a bar of the feed lasts")
    session: str = Field("", description="the mark of the session that the feed states")
    received: str = Field(
        "",
        description="when the feed's program received the newest sample, where it says so",
        json_schema_extra={"format": "date-time"},
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
    said: list[str] = Field([], description="the feed's words about the newest sample, and two_writers")
    lost: bool = Field(False, description="whether the sample before was handed over, by its number, and is lost")
    taken: list[TakenSampleAnswer] = Field(
        [], description="the samples since the version before that came before the newest one, 63 at most"
    )
    feed: str = Field("", description="id of the feed that brought the sample")
    epoch: int = Field(0, ge=0, json_schema_extra={"format": "int64"})
    seq: int = Field(0, ge=0, json_schema_extra={"format": "int64"}, description="(epoch, seq) orders all versions")
    prev: list[int] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="(epoch, seq) of the state that this one replaced in Redis; null where there was none",
    )
    written: int = Field(0, ge=0, json_schema_extra={"format": "int64"}, description=_WRITTEN)
    freshness: FreshnessAnswer


class HopOutage(_Answer):
    hop: str = Field(description="redis, bridge, feynman, market or recorder")
    cause: str | None = Field(json_schema_extra=_NULLABLE)
    since: str = Field(json_schema_extra=_TIME)
    until: str | None = Field(json_schema_extra=_NULLABLE, description="null while it lasts")


class OneStateAnswer(PhysicsStateAnswer):
    """With `at` or `version` a state of the record, which has the fields below besides."""

    at: str = Field("", json_schema_extra=_TIME, description="the time that its freshness is told for")
    recorded: str = Field("", json_schema_extra=_TIME, description="when the recorder had it")
    run: int = Field(0, json_schema_extra={"format": "int64"}, description="which run of its source it is of")
    outages: list[HopOutage] = Field([], description="the hops that were out at that time")
    orders: list[list[int]] = Field(
        [],
        description="epoch and seq of each version that held when Redis's clock showed that time, which it did more "
        "than once, since it was set back or another server took over; left out where that is one",
    )
    replaced: list[int] = Field(
        [],
        description="epoch and seq of what the next recorded version replaced, where that is not this one: another "
        "one may have held then; else left out",
    )


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


class HistoryGap(_Answer):
    kind: str = Field(description="gap, break, correction or lost, of the market's data; missed: of the record")
    cause: str | None = Field(json_schema_extra=_NULLABLE, description="why, as far as it is known")
    since: str | None = Field(json_schema_extra=_NULLABLE, description="the market's time of the row before")
    until: str = Field(json_schema_extra=_TIME, description="the market's time of the row after")


class HistoryPoint(_Answer):
    """The columns that the fields asked for have come besides: of `price` open, high, low, close, price_mean; of
    `regime` the last and the share_… of each; of `alpha` also the lowest alpha_low and the highest alpha_high; of
    `freshness` the worst; of any other NAME the last, and NAME_min, NAME_max, NAME_mean. Each is null without a
    sample."""

    time: str = Field(json_schema_extra=_TIME, description="the bucket's start")
    partial: bool = Field(description="its end is not reached yet")
    count: int = Field(ge=0, description="samples in it")
    gaps: Annotated[
        list[str] | None, WithJsonSchema({"type": "array", "items": {"type": "string"}, "nullable": True})
    ] = Field(description="the kinds of the gaps that it lies in")


class SymbolHistoryAnswer(_Answer):
    symbol: Symbol
    source: str | None = Field(json_schema_extra=_NULLABLE, description="of all its points")
    run: int = Field(json_schema_extra={"format": "int64"}, description="which run of the source")
    since: str = Field(alias="from", json_schema_extra=_TIME, description="the start of the first bucket")
    to: str = Field(json_schema_extra=_TIME, description="the end of the last bucket")
    step: float = Field(gt=0, description="the length of a bucket in seconds")
    until: Annotated[
        list[int] | None,
        WithJsonSchema({"type": "array", "items": {"type": "integer", "format": "int64"}, "nullable": True}),
    ] = Field(description="epoch and seq of the newest version in it; null if there is none")
    gaps: list[HistoryGap] = Field(description="the gaps that touch its time")
    points: list[HistoryPoint]


class HistoryAnswer(SymbolHistoryAnswer):
    by: TimedBy


class HistoriesAnswer(_Answer):
    by: TimedBy
    symbols: dict[str, SymbolHistoryAnswer]
    missing: list[Symbol] = Field(description="asked for, and the record has no row of it")


class RegimeSpell(_Answer):
    regime: Regime
    before: str | None = Field(json_schema_extra=_NULLABLE, description="until then; null if none is known")
    since: str = Field(json_schema_extra=_TIME)
    until: str | None = Field(json_schema_extra=_NULLABLE, description="null while it holds")
    alpha: float | None = Field(json_schema_extra=_NULLABLE, description="when it began, as its interval")
    alpha_low: float | None = Field(json_schema_extra=_NULLABLE)
    alpha_high: float | None = Field(json_schema_extra=_NULLABLE)
    version: list[int] = Field(description="epoch and seq of the first state that has it")


class RegimeSpellsAnswer(_Answer):
    symbol: Symbol
    source: str | None = Field(json_schema_extra=_NULLABLE)
    run: int = Field(json_schema_extra={"format": "int64"})
    by: TimedBy
    since: str = Field(alias="from", json_schema_extra=_TIME)
    to: str = Field(json_schema_extra=_TIME)
    spells: list[RegimeSpell]


class RecordedChange(_Answer):
    kind: Literal["regime", "freshness"]
    symbol: str = Field(description="* for all")
    recorded: str = Field(json_schema_extra=_TIME)


class ChangesAnswer(_Answer):
    since: str = Field(alias="from", json_schema_extra=_TIME)
    to: str = Field(json_schema_extra=_TIME)
    complete: bool = Field(description="false if the older ones are left out, since there are too many")
    symbols: list[str] = Field(description="those that changed")
    changes: list[RecordedChange]


class RecordedGap(HistoryGap):
    symbol: Symbol
    recorded: str = Field(json_schema_extra=_TIME)


class GapsAnswer(_Answer):
    since: str = Field(alias="from", json_schema_extra=_TIME)
    to: str = Field(json_schema_extra=_TIME)
    complete: bool = Field(description="false if the older gaps are left out, since there are too many")
    gaps: list[RecordedGap]
    outages: list[HopOutage]


class ProofAnswer(_Answer):
    symbol: Symbol
    version: list[int] = Field(description="epoch and seq")
    proved: bool
    doubts: list[dict[str, str]] = Field(description="why it is not proved: `code` for programs, and `detail`")
    state: dict[str, Any] | None = Field(json_schema_extra=_NULLABLE, description="as it was recorded")
    window: dict[str, Any] | None = Field(json_schema_extra=_NULLABLE, description="the samples that it stands on")
    recomputed: dict[str, Any] | None = Field(
        json_schema_extra=_NULLABLE, description="the same fields, computed again; null where samples are missing"
    )
    differences: list[dict[str, Any]] = Field(description="the fields that do not come out, to 1e-9")
    remarks: list[dict[str, Any]] = Field(description="the samples with holes, breaks, jumps, corrections …")
    gaps: list[dict[str, Any]] = Field(description="the record's gaps in the time of the window")
    prev: dict[str, Any] = Field(description="how many versions were followed, and where the chain of `prev` breaks")
    files: list[dict[str, Any]] = Field(description="the files that the proof rests on")
    ahead: int = Field(description="rows that are in no closed file yet")
    chain: dict[str, Any] = Field(description="the chain of manifests, and its head")
    inputs: list[dict[str, Any]] = Field(description="the samples of the window, the oldest first")


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


def describe_tokens(document: dict[str, Any]) -> None:
    """Say in an OpenAPI document that a token is needed, and what is answered without a good one."""
    document["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": _TOKEN}
    }
    document["security"] = [{"token": []}]
    for operations in document["paths"].values():
        operation = operations["get"]
        answers, content = operation["responses"], operation["responses"]["default"]["content"]
        challenge = {"WWW-Authenticate": {"schema": {"type": "string"}}}
        answers["401"] = {"description": "`unauthorized`", "headers": challenge, "content": content}
        if any(each["name"] in ("symbol", "symbols") for each in operation.get("parameters", ())):
            answers["403"] = {"description": "`not_allowed`", "content": content}


def responses(model: Any, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers of an operation: `model`, these problems, and any other."""
    described = {
        400: "`bad_symbol`, `too_many_symbols`, `too_many_points`, `too_much`",
        404: "`no_such_symbol`, `no_record`, `not_recorded`",
        422: "`bad_parameter`",
        503: "`unavailable`, `busy`, `too_slow`, `not_yet`",
    }
    answers: dict[int | str, dict[str, Any]] = {200: {"model": model, "description": "found"}}
    for status in statuses:
        answers[status] = {"model": ProblemAnswer, "description": described[status]}
    answers["default"] = {"model": ProblemAnswer, "description": "any other error"}
    return answers
