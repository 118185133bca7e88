"""URLs without their secrets, with a query, and those of WebSockets."""

import pytest

from cottage.urls import http_server, redacted, websocket, with_query


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379", "redis://localhost:6379"),
        ("redis://:s3cret@h:1/2", "redis://:***@h:1/2"),
        ("rediss://user:s3cret@h", "rediss://user:***@h"),
        ("redis://:s3@cret@h", "redis://:***@h"),
        ("redis://:12/s3cret@h", "redis://:***@h"),
        ("redis://user:12#s3cret@h", "redis://user:***@h"),
        ("redis://:12?s3cret@h", "redis://***"),
        ("redis://h?password=s3cret", "redis://h"),
        ("redis://h?password=s3@cret", "redis://***"),
        ("unix://:s3cret@/run/redis.sock?db=1", "unix://:***@/run/redis.sock"),
        ("ws://bridge:8766/ws", "ws://bridge:8766/ws"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8765/ws", "wss://host/ws?token=t", "ws://[::1]:1/ws"])
def test_a_websockets_url_is_itself(url: str) -> None:
    assert websocket(url) == url


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8765", "http://host/ws", "ws:///ws", "ws://h:99999/ws", "ws://h:0/", "ws://[/", "ws://h/ws#a"],
)
def test_any_other_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must look like ws://host:port/ws$"):
        websocket(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8001", "https://user:p@host/prefix/v1/physics", "http://[::1]:1"])
def test_the_url_of_an_api_is_itself(url: str) -> None:
    assert http_server(url) == url


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8001", "ws://host", "http://", "http://h:0", "http://h:x", "http://h?a=1", "http://h#a"]
)
def test_any_other_url_of_an_api_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^must look like http://host:port$"):
        http_server(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://h/ws", "ws://h/ws?symbols=SPY,QQQ"),
        ("ws://h/ws?symbols=A&token=a%20b", "ws://h/ws?symbols=SPY,QQQ&token=a+b"),
        ("ws://user:p%40ss@h:1/ws?empty=#fragment", "ws://user:p%40ss@h:1/ws?empty=&symbols=SPY,QQQ"),
    ],
)
def test_a_query_keeps_what_it_had_otherwise(url: str, expected: str) -> None:
    assert with_query(url, symbols="SPY,QQQ") == expected
