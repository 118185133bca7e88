"""What the physics API answers from a record: two symbols, ten seconds each, one of them with a gap."""

from typing import Any

import orjson
import pyarrow as pa

SOURCE = {"source": "simulate", "run": 1_766_318_400_000_000}
SPAN = {"from": "2025-12-21T12:00:00.000Z", "to": "2025-12-21T12:00:10.000Z"}
REGIMES = ("WAIT", "WAIT", "Gaussian", "Gaussian", "", "", "Lévy Stable", "Critical", "Critical", "Critical")


def point(second: int, **fields: Any) -> dict[str, Any]:
    """A point with a sample, whose numbers follow from its second."""
    price = 450.0 + second
    return {
        "time": f"2025-12-21T12:00:{second:02d}.000Z",
        "partial": second == 9,
        "count": 3,
        "open": price,
        "high": price + 0.5,
        "low": price - 0.5,
        "close": price + 0.25,
        "price_mean": price,
        "alpha": 3.0,
        "alpha_low": 2.0,
        "alpha_high": 10.0 if second < 4 else 4.5,
        "regime": REGIMES[second],
        "freshness": "live",
        "gaps": None,
        **fields,
    }


def empty(second: int, *gaps: str) -> dict[str, Any]:
    """A point without a sample."""
    full = point(second)
    kept = {name: full[name] for name in ("time", "partial")}
    return {**dict.fromkeys(full), **kept, "count": 0, "gaps": list(gaps) or None}


def history(symbol: str) -> dict[str, Any]:
    """The answer for one symbol."""
    points = [empty(second, "gap") if REGIMES[second] == "" else point(second) for second in range(10)]
    return {
        "by": "at",
        "symbol": symbol,
        **SOURCE,
        **SPAN,
        "step": 1.0,
        "until": [7, 42],
        "gaps": [],
        "points": points,
    }


def histories(*symbols: str, missing: tuple[str, ...] = ()) -> dict[str, Any]:
    """The answer for several."""
    return {"by": "at", "symbols": {symbol: history(symbol) for symbol in symbols}, "missing": list(missing)}


def stream(symbol: str) -> bytes:
    """The answer for one symbol as an Arrow stream."""
    told = history(symbol)
    rows = [{"symbol": symbol, **each} for each in told.pop("points")]
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"cottage": orjson.dumps(told)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


WHICH = {**SOURCE, "symbol": "SPY", "epoch": 7, "seq": 42}
REGIME_CHANGE = {
    "kind": "regime",
    **WHICH,
    "at": "2025-12-21T12:00:07.000Z",
    "written": "2025-12-21T12:00:07.100Z",
    "recorded": "2025-12-21T12:00:07.250Z",
    "before": "Lévy Stable",
    "regime": "Critical",
    "alpha": 1.5,
    "alpha_low": 1.2,
    "alpha_high": 1.9,
}
FRESHNESS_CHANGE = {
    "kind": "freshness",
    "symbol": "*",
    "status": "stale",
    "cause": "feed_down",
    "age_ms": 12_000,
    "recorded": "2025-12-21T12:00:05.000Z",
}
CHANGES: dict[str, Any] = {
    **SPAN,
    "complete": True,
    "symbols": ["*", "SPY"],
    "changes": [REGIME_CHANGE, FRESHNESS_CHANGE],
}

MISSED = {
    "kind": "missed",
    **WHICH,
    "cause": "recorder_down",
    "since": None,
    "until": "2025-12-21T12:00:06.000Z",
    "prev_epoch": 7,
    "prev_seq": 40,
    "held_epoch": None,
    "held_seq": None,
    "recorded": "2025-12-21T12:00:06.500Z",
}
OUTAGE = {
    "hop": "market",
    "cause": "feed_down",
    "since": "2025-12-21T12:00:04.000Z",
    "until": "2025-12-21T12:00:06.000Z",
    "recorded": "2025-12-21T12:00:06.000Z",
}
GAPS: dict[str, Any] = {**SPAN, "complete": True, "gaps": [MISSED], "outages": [OUTAGE]}
