"""The plan of `make run`: which services are started, with which addresses and environment variables.

All of it is decided, and every port is tried, before anything is started.
"""

import contextlib
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import TypeVar, get_args

from common.exposure import exposure
from common.ops import listening_socket
from common.production import findings_together
from common.settings import (
    PREFIXES,
    LogFormat,
    LogLevel,
    ServiceSettings,
    choice,
    redis_url,
    truth,
    whole,
)
from cottage import urls, variables
from cottage.errors import SettingsError
from cottage.files.options import ReadOptions
from cottage.record.record import is_record
from cottage.redis import connect_asking
from cottage.redis_login import PASSWORD, URL, USERNAME, redis_url_of
from cottage.secret_values import file_variable, secret_of
from cottage.token_file import VARIABLE as TOKEN_OF_CLIENTS
from cottage.variables import Misspelt, value_of
from deploy.child_environment import with_ops_address, without_secrets
from deploy.redis_server import FREE_PORTS, LOCAL, free_port
from deploy.run_directory import run_folder
from services.bridge.settings import BridgeSettings
from services.broadcaster.settings import BroadcasterSettings
from services.feynman.settings import FeynmanSettings
from services.market.settings import MarketSettings
from services.physics.settings import PhysicsSettings
from services.recorder.settings import RecorderSettings

REDIS_PORT = 6379
SETTINGS: tuple[type[ServiceSettings], ...] = (
    MarketSettings,
    FeynmanSettings,
    PhysicsSettings,
    BridgeSettings,
    BroadcasterSettings,
    RecorderSettings,
)

MAKE_VARIABLES = (
    *("SOURCE", "FILE", "SPEED", "LOOP", "SYMBOLS", "SEED", "FRESH"),
    *(each.name.upper() for each in fields(ReadOptions)),
    *("VENV", "PYTHON", "ARGS"),
)
"""What the Makefile reads for `make run`, beside the settings themselves."""

OF_REDIS = frozenset({URL, USERNAME, PASSWORD, file_variable(URL), file_variable(PASSWORD)})
"""Where Redis is, and who asks it."""

T = TypeVar("T")


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
    ServiceDefault("recorder", 9106),
)
RECORD_GIB = "2"
"""How large the record of `make run` may become, unless RECORDER_MAX_GIB says otherwise."""


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
        given = _given_redis(environment)
        redis_port = None if given else _redis_port(held, environment)
    # A server that is started here asks for no password: a REDIS_PASSWORD is docker compose's then.
    url = given or f"redis://{LOCAL}:{redis_port}"

    unread = {each.variable for each in misspelt(environment)}  # said once, not by each of the services
    shared = {name: value for name, value in environment.items() if name not in unread}
    if not given:
        shared = {name: value for name, value in shared.items() if name.upper() not in OF_REDIS} | {URL: url}
    elif plain := value_of(environment, URL):
        shared[URL] = plain
    for variable, (host, port) in addresses.items():
        shared[variable] = str(port)
        shared[variable.replace("_PORT", "_HOST")] = host
    bridge, page, api = (_netloc(addresses[f"{name}_PORT"]) for name in ("BRIDGE", "BROADCASTER", "PHYSICS"))
    link, stream, pages, answers = (
        _scheme(environment, name, plain)
        for name, plain in (("BRIDGE", "ws"), ("BROADCASTER", "ws"), ("BROADCASTER", "http"), ("PHYSICS", "http"))
    )
    # Relative to the working directory, which the services have in common with this process.
    defaults = {
        "BROADCASTER_BRIDGE_URL": f"{link}://{bridge}/ws",
        "FEYNMAN_CHECKPOINT_DIR": str(run_folder(environment) / "feynman"),
        "RECORDER_BRIDGE_URL": f"{link}://{bridge}/ws",
        "RECORDER_MAX_GIB": RECORD_GIB,
        **_records(environment),
    }
    fresh = read(environment, "FRESH", False, truth)
    if fresh:  # nothing of earlier runs, which the record has still
        defaults["RECORDER_WARM"] = "off"
    shared.update({name: value_of(environment, name) or default for name, default in defaults.items()})
    return RunPlan(
        services=tuple(
            ServicePlan(
                service.name,
                (sys.executable, "-m", f"services.{service.name}"),
                with_ops_address(
                    without_secrets(shared if service.redis else _without_redis(shared), SETTINGS, settings),
                    addresses[f"{service.name.upper()}_OPS_PORT"][0],
                ),
                _reachable(addresses[f"{service.name.upper()}_OPS_PORT"]),
            )
            for service, settings in zip(SERVICES, SETTINGS, strict=True)
            if service.name != "recorder" or read(environment, "RECORDER", True, truth)
        ),
        redis_url=url,
        redis_port=redis_port,
        fresh=fresh,
        checkpoints=shared["FEYNMAN_CHECKPOINT_DIR"],
        urls={
            "PAGE_URL": f"{pages}://{page}/",
            "WEBSOCKET_URL": f"{stream}://{page}/ws",
            "API_URL": f"{answers}://{api}/v1/physics",
            "API_DOCS_URL": f"{answers}://{api}/docs",
            "REDIS_URL": url,
        },
    )


def _given_redis(environment: Mapping[str, str]) -> str | None:
    """The URL of the Redis that is to be used, with user and password; None if one is to be started. Raises
    SettingsError."""
    url = secret_of(environment, URL)
    if url is None:
        return None
    try:
        redis_url(url)
    except ValueError as error:
        raise SettingsError(f"{URL} {error}") from None
    return redis_url_of(environment, url, url)


