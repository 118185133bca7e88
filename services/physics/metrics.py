"""Counts of the physics API and of the readers in a process."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("cottage_physics_requests_total", "Requests answered", ["route", "status"])
REQUEST_SECONDS = Histogram(
    "cottage_physics_request_seconds",
    "Time to answer a request",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
READS = Counter("cottage_physics_reads_total", "States asked for, by what the reader had to say", ["outcome"])
READ_FROM = {name: READS.labels(name) for name in ("redis", "remembered", "fallback", "absent")}
REFUSED = Counter("cottage_physics_refused_total", "States refused under a max_age: too old, or none")
BAD_STATES = Counter("cottage_physics_bad_states_total", "Stored states that cannot be trusted", ["reason"])
BAD_SNAPSHOTS = Counter("cottage_physics_bad_snapshots_total", "Snapshots that cannot be trusted", ["reason"])
REDIS_LOST = Counter("cottage_physics_redis_lost_total", "Times that Redis stopped answering")
