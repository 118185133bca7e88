"""Counts of the bridge."""

from prometheus_client import Counter

MESSAGES = Counter("cottage_bridge_messages_total", "Messages of the channel, by event", ["event"])
PHYSICS_UPDATES = MESSAGES.labels("PHYSICS_UPDATE")
HEARTBEATS = MESSAGES.labels("HEARTBEAT")
AGENT_UPDATES = MESSAGES.labels("AGENT_UPDATE")
DROPPED = Counter("cottage_bridge_dropped_total", "Messages and states that cannot be trusted", ["reason"])
SUBSCRIPTIONS = Counter("cottage_bridge_subscriptions_total", "Subscriptions confirmed")
FULL_READS = Counter("cottage_bridge_full_reads_total", "Times that all states were read")
HEALED = Counter("cottage_bridge_healed_total", "States that a full read brought and the channel had not")
REMOVED = Counter("cottage_bridge_removed_total", "Symbols whose state was gone from Redis")
FRESHNESS = Counter("cottage_bridge_freshness_total", "Changes of freshness that were said, by status", ["status"])
