"""What the recorder may do in Redis: follow the states' channel, read states, and offer samples to new windows."""

from cottage import keys
from cottage.redis.permission import Permissions, may
from cottage.redis_permissions import CONNECTED, LISTING, STATES_READ, WARM_STARTS

ACCESS: Permissions = (
    *CONNECTED,
    *LISTING,
    *STATES_READ,
    may("SET EXPIRE", write=[WARM_STARTS]),
    may("SUBSCRIBE", channels=[keys.STATE_UPDATE]),
)
