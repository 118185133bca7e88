"""Metrics of feynman."""

from prometheus_client import Counter, Gauge, Histogram

from services.feynman.windows import CAUSES, IntArray

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

TICKS = Counter("cottage_feynman_ticks_total", "Ticks started.")
TICKS_SKIPPED = Counter("cottage_feynman_ticks_skipped_total", "Ticks skipped because the time for them had passed.")
TICKS_LATE = Counter("cottage_feynman_ticks_late_total", "Ticks that started late, or after skipped ticks.")
TICKS_FAILED = Counter("cottage_feynman_ticks_failed_total", "Ticks that failed because of a Redis error.")
TICK_SECONDS = Histogram(
    "cottage_feynman_tick_duration_seconds", "Time from the start of a tick to its last write.", buckets=_BUCKETS
)
TICK_LATENESS = Histogram(
    "cottage_feynman_tick_lateness_seconds", "Time by which a tick started late.", buckets=_BUCKETS
)
MARKS_TAKEN = Counter("cottage_feynman_marks_taken_total", "Ticks on the marks of feeds that run in lock-step.")
MARKS_DROPPED = Counter("cottage_feynman_marks_dropped_total", "Marks that cannot be read, by reason.", ["reason"])
SAMPLES = Counter("cottage_feynman_samples_total", "Samples taken into the windows.")
REFUSED = Counter(
    "cottage_feynman_snapshots_dropped_total",
    "Invalid snapshots that were dropped, by each field at fault.",
    ["reason"],
)
FIELDS_LEFT_OUT = Counter(
    "cottage_feynman_snapshot_fields_left_out_total",
    "Fields that were left out of snapshots that are used, by field.",
    ["field"],
)
REFUSED_SYMBOLS = Gauge("cottage_feynman_refused_symbols", "Symbols whose snapshot is refused now.")
REFUSED_NAMES = Gauge("cottage_feynman_refused_names", "Keys of snapshots whose names are no symbols.")
CLOCK_STEPS = Counter("cottage_feynman_clock_steps_total", "Times that Redis's clock was found to be set.")
UNKNOWN = Counter(
    "cottage_feynman_unknown_total", "Samples whose volume or trades are unknown, by the cause.", ["field", "cause"]
)
WRITTEN = Counter("cottage_feynman_states_written_total", "States written to Redis.")
PUBLISHED = Counter("cottage_feynman_updates_published_total", "Updates published on the channel.")
SYMBOLS = Gauge("cottage_feynman_symbols", "Symbols known.")
RETIRED = Counter("cottage_feynman_symbols_retired_total", "Symbols retired, whose states were deleted.")
SYMBOLS_LEFT_OUT = Gauge(
    "cottage_feynman_symbols_left_out", "Symbols that the last search found no room for (FEYNMAN_MAX_SYMBOLS)."
)
EPOCH = Gauge("cottage_feynman_lease_epoch", "Epoch of the lease that this process holds; 0 while it is standby.")
LEASE_EVENTS = {
    "taken": Counter("cottage_feynman_leases_acquired_total", "Leases acquired."),
    "lost": Counter("cottage_feynman_leases_lost_total", "Leases that were found to be lost when writing."),
    "not_replicated": Counter(
        "cottage_feynman_leases_unreplicated_total", "Leases that no replica acknowledged in time."
    ),
}
"""The counter for each event that `cottage.lease.Lease` reports."""
CHECKPOINTS = Counter("cottage_feynman_checkpoints_saved_total", "Checkpoints saved.")
CHECKPOINT_FAILURES = Counter("cottage_feynman_checkpoints_failed_total", "Checkpoints that could not be saved.")
CHECKPOINTS_REFUSED = Counter("cottage_feynman_checkpoints_refused_total", "Checkpoints that could not be loaded.")
CHECKPOINT_SECONDS = Histogram(
    "cottage_feynman_checkpoint_duration_seconds", "Time from the start of a checkpoint to its end."
)
CHECKPOINT_TIME = Gauge("cottage_feynman_last_checkpoint_timestamp_seconds", "Time of the last saved checkpoint.")
RESTORED = Counter("cottage_feynman_symbols_restored_total", "Symbols whose window was restored from a checkpoint.")
WARMED = Counter("cottage_feynman_windows_warmed_total", "Windows that were filled with samples from the record.")
WARM_REFUSED = Counter(
    "cottage_feynman_warm_starts_refused_total", "Samples from the record that were refused, by reason.", ["reason"]
)
REDIS_ERRORS = Counter("cottage_feynman_redis_errors_total", "Commands that failed, by kind of error.", ["kind"])
REDIS_MEMORY = Gauge("cottage_feynman_redis_memory_bytes", "Memory that Redis uses.")
REDIS_MEMORY_LIMIT = Gauge("cottage_feynman_redis_memory_limit_bytes", "The maxmemory of Redis; 0 means no limit.")
REDIS_EVICTED = Counter("cottage_feynman_redis_evicted_keys_total", "Keys that Redis evicted while feynman watched.")
REDIS_UNWRITTEN = Gauge(
    "cottage_feynman_redis_unwritten_files", "Persistence files that Redis could not write at its last attempt."
)


def count_unknown(causes: IntArray) -> None:
    """Count what `Windows.append` returns: how many volumes and trades have each of CAUSES."""
    for field, numbers in zip(("volume", "trades"), causes.tolist(), strict=True):
        for cause, number in list(zip(CAUSES, numbers, strict=True))[1:]:  # the first ones are known
            if number:
                UNKNOWN.labels(field, cause).inc(number)
