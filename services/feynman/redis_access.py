"""What feynman may do in Redis: it reads what feeds write, and writes states under its lease."""

from cottage import keys
from cottage.redis.permission import Permissions, may, may_call
from cottage.redis_permissions import (
    CONNECTED,
    FEEDS_READ,
    FILLS,
    LISTING,
    OWNERS_READ,
    SCRIPTS_LOADED,
    SNAPSHOTS,
    STATES,
    STATES_READ,
    WARM_STARTS,
    WRITERS,
)

ACCESS: Permissions = (
    *CONNECTED,
    *LISTING,
    *SCRIPTS_LOADED,
    may("INFO"),  # how much memory Redis has left
    # The lease, and the holders that it outlives. WAIT: until a replica has it.
    may("WAIT"),
    may("GET MGET TYPE PTTL", read=[WRITERS]),
    may("SET PEXPIRE DEL", write=[WRITERS]),
    # Fenced by it: states are written, and symbols retired.
    may_call(WRITERS, STATES, SNAPSHOTS, keys.PHYSICS_RETIRED),
    *STATES_READ,
    may("SET DEL", write=[STATES]),
    may("PUBLISH", channels=[keys.STATE_UPDATE]),
    may("TYPE ZREVRANGE ZREVRANGEBYSCORE ZRANGEBYSCORE", read=[keys.PHYSICS_RETIRED]),
    may("DEL ZADD ZREMRANGEBYSCORE ZREMRANGEBYRANK", write=[keys.PHYSICS_RETIRED]),
    may("DEL", write=[SNAPSHOTS]),
    may("LRANGE", read=[keys.PHYSICS_RETIRE]),
    may("LREM", write=[keys.PHYSICS_RETIRE]),
    # Samples, of the market and of the record.
    *FEEDS_READ,
    *OWNERS_READ,
    may("EXISTS", read=[SNAPSHOTS, STATES]),
    may("LRANGE", read=[FILLS]),
    may("STRLEN GETRANGE", read=[WARM_STARTS]),
    may("UNLINK", write=[WARM_STARTS]),
    # Feynman's side of the lock-step.
    may("SUBSCRIBE", channels=[keys.MARKET_MARK]),
    may("PUBLISH", channels=[keys.MARKET_MARK_TAKEN]),
)
