"""Settings of the services, from the command line and the environment, checked once before anything starts.

Each service declares a subclass of ServiceSettings; `load` gives it `--help`, `--version`, and one flag and one
environment variable for each field. A bad value ends the process with exit status 2 and one line that names the
setting, without its value, which may be a secret; so does a combination that cannot be, with both names.

How values are spelt is one rule for all settings, `ServiceSettings._as_spelt`; an empty one is unset.

A `Secret` has no flag, since every user of a machine can read the command lines of its processes. It comes from its
variable, or from the file that the variable with `_FILE` behind its name names (`cottage/secret_values.py`).
"""

import contextlib
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, DecimalException
from ipaddress import ip_network
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NoReturn, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common import termination
from common.output import own_streams
from common.settings_parser import SettingHelp, SettingsParser
from common.web.access import AccessPolicy, allowed_host, allowed_origin
from common.web.proxies import Network, TrustedProxies, as_ipv4
from common.web.readers import Readers
from cottage import __version__, keys, urls, variables
from cottage.errors import CottageError, SettingsError
from cottage.freshness import Thresholds
from cottage.redis_login import url_with_login
from cottage.redis_tls import url_with_tls
from cottage.secret_values import file_variable, secret_of

PREFIXES = ("MARKET_", "FEYNMAN_", "PHYSICS_", "BRIDGE_", "BROADCASTER_", "RECORDER_")
"""With what the settings of each service begin. Another one's are not this process's business."""
RECORD_FOLDER = ".run/record"
"""Where the recorder writes, and the physics API reads, unless RECORDER_DIR says otherwise."""
SHORTEST = 0.01
LONGEST = 366 * 86_400.0
MOST = 10**9
_DIGITS = 30
_LISTS = frozenset("[]{}()\"';|")
"""How other programs write lists."""

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=SHORTEST, le=LONGEST)]
"""A time for which something waits, or after which it happens: no machine is faster, and nobody waits longer."""
Most = Annotated[int, Field(ge=1, le=MOST)]
"""A limit on how many there may be."""
Host = Annotated[str, BeforeValidator(urls.host)]
"""An address, or the name of a host, to listen on."""


def _symbols(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value == "none":  # which could mean none at all, or no choice among all
        raise ValueError("must name symbols; leave it empty for all there are")
    spellings: dict[str, str] = {}
    symbols = []
    if _LISTS & set(value):  # no venue has them in a name
        raise ValueError("must be comma-separated, such as SPY,QQQ, without brackets and quotes")
    for native in (part.strip() for part in value.split(",") if part.strip()):
        symbols.append(keys.symbol_of(native))
        if (first := spellings.setdefault(symbols[-1], native)) != native:
            raise ValueError(f"{first} and {native} are both {symbols[-1]}: leave one out")
    return tuple(symbols)


Symbols = Annotated[tuple[str, ...], BeforeValidator(_symbols)]
"""A setting of comma-separated symbols, such as SPY,QQQ, also as venues spell them."""


def _listed(parse: Callable[[str], object]) -> BeforeValidator:
    """Reads a comma-separated list, each part of it with `parse`; `none` is an empty one."""

    def read(value: object) -> object:
        if not isinstance(value, str):
            return value
        return (
            () if value.lower() == "none" else tuple(parse(part.strip()) for part in value.split(",") if part.strip())
        )

    return BeforeValidator(read)


def _network(text: str) -> Network:
    try:
        return as_ipv4(ip_network(text))
    except ValueError as error:
        why = "must be addresses or networks such as 10.0.0.7,172.16.0.0/12, comma-separated"
        with contextlib.suppress(ValueError):
            why = f"must be {ip_network(text, strict=False)}, the network of {text}, or that address alone"
        raise ValueError(why) from error


Hosts = Annotated[tuple[str, ...], _listed(allowed_host)]
"""A setting of comma-separated host names."""
Origins = Annotated[tuple[str, ...], _listed(allowed_origin)]
"""A setting of comma-separated web origins, such as https://desk.example."""
Networks = Annotated[tuple[Network, ...], _listed(_network)]
"""A setting of comma-separated IP addresses and networks."""

SHORTEST_SECRET = 32
"""Bytes of a secret that somebody makes up, such as a key: what is shorter could be guessed."""
_SECRET = object()
_IN_A_HEADER = re.compile(r"[\x21-\x7e]*")


def _long(secret: str) -> str:
    if secret and len(secret.encode()) < SHORTEST_SECRET:
        raise ValueError(f"must have {SHORTEST_SECRET} bytes or more, such as those of `openssl rand -hex 32`")
    return secret


def _in_a_header(token: str) -> str:
    if _IN_A_HEADER.fullmatch(token) is None:
        raise ValueError("must be visible ASCII characters without blanks, as a header has them")
    return _long(token)


Secret = Annotated[str, Field(repr=False), _SECRET]
"""A setting that nobody may see, or that may have such a part: no flag, in no repr, and also read from a file."""
LongSecret = Annotated[Secret, AfterValidator(_long)]
"""A Secret of SHORTEST_SECRET bytes or more, where it is set."""
BearerSecret = Annotated[Secret, AfterValidator(_in_a_header)]
"""A LongSecret that is shown as `Authorization: Bearer`."""


def whole(text: str) -> int:
    """A whole number, also written as 1e3, 1_000 or 1000.0. Raises ValueError."""
    value = _decimal(text)
    if value != int(value):
        raise ValueError("must be a whole number")
    return int(value)


def number(text: str) -> float:
    """A finite number, also written as 1e3 or 1_000. Raises ValueError."""
    return float(_decimal(text))


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text) if text.isascii() else Decimal("NaN")
    except DecimalException:
        value = Decimal("NaN")
    if not value.is_finite():
        raise ValueError("must be a number")
    if value.adjusted() > _DIGITS:
        raise ValueError("is too large")
    return value


