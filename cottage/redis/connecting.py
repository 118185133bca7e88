"""Makes a client from a REDIS_URL. The only module that knows all topologies: one server, Sentinel, cluster."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from cottage.errors import SettingsError
from cottage.redis.client import BlockingClient, Client
from cottage.redis.cluster import BlockingClusterClient, ClusterClient
from cottage.redis.diagnosis import explaining
from cottage.redis.library import connection_options
from cottage.redis.topology import Topology, topology
from cottage.urls import host, redis_server
from cottage.variables import nearest

CONNECT_SECONDS = 5.0
COMMAND_SECONDS = 5.0
SENTINEL_SECONDS = 1.0
"""How long a sentinel may take to answer before the next one is asked."""

# The library leaves them without types.
_Sentinel: Any = redis.asyncio.sentinel.Sentinel
_BlockingSentinel: Any = redis.sentinel.Sentinel

Kind = type[Client] | type[BlockingClient]
C = TypeVar("C", Client, BlockingClient)
Asked = BlockingClient | BlockingClusterClient
"""The client of a reader without an event loop, which depends on the topology. It is used through pipelines only."""

_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_VERIFIED: dict[str, Any] = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
"""Said, since older versions of the library do not look whose certificate it is unless they are told to."""
_OURS = {"decode_responses", "encoding", "encoding_errors", "protocol", "retry_on_timeout", "max_connections"}
_OBJECTS = {
    *("retry", "retry_on_error", "credential_provider", "redis_connect_func", "parser_class", "encoder_class"),
    *("event_dispatcher", "socket_keepalive_options", "maint_notifications_config", "driver_info"),
}
"""Options that no text can be: the library takes one, and fails with the first command."""
_SHOWS_PASSWORD = {"password", "ssl_password"}


def connect(
    url: str,
    *,
    timeout: float = COMMAND_SECONDS,
    retries: int = 0,
    on_connect: Callable[[], None] | None = None,
) -> Client:
    """Make a client for `url`; it connects with its first command.

    timeout: seconds that one command may take. retries: how often a failed command is sent again; only
    for a client whose commands may run twice, since a lost reply does not mean a lost command. Not for pipelines.
    on_connect: called after every new connection, except those to nodes of a cluster, which are made as keys
    need them. Raises SettingsError for an invalid URL.
    """
    behind = _behind(url)
    options = _options(Client, url, timeout, behind)
    if behind.kind == "cluster":
        return ClusterClient(behind.addresses, lambda host, port: _node(Client, host, port, options))
    if on_connect is not None:

        async def connected(connection: Any) -> None:
            await connection.on_connect()
            on_connect()

        options["redis_connect_func"] = connected
    client, sentinel = _of_master(Client, _Sentinel, url, timeout, behind, options)
    if sentinel is not None:
        client.replicated = True
        client.also_closed = [sentinel]
    client.retries = retries
    return client


def connect_blocking(url: str, *, timeout: float = COMMAND_SECONDS, retries: int = 0) -> BlockingClient:
    """Make a client for code without an event loop, with redis-py's methods. Raises SettingsError for a cluster."""
    behind = _behind(url)
    options = _options(BlockingClient, url, timeout, behind)
    if behind.kind == "cluster":
        raise SettingsError("REDIS_URL: this does not work on a cluster; ask one of its nodes, as redis://host:6379")
    client, _ = _of_master(BlockingClient, _BlockingSentinel, url, timeout, behind, options)
    client.retries = retries
    return client


def connect_asking(url: str, *, timeout: float = COMMAND_SECONDS) -> Asked:
    """Make a client without an event loop, for any topology, that is used through pipelines only."""
    behind = _behind(url)
    if behind.kind != "cluster":
        return connect_blocking(url, timeout=timeout)
    options = _options(BlockingClient, url, timeout, behind)
    return BlockingClusterClient(behind.addresses, lambda host, port: _node(BlockingClient, host, port, options))


def _node(kind: type[C], host: str, port: int, options: dict[str, Any]) -> C:
    """A client of one node of a cluster."""
    client = kind(host=host, port=port, **options)
    explaining(client.connection_pool)
    return client


