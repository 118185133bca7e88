"""Differences between the versions of redis-py, and whether hiredis is installed. No other module asks for them."""

import inspect
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import redis
import redis.asyncio


def _version(distribution: str) -> str:
    return metadata.version(distribution) if find_spec(distribution) else ""


FAST = _version("redis").startswith("8.1.") and _version("hiredis").startswith("3.")
"""Whether `fast_path` may be used: it goes below redis-py's public API, and was tested only with these versions."""


@cache
def connection_options(client: type[redis.Redis] | type[redis.asyncio.Redis]) -> dict[str, Any]:
    """The options of every connection of such a client, as far as the installed version of redis-py knows them."""
    known = inspect.signature(client).parameters
    options: dict[str, Any] = {}
    if "driver_info" in known:
        # Redis 7.0 answers CLIENT SETINFO with an error, twice a connection. Since redis-py 7.2.
        options["driver_info"] = None
    if "maint_notifications_config" in known:
        # redis-py 8.1 stops checking for stale connections unless maintenance notices are off: after a
        # restart of the server, the first command on each idle connection would fail.
        from redis.maint_notifications import MaintNotificationsConfig

        options["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return options
