"""Settings of the services, from the command line and the environment, checked once before anything starts.

Each service declares a subclass of ServiceSettings; `load` gives it `--help`, `--version`, and one flag and one
environment variable for each field. A bad value ends the process with exit status 2 and one line that names the
setting, without its value, which may be a secret.
"""

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_network
from typing import Annotated, Any, Literal, NoReturn, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from common import termination
from common.output import own_streams
from common.web.access import AccessPolicy, allowed_host, allowed_origin
from common.web.proxies import Network, TrustedProxies
from cottage import __version__, keys
from cottage.freshness import Thresholds

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _symbols(value: object) -> object:
    if not isinstance(value, str):
        return value
    spellings: dict[str, str] = {}
    symbols = []
    for native in (part.strip() for part in value.split(",") if part.strip()):
        symbols.append(keys.symbol_of(native))
        if (first := spellings.setdefault(symbols[-1], native)) != native:
            raise ValueError(f"{first} and {native} are both {symbols[-1]}: leave one out")
    return tuple(symbols)


Symbols = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_symbols)]
"""A setting of comma-separated symbols, such as SPY,QQQ, also as venues spell them."""


def _listed(parse: Callable[[str], object]) -> BeforeValidator:
    """Reads a comma-separated list, each part of it with `parse`."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(parse(part.strip()) for part in value.split(",") if part.strip())

    return BeforeValidator(read)


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError("must be addresses or networks such as 10.0.0.7,172.16.0.0/12, comma-separated") from error


Hosts = Annotated[tuple[str, ...], NoDecode, _listed(allowed_host)]
"""A setting of comma-separated host names."""
Origins = Annotated[tuple[str, ...], NoDecode, _listed(allowed_origin)]
"""A setting of comma-separated web origins, such as https://desk.example."""
Networks = Annotated[tuple[Network, ...], NoDecode, _listed(_network)]
"""A setting of comma-separated IP addresses and networks."""


class ServiceSettings(BaseSettings):
    """The settings of every service. A subclass adds `env_prefix` and its own fields, each with a description."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    ops_host: str = Field("127.0.0.1", description="address that the ops port listens on")
    ops_port: Port = Field(0, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="LOG_LEVEL", description="events below this level are not logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", validation_alias="LOG_FORMAT", description="auto: colours on a terminal, JSON lines elsewhere"
    )
    drain_seconds: Annotated[float, Field(ge=0, le=6)] = Field(
        5.0, validation_alias="DRAIN_SECONDS", description="seconds for a stop to finish its work before it is forced"
    )

    allowed_hosts: Hosts = Field(
        (),
        validation_alias="ALLOWED_HOSTS",
        description="names, beside localhost, by which this service may be addressed, comma-separated; requests to "
        "others get 421, those to IP addresses never. * is all",
    )
    allowed_origins: Origins = Field(
        (),
        validation_alias="ALLOWED_ORIGINS",
        description="origins, such as https://desk.example, whose web pages may read this service, comma-separated; "
        "others get 403. Pages of the same host always may; * is all",
    )

    def access(self, host: str, more_origins: Iterable[str] = (), proxies: Iterable[Network] = ()) -> AccessPolicy:
        """Which requests a port answers that listens on `host`, which is a name of it as well."""
        return AccessPolicy(
            (*self.allowed_hosts, host), (*self.allowed_origins, *more_origins), TrustedProxies(proxies)
        )

    @classmethod
    def variable(cls, name: str) -> str:
        """The name of a field's environment variable."""
        alias = cls.model_fields[name].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{name}".upper()

    @classmethod
    def load(cls, service: str, purpose: str, arguments: Sequence[str] | None = None) -> Self:
        """Read the settings of `service` from flags, else from the environment, else take the defaults.

        Exits with status 0 after `--help`, and with 2 for a bad value.
        """
        return cls.load_with_switches(service, purpose, {}, arguments)[0]

    @classmethod
    def load_with_switches(
        cls, service: str, purpose: str, switches: Mapping[str, str], arguments: Sequence[str] | None = None
    ) -> tuple[Self, frozenset[str]]:
        """Like `load`; also returns which `switches` were given: flags without a value, here with their help texts.

        They ask for something else than running the service, so the environment does not set them.
        """
        own_streams()
        if sys.platform == "win32":
            _exit(service, "Windows is served by Docker: run `docker compose up` instead")
        parser = _parser(cls, service, purpose)
        for switch, help_text in switches.items():
            parser.add_argument(f"--{switch}", action="store_true", help=help_text.replace("%", "%%"))
        flags = vars(parser.parse_args(arguments))
        given_switches = frozenset(switch for switch in switches if flags.pop(switch))
        given = {_input_name(cls, name): value for name, value in flags.items() if value is not None}
        try:
            settings = cls(**given)
        except ValidationError as error:
            _exit(service, "; ".join(_error_line(cls, each) for each in error.errors()))
        for line in _misspelt(cls, os.environ):
            sys.stderr.write(f"{service}: {line}\n")
        return settings, given_switches


