"""Counts of the broadcaster's link; those of its clients are in common/fanout."""

from prometheus_client import Counter

LINKS = Counter("cottage_broadcaster_links_total", "Links to the bridge that were complete")
DROPPED = Counter("cottage_broadcaster_dropped_total", "Messages of the link that cannot be trusted", ["reason"])