def _behind(url: str) -> Topology:
    """What the URL says; SettingsError for hosts that cannot be any."""
    behind = topology(url)
    try:
        for name, _port in behind.addresses:
            host(name)
    except ValueError as error:
        raise SettingsError(f"REDIS_URL: each host {error}") from error
    return behind


def _of_master(
    kind: type[C], sentinels: Any, url: str, timeout: float, behind: Topology, options: dict[str, Any]
) -> tuple[C, Any]:
    """A client of a single server, or of the master behind sentinels; then also the client of the sentinels."""
    if behind.kind == "sentinel":
        verified = _VERIFIED if behind.sentinel_options.get("ssl") else {}
        of_sentinels = {**_usual(kind, min(SENTINEL_SECONDS, timeout)), **verified, **behind.sentinel_options}
        sentinel: Any = sentinels(behind.addresses, sentinel_kwargs=of_sentinels)
        client = sentinel.master_for(behind.master, redis_class=kind, **options)
        for each in (client, *sentinel.sentinels):
            explaining(each.connection_pool)
        return client, sentinel
    try:
        client = kind.from_url(url, **options)
        pool = client.connection_pool
        _check_query(url, pool.connection_class)
        # Raises for the value of an option in the URL's query, which otherwise only the first command would.
        pool.connection_class(**pool.connection_kwargs)  # it is not connected
    except (TypeError, ValueError, redis.exceptions.RedisError) as error:
        raise SettingsError(f"REDIS_URL: {' '.join(str(error).split())}") from error
    explaining(pool)
    return cast("C", client), None


def _check_query(url: str, connection: type) -> None:
    """Raises a SettingsError for options in the URL's query that such a connection does not know."""
    known = {"db"} | {name for each in connection.__mro__ for name in inspect.signature(each).parameters}
    parts = urlsplit(url)
    before: set[str] = set()
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known and before & _SHOWS_PASSWORD:  # it may be the rest of the password, which is not shown
            raise SettingsError(
                "REDIS_URL: what follows the password in the query is no option; an & in a password is written %26"
            )
        before.add(name)
        if name not in known:
            near = nearest(name, sorted(known))
            tls = " (those of TLS go with rediss://)" if name.startswith("ssl_") and parts.scheme != "rediss" else ""
            raise SettingsError(
                f"REDIS_URL: {name[:40]} is no option{tls}" + (f"; did you mean {near}?" if near else "")
            )
        if name in _FILES and not Path(value).is_file():
            raise SettingsError(f"REDIS_URL: {name}: there is no such file")


def _usual(client: Kind, timeout: float) -> dict[str, Any]:
    """The options of every TCP connection."""
    return {
        "socket_connect_timeout": min(CONNECT_SECONDS, timeout),
        "socket_timeout": timeout,
        "socket_keepalive": True,  # notices a peer that vanished without closing the connection
        # A lost reply does not mean a lost command: nothing is sent again unless the caller says so.
        "retry": (AsyncRetry if issubclass(client, Client) else Retry)(NoBackoff(), 0),
        **connection_options(client),
    }


def _options(client: Kind, url: str, timeout: float, behind: Topology) -> dict[str, Any]:
    if behind.kind != "single":
        return {**_usual(client, timeout), **(_VERIFIED if behind.options.get("ssl") else {}), **behind.options}
    try:
        parts = redis_server(url)
    except ValueError as error:
        # Its cause is not shown: that has a part of the URL, which may be of the password.
        raise SettingsError(f"REDIS_URL: {error}") from None
    # Options in the URL's query override keyword arguments, and these ones would change what replies look like.
    forbidden = (_OURS | _OBJECTS) & set(parse_qs(parts.query))
    if forbidden:
        raise SettingsError(f"REDIS_URL: {', '.join(sorted(forbidden))} cannot be set in the query")
    options = _usual(client, timeout)
    if parts.scheme == "rediss":
        options |= _VERIFIED
    if parts.scheme == "unix":
        del options["socket_keepalive"]  # a file has none, and the library refuses the word
    return options
