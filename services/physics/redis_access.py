"""What the physics API may do in Redis: read states and snapshots."""

from cottage.redis.permission import Permissions, may
from cottage.redis_permissions import SNAPSHOTS, STATES_WATCHED

ACCESS: Permissions = (*STATES_WATCHED, may("HGETALL", read=[SNAPSHOTS]))
