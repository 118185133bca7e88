"""`make check-production`: what of the suite is half-open by the environment, without starting anything.

The exit status is 2 if there is a finding, or a setting that cannot be, and 0 where nothing was found. Services may
be named, of a host that runs no others.
"""

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from common.exposure import Exposure, exposure
from common.open_redis import asked, redis_findings, unreachable
from common.production import findings, findings_together
from common.settings import RedisSettings, ServiceSettings
from cottage.errors import CottageError
from cottage.secret_values import file_variable
from cottage.variables import value_of
from deploy.run_plan import SERVICES, SETTINGS

KINDS = dict(zip((each.name for each in SERVICES), SETTINGS, strict=True))
TOGETHER = "suite"
"""In whose name is said what no service can know by itself."""
NOT_LOOKED_AT = "what else is half-open was not looked at, since settings contradict one another: mend them first"


def check(services: Sequence[str]) -> list[str]:
    """A line for each finding, with the service that it is of; what several have in common is said once, of all.

    A setting that is refused hides nothing but what is said of it: all else is looked at.
    """
    found = {name: KINDS[name].refusals() for name in services}
    exposed: list[Exposure] = []
    of_redis: dict[str, RedisSettings] = {}
    for name in services:
        settings, refused = KINDS[name].as_far_as_good()
        if settings is None:
            found[name].append(NOT_LOOKED_AT)
            continue
        exposed.append(exposure(name, settings))
        found[name] += [line for line in findings(exposed[-1]) if not _is_about(refused, line)]
        if _asks_redis(settings) and not any(variable.startswith("REDIS_") for variable in refused):
            of_redis[name] = settings
    found[TOGETHER] = findings_together(exposed)
    for name, lines in asyncio.run(_redis(of_redis)).items():
        found[name] += lines
    said: dict[str, list[str]] = {}
    for name, lines in found.items():
        for line in dict.fromkeys(lines):
            said.setdefault(line, []).append(name)
    return [f"{', '.join(names)}: {line}" for line, names in said.items()]


def _is_about(refused: Iterable[str], line: str) -> bool:
    """Whether a line speaks of a setting that was refused: in its place it saw the default. That its file is open to
    others is true all the same."""
    return any(variable in line.removeprefix(f"{file_variable(variable)}: ") for variable in refused)


def _asks_redis(settings: ServiceSettings) -> TypeGuard[RedisSettings]:
    """A recorder that is off asks nothing of Redis."""
    return isinstance(settings, RedisSettings) and getattr(settings, "on", True) is True


async def _redis(settings: Mapping[str, RedisSettings]) -> dict[str, list[str]]:
    """What is half-open about each service's Redis. What cannot be tried is said too: nothing is known of it."""
    lines = await asyncio.gather(*map(_of_one, settings.values()))
    return dict(zip(settings, lines, strict=True))


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
