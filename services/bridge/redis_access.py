"""What the bridge may do in Redis: follow the states' channel, and read what is stored."""

from cottage import keys
from cottage.redis.permission import Permissions, may
from cottage.redis_permissions import CONNECTED, FEEDS_READ, LISTING, SNAPSHOTS, STATES_READ, WRITERS

ACCESS: Permissions = (
    *CONNECTED,
    *LISTING,
    *STATES_READ,
    *FEEDS_READ,
    may("GET MGET PTTL", read=[WRITERS]),
    may("EXISTS", read=[SNAPSHOTS]),  # which symbols come first, where there is no room for all
    may("SUBSCRIBE", channels=[keys.STATE_UPDATE]),
)