def truth(text: str) -> bool:
    """Whether a switch is on, in any of the usual spellings. Raises ValueError."""
    spelt = text.lower()
    if spelt in ("1", "true", "yes", "on", "t", "y"):
        return True
    if spelt in ("0", "false", "no", "off", "f", "n", "none"):
        return False
    raise ValueError("must be 1 or 0, or true or false")


def choice(text: str, choices: Sequence[str]) -> str:
    """One of some words, in whatever case it is written. Raises ValueError."""
    if text.lower() not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}")
    return text.lower()


def redis_url(url: str) -> str:
    """`url` itself if Redis may be there; ValueError otherwise."""
    if "+" not in url.partition("://")[0]:  # Sentinel or a cluster: `cottage.redis` checks it when it connects
        urls.redis_server(url)
    return url


class Below(NamedTuple):
    """Two settings of which one must stay below the other."""

    small: str
    large: str
    why: str
    or_equal: bool = False


class _Unreadable(NamedTuple):
    """In the place of a secret that cannot be had, so that it is said with all else that is wrong."""

    why: str


class Environment(PydanticBaseSettingsSource):
    """What the environment sets. Whatever is empty, or set by a container platform, is unset."""

    def __init__(self, settings: type["ServiceSettings"]) -> None:
        super().__init__(settings)
        self._settings = settings

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        variable, value = self._settings.variable(field_name), None
        try:
            value = (secret_of if is_secret(field) else variables.value_of)(os.environ, variable)
        except SettingsError as error:
            return _Unreadable(str(error)), self._settings.input_name(field_name), False
        return value, self._settings.input_name(field_name), False

    def __call__(self) -> dict[str, Any]:
        found = (self.get_field_value(info, name) for name, info in self._settings.model_fields.items())
        return {name: value for value, name, _ in found if value is not None}


def is_secret(field: FieldInfo) -> bool:
    """Whether a field of a settings class is a `Secret`."""
    return any(each is _SECRET for each in field.metadata)


