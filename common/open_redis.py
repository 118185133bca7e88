"""Asks the Redis of a service what it does with strangers, for the production switch. What it cannot reach is asked
again later, while the service runs: it waits for a Redis that is away, and must not serve from one that is open."""

import asyncio
from collections.abc import Iterable

from common.settings import RedisSettings
from cottage.backoff import Backoff
from cottage.errors import SettingsError
from cottage.redis import Reception, connect, receptions

ASKING_SECONDS = 3.0
"""How long one server may take to answer."""


class RedisBacking:
    """The Redis of a service, as the runner asks it in production."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    async def findings(self) -> list[str]:
        return redis_findings(await asked(self._settings))

    async def watch(self) -> None:
        waits = Backoff()
        while True:
            found = await asked(self._settings)
            if lines := redis_findings(found):
                raise SettingsError("; ".join(lines))
            if not unreachable(found):
                return
            await asyncio.sleep(waits.next())


async def asked(settings: RedisSettings) -> list[Reception]:
    """How the servers of REDIS_URL receive strangers and us. Raises SettingsError for a URL that cannot be one."""
    async with connect(settings.redis_url, timeout=min(ASKING_SECONDS, settings.redis_timeout_seconds)) as client:
        return await receptions(client)


def redis_findings(found: Iterable[Reception]) -> list[str]:
    """What is half-open about them, a line for each."""
    return [line for each in found for line in _of_one(each)]


def unreachable(found: Iterable[Reception]) -> list[str]:
    """Those of which nothing is known yet."""
    return [each.server for each in found if each.admits is None]


def _of_one(found: Reception) -> Iterable[str]:
    if found.unverified:
        yield (
            f"REDIS_URL: rediss:// to {found.server} does not verify whose certificate it is: leave out "
            "ssl_cert_reqs and ssl_check_hostname, and set REDIS_CA_FILE for a CA of your own"
        )
    if found.admits:
        yield (
            f"REDIS_URL: {found.server} answers commands on a connection without credentials: start it with an ACL "
            "file that begins with `user default off` (make acl), or with a requirepass"
        )
    if found.default_beside_acl:
        yield (
            f"REDIS_URL: it is used as `default` at {found.server}, where there are users: name the service's own in "
            "REDIS_USERNAME, and switch `default` off"
        )
