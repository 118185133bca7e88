"""`make check-production`, on its module: every line at once, nothing started, and a clear word where all is well."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from common import exposure
from common.settings import PREFIXES
from deploy.check_production import check, main
from deploy.production_files import make
from deploy.redis_server import RunningServer, free_port
from tests.support import ROOT, OwnRedis
from tests.test_readme import SERVICES, settings_of


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One without our settings, of a process that is not root."""
    for name in list(os.environ):
        if name.upper().startswith(("REDIS_", "AUTH_", "LINK_", "OPS_", "COTTAGE_", "ALLOWED_", *PREFIXES)):
            monkeypatch.delenv(name)
    monkeypatch.setattr("os.geteuid", lambda: 10001)
    return monkeypatch


def test_every_line_is_said_once_with_all_services_that_it_is_of(
    environment: pytest.MonkeyPatch, redis_server: RunningServer
) -> None:
    environment.setenv("REDIS_URL", f"redis://:a-password-that-nobody-asked@127.0.0.1:{redis_server.port}")
    environment.setenv("ALLOWED_ORIGINS", "*")
    environment.setenv("BRIDGE_OPS_HOST", "0.0.0.0")
    lines = check(["market", "feynman", "physics", "bridge", "broadcaster", "recorder"])
    of_redis = [line for line in lines if "without credentials" in line]
    assert [line.partition(": ")[0] for line in of_redis] == ["market, feynman, physics, bridge, recorder"]
    assert any(
        line.startswith("market, feynman, physics, bridge, broadcaster, recorder: ALLOWED_O") for line in lines
    )
    assert any(line.startswith("market: MARKET_SOURCE: ") for line in lines)
    assert any(line.startswith("bridge: BRIDGE_OPS_HOST: ") for line in lines)
    assert len(lines) == len(set(lines))


