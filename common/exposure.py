"""What of a service is exposed to whom, as far as its settings and its files say: what common/production.py judges.

It is read by the names that settings have in the environment, so that a service need not describe itself, and one
that it lacks is not set. Files, addresses and the process are looked at here; the rules are elsewhere, and pure.
"""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from common.settings import SHORTEST_SECRET, ServiceSettings
from common.web.proxies import Network
from cottage.variables import value_of

SECRETS = {
    **dict.fromkeys(("AUTH_SECRET", "LINK_SECRET", "LINK_SECRET_BEFORE", "OPS_TOKEN"), SHORTEST_SECRET),
    "REDIS_PASSWORD": 16,
}
"""Settings that are secret, and the bytes that each must have at least in production."""
PRIVATE_FILES = ("BROADCASTER_TLS_KEY_FILE", "PHYSICS_TLS_KEY_FILE", "BRIDGE_TLS_KEY_FILE", "REDIS_KEY_FILE")
PUBLIC_FILES = (
    *("AUTH_JWKS_FILE", "AUTH_DENY_FILE", "REDIS_CA_FILE", "REDIS_CERT_FILE", "LINK_CA_FILE"),
    *("BROADCASTER_TLS_CERT_FILE", "PHYSICS_TLS_CERT_FILE", "BRIDGE_TLS_CERT_FILE"),
)
"""Files that everybody may read, and nobody else may write: whoever does says who gets in."""
LISTS = ("ALLOWED_HOSTS", "ALLOWED_ORIGINS", "PHYSICS_ORIGINS")
KEYS = ("AUTH_SECRET", "AUTH_JWKS_FILE")
"""Settings by which tokens of clients are checked."""
CLIENTS = ("BROADCASTER", "PHYSICS")
"""Services whose own port faces clients."""
BRIDGE = "BRIDGE"
_OTHERS_WRITE, _STICKY = 0o002, 0o1000
_PASSWORDS = ("password", "sentinel_password")
"""Fields of a URL's query that are passwords."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of a service."""

    setting: str
    """Of the address that it listens on."""
    host: str
    beyond: bool
    """Whether other machines, or containers, reach it."""
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class GuardedFile:
    """A file on which it depends who gets in."""

    setting: str
    private: bool
    """Whether what is in it is secret. What is not may be read by all."""
    path: str
    owner: int
    mode: int
    open_folder: str = ""
    """One on the way to it in which everybody may put another file, or folder, in its place."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """The end of the link to the bridge that dials, or that is dialled."""

    setting: str
    """Of the bridge's address, or of its URL."""
    beyond: bool
    encrypted: bool
    dials: bool


@dataclass(frozen=True, slots=True)
class Exposure:
    """What of one service is exposed to whom."""

    service: str
    clients: Listener | None = None
    ops: Listener | None = None
    link: LinkEnd | None = None
    keys: tuple[str, ...] = ()
    """Which of KEYS are set."""
    shares_port: bool = False
    """Whether several processes of it serve the same port."""
    proxies: tuple[Network, ...] = ()
    ops_allow: tuple[Network, ...] = ()
    ops_token: bool = False
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Those that are set, by their settings."""
    files: tuple[GuardedFile, ...] = ()
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists of hosts and origins."""
    market_source: str = ""
    uid: int = 1
    """The user as whom the process runs."""


def exposure(service: str, settings: ServiceSettings, environment: Mapping[str, str] = os.environ) -> Exposure:
    """What these settings expose. `environment`: where files of secrets are named."""
    values = {settings.variable(name): getattr(settings, name) for name in type(settings).model_fields}
    prefix = service.upper()
    said: Callable[[str], Any] = values.get
    secrets = {name: str(said(name)) for name in SECRETS if said(name)}
    in_url = _passwords(str(said("REDIS_URL") or ""))
    if said("REDIS_PASSWORD"):  # it stands in the URL by now
        in_url.pop("REDIS_URL", None)
    secrets |= in_url
    idle = said("RECORDER") is False  # it does nothing
    paths = {name: value_of(environment, name) for name in settings.secrets() if name.endswith("_FILE")}
    paths |= {name: str(said(name) or "") for name in (*PRIVATE_FILES, *PUBLIC_FILES)}
    files = [_guarded(name, name not in PUBLIC_FILES, Path(path)) for name, path in paths.items() if path]
    return Exposure(
        service=service,
        clients=_listener(f"{prefix}_HOST", values, prefix) if prefix in CLIENTS else None,
        ops=_listener(f"{prefix}_OPS_HOST", values, prefix, tls=False),
        link=None if idle else _link(prefix, values),
        keys=tuple(name for name in KEYS if said(name)),
        shares_port=bool(said(f"{prefix}_SHARE_PORT")),
        proxies=tuple(said(f"{prefix}_TRUSTED_PROXIES") or ()),
        ops_allow=tuple(said("OPS_ALLOW") or ()),
        ops_token=bool(said("OPS_TOKEN")),
        secrets=secrets,
        files=tuple(each for each in files if each is not None),
        lists={name: tuple(said(name)) for name in LISTS if said(name)},
        market_source=str(said("MARKET_SOURCE") or ""),
        uid=os.geteuid(),
    )


def is_local(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`. One whose address nobody knows may be anywhere."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(_is_loopback(str(each)) for each in found)


def _is_loopback(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback


def _listener(setting: str, values: Mapping[str, Any], prefix: str, *, tls: bool = True) -> Listener | None:
    host = values.get(setting)
    if host is None:
        return None
    return Listener(setting, host, not is_local(host), tls and bool(values.get(f"{prefix}_TLS_CERT_FILE")))


def _link(prefix: str, values: Mapping[str, Any]) -> LinkEnd | None:
    if prefix == BRIDGE and (listens := _listener("BRIDGE_HOST", values, prefix)):
        return LinkEnd(listens.setting, listens.beyond, listens.encrypted, dials=False)
    url = values.get(f"{prefix}_BRIDGE_URL")
    if url is None:
        return None
    parts = urlsplit(url)
    return LinkEnd(f"{prefix}_BRIDGE_URL", not is_local(parts.hostname or ""), parts.scheme == "wss", dials=True)


def _passwords(url: str) -> dict[str, str]:
    """The passwords in a REDIS_URL, of one server or of many, by where they stand."""
    place, _, query = url.partition("://")[2].partition("?")
    login, at, _places = place.rpartition("@")
    found = {"REDIS_URL": unquote(login.partition(":")[2]) if at else ""}
    found |= {f"REDIS_URL, {name}": value for name, value in parse_qsl(query) if name in _PASSWORDS}
    return {where: password for where, password in found.items() if password}


def _guarded(setting: str, private: bool, path: Path) -> GuardedFile | None:
    """What the file system says of it; None if it is not there, which whoever reads it says."""
    try:
        found, open_folder = path.stat(), _open_folder(path)
    except OSError:
        return None
    return GuardedFile(setting, private, str(path), found.st_uid, found.st_mode & 0o777, open_folder)


def _open_folder(path: Path) -> str:
    """The first folder on the way to the file, or to its link, in which everybody may exchange what is not theirs.
    Raises OSError."""
    ways = dict.fromkeys((*path.absolute().parents, *path.resolve().parents))
    exchanged = (way for way in ways if way.stat().st_mode & (_OTHERS_WRITE | _STICKY) == _OTHERS_WRITE)
    return str(next(exchanged, ""))
