"""The plan of `make run`: which services are started, with which addresses and environment variables.

All of it is decided, and every port is tried, before anything is started.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from common.ops import listening_socket
from cottage.errors import SettingsError
from deploy.redis_server import LOCAL, free_port
from deploy.run_directory import run_folder

REDIS_PORT = 6379


@dataclass(frozen=True, slots=True)
class ServiceDefault:
    """A service and its default ports."""

    name: str
    ops_port: int
    port: int | None = None
    redis: bool = True
    """Whether it is given the URL of Redis, which may contain a password."""


SERVICES = (
    ServiceDefault("market", 9101),
    ServiceDefault("feynman", 9102),
    ServiceDefault("physics", 9103, 8001),
    ServiceDefault("bridge", 9104, 8766),
    ServiceDefault("broadcaster", 9105, 8765, redis=False),
)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """How one service is started."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ops: tuple[str, int]
    """Host and port of its /readyz."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is started, and under which URLs it can be reached."""

    services: tuple[ServicePlan, ...]
    redis_url: str
    redis_port: int | None
    """The port on which a server is to be started; None if REDIS_URL names a running one."""
    fresh: bool
    """Whether what earlier runs left is deleted first."""
    checkpoints: str
    """The folder of feynman's checkpoints."""
    urls: Mapping[str, str]
    """The URLs for the user, by variable, Redis's last."""


def make_plan(environment: Mapping[str, str] = os.environ) -> RunPlan:
    """Make the plan from `environment` and the defaults; port 0 takes any free one.

    Raises a SettingsError with the variable's name for a port that is invalid or taken. Only Redis takes the next
    free port if its own is taken, unless REDIS_PORT is set.
    """
    with contextlib.ExitStack() as held:  # all ports are held until the last is chosen, so that none is taken twice
        addresses = {
            variable: _hold(held, environment, variable, port) for variable, port in _default_ports().items()
        }
        url = environment.get("REDIS_URL", "")
        redis_port = None if url else _redis_port(held, environment)
    url = url or f"redis://{LOCAL}:{redis_port}"

    shared = {name: value for name, value in environment.items() if name != "REDIS_URL"}
    for variable, (host, port) in addresses.items():
        shared[variable] = str(port)
        shared[variable.replace("_PORT", "_HOST")] = host
    bridge, page, api = (_netloc(addresses[f"{name}_PORT"]) for name in ("BRIDGE", "BROADCASTER", "PHYSICS"))
    shared.setdefault("BROADCASTER_BRIDGE_URL", f"ws://{bridge}/ws")
    # Relative to the working directory, which the services have in common with this process.
    shared.setdefault("FEYNMAN_CHECKPOINT_DIR", str(run_folder(environment) / "feynman"))
    return RunPlan(
        services=tuple(
            ServicePlan(
                service.name,
                (sys.executable, "-m", f"services.{service.name}"),
                shared | {"REDIS_URL": url} if service.redis else _without_redis(shared),
                _reachable(addresses[f"{service.name.upper()}_OPS_PORT"]),
            )
            for service in SERVICES
        ),
        redis_url=url,
        redis_port=redis_port,
        fresh=_flag(environment, "FRESH"),
        checkpoints=shared["FEYNMAN_CHECKPOINT_DIR"],
        urls={
            "PAGE_URL": f"http://{page}/",
            "WEBSOCKET_URL": f"ws://{page}/ws",
            "API_URL": f"http://{api}/v1/physics",
            "API_DOCS_URL": f"http://{api}/docs",
            "REDIS_URL": url,
        },
    )


def _default_ports() -> dict[str, int]:
    """The default ports by environment variable."""
    ports: dict[str, int] = {}
    for service in SERVICES:
        prefix = service.name.upper()
        if service.port is not None:
            ports[f"{prefix}_PORT"] = service.port
        ports[f"{prefix}_OPS_PORT"] = service.ops_port
    return ports


def _hold(held: contextlib.ExitStack, environment: Mapping[str, str], variable: str, default: int) -> tuple[str, int]:
    """Choose the (host, port) of `variable` and listen on it until `held` is closed, so that no other gets it."""
    host = environment.get(variable.replace("_PORT", "_HOST")) or LOCAL
    # For 0 not the kernel's choice: see free_port.
    port = _number(environment, variable, default) or free_port(host=host)
    sock = listening_socket(host, port, variable)
    held.enter_context(contextlib.closing(sock))
    return host, sock.getsockname()[1]


def _redis_port(held: contextlib.ExitStack, environment: Mapping[str, str]) -> int:
    if environment.get("REDIS_PORT"):
        return _hold(held, {**environment, "REDIS_HOST": LOCAL}, "REDIS_PORT", REDIS_PORT)[1]
    return free_port(first=REDIS_PORT, host=LOCAL)


def _number(environment: Mapping[str, str], variable: str, default: int) -> int:
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise SettingsError(f"{variable} must be a port from 0 to 65535")
    return int(text)


def _flag(environment: Mapping[str, str], variable: str) -> bool:
    text = environment.get(variable, "").lower()
    if text not in ("", "0", "false", "1", "true"):
        raise SettingsError(f"{variable} must be 1 or 0")
    return text in ("1", "true")


def _without_redis(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("REDIS_")}


def _reachable(address: tuple[str, int]) -> tuple[str, int]:
    """The address at which a program on this machine reaches a listening address."""
    host, port = address
    return {"0.0.0.0": LOCAL, "::": "::1"}.get(host, host), port  # noqa: S104  # not bound here, replaced


def _netloc(address: tuple[str, int]) -> str:
    host, port = _reachable(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
