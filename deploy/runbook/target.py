"""Finds the Redis that the runbook works on: REDIS_URL, else that of `make run`, else that of docker compose."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cottage.errors import SettingsError
from cottage.redis_login import URL, redis_url_of
from cottage.secret_values import is_set
from cottage.urls import redacted
from deploy.run_directory import read_urls, run_folder

# Containers with Python that reach Redis, the least busy first.
THROUGH = ("physics", "bridge", "feynman", "market")


@dataclass(frozen=True, slots=True)
class Direct:
    """A server that this process can reach."""

    url: str
    found_in: str

    def __str__(self) -> str:
        return f"{redacted(self.url)} ({self.found_in})"


@dataclass(frozen=True, slots=True)
class InContainer:
    """A server that only containers can reach: the runbook runs its command in one of them."""

    compose: tuple[str, ...]
    service: str

    def __str__(self) -> str:
        return f"Redis of docker compose (through the container of {self.service})"

    def command(self, arguments: Sequence[str]) -> list[str]:
        return [*self.compose, "exec", "-T", self.service, "python", "-m", "deploy.runbook", *arguments]


def find_target(environment: Mapping[str, str] = os.environ) -> Direct | InContainer:
    """The Redis to work on. Raises a SettingsError that says what to do if there is none."""
    if is_set(environment, URL):
        return Direct(redis_url_of(environment, ""), URL)
    folder = run_folder(environment)
    if (urls := read_urls(folder)) and (url := urls.get("REDIS_URL")):
        return Direct(url, f"make run, {folder}")
    for compose in _composes():
        running = _running(compose)
        for service in THROUGH:
            if service in running:
                return InContainer(compose, service)
    raise SettingsError("no Redis was found: start `make run` or `docker compose up`, or set REDIS_URL")


def _composes() -> list[tuple[str, ...]]:
    """The installed variants of docker compose: the plugin, and docker-compose 1.29 of older distributions."""
    found: list[tuple[str, ...]] = []
    if shutil.which("docker") and _output(("docker", "compose", "version")) is not None:
        found.append(("docker", "compose"))
    if shutil.which("docker-compose"):
        found.append(("docker-compose",))
    return found


def _running(compose: tuple[str, ...]) -> set[str]:
    """The running services of the compose project in this folder."""
    output = _output((*compose, "ps", "--services", "--filter", "status=running"))
    return set((output or "").split())


def _output(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
