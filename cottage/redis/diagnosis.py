"""Says why Redis is not to be had by a REDIS_URL, in words that name what to change, and never a password.

`explaining` looks at the server when the first connection fails: another protocol at that port, TLS where none is
expected, or none where it is. `refusal` says who may not do what.
"""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

import redis.asyncio.connection
import redis.asyncio.sentinel
import redis.connection
import redis.sentinel
from redis import exceptions

from cottage.redis.slots import SCRIPTS, Command, name_of

SOON_SECONDS = 1.0
"""How long a TLS handshake may take until it is asked whether TLS is spoken there at all."""
LOOK_SECONDS = 0.5
"""How long the server may take for each answer when it is looked at."""

NO_MASTER = (redis.sentinel.MasterNotFoundError, redis.asyncio.sentinel.MasterNotFoundError)
_TLS = (redis.connection.SSLConnection, redis.asyncio.connection.SSLConnection)
_SUSPECT = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse, TimeoutError)
_IN_SCRIPT = re.compile(r"ACL failure in script|The user executing the script can't")
_OF_PIPELINE = re.compile(r"Command # \d+ \(.*\) of pipeline caused error: ", re.DOTALL)
_UNREACHABLE = re.compile(r"Error (-?\d+) connecting to (.+?)\. (.+?)\.?", re.DOTALL)
_TIMED_OUT = "Timeout connecting to server"
_MANY = frozenset({"MGET", "DEL", "EXISTS", "UNLINK", "SUBSCRIBE", "PSUBSCRIBE"})
"""Commands of which each word is a key or a channel; of the others only the first one is shown."""
_MOST_SHOWN = 3
_ASKS = "a sentinel asks for a password: ?sentinel_password="
_WRONG_PLACES = (
    (
        "unknown command 'SENTINEL'",
        "a server of REDIS_URL is no sentinel: write redis:// in place of redis+sentinel://",
    ),
    ("cluster support disabled", "this server is no node of a cluster: write redis:// in place of redis+cluster://"),
    ("DB index is out of range", "the server has no database of the number in REDIS_URL"),
    ("invalid DB index", "the server has no database of the number in REDIS_URL"),
)
"""Parts of a server's answer, and what they mean for REDIS_URL."""


class WrongServer(exceptions.ConnectionError):
    """Something answers at the address, and it is not what the URL says."""


def explaining(pool: Any) -> None:
    """Let the connections of one of redis-py's pools explain a failure, until the first has succeeded."""
    kind = pool.connection_class
    if "host" in pool.connection_kwargs or "connection_pool" in pool.connection_kwargs:  # not of a file
        blocking = not asyncio.iscoroutinefunction(kind.connect)
        bases = (_Blocking if blocking else _Async, kind)
        pool.connection_class = type(kind.__name__, bases, {"tls": issubclass(kind, _TLS)})


class _Explaining:
    proven = False
    """Whether a connection of this pool has succeeded."""
    why: str | None = None
    """Why the last one failed; None if none did."""
    tls: bool
    host: str
    port: int
    socket_timeout: float
    socket_connect_timeout: float

    def patiences(self) -> Sequence[float | None]:
        """The seconds of each try, None for as many as are usual: the first of TLS is short, since a server that does
        not speak it may say nothing."""
        return (min(SOON_SECONDS, self.socket_connect_timeout / 3), None) if self.tls else (None,)

    def explain(self, error: Exception) -> str | None:
        """Why a connection failed, as far as a look at the server tells; None if it does not."""
        why = _explanation(error, self)
        asks = isinstance(error, exceptions.AuthenticationError)
        type(self).why = why or (_ASKS if asks else str(error))
        return why

    def prove(self) -> None:
        type(self).proven, type(self).why = True, None


class _Async(_Explaining):
    async def connect(self) -> None:
        connect: Any = super().connect  # type: ignore[misc]  # of redis-py's class, which stands behind this one
        if self.proven:
            await connect()
            return
        for patience in self.patiences():
            try:
                async with asyncio.timeout(patience):
                    await connect()
                break
            except _SUSPECT as error:
                if (why := await asyncio.to_thread(self.explain, error)) is not None:
                    raise WrongServer(why) from error
                if patience is None or not isinstance(error, TimeoutError):
                    raise
        self.prove()


class _Blocking(_Explaining):
    def connect(self) -> None:
        connect: Any = super().connect  # type: ignore[misc]  # as above
        if self.proven:
            connect()
            return
        usual = self.socket_timeout, self.socket_connect_timeout
        for patience in self.patiences():
            if patience is not None:
                self.socket_timeout = self.socket_connect_timeout = patience
            try:
                connect()
                break
            except _SUSPECT as error:
                if (why := self.explain(error)) is not None:
                    raise WrongServer(why) from error
                if patience is None or not isinstance(error, exceptions.TimeoutError):
                    raise
            finally:
                self.socket_timeout, self.socket_connect_timeout = usual
        if self.tls:
            self._sock.settimeout(self.socket_timeout)  # type: ignore[attr-defined]  # redis-py's
        self.prove()


