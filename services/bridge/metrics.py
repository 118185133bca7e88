"""Metrics of the bridge. Those of its connections are in common/fanout."""

from prometheus_client import Counter

from cottage.events import TOPICS

MESSAGES = Counter("cottage_bridge_messages_received_total", "Messages of the channel, by event.", ["event"])
PHYSICS_UPDATES = MESSAGES.labels("PHYSICS_UPDATE")
HEARTBEATS = MESSAGES.labels("HEARTBEAT")
for _topic in TOPICS:
    MESSAGES.labels(_topic)  # from the start, so that a rate over it misses nothing
DROPPED = Counter(
    "cottage_bridge_messages_dropped_total",
    "Messages and stored states that cannot be trusted, by reason.",
    ["reason"],
)
SUBSCRIPTIONS = Counter("cottage_bridge_subscriptions_total", "Subscriptions to the channel that Redis confirmed.")
FULL_READS = Counter("cottage_bridge_full_reads_total", "Times that all states were read, to heal what was missed.")
HEALED = Counter("cottage_bridge_states_healed_total", "States that a full read brought and the channel had not.")
REMOVED = Counter("cottage_bridge_symbols_removed_total", "Symbols whose state was gone from Redis.")
FRESHNESS = Counter(
    "cottage_bridge_freshness_changes_total", "Changes of freshness told to clients, by new status.", ["status"]
)
