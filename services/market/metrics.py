"""What the market service counts."""

from prometheus_client import Counter, Gauge, Histogram

SNAPSHOTS_WRITTEN = Counter("cottage_market_snapshots_written_total", "Snapshots that Redis has taken")
SNAPSHOTS_REPLACED = Counter(
    "cottage_market_snapshots_replaced_total", "Snapshots replaced by a newer one before they could be written"
)
SNAPSHOTS_WAITING = Gauge("cottage_market_snapshots_waiting", "Snapshots not yet written, one a symbol at most")
REDIS_FAILURES = Counter("cottage_market_redis_failures_total", "Writes to Redis that failed")
WRITE_SECONDS = Histogram(
    "cottage_market_write_seconds",
    "Time to write one batch",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
TICKS_SKIPPED = Counter(
    "cottage_market_ticks_skipped_total", "Simulated steps left out because their time had passed"
)
ROWS_READ = Counter("cottage_market_rows_read_total", "Rows read from the recording, header and blank lines aside")
ROWS_BAD = Counter("cottage_market_rows_bad_total", "Rows of the recording that were skipped", ("reason",))
