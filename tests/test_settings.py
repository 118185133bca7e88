"""Every setting of every service: no text is a traceback, and whatever cannot be is refused by name."""

import asyncio
import contextlib
import io
import os
from collections.abc import Iterator
from unittest import mock

import hypothesis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.settings import ServiceSettings
from tests.support import service
from tests.test_readme import SERVICES, settings_of

SETTINGS = [(each, name) for each in SERVICES for name in settings_of(each).model_fields]

ODD = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=40),
    st.sampled_from(
        ["0", "-1", "1e3", "1_000", "1e999999999999999999", "-1e-999999", "nan", "inf", "0x10", "٣", "½"]
    ),
    st.sampled_from(["none", "true", "*", ",", "a,,b", "::1", "[::1]", "[", "a" * 300, "a" * 64 + ".x", "..", "%00"]),
    st.sampled_from(["tcp://h:1", "redis://", "redis://h/x", "redis://h:99999", "ws://[", "ws://" + "a" * 70, "//"]),
    st.integers().map(str),
    st.floats().map(str),
)


@contextlib.contextmanager
def only(environment: dict[str, str]) -> Iterator[None]:
    with mock.patch.dict(os.environ, environment, clear=True):
        yield


def refusal(each: str, environment: dict[str, str], *arguments: str) -> str | None:
    """What the service says as it ends for its settings; None where it takes them."""
    said = io.StringIO()
    with only(environment), contextlib.redirect_stderr(said):
        try:
            settings_of(each).load(each, "purpose", arguments)
            status: object = 0
        except SystemExit as end:
            status = end.code
    assert status == (2 if said.getvalue() else 0)
    return said.getvalue() or None


@pytest.mark.parametrize(("each", "name"), SETTINGS)
@hypothesis.settings(max_examples=20)
@given(text=ODD)
@example(text="1" * 5000)
@example(text="10" + "0" * 20)
@example(text="1e-9")
@example(text="1e300")
@example(text="\udcff")
@example(text="a\nb")
def test_no_text_is_more_than_one_line(each: str, name: str, text: str) -> None:
    variable = settings_of(each).variable(name)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:  # half a surrogate pair that no environment can hold
        return
    for said in (
        refusal(each, {variable: text}),
        refusal(each, {}, f"--{name.replace('_', '-')}={text}"),
    ):
        if said is not None:
            assert said.count("\n") == 1, said
            assert said.startswith(f"{each}: ")
            assert variable in said


@pytest.mark.parametrize("empty", ["", " \r", '""'])
@pytest.mark.parametrize("each", SERVICES)
def test_empty_is_unset_for_every_setting(each: str, empty: str) -> None:
    kind = settings_of(each)
    with only({}):
        usual = kind.load(each, "purpose", ())
    with only({kind.variable(name): empty for name in kind.model_fields}):
        assert kind.load(each, "purpose", ()) == usual


@pytest.mark.parametrize(
    ("each", "environment", "names"),
    [
        ("bridge", {"STALE_SECONDS": "60", "EXPIRED_SECONDS": "10"}, ("STALE_SECONDS", "EXPIRED_SECONDS")),
        ("physics", {"STALE_SECONDS": "10", "EXPIRED_SECONDS": "10"}, ("STALE_SECONDS", "EXPIRED_SECONDS")),
        ("broadcaster", {"BROADCASTER_SILENCE_SECONDS": "90"}, ("BROADCASTER_SILENCE_SECONDS", "EXPIRED_SECONDS")),
        ("bridge", {"BRIDGE_HEARTBEAT_SECONDS": "4"}, ("BRIDGE_HEARTBEAT_SECONDS", "BRIDGE_SILENCE_SECONDS")),
        (
            "broadcaster",
            {"BROADCASTER_CLOSE_SPREAD_SECONDS": "3", "DRAIN_SECONDS": "4"},
            ("BROADCASTER_CLOSE_SPREAD_SECONDS", "DRAIN_SECONDS"),
        ),
        (
            "broadcaster",
            {"BROADCASTER_FIRST_BYTE_SECONDS": "6"},
            ("BROADCASTER_FIRST_BYTE_SECONDS", "BROADCASTER_HANDSHAKE_SECONDS"),
        ),
        ("physics", {"PHYSICS_PORT": "9103"}, ("PHYSICS_PORT", "PHYSICS_OPS_PORT")),
        ("bridge", {"BRIDGE_OPS_PORT": "8766"}, ("BRIDGE_PORT", "BRIDGE_OPS_PORT")),
        ("feynman", {"FEYNMAN_LEASE_SECONDS": "1.5"}, ("FEYNMAN_LEASE_SECONDS", "FEYNMAN_HEARTBEAT_SECONDS")),
        (
            "feynman",
            {"FEYNMAN_LEASE_SECONDS": "0.5", "FEYNMAN_HEARTBEAT_SECONDS": "0.3"},
            ("FEYNMAN_LEASE_SECONDS", "FEYNMAN_HEARTBEAT_SECONDS"),
        ),
        ("feynman", {"FEYNMAN_FORGET_SECONDS": "0.9"}, ("FEYNMAN_FORGET_SECONDS", "FEYNMAN_TICK_SECONDS")),
        ("feynman", {"FEYNMAN_FORGET_SECONDS": "4"}, ("FEYNMAN_FORGET_SECONDS", "FEYNMAN_DISCOVERY_SECONDS")),
        ("market", {"MARKET_SOURCE": "replay"}, ("MARKET_FILE", "replay")),
        ("market", {"MARKET_FILE": "trades.csv"}, ("MARKET_FILE", "MARKET_SOURCE")),
    ],
)
def test_combinations_that_cannot_be_are_refused_with_both_names(
    each: str, environment: dict[str, str], names: tuple[str, ...]
) -> None:
    said = refusal(each, environment)
    assert said is not None
    assert said.count("\n") == 1
    for name in names:
        assert name in said


