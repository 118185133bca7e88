"""Checks the URLs and hosts that users give, and hides passwords in those that are shown. Pure."""

import re
from ipaddress import IPv6Address
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

MOST_DATABASES = 2**31
"""Redis takes no greater number for one."""

TOKEN_FIELDS = frozenset({"token", "access_token"})
"""Fields of a query that are tokens."""
_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


def redacted(url: str) -> str:
    """The URL without its password and query, for people to read; also one that is written wrongly."""
    plain, _, query = url.partition("?")
    scheme, _, rest = plain.partition("://")
    login, at, place = rest.rpartition("@")
    if at:
        return f"{scheme}://{login.partition(':')[0]}:***@{place}"
    return f"{scheme}://***" if "@" in query else plain  # a ? in a password looks like the start of a query


def host(text: str) -> str:
    """`text` as a socket takes it (an IPv6 address without brackets) if it is an address or the name of a host;
    ValueError otherwise."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if ":" in bare:
            IPv6Address(bare)
        elif not _HOST.fullmatch(bare.encode("idna").decode()):
            raise ValueError
    except ValueError:  # IPv6Address's, and a UnicodeError, are ValueErrors too
        raise ValueError("must be an address or the name of a host, without a port") from None
    return bare


def _split(url: str) -> SplitResult | None:
    """The parts of a URL whose host and port can be dialled, or that has no host; None of any other."""
    try:
        parts = urlsplit(url)
        if parts.hostname:
            host(parts.hostname)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


def websocket(url: str) -> str:
    """`url` itself if a WebSocket can be dialled there; ValueError otherwise."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("ws", "wss") or not parts.hostname or "#" in url:
        raise ValueError("must look like ws://host:port/ws")
    return url


def broadcaster(url: str) -> str:
    """`url` itself if it can be that of a broadcaster's WebSocket, which has no token in it; ValueError otherwise."""
    if TOKEN_FIELDS & {name.lower() for name, _ in parse_qsl(urlsplit(websocket(url)).query, keep_blank_values=True)}:
        raise ValueError("must have no token in it, since URLs are written down everywhere")
    return url


def http_server(url: str) -> str:
    """`url` itself if HTTP can be spoken there; ValueError otherwise."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or "?" in url or "#" in url:
        raise ValueError("must look like http://host:port")
    return url


def redis_server(url: str) -> SplitResult:
    """The parts of the URL of one Redis server; ValueError otherwise. What only redis-py knows, such as the names of
    options in the query, is checked by `cottage.redis`."""
    parts = _split(url)
    if parts is None:
        raise ValueError("must look like redis://user:password@host:6379, special characters percent-encoded")
    # What stands behind a # or ? of a password, which was not percent-encoded, would be left out in silence.
    if "#" in url or "@" in parts.query:
        raise ValueError("special characters such as # and ? must be percent-encoded in a user or password")
    if not ((parts.scheme in ("redis", "rediss") and parts.hostname) or (parts.scheme == "unix" and parts.path)):
        raise ValueError("must look like redis://localhost:6379, rediss://… or unix:///path")
    database = unquote(parts.path.strip("/"))
    if parts.scheme != "unix" and not (database == "" or is_database(database)):
        raise ValueError(
            "the part behind the host must be the number of a database, such as redis://localhost:6379/0"
        )
    return parts


def has_login(url: str) -> bool:
    """Whether the URL of a Redis has a user or a password in it. That of its sentinels does not count."""
    login, query = _login_and_place(url)[1], url.partition("?")[2]
    many = "+" in url.partition("://")[0]
    return bool(login.strip(":")) or (not many and bool({"username", "password"} & dict(parse_qsl(query)).keys()))


def with_login(url: str, username: str, password: str) -> str:
    """The URL of a Redis, which has neither, with this user and password, of any characters; an empty one is none."""
    scheme, _, place = _login_and_place(url)
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{scheme}://{quote(username, safe='')}{secret}@{place}"


def _login_and_place(url: str) -> tuple[str, str, str]:
    """The scheme, what stands before the @, and what stands behind it."""
    scheme, _, rest = url.partition("://")
    plain = rest.partition("?")[0]
    authority = plain if "+" in scheme else plain.partition("/")[0]  # as `cottage.redis.topology` reads it
    login, at, _ = authority.rpartition("@")
    return scheme, login, rest[len(login) + len(at) :]


def is_database(text: str) -> bool:
    """Whether the text is the number of a database of Redis, as far as one can tell without it."""
    return text.isascii() and text.isdecimal() and int(text) < MOST_DATABASES


def taken_from_query(url: str, *names: str) -> tuple[str, dict[str, str]]:
    """`url` without these fields in its query, and the fields that it had."""
    scheme, place, path, query, fragment = urlsplit(url)
    fields = dict(parse_qsl(query, keep_blank_values=True))
    taken = {name: fields.pop(name) for name in names if name in fields}
    return urlunsplit((scheme, place, path, urlencode(fields, safe=","), fragment)) if taken else url, taken


def with_query(url: str, **fields: str) -> str:
    """`url` with these fields in its query, in the place of those of the same names."""
    scheme, place, path, query, _ = urlsplit(url)
    merged = dict(parse_qsl(query, keep_blank_values=True)) | fields
    return urlunsplit((scheme, place, path, urlencode(merged, safe=","), ""))
