"""Makes a client from a REDIS_URL. The only module that knows all topologies: one server, Sentinel, cluster."""

from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, urlsplit

import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from cottage.errors import SettingsError
from cottage.redis.client import BlockingClient, Client
from cottage.redis.cluster import BlockingClusterClient, ClusterClient
from cottage.redis.library import connection_options
from cottage.redis.topology import Topology, topology

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

_OURS = {"decode_responses", "encoding", "encoding_errors", "protocol", "retry_on_timeout", "max_connections"}


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
    behind = topology(url)
    options = _options(Client, url, timeout, behind)
    if behind.kind == "cluster":
        return ClusterClient(behind.addresses, lambda host, port: Client(host=host, port=port, **options))
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
    behind = topology(url)
    options = _options(BlockingClient, url, timeout, behind)
    if behind.kind == "cluster":
        raise SettingsError("REDIS_URL: this does not work on a cluster; ask one of its nodes, as redis://host:6379")
    client, _ = _of_master(BlockingClient, _BlockingSentinel, url, timeout, behind, options)
    client.retries = retries
    return client


def connect_asking(url: str, *, timeout: float = COMMAND_SECONDS) -> Asked:
    """Make a client without an event loop, for any topology, that is used through pipelines only."""
    behind = topology(url)
    if behind.kind != "cluster":
        return connect_blocking(url, timeout=timeout)
    options = _options(BlockingClient, url, timeout, behind)
    return BlockingClusterClient(behind.addresses, lambda host, port: BlockingClient(host=host, port=port, **options))


def _of_master(
    kind: type[C], sentinels: Any, url: str, timeout: float, behind: Topology, options: dict[str, Any]
) -> tuple[C, Any]:
    """A client of a single server, or of the master behind sentinels; then also the client of the sentinels."""
    if behind.kind == "sentinel":
        of_sentinels = {**_usual(kind, min(SENTINEL_SECONDS, timeout)), **behind.sentinel_options}
        sentinel = sentinels(behind.addresses, sentinel_kwargs=of_sentinels)
        return sentinel.master_for(behind.master, redis_class=kind, **options), sentinel
    try:
        client = kind.from_url(url, **options)
        # Raises TypeError for an unknown option in the URL's query, which otherwise only the first command would.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)  # it is not connected
    except (TypeError, ValueError) as error:
        raise SettingsError(f"REDIS_URL: {error}") from error
    return cast("C", client), None


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
        return {**_usual(client, timeout), **behind.options}
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # it is read for its ValueError
    except ValueError:
        # The original error is not shown: its text has a part of the URL, which may be of the password.
        raise SettingsError(
            "REDIS_URL: must look like redis://user:password@host:6379, special characters percent-encoded"
        ) from None
    # Options in the URL's query override keyword arguments, and these ones would change what replies look like.
    forbidden = _OURS & set(parse_qs(parts.query))
    if forbidden:
        raise SettingsError(f"REDIS_URL: {', '.join(sorted(forbidden))} cannot be set in the query")
    options = _usual(client, timeout)
    if parts.scheme == "unix":
        del options["socket_keepalive"]  # a file has none, and the library refuses the word
    return options
