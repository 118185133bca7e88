"""deploy/compose.production.yml for real: started with the files of its make target, and looked at by strangers."""

import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from deploy.production_files import REDIS_UID, hand_over, make
from tests.deploy.test_compose import IMAGE, SERVICES, Stack, compose_command, until

pytestmark = [pytest.mark.compose, pytest.mark.slow]

PROJECT = "cottage-production-test"
RUNNING = SERVICES - {"market"}
OVERLAY = ("-f", "docker-compose.yml", "-f", "deploy/compose.production.yml")


class ProductionStack(Stack):
    """The suite with its overlay, and the folder of its files."""

    def __init__(self, compose: list[str], folder: Path) -> None:
        super().__init__([*compose, *OVERLAY])
        self.folder = folder
        del self.environment["REDIS_PASSWORD"]
        self.environment |= {"COMPOSE_PROJECT_NAME": PROJECT, "PRODUCTION_FILES": str(folder)}

    def verified(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))

    def ask(self, path: str, token: str | None = None) -> httpx.Response:
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"https://127.0.0.1:{self.api}{path}"
        return httpx.get(url, headers=shown, verify=self.verified(), trust_env=False)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProductionStack]:
    compose = compose_command()
    if compose is None or subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        pytest.skip("no Docker engine on this machine")
    folder = tmp_path_factory.mktemp("production")
    image = ["docker", "run", "--rm", "--entrypoint", "id", "redis:7-alpine", "-u", "redis"]
    redis = int(subprocess.run(image, capture_output=True, text=True, check=True).stdout)  # a stand-in has another
    owners = {path: redis if uid == REDIS_UID else uid for path, uid in make(folder, []).items()}
    if hand_over(owners):
        pytest.skip("the files cannot be given to the containers' users: only root can")
    running = ProductionStack(compose, folder)
    try:
        running("up", "-d", "--build")
        until(lambda: set(health(running).values()) == {"healthy"}, 180)
        yield running
    finally:
        running("down", "--volumes", "--timeout", "10", check=False)


def health(stack: Stack) -> dict[str, str]:
    return {service: stack.inspect(service)["State"]["Health"]["Status"] for service in RUNNING}


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def minted(stack: ProductionStack) -> str:
    key = OKPKey.import_key(json.loads((stack.folder / "signing-key.json").read_text()))
    claims = {"sub": "desk", "aud": "cottage", "exp": int(time.time()) + 600, "jti": "1", "symbols": ["SPY"]}
    return jwt.encode({"alg": "EdDSA", "kid": key.kid}, claims, key, algorithms=["EdDSA"])


def test_no_simulated_market_runs(production: ProductionStack) -> None:
    assert production("ps", "-q", "market", check=False).strip() == ""


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_a_feed_is_seen_over_tls_by_whoever_has_a_token_and_by_nobody_else(production: ProductionStack) -> None:
    password = (production.folder / "redis" / "feed").read_text().strip()
    code = (
        "import os, time; from cottage.redis import connect_blocking\n"
        "client = connect_blocking(f'redis://feed:{os.environ[\"FEED\"]}@redis:6379')\n"
        "for _ in range(20):\n"
        "    client.hset('market:snapshot:SPY', mapping={'price': '450', 'timestamp': str(time.time())})\n"
        "    client.expire('market:snapshot:SPY', 60)\n"
        "    time.sleep(1)\n"
    )
    command = ["docker", "run", "-d", "--rm", "--network", f"{PROJECT}_state", "-e", f"FEED={password}"]
    feed = subprocess.run([*command, IMAGE, "python", "-c", code], capture_output=True, text=True, check=True)
    try:
        token = minted(production)
        until(lambda: production.ask("/v1/physics/SPY", token).status_code == 200, 30)
        assert production.ask("/v1/physics/QQQ", token).status_code == 403
        assert production.ask("/v1/physics/SPY").status_code == 401
    finally:
        subprocess.run(["docker", "kill", feed.stdout.strip()], capture_output=True)
    page = httpx.get(f"https://127.0.0.1:{production.page}/", verify=production.verified(), trust_env=False)
    assert "<html" in page.text
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://127.0.0.1:{production.page}/", trust_env=False)


def test_redis_asks_whoever_reaches_it(production: ProductionStack) -> None:
    code = "import socket; s = socket.create_connection(('redis', 6379), 3); s.send(b'PING\\r\\n'); print(s.recv(99))"
    assert "NOAUTH" in production("exec", "-T", "physics", "python", "-c", code)


@pytest.mark.parametrize("service", sorted(RUNNING))
def test_no_secret_is_in_what_docker_knows_or_in_a_process_list(production: ProductionStack, service: str) -> None:
    known = json.dumps(production.inspect(service)) + production(
        "exec", "-T", service, "sh", "-c", "cat /proc/*/cmdline"
    )
    for path in production.folder.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o077 == 0:
            assert path.read_text().strip() not in known, path.name


def test_every_service_reads_its_secrets_and_not_those_of_others(production: ProductionStack) -> None:
    for service in RUNNING - {"redis"}:
        seen = production("exec", "-T", service, "ls", "/run/secrets").split()
        assert [name for name in seen if name.startswith("redis-")] == (
            [] if service == "broadcaster" else [f"redis-{service}"]
        )
        readable = "all(os.access(f'/run/secrets/{name}', os.R_OK) for name in os.listdir('/run/secrets'))"
        assert "True" in production("exec", "-T", service, "python", "-c", f"import os; print({readable})")


def test_without_its_overlay_production_starts_nothing(production: ProductionStack) -> None:
    """Half-open as development is, each service says so and ends with 2."""
    command = ["docker", "run", "--rm", "-e", "COTTAGE_ENV=production", "-e", "BRIDGE_HOST=0.0.0.0"]
    network = ["--network", f"{PROJECT}_state", "-e", "REDIS_URL=redis://redis:6379"]
    done = subprocess.run(
        [*command, *network, IMAGE, "python", "-m", "services.bridge"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 2
    assert "bridge: LINK_SECRET: " in done.stderr
    assert "bridge: BRIDGE_HOST: " in done.stderr
