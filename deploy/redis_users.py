"""All users of the suite's Redis, each with the declaration of what it may do. The broadcaster is none of them."""

from collections.abc import Mapping
from types import MappingProxyType

from cottage import redis_permissions
from cottage.redis.permission import Permissions
from services.bridge import redis_access as of_bridge
from services.feynman import redis_access as of_feynman
from services.market import redis_access as of_market
from services.physics import redis_access as of_physics
from services.recorder import redis_access as of_recorder

USERS: Mapping[str, Permissions] = MappingProxyType(
    {
        "feynman": of_feynman.ACCESS,
        "market": of_market.ACCESS,
        "physics": of_physics.ACCESS,
        "bridge": of_bridge.ACCESS,
        "recorder": of_recorder.ACCESS,
        "feed": redis_permissions.FEED,
        "agent": redis_permissions.AGENT,
        "reader": redis_permissions.READER,
        "operator": redis_permissions.OPERATOR,
        "health": redis_permissions.HEALTH,
        "replica": redis_permissions.REPLICA,
        "sentinel": redis_permissions.SENTINEL,
    }
)
