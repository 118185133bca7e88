"""Metrics of the bridge. Those of its connections are in common/fanout."""

from prometheus_client import Counter

from cottage.events import TOPICS

MESSAGES = Counter("cottage_bridge_messages_received_total", "Messages received on the channel, by event.", ["event"])
PHYSICS_UPDATES = MESSAGES.labels("PHYSICS_UPDATE")
HEARTBEATS = MESSAGES.labels("HEARTBEAT")
for _topic in TOPICS:
    MESSAGES.labels(_topic)  # from the start, so that a rate over it misses nothing
DROPPED = Counter(
    "cottage_bridge_messages_dropped_total",
    "Invalid messages and stored states that were dropped, by reason.",
    ["reason"],
)
SUBSCRIPTIONS = Counter("cottage_bridge_subscriptions_total", "Subscriptions to the channel that Redis confirmed.")
FULL_READS = Counter("cottage_bridge_full_reads_total", "Full reads of all states, which heal missed updates.")
DOUBTED = Counter(
    "cottage_bridge_updates_doubted_total", "Updates that were not believed: their symbols were read from Redis."
)
HEALED = Counter("cottage_bridge_states_healed_total", "States that a look at Redis brought, not the channel.")
TAKEN_BACK = Counter(
    "cottage_bridge_states_taken_back_total", "States that were taken back: Redis has another under a living lease."
)
REMOVED = Counter("cottage_bridge_symbols_removed_total", "Symbols removed because their state was gone from Redis.")
FRESHNESS = Counter(
    "cottage_bridge_freshness_changes_total", "Changes of freshness sent to clients, by the new status.", ["status"]
)