class FreshnessSettings(ServiceSettings):
    """The settings of every service that assesses freshness."""

    stale_seconds: Seconds = Field(
        10.0, validation_alias="STALE_SECONDS", description="a state is stale when its newest sample is this old"
    )
    expired_seconds: Seconds = Field(
        60.0, validation_alias="EXPIRED_SECONDS", description="it is expired at this age, or after so much silence"
    )
    silence_seconds: Seconds = Field(3.0, description="seconds of silence after which a hop counts as broken")

    def thresholds(self) -> Thresholds:
        return Thresholds(self.stale_seconds, self.expired_seconds, self.silence_seconds)


class RedisSettings(ServiceSettings):
    """The settings of every service that talks to Redis."""

    redis_url: str = Field(
        "redis://localhost:6379",
        validation_alias="REDIS_URL",
        repr=False,
        description="URL of Redis: redis://, rediss:// or unix://, with user and password if it asks for them; "
        "for redis+sentinel://… and redis+cluster://… see docs/running.md",
    )
    redis_timeout_seconds: Seconds = Field(
        5.0, validation_alias="REDIS_TIMEOUT_SECONDS", description="seconds that a command or a connection may take"
    )

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if "+" in url.partition("://")[0]:
            return url  # Sentinel or a cluster: `cottage.redis` checks this URL when it connects
        try:
            parts = urlsplit(url)
            usable = parts.port is None or parts.port > 0
        except ValueError:
            usable = False
        if not usable or not (
            (parts.scheme in ("redis", "rediss") and parts.hostname) or (parts.scheme == "unix" and parts.path)
        ):
            raise ValueError("must look like redis://localhost:6379, rediss://… or unix:///path")
        return url


def _parser(cls: type[ServiceSettings], service: str, purpose: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{service}",
        description=purpose,
        epilog="Each setting is also the environment variable in brackets; a flag wins over it.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{service} {__version__}")
    for name, info in cls.model_fields.items():
        default = ",".join(info.default) if isinstance(info.default, tuple) else info.default
        text = f"{info.description} [{cls.variable(name)}, default: {default if default != '' else 'empty'}]"
        parser.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=text.replace("%", "%%"))
    return parser


def _input_name(cls: type[ServiceSettings], name: str) -> str:
    """The name under which the model accepts the field: its alias if it has one."""
    alias = cls.model_fields[name].validation_alias
    return alias if isinstance(alias, str) else name


def _error_line(cls: type[ServiceSettings], error: Any) -> str:
    field = str(error["loc"][0]) if error["loc"] else "settings"
    variable = cls.variable(field) if field in cls.model_fields else field
    return f"{variable}: {error['msg'].removeprefix('Value error, ')}"


def _misspelt(cls: type[ServiceSettings], environment: Mapping[str, str]) -> list[str]:
    """One warning for each environment variable that is almost the name of a setting. Others with the same prefix are
    ignored, since container platforms set some of their own."""
    known = [cls.variable(name) for name in cls.model_fields]
    prefix = cls.model_config.get("env_prefix", "")
    lines = []
    for variable in environment:
        if prefix and variable.startswith(prefix) and variable not in known:
            near = difflib.get_close_matches(variable, known, n=1, cutoff=0.85)
            if near:
                lines.append(f"warning: {variable} is no setting and is ignored; did you mean {near[0]}?")
    return lines


def _exit(service: str, why: str) -> NoReturn:
    termination.report(why)
    sys.stderr.write(f"{service}: {why}\n")
    raise SystemExit(2)
