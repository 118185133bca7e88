"""What the market may do in Redis: it is a feed like any other."""

from cottage.redis.permission import Permissions
from cottage.redis_permissions import FEED

ACCESS: Permissions = FEED