def test_only_the_named_services_are_looked_at(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert not any("market" in line.partition(":")[0] for line in check(["bridge", "broadcaster"]))


def test_a_setting_that_cannot_be_is_a_line_too(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BROADCASTER_PORT", "99999")
    lines = check(["broadcaster"])
    assert [line for line in lines if line.startswith("broadcaster: BROADCASTER_PORT: must be")]


def said_of(services: list[str]) -> list[str]:
    """The settings with which the lines begin."""
    return [line.split(": ")[1] for line in check(services)]


def test_a_setting_that_is_refused_hides_no_other_finding(
    environment: pytest.MonkeyPatch, own_redis: OwnRedis, tmp_path: Path
) -> None:
    environment.setenv("REDIS_URL", own_redis.url)
    environment.setenv("LINK_SECRET", "short")
    environment.setenv("BRIDGE_OPS_HOST", "0.0.0.0")
    environment.setenv("ALLOWED_HOSTS", "*")
    assert said_of(["bridge"]) == ["LINK_SECRET", "ALLOWED_HOSTS", "BRIDGE_OPS_HOST", "REDIS_URL"]
    environment.setenv("BRIDGE_TLS_CERT_FILE", "/nowhere.pem")
    environment.setenv("BRIDGE_TLS_KEY_FILE", "/nowhere.pem")
    environment.setenv("LINK_SECRET", "q8Zr1vKx0TnYw5LhUe2BjGd7MpSaCf4o")
    assert said_of(["bridge"]) == ["BRIDGE_TLS_CERT_FILE", "ALLOWED_HOSTS", "BRIDGE_OPS_HOST", "REDIS_URL"]


def test_of_what_is_refused_nothing_else_is_said(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the default in its place one would be told to set what is set, or of a Redis that is none of theirs."""
    (tmp_path / "url").write_text("redis://localhost/abc")
    (tmp_path / "url").chmod(0o644)
    environment.setenv("REDIS_URL_FILE", str(tmp_path / "url"))
    environment.setenv("OPS_TOKEN", "short")
    environment.setenv("BRIDGE_OPS_HOST", "0.0.0.0")
    environment.setenv("LINK_SECRET_FILE", "/nowhere")
    environment.setattr("os.geteuid", lambda: os.getuid())
    found = [said for said in said_of(["bridge"]) if said != "it runs as root"]
    assert sorted(found) == ["LINK_SECRET_FILE", "OPS_TOKEN", "REDIS_URL", "REDIS_URL_FILE"]


def test_where_settings_contradict_one_another_it_is_said_that_the_rest_was_not_looked_at(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("BRIDGE_TLS_CERT_FILE", "/nowhere.pem")
    first, second = check(["bridge"])
    assert first.startswith("bridge: BRIDGE_TLS_CERT_FILE: goes with BRIDGE_TLS_KEY_FILE")
    assert second.startswith("bridge: what else is half-open was not looked at")


def test_a_redis_that_is_away_was_not_tried_and_that_is_said(environment: pytest.MonkeyPatch) -> None:
    port = free_port()
    environment.setenv("REDIS_URL", f"redis://127.0.0.1:{port}")
    assert check(["feynman"]) == [
        f"feynman: REDIS_URL: 127.0.0.1:{port} was not tried, since it cannot be reached: start it"
    ]


def test_nothing_found_is_said(
    environment: pytest.MonkeyPatch, own_redis: OwnRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    own_redis.restart("--requirepass", "q8Zr1vKx0TnYw5LhUe2B")
    environment.setenv("REDIS_URL", f"redis://:q8Zr1vKx0TnYw5LhUe2B@127.0.0.1:{own_redis.port}")
    assert main(["feynman"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "nothing found: feynman"
    assert second.startswith("COTTAGE_ENV=production is not set here")
    environment.setenv("COTTAGE_ENV", "production")
    assert main(["feynman"]) == 0
    assert capsys.readouterr().out.splitlines() == ["nothing found: feynman"]
    assert main(["feynman", "phisics"]) == 2


def run(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.check_production"],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_as_a_process_it_ends_with_2_and_starts_nothing(tmp_path: Path) -> None:
    done = run({"REDIS_URL": f"redis://127.0.0.1:{free_port()}", "RUN_DIR": str(tmp_path / "run")})
    assert done.returncode == 2
    assert done.stderr == ""
    assert "market: MARKET_SOURCE: simulate writes invented prices" in done.stdout
    assert "bridge, broadcaster, recorder: LINK_SECRET: " in done.stdout
    assert not (tmp_path / "run").exists()


def test_every_name_that_is_looked_at_is_a_setting_of_some_service() -> None:
    """One that was renamed would never be found at fault."""
    known = {kind.variable(name) for kind in map(settings_of, SERVICES) for name in kind.model_fields}
    named = {*exposure.SECRETS, *exposure.PRIVATE_FILES, *exposure.PUBLIC_FILES, *exposure.LISTS, *exposure.KEYS}
    named |= {f"{service}_TRUSTED_PROXIES" for service in exposure.CLIENTS}
    named |= {"BROADCASTER_SHARE_PORT", "OPS_ALLOW", "OPS_TOKEN", "MARKET_SOURCE", "RECORDER", "BRIDGE_HOST"}
    assert named <= known


def test_a_suite_that_is_as_it_should_be_by_the_settings_of_its_services(
    environment: pytest.MonkeyPatch, own_redis: OwnRedis, tmp_path: Path
) -> None:
    """With what `make production-files` makes, beyond loopback, nothing is found; and then what is left out."""
    environment.setattr("os.geteuid", lambda: os.getuid())
    files = tmp_path / "files"
    make(files, [])
    own_redis.restart("--requirepass", (files / "redis" / "feynman").read_text().strip())
    environment.setenv("REDIS_URL", f"redis://127.0.0.1:{own_redis.port}")
    environment.setenv("REDIS_PASSWORD_FILE", str(files / "redis" / "feynman"))
    environment.setenv("AUTH_JWKS_FILE", str(files / "keys.json"))
    environment.setenv("OPS_TOKEN_FILE", str(files / "ops-token"))
    environment.setenv("LINK_SECRET_FILE", str(files / "link-secret"))
    for service, name in (("PHYSICS", "page"), ("BRIDGE", "bridge")):
        environment.setenv(f"{service}_HOST", "0.0.0.0")
        environment.setenv(f"{service}_OPS_HOST", "0.0.0.0")
        environment.setenv(f"{service}_TLS_CERT_FILE", str(files / f"{name}.pem"))
        environment.setenv(f"{service}_TLS_KEY_FILE", str(files / f"{name}-key.pem"))
    services = ["feynman", "physics", "bridge"]

    def found() -> set[str]:
        lines = (line.partition(": ")[2] for line in check(services) if "runs as root" not in line)
        return {line.partition(":")[0] for line in lines}

    assert found() == set()
    (files / "page-key.pem").chmod(0o644)
    assert found() == {"PHYSICS_TLS_KEY_FILE"}
    (files / "page-key.pem").chmod(0o600)
    environment.delenv("OPS_TOKEN_FILE")
    assert found() == {"PHYSICS_OPS_HOST", "BRIDGE_OPS_HOST"}
    environment.setenv("OPS_ALLOW", "10.0.0.0/8")
    assert found() == set()
    environment.delenv("AUTH_JWKS_FILE")
    assert found() == {"PHYSICS_HOST"}
    environment.setenv("AUTH_SECRET", "q8Zr1vKx0TnYw5LhUe2BjGd7MpSaCf4o")
    assert found() == set(), "one process checks with it"
    environment.delenv("BRIDGE_TLS_CERT_FILE")
    environment.delenv("BRIDGE_TLS_KEY_FILE")
    assert found() == {"BRIDGE_HOST"}
    environment.setenv("PHYSICS_TRUSTED_PROXIES", "10.1.0.7")
    environment.delenv("PHYSICS_TLS_CERT_FILE")
    environment.delenv("PHYSICS_TLS_KEY_FILE")
    assert found() == {"BRIDGE_HOST"}, "a proxy that is named ends TLS"
    environment.delenv("PHYSICS_TRUSTED_PROXIES")
    assert found() == {"BRIDGE_HOST", "PHYSICS_HOST"}
