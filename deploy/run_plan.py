"""What `make run` starts: the services, their addresses and their environment.

Everything is decided, and every port tried, before anything is started.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from common.ops import listening_socket
from cottage.errors import SettingsError
from deploy.redis_server import free_port
from deploy.run_directory import run_folder

LOCAL = "127.0.0.1"
REDIS_PORT = 6379


@dataclass(frozen=True, slots=True)
class ServiceDefault:
    """A service and the ports that it has unless told otherwise."""

    name: str
    ops_port: int
    port: int | None = None
    redis: bool = True
    """Whether it may know where Redis is, and its password."""


SERVICES = (
    ServiceDefault("market", 9101),
    ServiceDefault("feynman", 9102),
    ServiceDefault("physics", 9103, 8001),
    ServiceDefault("bridge", 9104, 8766),
    ServiceDefault("broadcaster", 9105, 8765, redis=False),
)


@dataclass(frozen=True, slots=True)
class ServicePlan:
    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ops: tuple[str, int]
    """Where its /readyz is asked for."""


@dataclass(frozen=True, slots=True)
class RunPlan:
    services: tuple[ServicePlan, ...]
    redis_url: str
    redis_port: int | None
    """Where a server is to be started; None where REDIS_URL names one that is there."""
    urls: Mapping[str, str]
    """What a person opens, Redis last."""


def make_plan(environment: Mapping[str, str] = os.environ) -> RunPlan:
    """Addresses and folders from `environment`, else the defaults; port 0 takes any free one.

    Raises SettingsError, naming the variable, for a port that is none or is taken. Redis alone moves to
    the next free port by itself, unless REDIS_PORT says where it has to be.
    """
    with contextlib.ExitStack() as held:  # until all are chosen, so that no two get the same
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
    # From where the services are started, which is where we are.
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
        urls={
            "PAGE_URL": f"http://{page}/",
            "WEBSOCKET_URL": f"ws://{page}/ws",
            "API_URL": f"http://{api}/v1/physics",
            "API_DOCS_URL": f"http://{api}/docs",
            "REDIS_URL": url,
        },
    )


def _default_ports() -> dict[str, int]:
    """By variable."""
    ports: dict[str, int] = {}
    for service in SERVICES:
        prefix = service.name.upper()
        if service.port is not None:
            ports[f"{prefix}_PORT"] = service.port
        ports[f"{prefix}_OPS_PORT"] = service.ops_port
    return ports


def _hold(held: contextlib.ExitStack, environment: Mapping[str, str], variable: str, default: int) -> tuple[str, int]:
    """The (host, port) of `variable`, kept from everyone else until `held` is closed."""
    host = environment.get(variable.replace("_PORT", "_HOST")) or LOCAL
    # Not the kernel's choice for 0: a client that dials a port of that range again and again while its
    # server is away can end up connected to itself, and the server never gets the port back.
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


def _without_redis(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("REDIS_")}


def _reachable(address: tuple[str, int]) -> tuple[str, int]:
    """Where a program on this machine dials an address that was bound."""
    host, port = address
    return {"0.0.0.0": LOCAL, "::": "::1"}.get(host, host), port  # noqa: S104  # not bound here, replaced


def _netloc(address: tuple[str, int]) -> str:
    host, port = _reachable(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
