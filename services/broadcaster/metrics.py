"""Metrics of the broadcaster's link to the bridge; those of its connections are in common/fanout."""

from prometheus_client import Counter

LINKS = Counter("cottage_broadcaster_links_total", "Links to the bridge whose snapshot was complete.")
DROPPED = Counter(
    "cottage_broadcaster_messages_dropped_total",
    "Messages of the link that cannot be trusted, by reason.",
    ["reason"],
)
