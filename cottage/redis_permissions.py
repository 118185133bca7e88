"""What users of the library, and those who run its Redis, may do there: declarations of which `make acl` makes users.

The comment of each part says of which object of the library it is. Services put theirs together from the same parts,
in `services/*/redis_access.py`. Whoever gives a command to an object adds it here: a test runs each as its user.
"""

from cottage import keys
from cottage.redis.permission import Permissions, may, may_call

STATES = keys.PHYSICS_STATE + "*"
WRITERS = keys.PHYSICS_WRITER + "*"
SNAPSHOTS = keys.MARKET_SNAPSHOT + "*"
FILLS = keys.MARKET_FILL + "*"
WARM_STARTS = keys.MARKET_WARM + "*"
FEEDS = keys.MARKET_FEED + "*"
AGENTS = keys.AGENT_STATE + "*"
ANY = "*"

# Any client: cottage.redis. TIME is Redis's clock; the others are a cluster's redirections.
CONNECTED: Permissions = (may("TIME PING CLUSTER|SLOTS ASKING"),)
# SCAN, which tells the names of all keys: no server limits it to a pattern.
LISTING: Permissions = (may("SCAN"),)
# `Script.each`, once a server has lost its scripts.
SCRIPTS_LOADED: Permissions = (may("SCRIPT|LOAD"),)

# PhysicsStates, and what a cluster makes of an MGET.
STATES_READ: Permissions = (may("GET MGET TYPE", read=[STATES]),)
# MarketFeeds.alive
FEEDS_READ: Permissions = (*LISTING, may("STRLEN GET MGET TYPE PTTL", read=[FEEDS]))
# `living_feeds.brought`: who owns a snapshot, and for how long.
OWNERS_READ: Permissions = (may("HMGET PTTL", read=[SNAPSHOTS]),)
# PhysicsReader and BlockingPhysicsReader
STATES_WATCHED: Permissions = (
    *CONNECTED,
    *LISTING,
    *STATES_READ,
    may("GET MGET PTTL", read=[WRITERS, FEEDS]),
)

# MarketSnapshots, for writing, with its scripts
SNAPSHOTS_WRITTEN: Permissions = (
    *SCRIPTS_LOADED,
    may("EVALSHA", read=[SNAPSHOTS], write=[SNAPSHOTS]),  # many calls at once: never by EVAL
    may("HGET HMGET", read=[SNAPSHOTS]),
    may("HSET HDEL DEL EXPIRE", write=[SNAPSHOTS]),
    may("RPUSH LTRIM EXPIRE DEL", write=[FILLS]),
)
# MarketFeeds.announce and withdraw, with the lease's scripts
FEED_ANNOUNCED: Permissions = (
    may_call(FEEDS),
    may("GET TYPE PTTL", read=[FEEDS]),
    may("SET PEXPIRE DEL", write=[FEEDS]),
)
# The feed's side of cottage/lock_step.py
LOCK_STEP: Permissions = (
    may("PUBLISH", channels=[keys.MARKET_MARK]),
    may("SUBSCRIBE", channels=[keys.MARKET_MARK_TAKEN]),
)

FEED: Permissions = (*CONNECTED, *SNAPSHOTS_WRITTEN, *FEED_ANNOUNCED, *LOCK_STEP)
"""Any feed: by the library, or by HSET and EXPIRE in any language."""

READER: Permissions = (
    *STATES_WATCHED,
    *FEEDS_READ,
    may("HGETALL HMGET", read=[SNAPSHOTS]),
    may("LRANGE", read=[FILLS]),
    may("SUBSCRIBE", channels=[keys.STATE_UPDATE, keys.TRADE_SIGNALS]),
)
"""Whoever only reads: PhysicsReader, PhysicsStates, MarketSnapshots, ChannelConsumer, `cottage state`."""

AGENT: Permissions = (
    *READER,
    may("GET", read=[AGENTS]),
    may("SET", write=[AGENTS]),
    may("LPUSH", write=[keys.TASK_QUEUE]),
    may("BRPOP", read=[keys.TASK_QUEUE], write=[keys.TASK_QUEUE]),
    may("ZADD", write=[keys.STRATEGY_LEADERBOARD]),
    may("ZREVRANGE", read=[keys.STRATEGY_LEADERBOARD]),
    may("PUBLISH", channels=[keys.STATE_UPDATE, keys.TRADE_SIGNALS]),
)
"""An agent: what a reader may, AgentStates, TaskQueue, StrategyLeaderboard, and its two channels."""

OPERATOR: Permissions = (
    *CONNECTED,
    may("SCAN INFO DBSIZE SLOWLOG|GET MONITOR FLUSHALL COMMAND|INFO MULTI EXEC"),
    # Both rights on both: `~*` alone has the key without a name, which the pattern of `%R~*` does not match.
    *(
        may(each, read=[ANY], write=[ANY])
        for each in (
            "TYPE STRLEN EXISTS GET MGET HGETALL HMGET LRANGE SMEMBERS ZRANGE XRANGE PTTL PEXPIRETIME",
            "XINFO|STREAM XINFO|GROUPS HPEXPIRETIME",
            "DEL UNLINK SET HSET RPUSH SADD ZADD XADD XSETID XGROUP|CREATE PEXPIREAT HPEXPIREAT",
        )
    ),
    may("SUBSCRIBE", channels=[keys.STATE_UPDATE]),
    may("ACL|LOG ACL|LOAD ACL|WHOAMI"),
)
"""Whoever looks after the suite: the runbook, `cottage retire` and `state`, FRESH=1. ACL LOG shows who was refused
what, ACL LOAD takes a new ACL file. No scripts, no CONFIG, and no ACL SETUSER: it makes no user."""

HEALTH: Permissions = (may("PING"),)
"""A container's health check."""

REPLICA: Permissions = (may("PING PSYNC REPLCONF"),)
"""A replica, by `masteruser`."""

SENTINEL: Permissions = (
    may("PING INFO ROLE MULTI EXEC SLAVEOF REPLICAOF CONFIG|REWRITE CLIENT|SETNAME CLIENT|KILL SCRIPT|KILL"),
    may("PUBLISH SUBSCRIBE", channels=["__sentinel__:hello"]),
)
"""Sentinel, by `sentinel auth-user`: it watches servers and makes another one the master."""
