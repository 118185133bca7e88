from collections.abc import Sequence
from ipaddress import ip_network

import pytest
import structlog
from prometheus_client import REGISTRY

from common.web import access
from common.web.access import MAX_HEADER_BYTES, AccessPolicy, WebRequest, allowed_host, allowed_origin
from common.web.proxies import TrustedProxies
from cottage.log import Throttled

LOCAL = AccessPolicy()
LISTED = AccessPolicy(("cottage.example", "bridge"), ("https://desk.example", "http://localhost:3000"))
BEHIND = AccessPolicy(("cottage.example",), (), TrustedProxies([ip_network("127.0.0.1")]))


def request(
    *hosts: str, origin: str | Sequence[str] = (), target: str = "/ws", version: str = "1.1", **more: str
) -> WebRequest:
    """A request of this machine; `x_forwarded_host` in `more` stands for X-Forwarded-Host."""
    headers = {name.replace("_", "-"): [value] for name, value in more.items()}
    headers |= {"host": list(hosts), "origin": [origin] if isinstance(origin, str) else list(origin)}
    return WebRequest(target, version, "127.0.0.1", lambda name: headers.get(name, []), 100)


def status(policy: AccessPolicy, asked: WebRequest, *, public: bool = False) -> int:
    refused = policy.refusal(asked, policy.forwarded(asked), public=public)
    return 200 if refused is None else refused.status


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8765", "LOCALHOST.:8765", "app.localhost", "127.0.0.1:8765", "127.0.0.1"),
        *("192.0.2.7:80", "[::1]:8765", "[2001:db8::1]", "[fe80::1%25eth0]:8765"),
    ],
)
def test_localhost_and_addresses_may_be_asked(host: str) -> None:
    assert status(LOCAL, request(host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "bridge"),
        *("notlocalhost", "127.1", "0x7f000001", "2130706433", "127.0.0.1.", "cottage.example.evil.example"),
    ],
)
def test_a_name_must_be_known(host: str) -> None:
    assert status(LOCAL, request(host)) == 421
    assert status(AccessPolicy(["*"]), request(host)) == 200


@pytest.mark.parametrize("host", ["cottage.example", "COTTAGE.example.:8080", "bridge:8766"])
def test_a_listed_name_is(host: str) -> None:
    assert status(LISTED, request(host)) == 200


@pytest.mark.parametrize(
    "asked",
    [
        request(),
        request("localhost", "localhost"),
        request("localhost", "evil.example"),
        request(""),
        request("user@localhost"),
        request("localhost", target="http:///ws"),
    ],
)
def test_a_request_has_one_host(asked: WebRequest) -> None:
    assert status(LOCAL, asked) == 400


def test_before_http_1_1_there_was_none() -> None:
    assert status(LOCAL, request(version="1.0")) == 200
    assert status(LOCAL, request(version="1.0", origin="http://evil.example")) == 403


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("http://localhost:8765/ws", "localhost:8765", 200),
        ("ws://127.0.0.1/", "localhost", 200),
        ("http://evil.example/ws", "localhost", 421),
        ("http://localhost/ws", "evil.example", 421),
        ("HTTP://evil.example", "evil.example", 421),
    ],
)
def test_a_whole_url_as_the_target_counts_like_the_host(target: str, host: str, expected: int) -> None:
    assert status(LOCAL, request(host, target=target)) == expected


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8765", "http://localhost:8765"),
        ("LOCALHOST.:8765", "http://localhost:8765"),
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("[::1]:8765", "http://[0:0::1]:8765"),
        ("192.0.2.7", "http://192.0.2.7"),
        ("192.0.2.7:443", "https://192.0.2.7"),
        ("192.0.2.7", "https://192.0.2.7"),  # a proxy speaks TLS
        ("192.0.2.7", "http://192.0.2.7:8080"),  # a proxy leaves the port out, as nginx's $host does
        ("127.0.0.1:8765", "https://127.0.0.1:9443"),  # … or asks by the address that it dials
        ("localhost:8765", "http://localhost:8865"),  # the page of another broadcaster
    ],
)
def test_pages_of_the_same_host_may_read(host: str, origin: str) -> None:
    assert status(LOCAL, request(host, origin=origin)) == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("null", "", "http://evil.example", "http://evil.example:8765", "https://localhost.evil.example:8765"),
        *(
            "http://127.0.0.1:8765",
            "http://app.localhost:8765",
            "localhost:8765",
            "file://",
            "http://localhost:8765/",
        ),
        *("chrome-extension://abcdef", "http://localhost:8765 http://evil.example"),
        ["http://localhost:8765", "http://evil.example"],
    ],
)
def test_pages_of_other_origins_may_not(origin: str | list[str]) -> None:
    asked = request("localhost:8765", origin=origin)
    assert status(LOCAL, asked) == 403
    assert LOCAL.cors(asked) == {}
    assert "Access-Control-Allow-Origin" not in LISTED.cors(asked)
    assert status(LOCAL, asked, public=True) == 200
    assert status(AccessPolicy([], ["*"]), asked) == 200


