"""Parses a REDIS_URL into a topology: one server, a server watched by Sentinel, or a cluster. Pure.

    redis://user:password@host:6379/0        rediss://…        unix:///path
    redis+sentinel://user:password@host:26379,host:26379/mymaster/0
    redis+cluster://user:password@host:6379,host:6379

`rediss+sentinel` and `rediss+cluster` encrypt, to sentinels too; both take `?ssl_ca_certs=`, `ssl_certfile` and
`ssl_keyfile` (cottage/redis_tls.py). User and password are those of the servers; sentinels that ask for one take
`?sentinel_password=` (and `sentinel_username`). Without a port a sentinel's is 26379, a node's 6379.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from cottage.errors import SettingsError
from cottage.redis_tls import OPTIONS
from cottage.urls import is_database

SENTINEL_PORT = 26379
NODE_PORT = 6379
_EXAMPLES = {
    "sentinel": "redis+sentinel://one:26379,two:26379,three:26379/mymaster",
    "cluster": "redis+cluster://one:6379,two:6379,three:6379",
}

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Topology:
    """What a REDIS_URL says about the servers behind it. `connecting` makes clients from it."""

    kind: str
    """`single`, `sentinel` or `cluster`."""
    addresses: tuple[Address, ...] = ()
    """The addresses of the sentinels, or of some nodes of a cluster."""
    master: str = ""
    """The name by which the sentinels know the master."""
    options: dict[str, object] = field(default_factory=dict)
    """The options of a connection to a server: user, password, database, ssl."""
    sentinel_options: dict[str, object] = field(default_factory=dict)
    """The options of a connection to a sentinel."""


SINGLE = Topology("single")


def topology(url: str) -> Topology:
    """Parse a REDIS_URL. Raises SettingsError, which says what such a URL looks like, and does not show this one."""
    scheme, _, rest = url.partition("://")
    transport, _, kind = scheme.partition("+")
    if not kind:
        return SINGLE
    if transport not in ("redis", "rediss") or kind not in _EXAMPLES:
        raise SettingsError(f"REDIS_URL: must look like {_EXAMPLES['sentinel']} or {_EXAMPLES['cluster']}")
    example = _EXAMPLES[kind]
    rest, _, query = rest.partition("?")
    login, at, places = rest.rpartition("@")
    hosts, _, path = places.partition("/")
    port = SENTINEL_PORT if kind == "sentinel" else NODE_PORT
    addresses = tuple(_address(place, port, example) for place in hosts.split(","))
    user, colon, password = login.partition(":")
    options: dict[str, object] = {}
    if at:
        options["username"] = unquote(user) or None
        options["password"] = unquote(password) if colon else None
    of_sentinels, tls = _query(query, kind, transport == "rediss", example)
    options |= tls
    if kind == "cluster":
        if path.strip("/"):
            raise SettingsError(f"REDIS_URL: a cluster has no databases: {example}")
        return Topology(kind, addresses, options=options)
    master, _, database = path.partition("/")
    if not master or (database and not is_database(database)):
        raise SettingsError(f"REDIS_URL: the name of the master is missing, or its database is no number: {example}")
    options["db"] = int(database or 0)
    return Topology(kind, addresses, unquote(master), options, of_sentinels | tls)


def _address(place: str, port: int, example: str) -> Address:
    host, colon, number = place.rpartition(":")
    if place.endswith("]") or not colon:  # an IPv6 address without a port, or no port at all
        host, number = place, str(port)
    host = host.strip("[]")
    if not host or not number.isdecimal() or not 0 < int(number) < 2**16:
        raise SettingsError(f"REDIS_URL: hosts and ports must look like {example}")
    return host, int(number)


def _query(query: str, kind: str, tls: bool, example: str) -> tuple[dict[str, object], dict[str, object]]:
    """The login of sentinels, and the options of TLS."""
    names = {"sentinel_username": "username", "sentinel_password": "password"} if kind == "sentinel" else {}
    files = tuple(OPTIONS.values()) if tls else ()
    found = dict(parse_qsl(query))
    if strange := found.keys() - names.keys() - set(files):
        if strange & set(OPTIONS.values()):
            raise SettingsError(f"REDIS_URL: options of TLS go with rediss+{kind}://")
        raise SettingsError(
            f"REDIS_URL: only {', '.join([*names, *OPTIONS.values()])} may stand in the query: {example}"
        )
    login: dict[str, object] = {names[name]: value for name, value in found.items() if name in names}
    if not tls:
        return login, {}
    return login, {"ssl": True} | {name: found[name] for name in files if name in found}
