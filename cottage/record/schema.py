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
class RecordColumn:
    """A column of a table. All but the `required` ones may be null, which is: not known, or not said."""

    name: str
    kind: Kind
    about: str
    required: bool = False


_WHICH = (
    RecordColumn("symbol", "text", "the symbol", required=True),
    RecordColumn("source", "text", "the feed's source, such as simulate, replay, live"),
    RecordColumn("run", "time", "which run of that source: when its first row was recorded", required=True),
)
_VERSION = (
    RecordColumn("epoch", "whole", "of the version: the writer's lease", required=True),
    RecordColumn("seq", "whole", "of the version: the tick", required=True),
)
_RECORDED = RecordColumn("recorded", "time", "when the recorder had it, by Redis's clock", required=True)

SAMPLES = (
    *_WHICH,
    RecordColumn("feed", "text", "the id of the feed"),
    *_VERSION,
    RecordColumn("number", "whole", "which sample of this version, from 0", required=True),
    RecordColumn(
        "last", "flag", "whether it is the version's own, with its state; else one that came before it", required=True
    ),
    RecordColumn(
        "reissued", "flag", "whether the version only issues a sample again that was recorded before", required=True
    ),
    RecordColumn("healed", "flag", "whether it was read from Redis, since its message was missed", required=True),
    RecordColumn("prev_epoch", "whole", "of the version that this one replaced in Redis"),
    RecordColumn("prev_seq", "whole", "of the version that this one replaced in Redis"),
    RecordColumn("at", "time", "the market's time: event_time, else feed_time, else sampled", required=True),
    RecordColumn("event_time", "time", "the market's own time, where the feed states it"),
    RecordColumn("feed_time", "time", "as the feed stamped it, where that differs from sampled"),
    RecordColumn("received", "time", "when the feed's program received it, where it says so"),
    RecordColumn("sampled", "time", "the state's timestamp"),
    RecordColumn("written", "time", "when Redis wrote the version"),
    _RECORDED,
    RecordColumn("price", "number", "in the market's currency"),
    RecordColumn("volume", "number", "cumulative, as in the snapshot"),
    RecordColumn("trades", "number", "cumulative, as in the snapshot"),
    RecordColumn("bid", "number", "the quote, as in the snapshot"),
    RecordColumn("ask", "number", "the quote, as in the snapshot"),
    RecordColumn("tick", "number", "the grid of prices that the feed states"),
    RecordColumn("interval", "number", "seconds that a bar lasts"),
    RecordColumn("session", "text", "the mark of the session"),
    RecordColumn("lost", "flag", "whether samples that the feed handed over before this one are lost"),
    RecordColumn("native", "text", "the symbol as its venue spells it"),
    RecordColumn(
        "notes", "words", "what the numbers stand on: of a version's own sample the state's, else the feed's"
    ),
    RecordColumn(
        "said", "words", "of a version's own sample: the feed's own notes, and two_writers where it had a rival"
    ),
    # The state. Null in rows that are not `last`, and in all where RECORDER_STATES is `inputs`.
    RecordColumn("mass", "number", "pillar"),
    RecordColumn("momentum", "number", "pillar"),
    RecordColumn("friction", "number", "pillar"),
    RecordColumn("entropy", "number", "pillar"),
    RecordColumn("nash_dist", "number", "pillar"),
    RecordColumn("regime", "text", "WAIT, Gaussian, Lévy Stable, Critical"),
    RecordColumn("regime_since", "time", "since when it is this one"),
    RecordColumn("alpha", "number", "tail index"),
    RecordColumn("alpha_low", "number", "its 90 % interval"),
    RecordColumn("alpha_high", "number", "its 90 % interval"),
    RecordColumn("samples", "whole", "in the window"),
    RecordColumn("nonzero", "whole", "returns in the window that are not zero"),
    RecordColumn("step", "number", "seconds"),
    RecordColumn("holes", "whole", "samples without a return"),
    RecordColumn("snapped", "whole", "prices off the grid"),
    RecordColumn("lag_ms", "whole", "by how much the feed is late by nature"),
    RecordColumn("void", "words", "pillars that mean nothing"),
    RecordColumn("grid", "number", "the tick by which the tail index is computed"),
    RecordColumn("votes", "whole", "samples in a row that have voted for another grid"),
)
"""One row a sample: its key is (symbol, epoch, seq, number)."""

REGIMES = (
    *_WHICH,
    *_VERSION,
    RecordColumn("at", "time", "the market's time of the sample", required=True),
    RecordColumn("written", "time", "when Redis wrote the version"),
    _RECORDED,
    RecordColumn("before", "text", "the regime until then; null for the first that was seen"),
    RecordColumn("regime", "text", "the regime from then on", required=True),
    RecordColumn("alpha", "number", "tail index"),
    RecordColumn("alpha_low", "number", "its 90 % interval"),
    RecordColumn("alpha_high", "number", "its 90 % interval"),
)

FRESHNESS = (
    RecordColumn("symbol", "text", "the symbol; * for all", required=True),
    RecordColumn("status", "text", "live, stale, expired, unavailable, … or removed", required=True),
    RecordColumn("cause", "text", "why"),
    RecordColumn("age_ms", "whole", "of the newest sample then"),
    _RECORDED,
)

GAPS = (
    RecordColumn("symbol", "text", "the symbol", required=True),
    RecordColumn("source", "text", "the feed's source"),
    RecordColumn("run", "time", "which run of that source", required=True),
    RecordColumn(
        "kind",
        "text",
        "gap, break, correction or lost: of the market, by the state's notes; missed: versions that exist and are "
        "not in the record",
        required=True,
    ),
    RecordColumn(
        "cause",
        "text",
        "of missed: recorder_down, redis_lost (no connection to it), state_gone (from Redis, meanwhile), lagged, "
        "disk (full or slow), contradicted (two messages of one version said different things) or "
        "unknown; else the note",
    ),
    RecordColumn("since", "time", "the market's time of the row before; null where there is none"),
    RecordColumn("until", "time", "the market's time of the row after", required=True),
    *_VERSION,
    RecordColumn("prev_epoch", "whole", "of the version before the one after the gap"),
    RecordColumn("prev_seq", "whole", "of the version before the one after the gap"),
    RecordColumn("held_epoch", "whole", "of the newest version in the record before the gap"),
    RecordColumn("held_seq", "whole", "of the newest version in the record before the gap"),
    _RECORDED,
)

OUTAGES = (
    RecordColumn("hop", "text", "redis, bridge, feynman, market or recorder", required=True),
    RecordColumn("cause", "text", "what is known of it"),
    RecordColumn("since", "time", "when it began, by Redis's clock as far as known", required=True),
    RecordColumn("until", "time", "when it ended; null in the row that tells its beginning"),
    _RECORDED,
)

TABLES: dict[str, tuple[RecordColumn, ...]] = {
    "samples": SAMPLES,
    "regimes": REGIMES,
    "freshness": FRESHNESS,
    "gaps": GAPS,
    "outages": OUTAGES,
}
