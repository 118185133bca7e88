"""Hosts and origins as requests and settings spell them, in one normal form: lower case, without a trailing dot, and
IP addresses as `ipaddress` writes them. Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

DEFAULT_PORTS = {"http": 80, "https": 443}

_REMEMBERED = 256
"""How many names are remembered: thousands of clients that return at once name the same few."""

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.~%-]+)?\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_ORIGIN = re.compile(r"(https?)://([^/?#@]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Authority:
    """A host with its port: what a Host header names, and the part of a URL after `//`."""

    host: str
    port: int | None = None
    address: IPv4Address | IPv6Address | None = None
    """The host, if it is an IP address and no name."""

    @property
    def local(self) -> bool:
        """Whether the name always means this machine (RFC 6761)."""
        return self.host == "localhost" or self.host.endswith(".localhost")


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of a web page: who served it."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")


@lru_cache(_REMEMBERED)
def parse_authority(text: str) -> Authority | None:
    """The host and port that `text` names; None if that is nothing that a host can be called."""
    match = _AUTHORITY.fullmatch(text.strip(" \t"))
    if match is None:
        return None
    host, port = match[1], int(match[2]) if match[2] else None
    if port is not None and not 0 < port < 65536:
        return None
    address = parse_address(host.removeprefix("[").removesuffix("]"))
    if address is not None:
        return Authority(str(address), port, address) if (address.version == 6) == host.startswith("[") else None
    name = host.lower().removesuffix(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, name.split("."))):
        return None
    return Authority(name, port)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address that `text` is, if it is one."""
    try:
        return ip_address(text)
    except ValueError:
        return None


@lru_cache(_REMEMBERED)
def parse_origin(text: str) -> Origin | None:
    """The origin that an Origin header names; None for `null`, and for what is none of http or https."""
    match = _ORIGIN.fullmatch(text)
    authority = None if match is None else parse_authority(match[2])
    if match is None or authority is None:
        return None
    scheme = match[1].lower()
    return Origin(scheme, authority.host, authority.port or DEFAULT_PORTS[scheme])


def split_target(target: str) -> tuple[str | None, str]:
    """The authority and the path with its query of a request's target. The authority is None but for an absolute
    URL, as HTTP proxies are asked (RFC 9112, section 3.2.2)."""
    if not re.match(r"(?:https?|wss?)://", target, re.IGNORECASE):
        return None, target
    rest = target.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    return authority, path if path.startswith("/") else f"/{path}"
