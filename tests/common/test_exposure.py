"""What is read of settings, files and addresses for the production switch."""

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.exposure import Exposure, exposure, is_local
from common.settings import Host, Networks, RedisSettings, Secret, ServiceSettings
from services.bridge.settings import BridgeSettings
from services.broadcaster.settings import BroadcasterSettings
from services.market.settings import MarketSettings
from services.physics.settings import PhysicsSettings
from services.recorder.settings import RecorderSettings


class FullSettings(RedisSettings):
    """A broadcaster with everything that any service has."""

    model_config = SettingsConfigDict(env_prefix="BROADCASTER_")

    host: Host = Field("127.0.0.1", description="")
    bridge_url: str = Field("ws://127.0.0.1:8766/ws", description="")
    tls_cert_file: str = Field("", description="")
    tls_key_file: str = Field("", description="")
    full_trusted: Networks = Field((), validation_alias="BROADCASTER_TRUSTED_PROXIES", description="")
    full_secret: Secret = Field("", validation_alias="LINK_SECRET", description="")
    full_keys: str = Field("", validation_alias="AUTH_JWKS_FILE", description="")


def of(kind: type[ServiceSettings], service: str, environment: dict[str, str], **values: Any) -> Exposure:
    return exposure(service, kind(**values), environment)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "localhost"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "no-such-host.invalid", "::ffff:10.0.0.1", "fe80::1"])
def test_what_others_may_reach(host: str) -> None:
    assert not is_local(host)


def test_a_broadcaster_by_its_defaults() -> None:
    found = of(BroadcasterSettings, "broadcaster", {})
    assert found.clients is not None
    assert found.ops is not None
    assert found.link is not None
    assert (found.clients.setting, found.clients.beyond, found.clients.encrypted) == (
        "BROADCASTER_HOST",
        False,
        False,
    )
    assert (found.ops.setting, found.ops.beyond) == ("BROADCASTER_OPS_HOST", False)
    assert (found.link.setting, found.link.beyond, found.link.dials) == ("BROADCASTER_BRIDGE_URL", False, True)
    assert found.uid == os.geteuid()
    assert not found.shares_port


def test_what_is_set_is_read(tmp_path: Path) -> None:
    key, secret = tmp_path / "key.pem", tmp_path / "link"
    for path, mode in ((key, 0o640), (secret, 0o604)):
        path.touch()
        path.chmod(mode)
    found = of(
        FullSettings,
        "broadcaster",
        {"LINK_SECRET_FILE": f" {secret} ", "AUTH_SECRET_FILE": str(key)},
        host="0.0.0.0",
        bridge_url="wss://bridge.example:8766/ws",
        tls_cert_file="cert.pem",
        tls_key_file=str(key),
        REDIS_URL="rediss://me:p%40ss@redis.example:6379",
        LINK_SECRET="s3cret",
        AUTH_JWKS_FILE=str(key),
    )
    assert found.clients is not None
    assert found.link is not None
    assert found.clients.beyond
    assert found.clients.encrypted
    assert found.link.encrypted
    assert found.link.beyond
    assert found.keys == ("AUTH_JWKS_FILE",)
    assert found.secrets == {"LINK_SECRET": "s3cret", "REDIS_URL": "p@ss"}
    assert {(each.setting, each.mode, each.private) for each in found.files} == {
        ("BROADCASTER_TLS_KEY_FILE", 0o640, True),
        ("LINK_SECRET_FILE", 0o604, True),
        ("AUTH_JWKS_FILE", 0o640, False),
    }, "AUTH_SECRET is none of these settings, and there is no cert.pem"
    assert "s3cret" not in repr(found)
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize(("mode", "open_"), [(0o700, False), (0o777, True), (0o1777, False)])
def test_a_folder_in_which_everybody_may_replace_a_file(tmp_path: Path, mode: int, open_: bool) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "key.pem").touch()
    folder.chmod(mode)
    (found,) = of(FullSettings, "broadcaster", {}, tls_key_file=str(folder / "key.pem")).files
    assert found.open_folder == (str(folder) if open_ else "")


def test_every_folder_on_the_way_counts_that_of_a_link_too(tmp_path: Path) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    for folder in (shared / "mine", own):
        folder.mkdir(parents=True)
        (folder / "key.pem").touch()
    (shared / "link.pem").symlink_to(own / "key.pem")
    (own / "link.pem").symlink_to(shared / "mine/key.pem")
    shared.chmod(0o777)

    def open_folder(path: Path) -> str:
        (found,) = of(FullSettings, "broadcaster", {}, tls_key_file=str(path)).files
        return found.open_folder

    assert open_folder(own / "key.pem") == ""
    for path in (shared / "mine/key.pem", shared / "link.pem", own / "link.pem"):
        assert open_folder(path) == str(shared)


def test_each_service_has_what_it_has() -> None:
    bridge = of(BridgeSettings, "bridge", {}, host="0.0.0.0")
    assert bridge.clients is None
    assert bridge.link is not None
    assert (bridge.link.setting, bridge.link.beyond, bridge.link.dials) == ("BRIDGE_HOST", True, False)
    physics = of(PhysicsSettings, "physics", {}, host="0.0.0.0", origins="*")
    assert physics.link is None
    assert physics.clients is not None
    assert physics.clients.beyond
    assert physics.lists == {"PHYSICS_ORIGINS": ("*",)}
    assert of(MarketSettings, "market", {}).market_source == "simulate"
    assert of(BroadcasterSettings, "broadcaster", {}, share_port=True).shares_port


def test_a_recorder_that_is_off_has_no_link() -> None:
    assert of(RecorderSettings, "recorder", {}, RECORDER="off").link is None
    assert of(RecorderSettings, "recorder", {}).link is not None


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secretword@h",
        "redis+sentinel://me:secretword@h:1,h:2/prices",
        "redis+cluster://me:secretword@h:1,h:2",
    ],
)
def test_the_password_of_any_kind_of_url_is_looked_at(url: str) -> None:
    assert of(FullSettings, "broadcaster", {}, REDIS_URL=url).secrets == {"REDIS_URL": "secretword"}


def test_passwords_in_a_query_are_looked_at_too() -> None:
    found = of(FullSettings, "broadcaster", {}, REDIS_URL="unix:///redis.sock?db=1&password=secret%26word").secrets
    assert found == {"REDIS_URL, password": "secret&word"}
    url = "redis+sentinel://h/prices?sentinel_password=short"
    found = of(FullSettings, "broadcaster", {}, REDIS_URL=url, REDIS_PASSWORD="secretword").secrets
    assert found == {"REDIS_PASSWORD": "secretword", "REDIS_URL, sentinel_password": "short"}
