"""The tables of a record and their columns. A column keeps its type for ever; a new one comes with a new VERSION.

Readers take columns by name, and those that an older file has not are null.
"""

from dataclasses import dataclass
from typing import Literal

VERSION = 1
FORMAT = "curiosity cottage record"

Kind = Literal["text", "words", "whole", "number", "flag", "time"]
"""`words`: a list of texts. `whole`: int64. `number`: float64. `time`: int64, microseconds since 1970, UTC."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. All but the `required` ones may be null, which is: not known, or not said."""

    name: str
    kind: Kind
    about: str
    required: bool = False


_WHICH = (
    Column("symbol", "text", "the symbol", required=True),
    Column("source", "text", "the feed's source, such as simulate, replay, live"),
    Column("run", "time", "which run of that source: when its first row was recorded", required=True),
)
_VERSION = (
    Column("epoch", "whole", "of the version: the writer's lease", required=True),
    Column("seq", "whole", "of the version: the tick", required=True),
)
_RECORDED = Column("recorded", "time", "when the recorder had it, by Redis's clock", required=True)

SAMPLES = (
    *_WHICH,
    Column("feed", "text", "the id of the feed"),
    *_VERSION,
    Column("number", "whole", "which sample of this version, from 0", required=True),
    Column(
        "last", "flag", "whether it is the version's own, with its state; else one that came before it", required=True
    ),
    Column(
        "reissued", "flag", "whether the version only issues a sample again that was recorded before", required=True
    ),
    Column("healed", "flag", "whether it was read from Redis, since its message was missed", required=True),
    Column("prev_epoch", "whole", "of the version that this one replaced in Redis"),
    Column("prev_seq", "whole", "of the version that this one replaced in Redis"),
    Column("at", "time", "the market's time: event_time, else feed_time, else sampled", required=True),
    Column("event_time", "time", "the market's own time, where the feed states it"),
    Column("feed_time", "time", "as the feed stamped it, where that differs from sampled"),
    Column("received", "time", "when the feed's program received it, where it says so"),
    Column("sampled", "time", "the state's timestamp"),
    Column("written", "time", "when Redis wrote the version"),
    _RECORDED,
    Column("price", "number", "in the market's currency"),
    Column("volume", "number", "cumulative, as in the snapshot"),
    Column("trades", "number", "cumulative, as in the snapshot"),
    Column("bid", "number", "the quote, as in the snapshot"),
    Column("ask", "number", "the quote, as in the snapshot"),
    Column("tick", "number", "the grid of prices that the feed states"),
    Column("interval", "number", "seconds that a bar lasts"),
    Column("session", "text", "the mark of the session"),
    Column("lost", "flag", "whether samples that the feed handed over before this one are lost"),
    Column("native", "text", "the symbol as its venue spells it"),
    Column("notes", "words", "what the numbers stand on: of a version's own sample the state's, else the feed's"),
    Column("said", "words", "of a version's own sample: the feed's own notes, and two_writers where it had a rival"),
    # The state. Null in rows that are not `last`, and in all where RECORDER_STATES is `inputs`.
    Column("mass", "number", "pillar"),
    Column("momentum", "number", "pillar"),
    Column("friction", "number", "pillar"),
    Column("entropy", "number", "pillar"),
    Column("nash_dist", "number", "pillar"),
    Column("regime", "text", "WAIT, Gaussian, Lévy Stable, Critical"),
    Column("regime_since", "time", "since when it is this one"),
    Column("alpha", "number", "tail index"),
    Column("alpha_low", "number", "its 90 % interval"),
    Column("alpha_high", "number", "its 90 % interval"),
    Column("samples", "whole", "in the window"),
    Column("nonzero", "whole", "returns in the window that are not zero"),
    Column("step", "number", "seconds"),
    Column("holes", "whole", "samples without a return"),
    Column("snapped", "whole", "prices off the grid"),
    Column("lag_ms", "whole", "by how much the feed is late by nature"),
    Column("void", "words", "pillars that mean nothing"),
    Column("grid", "number", "the tick by which the tail index is computed"),
    Column("votes", "whole", "samples in a row that have voted for another grid"),
)
"""One row a sample: its key is (symbol, epoch, seq, number)."""

REGIMES = (
    *_WHICH,
    *_VERSION,
    Column("at", "time", "the market's time of the sample", required=True),
    Column("written", "time", "when Redis wrote the version"),
    _RECORDED,
    Column("before", "text", "the regime until then; null for the first that was seen"),
    Column("regime", "text", "the regime from then on", required=True),
    Column("alpha", "number", "tail index"),
    Column("alpha_low", "number", "its 90 % interval"),
    Column("alpha_high", "number", "its 90 % interval"),
)

FRESHNESS = (
    Column("symbol", "text", "the symbol; * for all", required=True),
    Column("status", "text", "live, stale, expired, unavailable, … or removed", required=True),
    Column("cause", "text", "why"),
    Column("age_ms", "whole", "of the newest sample then"),
    _RECORDED,
)

GAPS = (
    Column("symbol", "text", "the symbol", required=True),
    Column("source", "text", "the feed's source"),
    Column("run", "time", "which run of that source", required=True),
    Column(
        "kind",
        "text",
        "gap, break, correction or lost: of the market, by the state's notes; missed: versions that exist and are "
        "not in the record",
        required=True,
    ),
    Column(
        "cause",
        "text",
        "of missed: recorder_down, redis_lost (no connection to it), state_gone (from Redis, meanwhile), lagged, "
        "disk (full or slow), contradicted (two messages of one version said different things) or "
        "unknown; else the note",
    ),
    Column("since", "time", "the market's time of the row before; null where there is none"),
    Column("until", "time", "the market's time of the row after", required=True),
    *_VERSION,
    Column("prev_epoch", "whole", "of the version before the one after the gap"),
    Column("prev_seq", "whole", "of the version before the one after the gap"),
    Column("held_epoch", "whole", "of the newest version in the record before the gap"),
    Column("held_seq", "whole", "of the newest version in the record before the gap"),
    _RECORDED,
)

OUTAGES = (
    Column("hop", "text", "redis, bridge, feynman, market or recorder", required=True),
    Column("cause", "text", "what is known of it"),
    Column("since", "time", "when it began, by Redis's clock as far as known", required=True),
    Column("until", "time", "when it ended; null in the row that tells its beginning"),
    _RECORDED,
)

TABLES: dict[str, tuple[Column, ...]] = {
    "samples": SAMPLES,
    "regimes": REGIMES,
    "freshness": FRESHNESS,
    "gaps": GAPS,
    "outages": OUTAGES,
}