def _explanation(error: Exception, connection: _Explaining) -> str | None:
    cause, tls, where = error.__context__, connection.tls, f"{connection.host}:{connection.port}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"REDIS_URL: the certificate of {where} is not trusted ({cause.verify_message}): "
            "?ssl_ca_certs=FILE names who has signed it"
        )
    if isinstance(error, (exceptions.AuthenticationError, exceptions.BusyLoadingError, *NO_MASTER)):
        return None  # it says why by itself
    if isinstance(cause, ConnectionRefusedError | socket.gaierror):
        return None  # nobody is there
    if isinstance(error, exceptions.TimeoutError) and not tls:
        return None
    heard = _heard(connection.host, connection.port)
    if heard.startswith((b"HTTP/", b"<")):
        return f"REDIS_URL: there is no Redis at {where}: it speaks HTTP. Is this the port of something else?"
    if heard.startswith((b"+", b"-")):
        return (
            f"REDIS_URL: Redis at {where} does not speak TLS: write redis:// in place of rediss://" if tls else None
        )
    if not tls and (heard.startswith(b"\x15\x03") or _speaks_tls(connection.host, connection.port)):
        return f"REDIS_URL: the server at {where} speaks TLS: write rediss:// in place of redis://"
    if heard and not tls:
        shown = ascii(heard[:40].decode("latin-1"))
        return f"REDIS_URL: there is no Redis at {where}: it says {shown}. Is this the port of something else?"
    return None


def _heard(host: str, port: int) -> bytes:
    """The first bytes that the server answers to a PING that every Redis answers, whoever may enter."""
    try:
        with socket.create_connection((host, port), LOOK_SECONDS) as connection:
            connection.sendall(b"PING\r\n\r\n")
            return connection.recv(256)
    except OSError:
        return b""


def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only whether it answers
    try:
        with (
            socket.create_connection((host, port), LOOK_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # such as for a certificate of ours that it misses
    except OSError:
        return False


def refusal(text: str, login: Mapping[str, Any], command: Command | None) -> str:
    """What a refusal of the server means: which user of REDIS_URL may not do what. `text`: the server's words;
    `login`: the options of the connection, with user and password."""
    user = f"user {login.get('username') or 'default'!r}"
    words = _OF_PIPELINE.sub("", text, count=1)
    if "permission" in words or _IN_SCRIPT.search(words):
        return f"REDIS_URL: {user} may not {_shown(command)}: {words}"
    if login.get("password") is None and login.get("credential_provider") is None:
        return "REDIS_URL: Redis asks for a password, and the URL has none, such as redis://user:password@host:6379"
    return f"REDIS_URL: Redis refuses {user} with this password: {words}"


def unreachable(text: str, login: Mapping[str, Any]) -> str:
    """redis-py's words of an outage, with where it tried where nobody answers. `login`: as in `refusal`."""
    where = f"{login['host']}:{login['port']}" if "host" in login and "port" in login else "the server"
    said = (where, "time-out") if text == _TIMED_OUT else None
    if match := _UNREACHABLE.fullmatch(text):
        said = match[2], os.strerror(int(match[1])) if int(match[1]) > 0 else match[3]
    return text if said is None else f"REDIS_URL: no Redis answers at {said[0]} ({said[1]})"


def is_refusal(text: str) -> bool:
    """Whether the server's words are a refusal that redis-py has no class for."""
    return text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")) or _IN_SCRIPT.search(text) is not None


def wrong_place(text: str) -> str | None:
    """What an error of the server says about REDIS_URL; None if it says nothing."""
    return next((f"REDIS_URL: {why} ({text})" for part, why in _WRONG_PLACES if part in text), None)


def no_master(text: str, pool: Any) -> str:
    """What redis-py says of the sentinels behind a pool, without its objects: which master was asked for, and why
    each of them could not tell."""
    kinds = [sentinel.connection_pool.connection_class for sentinel in pool.sentinel_manager.sentinels]
    reasons = dict.fromkeys(kind.why.removeprefix("REDIS_URL: ") for kind in kinds if kind.why)
    return "; ".join([f"REDIS_URL: {text.partition(' : ')[0]}", *reasons])


def _shown(command: Command | None) -> str:
    """A command with what it works on, and never with a value."""
    if not command:
        return "do this"
    name = name_of(command)
    words = command[3 : 3 + int(command[2])] if name in SCRIPTS else command[1 : None if name in _MANY else 2]
    if name in ("PING", "TIME", "INFO", "DBSIZE", "WAIT"):
        words = ()
    more = f" and {len(words) - _MOST_SHOWN} more" if len(words) > _MOST_SHOWN else ""
    return " ".join([name, *map(_text, words[:_MOST_SHOWN])]) + more


def _text(word: object) -> str:
    return (word.decode(errors="backslashreplace") if isinstance(word, bytes) else str(word))[:80]
