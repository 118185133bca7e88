"""Metrics of the recorder."""

from prometheus_client import Counter, Gauge, Histogram

from cottage.record.schema import TABLES

ROWS = Counter(
    "cottage_recorder_rows_total",
    "Rows that were recorded, by table, those included that wait for the disk.",
    ["table"],
)
for _table in TABLES:
    ROWS.labels(_table)
MISSED = Counter(
    "cottage_recorder_missed_total", "Gaps in the record: versions that exist and are not in it, by cause.", ["cause"]
)
for _cause in ("recorder_down", "redis_lost", "state_gone", "lagged", "disk", "contradicted", "unknown"):
    MISSED.labels(_cause)
HEALED = Counter(
    "cottage_recorder_healed_total", "Versions that were read from Redis, since their message was missed."
)
UNBORNE = Counter("cottage_recorder_unborne_total", "Messages that Redis did not bear out: they are not recorded.")
LEFT_OUT = Counter("cottage_recorder_left_out_total", "Versions that were left out since the disk takes none.")
DROPPED = Counter(
    "cottage_recorder_messages_dropped_total", "Invalid messages and states that were dropped.", ["reason"]
)
WAITING = Gauge("cottage_recorder_waiting_rows", "Rows that are not on the disk yet.")
LAG = Gauge("cottage_recorder_lag_seconds", "How old the oldest row was that the last flush brought to the disk.")
FLUSH = Histogram(
    "cottage_recorder_flush_seconds",
    "How long a flush took, in seconds.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
SYMBOLS = Gauge("cottage_recorder_symbols", "Symbols that are recorded.")
BYTES = Gauge("cottage_recorder_bytes", "Bytes that the record takes.")
WARM_OFFERED = Counter(
    "cottage_recorder_warm_starts_offered_total", "Windows for which samples were offered to feynman."
)
