"""Metrics of the physics API, and of the reader that it asks."""

from collections.abc import Iterator

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from cottage.reader.queries import ReaderCounts

REQUESTS = Counter(
    "cottage_physics_requests_total", "Requests answered, by route and HTTP status.", ["route", "status"]
)
REQUEST_SECONDS = Histogram(
    "cottage_physics_request_duration_seconds",
    "Time to answer a request, by route.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
BAD_SNAPSHOTS = Counter(
    "cottage_physics_snapshots_dropped_total", "Invalid snapshots found in Redis, by reason.", ["reason"]
)
LEFT_OUT = Counter(
    "cottage_physics_snapshot_fields_left_out_total",
    "Fields of snapshots that were doubtful and left out of the answer, by field.",
    ["field"],
)
HISTORY_QUERIES = Counter(
    "cottage_physics_history_questions_total",
    "Questions to the record, by outcome: answered, or the problem.",
    ["outcome"],
)
HISTORY_STARTS = Counter(
    "cottage_physics_history_engine_starts_total", "Processes that were started to answer questions to the record."
)


class ReaderCollector(Collector):
    """Exports the counts of the library's reader, which has no metrics of its own."""

    def __init__(self) -> None:
        self.counts = ReaderCounts()

    def collect(self) -> Iterator[CounterMetricFamily]:
        counts = self.counts
        reads = CounterMetricFamily(
            "cottage_physics_reads", "States requested, by where the answer came from.", labels=["outcome"]
        )
        for outcome in ("redis", "remembered", "fallback", "absent"):
            reads.add_metric([outcome], counts.reads[outcome])
        yield reads
        yield CounterMetricFamily(
            "cottage_physics_reads_refused", "States refused: older than max_age, or missing.", counts.refused
        )
        bad = CounterMetricFamily(
            "cottage_physics_states_dropped", "Invalid states found in Redis, by reason.", labels=["reason"]
        )
        for reason, number in counts.bad_states.items():
            bad.add_metric([reason], number)
        yield bad
        yield CounterMetricFamily(
            "cottage_physics_redis_lost", "Number of times that Redis stopped answering.", counts.redis_lost
        )


READER = ReaderCollector()
REGISTRY.register(READER)
