"""What docker-compose.yml hands to whom, without Docker: secrets, settings, and who may read the ops ports."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml  # type: ignore[import-untyped]  # it has no stubs

from common.settings import RedisSettings, ServiceSettings
from deploy.run_plan import SERVICES, SETTINGS
from tests.support import ROOT

NAMES = {service.name: kind for service, kind in zip(SERVICES, SETTINGS, strict=True)}
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}$]*))?\}")


def compose(**environment: str) -> dict[str, Any]:
    """The file as compose reads it: `${NAME:-default}` is all that docker-compose 1.29 and newer ones both know."""
    text = (ROOT / "docker-compose.yml").read_text()
    text = _VARIABLE.sub(lambda found: environment.get(found[1]) or found[2] or "", text)
    assert "${" not in text
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def handed(service: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in the container: a name alone is handed through where it is set."""
    given = service.get("environment", {})
    return {
        name: str(environment[name] if value is None else value)
        for name, value in given.items()
        if value is not None or name in environment
    }


def settings_in(name: str, environment: Mapping[str, str]) -> ServiceSettings:
    with mock.patch.dict(os.environ, environment, clear=True):
        return NAMES[name].load(name, "purpose", ())


@pytest.mark.parametrize("name", NAMES)
def test_without_a_file_or_a_variable_no_service_has_a_secret(name: str) -> None:
    found = compose()
    environment = handed(found["services"][name], {})
    settings = settings_in(name, environment)
    assert {each: value for each in NAMES[name].secrets() if (value := environment.get(each))} == (
        {"REDIS_URL": "redis://redis:6379"} if issubclass(NAMES[name], RedisSettings) else {}
    )
    assert getattr(settings, "redis_url", "redis://redis:6379") == "redis://redis:6379"
    assert list(NAMES[name].misspelt(environment)) == [], "each is a setting of this service"


def test_the_file_that_stands_for_none_is_there() -> None:
    for secret in compose()["secrets"].values():
        assert (ROOT / secret["file"]).is_file()


@pytest.mark.parametrize("name", [*NAMES, "redis"])
def test_the_password_of_redis_is_a_file_at_the_same_path(name: str, tmp_path: Path) -> None:
    path = str(tmp_path / "password")
    Path(path).write_text("p@ss/word\n")
    found = compose(REDIS_PASSWORD_FILE=path)
    service = found["services"][name]
    environment = handed(service, {})
    mounted = [(found["secrets"][each["source"]]["file"], each["target"]) for each in service.get("secrets", ())]
    if name == "broadcaster":
        assert mounted == []
        assert not [each for each in environment if each.startswith("REDIS")]
        return
    assert mounted == [(path, path)]
    assert (environment["REDIS_PASSWORD_FILE"], environment["REDIS_PASSWORD"]) == (path, "")
    if name != "redis":
        settings = settings_in(name, environment)
        assert isinstance(settings, RedisSettings)
        assert settings.redis_url == "redis://:p%40ss%2Fword@redis:6379"


def test_a_password_in_the_environment_is_on_no_command_line_and_in_no_url() -> None:
    found = compose(REDIS_PASSWORD="canary@/")
    for name, service in found["services"].items():
        places = [key for key, value in handed(service, {}).items() if "canary" in value]
        expected = {"redis": ["REDIS_PASSWORD", "REDISCLI_AUTH"], "broadcaster": []}.get(name, ["REDIS_PASSWORD"])
        assert sorted(places) == sorted(expected)
        assert "canary" not in str({key: value for key, value in service.items() if key != "environment"})


@pytest.mark.parametrize("subnet", [None, "10.9.8"])
def test_the_ops_ports_are_read_by_the_containers_of_their_network_and_not_by_its_gateway(subnet: str | None) -> None:
    found = compose(**({"OPS_SUBNET": subnet} if subnet else {}))
    assert found["networks"]["ops"]["internal"] is True
    (config,) = found["networks"]["ops"]["ipam"]["config"]
    network, range_of_containers = ip_network(config["subnet"]), ip_network(config["ip_range"])
    assert str(network).startswith(subnet or "10.")
    assert ip_address(config["gateway"]) in network
    for name in NAMES:
        service = found["services"][name]
        assert "ops" in service["networks"]
        allowed = settings_in(name, handed(service, {})).ops_allow
        assert allowed == (range_of_containers,)
        assert range_of_containers.subnet_of(network)  # type: ignore[arg-type]  # both are of IPv4
        assert ip_address(config["gateway"]) not in range_of_containers
        assert not [port for port in service.get("ports", ()) if re.search(r":91\d\d$", port)], "none is published"


def test_more_networks_and_a_token_may_be_named() -> None:
    token = "x" * 32
    found = compose(OPS_ALLOW="10.0.0.7")
    for name in NAMES:
        settings = settings_in(name, handed(found["services"][name], {"OPS_TOKEN": token}))
        assert ip_network("10.0.0.7") in settings.ops_allow
        assert settings.ops_token == token
