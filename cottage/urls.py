"""Checks the URLs that users give, and hides passwords in those that are shown. Pure."""

from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def redacted(url: str) -> str:
    """The URL without its password and query, for people to read; also one that is written wrongly."""
    plain, _, query = url.partition("?")
    scheme, _, rest = plain.partition("://")
    login, at, place = rest.rpartition("@")
    if at:
        return f"{scheme}://{login.partition(':')[0]}:***@{place}"
    return f"{scheme}://***" if "@" in query else plain  # a ? in a password looks like the start of a query


def websocket(url: str) -> str:
    """`url` itself if a WebSocket can be dialled there; ValueError otherwise."""
    try:
        parts = urlsplit(url)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        usable = False
    if not usable or parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("must look like ws://host:port/ws")
    return url


def with_query(url: str, **fields: str) -> str:
    """`url` with these fields in its query, in the place of those of the same names."""
    scheme, place, path, query, _ = urlsplit(url)
    merged = dict(parse_qsl(query, keep_blank_values=True)) | fields
    return urlunsplit((scheme, place, path, urlencode(merged, safe=","), ""))
