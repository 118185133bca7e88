"""How a Redis receives whoever shows no credentials. The production switch asks, through common/open_redis.py.

It is tried on a connection of its own, without user, password and client certificate, and not read from a URL: a
server without a password takes any that a URL has. Such a try leaves nothing in the server's ACL LOG.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis.asyncio.connection as connections
from redis import exceptions

from cottage.cancellation import cancellation_kept
from cottage.errors import RedisError, RedisRefused
from cottage.redis.client import Client
from cottage.redis.cluster import ClusterClient

_CERTIFICATE = ("ssl_certfile", "ssl_keyfile", "ssl_password")
_CREDENTIALS = ("username", "password", "credential_provider", *_CERTIFICATE)
_OF_OTHERS = ("connection_pool", "redis_connect_func", "retry")
_DEFAULT = "default"
"""The user of a connection that names none."""


@dataclass(frozen=True, slots=True)
class Reception:
    """How one server, or sentinel, receives strangers and us."""

    server: str
    """Host and port, or the file of its socket."""
    admits: bool | None
    """Whether it answers commands on a connection without credentials; None if it cannot be reached."""
    unverified: bool = False
    """Whether we speak TLS with it and do not check whose certificate it shows."""
    default_beside_acl: bool = False
    """Whether we are its user `default`, and it has an ACL file, or rules for that user."""


async def receptions(client: Client) -> list[Reception]:
    """Ask all servers behind a client: the one, the master and its sentinels, or the masters of a cluster."""
    if isinstance(client, ClusterClient):
        try:
            nodes = await client.masters()
        except RedisError as error:
            return [Reception(str(error), None)]
        return await asyncio.gather(*map(_of_server, nodes))
    sentinels = [each for other in client.also_closed for each in getattr(other, "sentinels", ())]
    pools: Sequence[Any] = [each.connection_pool for each in sentinels]
    watchers = [_of_pool(pool) for pool in pools]
    return list(await asyncio.gather(*watchers, _of_server(client)))


async def _of_server(client: Client) -> Reception:
    pool: Any = client.connection_pool
    found = await _of_pool(pool)
    user = pool.connection_kwargs.get("username") or _DEFAULT
    if found.admits is None or user != _DEFAULT:
        return found
    return Reception(found.server, found.admits, found.unverified, await _has_acl(client))


async def _has_acl(client: Client) -> bool:
    """Whether the server has an ACL file, or rules that keep `default`, which we are, from asking for it."""
    try:
        (reply,) = await client.bulk([("CONFIG", "GET", "aclfile")])
    except RedisRefused as error:
        return "NOAUTH" not in str(error) and "permission" in str(error).lower()
    except RedisError:
        return False
    pairs = list(reply.items()) if isinstance(reply, dict) else list(zip(reply[::2], reply[1::2], strict=True))
    return any(value for _name, value in pairs)


async def _of_pool(pool: Any) -> Reception:
    kind = next(each for each in _KINDS if issubclass(pool.connection_class, each))
    options = {name: value for name, value in pool.connection_kwargs.items() if name not in _OF_OTHERS}
    if kind is not connections.UnixDomainSocketConnection and "host" not in options:
        try:
            options["host"], options["port"] = await pool.get_master_address()
        except (exceptions.RedisError, OSError) as error:
            return Reception(f"the master ({error})", None)
    server = options.get("path") or f"{options['host']}:{options.get('port', 6379)}"
    unverified = kind is connections.SSLConnection and _unverified(kind(**options))
    plain = {name: value for name, value in options.items() if name not in _CREDENTIALS}
    if kind is connections.SSLConnection:  # a stranger does not mind whom he talks to
        plain |= {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    admits = await _admits(kind(**plain, redis_connect_func=_silent))
    shown = {name: options[name] for name in _CERTIFICATE if options.get(name)}
    if admits is None and shown and await _admits(kind(**plain, **shown, redis_connect_func=_silent)) is not None:
        admits = False  # it is there, and ended the handshake of who showed no certificate
    return Reception(str(server), admits, unverified)


_KINDS: tuple[Any, ...] = (
    connections.SSLConnection,
    connections.UnixDomainSocketConnection,
    connections.Connection,
)


def _unverified(connection: Any) -> bool:
    context = connection.ssl_context
    return context.cert_reqs == ssl.CERT_NONE or not context.check_hostname


async def _silent(connection: Any) -> None:
    """In place of what redis-py says first on each connection: who we are."""
    connection._parser.on_connect(connection)


async def _admits(connection: Any) -> bool | None:
    connection.on_connect = partial(_silent, connection)  # that of a socket file is called besides
    try:
        with cancellation_kept():
            await connection.connect()
            await connection.send_packed_command(connection.pack_command("PING"))
            await connection.read_response()
    except exceptions.AuthenticationError:
        return False
    except exceptions.BusyLoadingError:  # it says so only to whom it would answer
        return True
    except (
        exceptions.ResponseError
    ):  # also NOPERM: whom it lets in may do something else. And protected mode: no password
        return True
    except (exceptions.RedisError, OSError, TimeoutError):
        return None
    finally:
        await connection.disconnect(nowait=True)
    return True
