"""Which requests are answered, by their Host and Origin headers: the one check of every HTTP and WebSocket port.

A browser lets any page send requests to any host, and says in `Origin` which page it was. A page may also give its
own host name the address of this machine (DNS rebinding); then `Host` is that name. So a Host that is a name must be
known, and an Origin must be of the same host or known. Programs that are no browsers send no Origin.

Ports and schemes are not compared: a proxy has others than this service, and so has the next server of a list that a
page was given. What HTTP answers, pages of another port cannot read all the same, since browsers compare them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from prometheus_client import Counter

from common import logs
from common.web.names import Authority, parse_authority, parse_origin, split_target
from common.web.proxies import Forwarded, Header, TrustedProxies
from common.web.readers import Readers
from cottage.log import Throttled

ANY = "*"
MAX_HEADER_BYTES = 16 * 1024
"""The most bytes that the headers of a request may have."""
MAX_TARGET_BYTES = 20 * 1024
"""The most bytes that path and query may have: the physics API takes 500 symbols of 32 characters."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
}
"""Headers of every answer that does not set them itself."""

PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "authorization",
    "Access-Control-Max-Age": "600",
}
"""What pages of listed origins may send. Cookies and the like are not among it: there are none."""

REFUSED = Counter(
    "cottage_http_requests_refused_total",
    "Requests that were refused before their path was looked at, by reason.",
    ["reason"],
)