def test_what_is_public_is_still_asked_of_this_host() -> None:
    assert status(LOCAL, request("evil.example", origin="http://evil.example"), public=True) == 421


@pytest.mark.parametrize("origin", ["https://desk.example", "HTTPS://Desk.Example:443", "http://localhost:3000"])
def test_listed_origins_may_read(origin: str) -> None:
    asked = request("localhost:8765", origin=origin)
    assert status(LISTED, asked) == 200
    assert LISTED.cors(asked) == {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), "https://desk.example", None),
        (("*",), "https://desk.example", "*"),
        (("https://desk.example",), "https://desk.example", "https://desk.example"),
        (("https://desk.example",), "https://evil.example", None),
        (("https://desk.example",), None, None),
    ],
)
def test_which_pages_may_read(origins: tuple[str, ...], origin: str | None, allowed: str | None) -> None:
    headers = AccessPolicy([], origins).cors(request("localhost", origin=[] if origin is None else origin))
    assert headers.get("Access-Control-Allow-Origin") == allowed
    # A shared cache must not give one origin's answer to another.
    assert ("Vary" in headers) == (origins not in ((), ("*",)))


def test_a_trusted_proxy_says_what_its_client_asked() -> None:
    asked = request("upstream:8765", x_forwarded_host="cottage.example", origin="https://cottage.example")
    assert status(BEHIND, asked) == 200
    assert status(LISTED, asked) == 421, "nobody trusts it there"
    asked = request("upstream:8765", x_forwarded_host="cottage.example", origin="https://evil.example")
    assert status(BEHIND, asked) == 403
    assert status(BEHIND, request("upstream", x_forwarded_host="evil.example")) == 421
    assert status(BEHIND, request("127.0.0.1:80", x_forwarded_host="a b")) == 200, "what is malformed is ignored"


def test_a_refusal_is_counted_and_said_once_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "throttled", Throttled(access.log, seconds=600.0))

    def counted(reason: str) -> float:
        return REGISTRY.get_sample_value("cottage_http_requests_refused_total", {"reason": reason}) or 0.0

    before = {reason: counted(reason) for reason in ("foreign_host", "foreign_origin")}
    with structlog.testing.capture_logs() as said:
        for name in ("evil.example", "worse.example"):
            for _ in range(10):
                assert status(LOCAL, request(name)) == 421
                assert status(LOCAL, request("localhost", origin=f"http://{name}")) == 403
    assert {reason: counted(reason) - count for reason, count in before.items()} == dict.fromkeys(before, 20.0)
    host, origin = said
    assert (host["reason"], host["host"], host["peer"]) == ("foreign_host", "evil.example", "127.0.0.1")
    assert "ALLOWED_HOSTS" in host["error"]
    assert (origin["reason"], origin["origin"]) == ("foreign_origin", "http://evil.example")
    assert "ALLOWED_ORIGINS" in origin["error"]


@pytest.mark.parametrize(
    ("policy", "asked"),
    [
        (LOCAL, request("evil.example")),
        (LOCAL, request("localhost", target="http://evil.example/ws")),
        (BEHIND, request("upstream:8765", x_forwarded_host="evil.example")),
    ],
)
def test_a_refusal_names_the_host_that_was_asked(
    policy: AccessPolicy, asked: WebRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "throttled", Throttled(access.log, seconds=600.0))
    with structlog.testing.capture_logs() as said:
        assert status(policy, asked) == 421
    assert said[0]["host"].partition(":")[0] == "evil.example"


def test_requests_have_bounds() -> None:
    def sized(target: str, header_bytes: int) -> WebRequest:
        return WebRequest(
            target, "1.1", "127.0.0.1", lambda name: ["localhost"] if name == "host" else [], header_bytes
        )

    assert status(LOCAL, sized("/", MAX_HEADER_BYTES)) == 200
    assert status(LOCAL, sized("/", MAX_HEADER_BYTES + 1)) == 431
    assert status(LOCAL, sized("/v1/physics?symbols=" + ",".join(["S" * 32] * 500), 100)) == 200
    assert status(LOCAL, sized("/" + "a" * 100_000, 100)) == 414


@pytest.mark.parametrize("text", ["*", "cottage.example", "my_bridge", "10.0.0.7", "COTTAGE.example."])
def test_what_may_stand_in_allowed_hosts(text: str) -> None:
    assert allowed_host(text) == text.lower().removesuffix(".")


@pytest.mark.parametrize("text", ["http://a", "a:80", "a/b", "*.a.example", "a b", "a:", "[::1", "user@a"])
def test_what_may_not(text: str) -> None:
    with pytest.raises(ValueError, match="names such as"):
        allowed_host(text)


@pytest.mark.parametrize("text", ["null", "a.example", "http://a/", "http://*.a.example", "ws://a", "http://a:99999"])
def test_what_may_not_stand_in_allowed_origins(text: str) -> None:
    with pytest.raises(ValueError, match="origins such as"):
        allowed_origin(text)
    assert allowed_origin("HTTPS://Desk.example:443") == "https://desk.example"