def _records(environment: Mapping[str, str]) -> dict[str, str]:
    """The defaults of what is recorded where, and of which record is replayed. The replay of a record is recorded
    beside it, in a folder of its own, with which it can be compared."""
    folder, replayed = run_folder(environment), value_of(environment, "MARKET_FILE") or ""
    record = folder / "record"
    is_replay = (value_of(environment, "MARKET_SOURCE") or "").lower() == "replay" and is_record(Path(replayed))
    if is_replay:
        names = chain(("replayed",), (f"replayed-{number}" for number in count(2)))
        record = next(path for name in names if not (path := folder / name).exists())
    chosen = value_of(environment, "RECORDER_DIR") or str(record)
    of_feynman = {"FEYNMAN_RECORD_DIR": chosen} if read(environment, "RECORDER", True, truth) else {}
    return {"RECORDER_DIR": chosen, **of_feynman, **({"FEYNMAN_REPLAY_DIR": replayed} if is_replay else {})}


def log_options(environment: Mapping[str, str]) -> tuple[str, str]:
    """LOG_LEVEL and LOG_FORMAT. Raises SettingsError."""
    level = read(environment, "LOG_LEVEL", "info", partial(choice, choices=get_args(LogLevel)))
    return level, read(environment, "LOG_FORMAT", "auto", partial(choice, choices=get_args(LogFormat)))


def misspelt(environment: Mapping[str, str]) -> list[Misspelt]:
    """The variables that look like settings that services share, or like those of `make run`, and are none. What
    begins with the prefix of a service is said by that service."""
    settings = chain.from_iterable(each.all_variables() for each in SETTINGS)
    known = {"RUN_DIR", "REDIS_PORT", FREE_PORTS, *(name for name in settings if not name.startswith(PREFIXES))}
    found = list(variables.misspelt(environment, known, "", (*PREFIXES, TOKEN_OF_CLIENTS)))
    # What was given to make was meant for us, whatever it is called.
    for name in _given_to_make(environment):
        upper = name.upper()
        if upper not in known and name not in MAKE_VARIABLES and not upper.startswith(PREFIXES):
            found += [Misspelt(name, variables.nearest(upper, (*known, *MAKE_VARIABLES)))]
    return list(dict.fromkeys(found))


def _given_to_make(environment: Mapping[str, str]) -> list[str]:
    """The names of the variables on make's command line, which it hands on behind its own flags."""
    with contextlib.suppress(ValueError):
        words = shlex.split(environment.get("MAKEFLAGS", "").partition("-- ")[2])
        return [name for name, equals, _ in (word.partition("=") for word in words) if equals]
    return []


def check_settings() -> None:
    """Look at the settings of all services in this process's environment, before anything is started.

    Raises a SettingsError that names all that is wrong with them.
    """
    wrong = [line for settings in SETTINGS for line in settings.refusals()]
    if not wrong and read(os.environ, "MARKET_EXIT_AT_END", False, truth):
        wrong.append("MARKET_EXIT_AT_END: is for a market that runs alone; make run would start it again")
    if not wrong:
        settings = {service.name: kind() for service, kind in zip(SERVICES, SETTINGS, strict=True)}
        exposed = [exposure(name, each) for name, each in settings.items() if each.in_production]
        wrong = findings_together(exposed)  # what each service finds of itself, it says
    if wrong:
        raise SettingsError("; ".join(dict.fromkeys(wrong)))
    if url := _given_redis(os.environ):
        connect_asking(url).close()  # it does not connect, and raises for what only the client knows of a URL


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
    name = variable.replace("_PORT", "_HOST")
    host = read(environment, name, LOCAL, urls.host)
    port = read(environment, variable, default, _port)
    if not port:
        listening_socket(host, 0, variable).close()  # raises for what is wrong with the host
        port = free_port(host=host)  # not the kernel's choice: see free_ports
    sock = listening_socket(host, port, variable)
    held.enter_context(contextlib.closing(sock))
    return host, sock.getsockname()[1]


def _redis_port(held: contextlib.ExitStack, environment: Mapping[str, str]) -> int:
    if value_of(environment, "REDIS_PORT"):
        return _hold(held, {**environment, "REDIS_HOST": LOCAL}, "REDIS_PORT", REDIS_PORT)[1]
    return free_port(first=REDIS_PORT, host=LOCAL)


def read(environment: Mapping[str, str], variable: str, default: T, read: Callable[[str], T]) -> T:
    """The variable, or the default where it is not set. Raises a SettingsError with its name if `read` refuses it."""
    text = value_of(environment, variable)
    try:
        return default if text is None else read(text)
    except ValueError as error:
        raise SettingsError(f"{variable} {error}") from error


def _port(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (port := whole(text)) <= 65535:
            return port
    raise ValueError("must be a port from 0 to 65535")


def _without_redis(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.upper().startswith("REDIS_")}


def _reachable(address: tuple[str, int]) -> tuple[str, int]:
    """The address at which a program on this machine reaches a listening address."""
    host, port = address
    return {"0.0.0.0": LOCAL, "::": "::1"}.get(host, host), port  # noqa: S104  # not bound here, replaced


def _scheme(environment: Mapping[str, str], prefix: str, plain: str) -> str:
    """That of a service's URLs: `plain`, or over TLS where it has a certificate."""
    return f"{plain}s" if value_of(environment, f"{prefix}_TLS_CERT_FILE") else plain


def _netloc(address: tuple[str, int]) -> str:
    host, port = _reachable(address)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
