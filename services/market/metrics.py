"""Metrics of the market service."""

from prometheus_client import Counter, Gauge, Histogram

SNAPSHOTS_WRITTEN = Counter("cottage_market_snapshots_written_total", "Snapshots written to Redis.")
SNAPSHOTS_REFUSED = Counter(
    "cottage_market_snapshots_refused_total",
    "Snapshots not written: another feed owns the symbol, a stranger writes it, its key is of another type, it is "
    "another spelling of the same symbol, or no symbol can be made of its name.",
    ["reason"],
)
SNAPSHOTS_REPLACED = Counter(
    "cottage_market_snapshots_conflated_total", "Snapshots replaced by a newer one before they could be written."
)
SNAPSHOTS_WAITING = Gauge("cottage_market_backlog_snapshots", "Snapshots that wait to be written.")
REDIS_ERRORS = Counter("cottage_market_redis_errors_total", "Writes that failed, by kind of error.", ["kind"])
WRITE_SECONDS = Histogram(
    "cottage_market_write_duration_seconds",
    "Time to write one batch.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
TICKS_SKIPPED = Counter(
    "cottage_market_ticks_skipped_total", "Simulated steps skipped because the time for them had passed."
)
ROWS_READ = Counter("cottage_market_rows_read_total", "Rows read from the recording, without header and blank lines.")
ROWS_DROPPED = Counter(
    "cottage_market_rows_dropped_total", "Invalid rows of the recording that were skipped, by reason.", ["reason"]
)
QUOTES_LEFT_OUT = Counter(
    "cottage_market_quotes_left_out_total", "Doubtful quotes that were left out of rows of the recording.", ["field"]
)
