from ipaddress import ip_network

import pytest

from common.web.names import Authority
from common.web.proxies import Forwarded, TrustedProxies, as_ipv4

PROXIES = TrustedProxies([ip_network("127.0.0.1"), ip_network("10.0.0.0/8"), ip_network("fd00::/8")])


def forwarded(peer: str, **headers: str | list[str]) -> Forwarded:
    """What is made of these headers; `x_forwarded_for` stands for X-Forwarded-For."""

    def header(name: str) -> list[str]:
        values = headers.get(name.replace("-", "_"), [])
        return [values] if isinstance(values, str) else values

    return PROXIES.forwarded(peer, header)


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "::1", "unknown", ""])
def test_nobody_but_a_trusted_peer_is_believed(peer: str) -> None:
    said = {"x_forwarded_for": "203.0.113.7", "forwarded": "for=203.0.113.7;host=a", "x_forwarded_host": "a"}
    assert forwarded(peer, **said) == Forwarded(peer)


def test_without_trusted_proxies_nobody_is() -> None:
    assert TrustedProxies().forwarded("127.0.0.1", lambda _name: ["203.0.113.7"]) == Forwarded("127.0.0.1")


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51324", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:0DB8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("1.2.3.4, 203.0.113.7", "203.0.113.7"),  # the left one is what the client made up
        ("203.0.113.7, 10.0.0.9", "203.0.113.7"),
        (["1.2.3.4", "203.0.113.7 , 10.0.0.9"], "203.0.113.7"),
        ("nonsense, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.8, 10.0.0.9", "10.0.0.8"),  # a client within
        ("unknown, 10.0.0.9", "10.0.0.9"),
        ("203.0.113.7, nonsense", "127.0.0.1"),
        ("evil.example", "127.0.0.1"),
        ("", "127.0.0.1"),
        (",", "127.0.0.1"),
        ("203.0.113.7,", "127.0.0.1"),
        ("999.1.1.1", "127.0.0.1"),
        ("203.0.113.7\x00", "127.0.0.1"),
    ],
)
def test_the_client_is_the_right_most_address_that_is_no_proxys(lines: str | list[str], client: str) -> None:
    assert forwarded("127.0.0.1", x_forwarded_for=lines).client == client


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('For="[2001:db8::1]:4711";proto=https;by=10.0.0.1', "2001:db8::1"),
        ('for=1.2.3.4, for="203.0.113.7:80", for=10.0.0.9', "203.0.113.7"),
        (["for=1.2.3.4", "for=203.0.113.7"], "203.0.113.7"),
        ("for=_hidden", "127.0.0.1"),
        ("for=unknown, for=10.0.0.9", "10.0.0.9"),
        ("proto=https", "127.0.0.1"),
        ("203.0.113.7", "127.0.0.1"),
        ('for="203.0.113.7', "127.0.0.1"),
        ("for=203.0.113.7;;", "127.0.0.1"),
        ("a=b, " + " " * 15_000 + "x", "127.0.0.1"),  # and takes no time
        ("for=2001:db8::1", "2001:db8::1"),  # should be in quotes and brackets; what is meant is plain
    ],
)
def test_forwarded(lines: str | list[str], client: str) -> None:
    assert forwarded("127.0.0.1", forwarded=lines).client == client


def test_a_header_that_the_proxy_hands_through_makes_nobody_up() -> None:
    said = {"x_forwarded_for": "203.0.113.7"}
    assert forwarded("10.0.0.1", **said, forwarded="for=1.2.3.4").client == "10.0.0.1"
    assert forwarded("10.0.0.1", **said, forwarded="for=203.0.113.7").client == "203.0.113.7"
    assert forwarded("10.0.0.1", **said, forwarded="nonsense").client == "203.0.113.7"
    assert forwarded("10.0.0.1", x_forwarded_for="nonsense", forwarded="for=1.2.3.4").client == "1.2.3.4"


def test_an_ipv4_peer_of_an_ipv6_socket() -> None:
    assert forwarded("::ffff:10.0.0.1", x_forwarded_for="203.0.113.7").client == "203.0.113.7"
    assert forwarded("fd00::1", x_forwarded_for="203.0.113.7").client == "203.0.113.7"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:10.0.0.7", "10.0.0.7/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("fd00::/8", "fd00::/8"),
        ("10.0.0.0/8", "10.0.0.0/8"),
    ],
)
def test_an_ipv4_network_may_be_written_as_ipv6_does(written: str, meant: str) -> None:
    assert as_ipv4(ip_network(written)) == ip_network(meant)


def test_the_host_that_the_client_asked() -> None:
    told = forwarded("127.0.0.1", x_forwarded_host="evil.example, Cottage.example:443")
    assert told.host == Authority("cottage.example", 443)
    told = forwarded("127.0.0.1", forwarded='for=1.2.3.4;host="cottage.example:8080";proto=http')
    assert told == Forwarded("1.2.3.4", Authority("cottage.example", 8080))
    assert forwarded("127.0.0.1", x_forwarded_host="a b") == Forwarded("127.0.0.1")