def test_a_default_gives_way_where_nobody_chose_it() -> None:
    assert refusal("broadcaster", {"DRAIN_SECONDS": "0"}) is None


@pytest.mark.parametrize(
    ("each", "variable", "text"),
    [
        ("market", "MARKET_SEED", "1" + "0" * 21),
        ("market", "REDIS_TIMEOUT_SECONDS", "1e-9"),
        ("physics", "PHYSICS_TIMEOUT_SECONDS", "1e-9"),
        ("broadcaster", "BROADCASTER_SLOW_SECONDS", "1e300"),
        ("broadcaster", "BROADCASTER_HEARTBEAT_SECONDS", "6"),
        ("broadcaster", "BROADCASTER_BRIDGE_URL", "ws://" + "a" * 70 + "/ws"),
        ("feynman", "FEYNMAN_WINDOW", "1e6"),
        ("feynman", "FEYNMAN_MAX_SYMBOLS", "1e21"),
        ("feynman", "FEYNMAN_LEASE_SECONDS", "nan"),
        ("physics", "PHYSICS_HOST", "127.0.0.1:8001"),
        ("physics", "PHYSICS_HOST", "*"),
        ("bridge", "REDIS_URL", "redis://localhost:6379/abc"),
        ("bridge", "REDIS_URL", "redis://localhost:6379/1/2"),
        ("bridge", "REDIS_URL", "redis://:12#34@localhost"),
        ("bridge", "REDIS_URL", "redis://me:12?34@localhost"),
    ],
)
def test_nonsense_is_refused_by_name(each: str, variable: str, text: str) -> None:
    said = refusal(each, {variable: text})
    assert said is not None
    assert said.startswith(f"{each}: {variable}: ")


@pytest.mark.parametrize("each", SERVICES)
def test_a_service_that_is_listening_where_nobody_said_is_local(each: str) -> None:
    kind: type[ServiceSettings] = settings_of(each)
    hosts = {kind.variable(name): "" for name in kind.model_fields if name.endswith("host")}
    with only(hosts):
        settings = kind.load(each, "purpose", ())
    assert {getattr(settings, name) for name in kind.model_fields if name.endswith("host")} == {"127.0.0.1"}


async def test_a_process_names_each_unknown_variable_once_and_starts() -> None:
    environment = {
        "FEYNMAN_WINDOW_SIZE": "500",
        "REDIS_URI": "redis://somewhere",
        "LOG_LEVL": "debug",
        "FEYNMAN_GAP_SECONDS": "300",
        "MARKET_SEEDS": "the market says that one",
        "FEYNMAN_PORT": "tcp://10.0.0.2:9102",
        "FEYNMAN_SERVICE_HOST": "10.0.0.2",
        "REDIS_PORT_6379_TCP_ADDR": "10.0.0.3",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    async with service("feynman", environment) as feynman:
        await feynman.logged("starting")
        said = [line for line in feynman.logs if line["event"] == "unknown_setting"]
        assert [(line["variable"], line["nearest"], line["level"]) for line in said] == [
            ("FEYNMAN_WINDOW_SIZE", "FEYNMAN_WINDOW", "warning"),
            ("REDIS_URI", "REDIS_URL", "warning"),
            ("LOG_LEVL", "LOG_LEVEL", "warning"),
            ("FEYNMAN_GAP_SECONDS", None, "warning"),
        ]
        assert said[-1]["note"].startswith(
            "it is ignored: a return spans at most three steps, see docs/estimators.md"
        )


async def test_a_link_of_the_platform_is_left_aside_and_an_empty_host_is_local() -> None:
    environment = {
        "PHYSICS_OPS_PORT": "tcp://10.0.0.2:9103",
        "PHYSICS_PORT": "0",
        "PHYSICS_HOST": "",
        "LOG_LEVEL": "DEBUG",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    async with service("physics", environment, ["--ops-port", "0"]) as physics:
        await physics.logged("setting_left_aside", variable="PHYSICS_OPS_PORT", level="debug")
        assert (await physics.logged("listening"))["host"] == "127.0.0.1"
        assert [line for line in physics.logs if line["event"] == "unknown_setting"] == []
        async with asyncio.timeout(10):
            assert (await physics.get("/healthz")).status_code == 200
