from collections.abc import Callable

import pytest

from deploy.child_environment import with_ops_address, without_secrets
from deploy.run_plan import SERVICES, SETTINGS
from tests.integration.test_ops_ports import OUTER

SECRETS = {name for settings in SETTINGS for name in settings.secrets()}
OTHERS = ("COTTAGE_TOKEN", "COTTAGE_TOKEN_FILE", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")
PLANTED = dict.fromkeys([*SECRETS, *OTHERS, "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"], "canary")
HARMLESS = {"PATH": "/bin", "LOG_LEVEL": "debug", "BROADCASTER_PORT": "1"}


@pytest.mark.parametrize("index", range(len(SERVICES)))
@pytest.mark.parametrize("spelt", [str.upper, str.lower])
def test_a_service_gets_its_own_secrets_alone(index: int, spelt: Callable[[str], str]) -> None:
    planted = {spelt(name): value for name, value in PLANTED.items()} | HARMLESS
    given = without_secrets(planted, SETTINGS, SETTINGS[index])
    own = {spelt(name) for name in SETTINGS[index].secrets()}
    if SERVICES[index].name == "recorder":
        own |= {spelt("AWS_SECRET_ACCESS_KEY"), spelt("AWS_SESSION_TOKEN")}
    assert {name for name, value in given.items() if value == "canary"} == own
    assert HARMLESS.items() <= given.items()


def test_who_is_no_service_gets_none() -> None:
    assert without_secrets(PLANTED | HARMLESS, SETTINGS) == HARMLESS


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::", "localhost"])
def test_loopback_may_ask_already(host: str) -> None:
    assert with_ops_address({"X": "1"}, host) == {"X": "1"}


@pytest.mark.skipif(OUTER is None, reason="this machine has no address but loopback ones")
@pytest.mark.parametrize(
    ("given", "allowed"), [({}, ""), ({"OPS_ALLOW": "none"}, ""), ({"ops_allow": "10.0.0.0/8"}, "10.0.0.0/8,")]
)
def test_an_address_of_this_machine_may_ask_as_well(given: dict[str, str], allowed: str) -> None:
    assert with_ops_address(given, str(OUTER)) == {"OPS_ALLOW": f"{allowed}{OUTER}"}