log = logs.get_logger()
throttled = Throttled(log)


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What of a request decides whether it is answered."""

    target: str
    version: str
    """Of HTTP: "1.0" or "1.1"."""
    peer: str
    """The address of the TCP connection."""
    header: Header
    header_bytes: int

    def one(self, name: str) -> str:
        """The values of a header, shortened for a log line."""
        return ", ".join(self.header(name))[:100]


@dataclass(frozen=True, slots=True)
class AccessRefusal:
    """Why a request is refused."""

    status: HTTPStatus
    reason: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """That the answer has beside the usual ones."""


class AccessPolicy:
    """Decides which requests a port answers."""

    def __init__(
        self,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
        proxies: TrustedProxies | None = None,
        readers: Readers | None = None,
    ) -> None:
        """`hosts`: the names by which the port may be addressed, beside localhost. `origins`: web origins whose pages
        may read it, beside those of the same host. `*` in either is all. `proxies`: those that are believed.
        `readers`: who alone may read it; None is everybody."""
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._proxies = proxies or TrustedProxies()
        self._readers = readers

    def forwarded(self, request: WebRequest) -> Forwarded:
        """Where the request came from."""
        return self._proxies.forwarded(request.peer, request.header)

    def is_proxy(self, address: str) -> bool:
        """Whether the address is a trusted proxy's."""
        return self._proxies.trusts(address)

    def refusal(self, request: WebRequest, forwarded: Forwarded, *, public: bool = False) -> AccessRefusal | None:
        """Why the request is refused, which is counted and logged; None if it is answered. `public`: pages of every
        origin may have the answer."""
        refused = self._refusal(request, forwarded, public)
        if refused is not None:
            REFUSED.labels(refused.reason).inc()
            throttled.warning(
                "request_not_allowed",
                f"{forwarded.client} {refused.reason}",
                peer=forwarded.client,
                reason=refused.reason,
                error=refused.message,
                host=_asked(request, forwarded),
                origin=request.one("origin"),
            )
        return refused

    def cors(self, request: WebRequest) -> dict[str, str]:
        """The headers that let pages of the listed origins read the answer (Fetch standard, CORS protocol). Requests
        are plain GETs, which browsers send without asking first, but for those with a token: see `preflight`."""
        if ANY in self._origins:
            return {"Access-Control-Allow-Origin": ANY}
        if not self._origins:
            return {}
        listed = next((value for value in request.header("origin") if self._listed(value)), None)
        allowed = {} if listed is None else {"Access-Control-Allow-Origin": listed}
        return {"Vary": "Origin", **allowed}  # a shared cache must not give one origin's answer to another

    def preflight(self, request: WebRequest) -> dict[str, str] | None:
        """The headers of the answer to OPTIONS, by which a browser asks whether a page may send a token; None if
        pages of its origin may read nothing here."""
        cors = self.cors(request)
        if "Access-Control-Allow-Origin" not in cors:
            return None
        return {**cors, "Vary": "Origin", **PREFLIGHT_HEADERS}

    def _refusal(self, request: WebRequest, forwarded: Forwarded, public: bool) -> AccessRefusal | None:
        if request.header_bytes > MAX_HEADER_BYTES:
            what = f"more than {MAX_HEADER_BYTES} bytes of headers"
            return AccessRefusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "too_large", what)
        if len(request.target) > MAX_TARGET_BYTES:
            what = f"more than {MAX_TARGET_BYTES} bytes of path and query"
            return AccessRefusal(HTTPStatus.REQUEST_URI_TOO_LONG, "too_large", what)
        hosts = list(request.header("host"))
        if len(hosts) > 1 or (not hosts and request.version != "1.0"):
            return AccessRefusal(HTTPStatus.BAD_REQUEST, "bad_host", "a request has one Host header")
        target, _path = split_target(request.target)
        named = [parse_authority(text) for text in [*hosts, *([] if target is None else [target])]]
        asked = [authority for authority in named if authority is not None]
        if len(asked) < len(named):
            return AccessRefusal(
                HTTPStatus.BAD_REQUEST, "bad_host", "the Host is no host name or address with a port"
            )
        if forwarded.host is not None:
            asked = [forwarded.host]  # the proxy's own name for this service is nobody else's business
        if not all(map(self._known, asked)):
            what = "no name of this service: if it is one, add it to ALLOWED_HOSTS"
            return AccessRefusal(HTTPStatus.MISDIRECTED_REQUEST, "foreign_host", what)
        if not public and not all(self._may_read(origin, asked) for origin in request.header("origin")):
            what = "a page of another origin: if it may read this, add its origin to ALLOWED_ORIGINS"
            return AccessRefusal(HTTPStatus.FORBIDDEN, "foreign_origin", what)
        return self._unwelcome(request)

    def _unwelcome(self, request: WebRequest) -> AccessRefusal | None:
        status = None if self._readers is None else self._readers.refusal(request.peer, request.header)
        if status is None:
            return None
        if status is HTTPStatus.FORBIDDEN:
            what = "for this machine alone: if you may read it, your network goes into OPS_ALLOW"
            return AccessRefusal(status, "foreign_address", what)
        what = "for who shows OPS_TOKEN as Authorization: Bearer, and for this machine"
        return AccessRefusal(status, "no_token", what, {"WWW-Authenticate": 'Bearer realm="ops"'})

    def _known(self, asked: Authority) -> bool:
        return asked.address is not None or asked.local or asked.host in self._hosts or ANY in self._hosts

    def _may_read(self, text: str, asked: list[Authority]) -> bool:
        """Whether a page of this origin may read what is here."""
        if ANY in self._origins or self._listed(text):
            return True
        origin = parse_origin(text)
        return origin is not None and bool(asked) and all(each.host == origin.host for each in asked)

    def _listed(self, text: str) -> bool:
        return str(parse_origin(text)) in self._origins


def _asked(request: WebRequest, forwarded: Forwarded) -> str:
    """The host by which the service was asked, for a log line: it is the one that ALLOWED_HOSTS may miss."""
    target, _path = split_target(request.target)
    named = target if forwarded.host is None else forwarded.host.host
    return request.one("host") if named is None else named[:100]


def allowed_host(text: str) -> str:
    """The normal form of a name in ALLOWED_HOSTS. Raises ValueError."""
    authority = parse_authority(text)
    if text == ANY:
        return text
    if authority is None or authority.port is not None or ":" in text.rstrip("]"):
        raise ValueError("must be * or names such as cottage.example.com, comma-separated, without scheme and port")
    return authority.host


def allowed_origin(text: str) -> str:
    """The normal form of an origin in ALLOWED_ORIGINS. Raises ValueError."""
    origin = parse_origin(text)
    if text == ANY:
        return text
    if origin is None:
        raise ValueError("must be * or origins such as http://localhost:3000, comma-separated, without a path")
    return str(origin)


def unreadable(peer: str, error: str) -> None:
    """Count and log a connection on which something else than an HTTP request came."""
    REFUSED.labels("unreadable").inc()
    throttled.warning("request_unreadable", "", peer=peer, error=error[:200])
