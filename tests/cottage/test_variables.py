"""How environment variables are read, by everything that reads them."""

import pytest

from cottage.variables import is_service_link, meant, misspelt, nearest, value_of


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a", "a"),
        (" a\t\r\n", "a"),
        ('"a b"', "a b"),
        ("'a'\r", "a"),
        ('" a "', "a"),
        ("''", ""),
        ('"', '"'),
        ("'a\"", "'a\""),
        ("a'b'", "a'b'"),
        ("", ""),
    ],
)
def test_blanks_and_quotes_around_a_value_are_not_meant(text: str, says: str) -> None:
    assert meant(text) == says


def test_an_empty_variable_is_as_good_as_none() -> None:
    environment = {"A": "", "B": " \r", "C": "x\r", "D_PORT": "tcp://10.0.0.1:1"}
    assert [value_of(environment, name) for name in ("A", "B", "C", "D_PORT", "E")] == [None, None, "x", None, None]


def test_a_name_may_be_in_capitals_or_in_small_letters() -> None:
    environment = {"a_port": "1", "B_PORT": "2", "b_port": "3", "C_PORT": "", "c_port": "4", "D_Port": "5"}
    names = ("A_PORT", "B_PORT", "C_PORT", "D_PORT")
    assert [value_of(environment, name) for name in names] == ["1", "2", "4", None]
    assert list(misspelt(environment, names, "D_")) == [("D_Port", "D_PORT")]
    assert list(misspelt(environment, names, "")) == [("D_Port", "D_PORT")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHYSICS_PORT", "tcp://10.0.0.2:8001"),
        ("PHYSICS_OPS_PORT", "udp://10.0.0.2:53"),
        ("REDIS_PORT", "tcp://[fd00::1]:6379"),
        ("PHYSICS_SERVICE_HOST", "10.0.0.2"),
        ("PHYSICS_SERVICE_PORT", "8001"),
        ("PHYSICS_SERVICE_PORT_HTTP", "8001"),
        ("REDIS_PORT_6379_TCP", "tcp://10.0.0.3:6379"),
        ("REDIS_PORT_6379_TCP_ADDR", "10.0.0.3"),
        ("REDIS_PORT_6379_TCP_PORT", "6379"),
        ("BRIDGE_PORT_8766_TCP_PROTO", "tcp"),
    ],
)
def test_the_links_of_a_container_platform(name: str, value: str) -> None:
    assert is_service_link(name, value)
    assert list(misspelt({name: value}, ["PHYSICS_PORT", "REDIS_URL"], name[:4])) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PHYSICS_PORT", "8001"),
        ("PHYSICS_PORT", "http://10.0.0.2:8001"),
        ("PHYSICS_PORT", "tcp://10.0.0.2"),
        ("PHYSICS_HOST", "tcp://10.0.0.2:8001"),
        ("BROADCASTER_SHARE_PORT", "true"),
    ],
)
def test_what_a_person_wrote_is_no_link(name: str, value: str) -> None:
    assert not is_service_link(name, value)


@pytest.mark.parametrize(
    ("name", "meant_name"),
    [
        ("REDIS_URI", "REDIS_URL"),
        ("REDIS_TIMEOUT", "REDIS_TIMEOUT_SECONDS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("LOG_LVL", "LOG_LEVEL"),
        ("DRAIN_SECOND", "DRAIN_SECONDS"),
        ("DRAIN_SEC", "DRAIN_SECONDS"),
        ("FEYNMANN_WINDOW", "FEYNMAN_WINDOW"),
        ("REDIS_HOST", "REDIS_URL"),
        ("REDIS_DB", "REDIS_URL"),
        ("COTTAGE_ENVIRONMENT", "COTTAGE_ENV"),
        ("LOG_FILE", None),
        ("REDIS", None),
        ("LOG", None),
        ("WINDOW", None),
    ],
)
def test_a_name_is_near_another_or_somebody_elses(name: str, meant_name: str | None) -> None:
    known = ["REDIS_URL", "REDIS_TIMEOUT_SECONDS", "LOG_LEVEL", "LOG_FORMAT", "DRAIN_SECONDS", "FEYNMAN_WINDOW"]
    known += ["COTTAGE_ENV"]
    assert nearest(name, known) == meant_name


@pytest.mark.parametrize(
    ("name", "meant_name"),
    [
        ("BROADCASTER_HEARTBEAT", "BROADCASTER_HEARTBEAT_SECONDS"),
        ("BROADCASTER_PORT_NUMBER", "BROADCASTER_PORT"),
        ("BROADCASTER_MAX_CONNECTIONS_PER_IP", "BROADCASTER_MAX_CONNECTIONS_PER_ADDRESS"),
        ("BROADCASTER_BRIDGE", "BROADCASTER_BRIDGE_URL"),
        ("BROADCASTER_LOG_LEVEL", "LOG_LEVEL"),
        ("BROADCASTER_QQQQ", None),
        ("BROADCASTER_URI", None),
    ],
)
def test_with_our_prefix_a_name_was_meant_for_us(name: str, meant_name: str | None) -> None:
    known = [
        *("BROADCASTER_HEARTBEAT_SECONDS", "BROADCASTER_PORT", "BROADCASTER_MAX_CONNECTIONS_PER_ADDRESS"),
        *("BROADCASTER_MAX_CONNECTIONS", "BROADCASTER_BRIDGE_URL", "LOG_LEVEL"),
    ]
    assert list(misspelt({name: "1"}, known, "BROADCASTER_")) == [(name, meant_name)]


def test_a_name_of_several_words_whose_prefix_was_left_out_was_meant_for_us() -> None:
    known = ["BROADCASTER_PORT", "BROADCASTER_BRIDGE_URL", "BROADCASTER_TRUSTED_PROXIES", "REDIS_URL"]
    given = dict.fromkeys(("TRUSTED_PROXIES", "BRIDGE_URL", "BRIDGE_PORT", "PORT"), "1")
    assert list(misspelt(given, known, "BROADCASTER_", ("BRIDGE_",))) == [
        ("TRUSTED_PROXIES", "BROADCASTER_TRUSTED_PROXIES"),
        ("BRIDGE_URL", "BROADCASTER_BRIDGE_URL"),
    ]
    assert list(misspelt(given, ["BRIDGE_PORT", "REDIS_URL"], "BRIDGE_", ("BROADCASTER_",))) == [("BRIDGE_URL", None)]
