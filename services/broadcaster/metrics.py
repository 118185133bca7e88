"""Metrics of the broadcaster's link to the bridge; those of its connections are in common/fanout."""

from prometheus_client import Counter

LINKS = Counter("cottage_broadcaster_links_total", "Links to the bridge that have received a complete snapshot.")
DROPPED = Counter(
    "cottage_broadcaster_messages_dropped_total",
    "Invalid messages of the link that were dropped, by reason.",
    ["reason"],
)
