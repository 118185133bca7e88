"""`make check-production`: what of the suite is half-open by the environment, without starting anything.

The exit status is 2 if there is a finding, or a setting that cannot be, and 0 where nothing was found. Services may
be named, of a host that runs no others.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from common.exposure import exposure
from common.open_redis import asked, redis_findings, unreachable
from common.production import findings, findings_together
from common.settings import RedisSettings, ServiceSettings
from cottage.errors import CottageError
from cottage.variables import value_of
from deploy.run_plan import SERVICES, SETTINGS

KINDS = dict(zip((each.name for each in SERVICES), SETTINGS, strict=True))
TOGETHER = "suite"
"""In whose name is said what no service can know by itself."""


def check(services: Sequence[str]) -> list[str]:
    """A line for each finding, with the service that it is of; what several have in common is said once, of all."""
    wrong = {name: KINDS[name].refusals() for name in services}
    settings = {name: KINDS[name]() for name in services if not wrong[name]}
    exposed = {name: exposure(name, each) for name, each in settings.items()}
    found = {name: [*wrong[name], *(findings(exposed[name]) if name in exposed else ())] for name in services}
    found[TOGETHER] = findings_together(exposed.values())
    for name, lines in asyncio.run(_redis(settings)).items():
        found[name] += lines
    said: dict[str, list[str]] = {}
    for name, lines in found.items():
        for line in dict.fromkeys(lines):
            said.setdefault(line, []).append(name)
    return [f"{', '.join(names)}: {line}" for line, names in said.items()]


async def _redis(settings: dict[str, ServiceSettings]) -> dict[str, list[str]]:
    """What is half-open about each service's Redis. What cannot be tried is said too: nothing is known of it."""
    used = {name: each for name, each in settings.items() if isinstance(each, RedisSettings) and _works(each)}
    lines = await asyncio.gather(*map(_of_one, used.values()))
    return dict(zip(used, lines, strict=True))


def _works(settings: ServiceSettings) -> bool:
    """A recorder that is off asks nothing of Redis."""
    return getattr(settings, "on", True) is True


async def _of_one(settings: RedisSettings) -> list[str]:
    try:
        found = await asked(settings)
    except CottageError as error:
        return [str(error)]
    away = [
        f"REDIS_URL: {server} was not tried, since it cannot be reached: start it" for server in unreachable(found)
    ]
    return [*redis_findings(found), *away]


def main(names: Sequence[str]) -> int:
    if unknown := [name for name in names if name not in KINDS]:
        sys.stderr.write(f"make check-production: {unknown[0]} is none of {', '.join(KINDS)}\n")
        return 2
    services = list(dict.fromkeys(names)) or list(KINDS)
    lines = check(services)
    if lines:
        print("\n".join(lines))
        return 2
    print(f"nothing found: {', '.join(services)}")
    if (value_of(os.environ, "COTTAGE_ENV") or "").lower() != "production":
        print("COTTAGE_ENV=production is not set here: services would start without looking")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