class ServiceSettings(BaseSettings):
    """The settings of every service. A subclass adds `env_prefix` and its own fields, each with a description."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    below: ClassVar[tuple[Below, ...]] = ()
    """What must hold between settings of this class."""
    gone: ClassVar[Mapping[str, str]] = {}
    """Environment variables that earlier versions read, and what holds instead of each."""

    ops_host: Host = Field("127.0.0.1", description="address that the ops port listens on")
    ops_port: Port = Field(0, description="port of /healthz, /readyz, /status, /metrics; 0: any free one")
    ops_allow: Networks = Field(
        (),
        validation_alias="OPS_ALLOW",
        description="addresses and networks that may read the ops port, comma-separated; others get 403, loopback "
        "addresses never",
    )
    ops_token: BearerSecret = Field(
        "",
        validation_alias="OPS_TOKEN",
        description="who shows it as `Authorization: Bearer` may read the ops port from anywhere; 32 bytes or more",
    )
    log_level: LogLevel = Field(
        "info", validation_alias="LOG_LEVEL", description="events below this level are not logged"
    )
    log_format: LogFormat = Field(
        "auto", validation_alias="LOG_FORMAT", description="auto: colours on a terminal, JSON lines elsewhere"
    )
    drain_seconds: Annotated[float, Field(ge=0, le=6)] = Field(
        5.0, validation_alias="DRAIN_SECONDS", description="seconds for a stop to finish its work before it is forced"
    )

    environment: Literal["development", "production"] = Field(
        "development",
        validation_alias="COTTAGE_ENV",
        description="production: the service refuses to start while anything is half-open (docs/security.md)",
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

    @property
    def in_production(self) -> bool:
        return self.environment == "production"

    def access(
        self,
        host: str,
        more_origins: Iterable[str] = (),
        proxies: Iterable[Network] = (),
        readers: Readers | None = None,
    ) -> AccessPolicy:
        """Which requests a port answers that listens on `host`, which is a name of it as well."""
        hosts, origins = (*self.allowed_hosts, host.lower()), (*self.allowed_origins, *more_origins)
        return AccessPolicy(hosts, origins, TrustedProxies(proxies), readers)

    def ops_access(self) -> AccessPolicy:
        """Which requests the ops port answers."""
        return self.access(self.ops_host, readers=Readers(self.ops_allow, self.ops_token))

    @field_validator("*", mode="before")
    @classmethod
    def _as_spelt(cls, value: object, info: ValidationInfo) -> object:
        """A value as its setting's type has it. Only text is spelt; a program may give the value itself."""
        if isinstance(value, _Unreadable):
            raise ValueError(value.why)
        if not isinstance(value, str):
            return value
        kinds = {unicodedata.category(character) for character in value}
        if "Cs" in kinds:
            raise ValueError("has characters that are no UTF-8 text")
        if "Cc" in kinds:  # of a secret's file one newline at the end is cut off, a second one is not
            raise ValueError("has control characters, such as a newline, which no setting has")
        field = cls.model_fields[str(info.field_name)]
        if is_secret(field):
            return value
        kind = field.annotation
        if get_origin(kind) is Literal:
            return choice(value, get_args(kind))
        if kind is str and field.default == "" and value.lower() == "none":
            return ""  # switches off what it names
        readers: dict[Any, Callable[[str], object]] = {int: whole, float: number, bool: truth}
        return readers[kind](value) if kind in readers else value

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        """Refuse combinations that cannot be."""
        for below in (each for parent in type(self).__mro__ for each in vars(parent).get("below", ())):
            small, large = getattr(self, below.small), getattr(self, below.large)
            if small > large or (small == large and not below.or_equal):
                raise ValueError(
                    f"{self.variable(below.small)}: {small:g} must be {'at most' if below.or_equal else 'less than'} "
                    f"{self.variable(below.large)}, which is {large:g}: {below.why}"
                )
        port, host = getattr(self, "port", 0), getattr(self, "host", "")
        if port and port == self.ops_port and host == self.ops_host:
            raise ValueError(f"{self.variable('ops_port')}: is the same as {self.variable('port')}, {port}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, Environment(cls)

    @classmethod
    def variable(cls, name: str) -> str:
        """The name of a field's environment variable."""
        alias = cls.model_fields[name].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config.get('env_prefix', '')}{name}".upper()

    @classmethod
    def input_name(cls, name: str) -> str:
        """The name under which the model accepts the field: its alias if it has one."""
        alias = cls.model_fields[name].validation_alias
        return alias if isinstance(alias, str) else name

    @classmethod
    def secrets(cls) -> list[str]:
        """The environment variables of its secrets, and those that name their files."""
        names = [cls.variable(name) for name, info in cls.model_fields.items() if is_secret(info)]
        return [*names, *map(file_variable, names)]

    @classmethod
    def all_variables(cls) -> list[str]:
        """All environment variables that it reads."""
        return [*(cls.variable(name) for name in cls.model_fields), *cls.secrets()]

    @classmethod
    def misspelt(cls, environment: Mapping[str, str]) -> Iterator[variables.Misspelt]:
        """The environment variables that were probably meant as settings of this service, and are none."""
        known = cls.all_variables()
        # Of `make run`, compose, the command `cottage` and other services.
        others = {*PREFIXES, "RECORDER", "REDIS_PORT", "REDIS_PASSWORD", "COTTAGE_TOKEN"}
        return variables.misspelt(environment, known, cls.model_config.get("env_prefix", ""), others - {*known})

    @classmethod
    def set_aside(cls, environment: Mapping[str, str]) -> Iterator[str]:
        """The environment variables that are named like settings of this service, and were set by a platform."""
        names = (cls.variable(name) for name in cls.model_fields)
        return (name for name in names if variables.is_service_link(name, environment.get(name, "")))

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
        # An empty flag is one that was not given: the environment counts then.
        said = ((name, variables.meant(value)) for name, value in flags.items() if value is not None)
        try:
            return cls.model_validate({cls.input_name(name): text for name, text in said if text}), given_switches
        except ValidationError as error:
            _exit(service, "; ".join(_error_line(cls, each) for each in error.errors()))

    @classmethod
    def refusals(cls) -> list[str]:
        """Why a service with the settings of this process's environment could not work: a line for each; none if it
        can. `make run` asks that of every service before it starts any."""
        try:
            cls().check()
        except ValidationError as error:
            return [_error_line(cls, each) for each in error.errors()]
        except CottageError as error:
            return [str(error)]
        return []

    @classmethod
    def as_far_as_good(cls) -> tuple[Self | None, frozenset[str]]:
        """The settings of this process's environment, with the default in place of each that is refused, and the
        variables of these: for who looks for all that is wrong at once. None where they cannot be together either."""
        try:
            return cls(), frozenset()
        except ValidationError as error:
            said = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
        names = [name for name in cls.model_fields if cls.input_name(name) in said]
        refused = frozenset(map(cls.variable, names))
        try:
            defaults = {cls.input_name(name): cls.model_fields[name].default for name in names}
            return cls.model_validate(defaults), refused
        except ValidationError:
            return None, refused

    def check(self) -> None:
        """Look whether what is set can be used on this machine. Raises CottageError. Most settings need no look."""


