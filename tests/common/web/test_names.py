from ipaddress import ip_address

import pytest

from common.web.names import Authority, parse_authority, parse_origin, split_target


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost", "localhost", None),
        (" LocalHost:8765 ", "localhost", 8765),
        ("Cottage.Example.COM.:443", "cottage.example.com", 443),
        ("my_bridge", "my_bridge", None),
        ("127.0.0.1:8765", "127.0.0.1", 8765),
        ("127.0.0.1:", "127.0.0.1", None),
        ("[::1]:8765", "::1", 8765),
        ("[0:0:0:0:0:0:0:1]", "::1", None),
        ("[::ffff:127.0.0.1]", str(ip_address("::ffff:7f00:1")), None),  # Python 3.13 writes ::ffff:127.0.0.1
        ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
        ("127.1", "127.1", None),  # what no browser sends; a name, then, and not one of ours
    ],
)
def test_a_host_with_its_port(text: str, host: str, port: int | None) -> None:
    authority = parse_authority(text)
    assert authority is not None
    assert (authority.host, authority.port) == (host, port)
    assert (authority.address is None) == (host[-1].isalpha() or host == "127.1")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ":80",
            ".",
            "a..b",
            "-a",
            "a b",
            "a,b",
            "a/b",
            "http://a",
            "user@a",
            "a:b",
            "a:0",
            "a:65536",
            "a:1:2",
        ),
        *(
            "::1",
            "[::1",
            "::1]",
            "[127.0.0.1]",
            "[a]",
            "a%2eb",
            "bücher.example",
            "a\tb",
            "a\0",
            "x" * 64,
            "a." * 127 + "a",
        ),
    ],
)
def test_what_no_host_can_be_called(text: str) -> None:
    assert parse_authority(text) is None


def test_localhost_is_always_this_machine() -> None:
    names = ("localhost", "LOCALHOST.", "app.localhost:80", "evil.example", "localhost.evil.example", "notlocalhost")
    parsed = [parse_authority(name) for name in names]
    assert [authority.local for authority in parsed if authority] == [True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://a.example", "http://a.example"),
        ("HTTPS://A.Example.:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://[0::1]:8765", "http://[::1]:8765"),
        ("null", None),
        ("", None),
        ("file://", None),
        ("http://", None),
        ("ftp://a.example", None),
        ("chrome-extension://abc", None),
        ("http://a.example/", None),
        ("http://a.example http://b.example", None),
        ("http://user@a.example", None),
        ("//a.example", None),
    ],
)
def test_origins(text: str, origin: str | None) -> None:
    parsed = parse_origin(text)
    assert (None if parsed is None else str(parsed)) == origin


@pytest.mark.parametrize(
    ("target", "authority", "path"),
    [
        ("/ws?symbols=SPY", None, "/ws?symbols=SPY"),
        ("http://a:80/ws?x=http://b/", "a:80", "/ws?x=http://b/"),
        ("WS://a", "a", "/"),
        ("https://a?x", "a", "/?x"),
        ("http:///ws", "", "/ws"),
        ("//a/b", None, "//a/b"),
        ("*", None, "*"),
    ],
)
def test_the_target_of_a_request_may_be_a_whole_url(target: str, authority: str | None, path: str) -> None:
    assert split_target(target) == (authority, path)


def test_an_address_is_told_from_a_name() -> None:
    assert parse_authority("localhost") == Authority("localhost")
    address = parse_authority("10.0.0.7:80")
    assert address is not None
    assert str(address.address) == "10.0.0.7"
