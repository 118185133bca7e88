"""Counts and gauges of feynman."""

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

TICKS = Counter("cottage_feynman_ticks_total", "Ticks begun")
TICKS_SKIPPED = Counter("cottage_feynman_ticks_skipped_total", "Ticks left out because their time had passed")
TICKS_LATE = Counter("cottage_feynman_ticks_late_total", "Ticks begun late, or after some that were left out")
TICKS_FAILED = Counter("cottage_feynman_ticks_failed_total", "Ticks that ended in an error of Redis")
TICK_SECONDS = Histogram("cottage_feynman_tick_seconds", "From a tick's begin to its last write", buckets=_BUCKETS)
TICK_LATENESS = Histogram("cottage_feynman_tick_lateness_seconds", "Begin of a tick after its time", buckets=_BUCKETS)
SAMPLES = Counter("cottage_feynman_samples_total", "Samples taken")
REFUSED = Counter("cottage_feynman_snapshots_refused_total", "Snapshots refused, by the field at fault", ["field"])
WRITTEN = Counter("cottage_feynman_states_written_total", "States SET")
PUBLISHED = Counter("cottage_feynman_updates_published_total", "Updates PUBLISHed")
SYMBOLS = Gauge("cottage_feynman_symbols", "Symbols known")
EPOCH = Gauge("cottage_feynman_epoch", "Epoch of the lease; 0 while another holds it")
LEASES = Counter("cottage_feynman_leases_taken_total", "Leases taken")
LEASES_LOST = Counter("cottage_feynman_leases_lost_total", "Leases found lost when writing")
CHECKPOINTS = Counter("cottage_feynman_checkpoints_total", "Checkpoints saved")
CHECKPOINT_FAILURES = Counter("cottage_feynman_checkpoint_failures_total", "Checkpoints that could not be saved")
CHECKPOINTS_REFUSED = Counter("cottage_feynman_checkpoints_refused_total", "Checkpoints found that could not be used")
CHECKPOINT_SECONDS = Histogram("cottage_feynman_checkpoint_seconds", "From a checkpoint's begin to its end")
CHECKPOINT_TIME = Gauge("cottage_feynman_checkpoint_timestamp_seconds", "When the last checkpoint was saved")
RESTORED = Counter("cottage_feynman_symbols_restored_total", "Symbols whose window was loaded at the start")
LEASES_UNCOPIED = Counter("cottage_feynman_leases_unreplicated_total", "Leases that no replica acknowledged in time")