class FreshnessSettings(ServiceSettings):
    """The settings of every service that assesses freshness."""

    stale_seconds: Seconds = Field(
        10.0, validation_alias="STALE_SECONDS", description="a state is stale when its newest sample is this old"
    )
    expired_seconds: Seconds = Field(
        60.0, validation_alias="EXPIRED_SECONDS", description="it is expired at this age, or after so much silence"
    )
    silence_seconds: Seconds = Field(3.0, description="seconds of silence after which a hop counts as broken")

    below: ClassVar[tuple[Below, ...]] = (
        Below("stale_seconds", "expired_seconds", "a state is stale before it is expired"),
        Below(
            "silence_seconds",
            "expired_seconds",
            "a hop counts as broken before what came over it is expired",
            or_equal=True,
        ),
    )

    def thresholds(self) -> Thresholds:
        return Thresholds(self.stale_seconds, self.expired_seconds, self.silence_seconds)


class RedisSettings(ServiceSettings):
    """The settings of every service that talks to Redis."""

    redis_username: str = Field(
        "", validation_alias="REDIS_USERNAME", description="user at Redis, where REDIS_URL names none"
    )
    redis_password: Secret = Field(
        "",
        validation_alias="REDIS_PASSWORD",
        description="password at Redis, of any characters, where REDIS_URL has none",
    )
    redis_ca_file: str = Field(
        "",
        validation_alias="REDIS_CA_FILE",
        description="certificates of the CA of a rediss:// that is not the system's",
    )
    redis_cert_file: str = Field(
        "", validation_alias="REDIS_CERT_FILE", description="certificate to show to a rediss:// that asks for one"
    )
    redis_key_file: str = Field("", validation_alias="REDIS_KEY_FILE", description="the key of that certificate")
    # Behind them, since what is read into it has them.
    redis_url: Secret = Field(
        "redis://localhost:6379",
        validation_alias="REDIS_URL",
        validate_default=True,
        description="URL of Redis: redis://, rediss:// or unix://, with user and password if it asks for them; "
        "for redis+sentinel://… and redis+cluster://… see docs/running.md",
    )
    redis_timeout_seconds: Seconds = Field(
        5.0, validation_alias="REDIS_TIMEOUT_SECONDS", description="seconds that a command or a connection may take"
    )

    @field_validator("redis_url")
    @classmethod
    def _of_redis(cls, url: str, others: ValidationInfo) -> str:
        """The URL with user, password and the files of TLS, as `cottage.redis` takes it."""
        login = (str(others.data.get(name, "")) for name in ("redis_username", "redis_password"))
        files = (str(others.data.get(name, "")) for name in ("redis_ca_file", "redis_cert_file", "redis_key_file"))
        return url_with_tls(url_with_login(redis_url(url), *login), *files)


def _parser(cls: type[ServiceSettings], service: str, purpose: str) -> SettingsParser:
    settings = []
    for name, info in cls.model_fields.items():
        default = ",".join(info.default) if isinstance(info.default, tuple) else str(info.default)
        settings.append(
            SettingHelp(name, cls.variable(name), str(info.description), default or "empty", is_secret(info))
        )
    parser = SettingsParser(f"python -m services.{service}", purpose, settings, _exit)
    parser.add_argument("--version", action="version", version=f"{service} {__version__}")
    return parser


def _error_line(cls: type[ServiceSettings], error: Any) -> str:
    why = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be", 1)
    if not error["loc"]:  # of several settings, which it names
        return why
    field = str(error["loc"][0])
    variable = cls.variable(field) if field in cls.model_fields else field
    return why if why.startswith(f"{file_variable(variable)}: ") else f"{variable}: {why}"


def _exit(service: str, why: str) -> NoReturn:
    termination.report(why)
    sys.stderr.write(f"{service}: {why}\n")
    raise SystemExit(2)
