"""docker-compose.yml for real: built, started, looked at from outside, and removed."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from cottage.redis import connect_blocking
from deploy.redis_server import free_port
from tests.support import ROOT

pytestmark = [pytest.mark.compose, pytest.mark.slow]

PROJECT = "cottage-test"
SERVICES = {"redis", "market", "feynman", "physics", "bridge", "broadcaster", "recorder"}
PASSWORD = "not@the/default#1"
IMAGE = "curiosity-cottage:local"
OPS_PORTS = {9101: "market", 9102: "feynman", 9103: "physics", 9104: "bridge", 9105: "broadcaster", 9106: "recorder"}


def compose_command() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    return None


class Stack:
    def __init__(self, compose: list[str]) -> None:
        self._compose = compose
        self.page, self.api, self.redis = free_port(), free_port(), free_port()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "RUN_DIR")},
            "COMPOSE_PROJECT_NAME": PROJECT,
            "BROADCASTER_PORT": str(self.page),
            "PHYSICS_PORT": str(self.api),
            "REDIS_PORT": str(self.redis),
            "REDIS_PASSWORD": PASSWORD,
            "OPS_SUBNET": "10.213.98",  # a suite that runs here already has the usual one
        }

    def __call__(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [*self._compose, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        return done.stdout + done.stderr

    def inspect(self, service: str) -> dict[str, Any]:
        container = self("ps", "-q", service).split()[0]
        done = subprocess.run(["docker", "inspect", container], capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found

    def health(self) -> dict[str, str]:
        return {service: self.inspect(service)["State"]["Health"]["Status"] for service in SERVICES}

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A runbook target, which finds the containers by itself."""
        return subprocess.run(
            ["make", "--no-print-directory", *arguments, "RUN_DIR=/nonexistent"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )


def until(condition: Callable[[], Any], timeout: float) -> Any:
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{condition} never came true"
        time.sleep(0.5)
    return value


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    compose = compose_command()
    if compose is None or subprocess.run(["docker", "info"], capture_output=True).returncode != 0:
        pytest.skip("no Docker engine on this machine")
    running = Stack(compose)
    try:
        running("up", "-d", "--build")
        until(lambda: set(running.health().values()) == {"healthy"}, 120)
        yield running
    finally:
        running("down", "--volumes", "--timeout", "10", check=False)


def state(stack: Stack, symbol: str = "SPY") -> dict[str, Any] | None:
    answer = httpx.get(f"http://127.0.0.1:{stack.api}/v1/physics/{symbol}", trust_env=False)
    return answer.json() if answer.status_code == 200 else None


def test_page_and_api_answer_and_states_move(stack: Stack) -> None:
    assert "<html" in httpx.get(f"http://127.0.0.1:{stack.page}/", trust_env=False).text
    first = until(lambda: state(stack), 30)
    until(lambda: (now := state(stack)) and (now["epoch"], now["seq"]) > (first["epoch"], first["seq"]), 10)


def test_nothing_but_page_and_api_is_published_and_those_on_this_machine(stack: Stack) -> None:
    published = {
        (service, binding["HostIp"], binding["HostPort"])
        for service in SERVICES
        for bindings in stack.inspect(service)["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
    }
    assert published == {
        ("physics", "127.0.0.1", str(stack.api)),
        ("broadcaster", "127.0.0.1", str(stack.page)),
    }


def test_the_broadcaster_cannot_reach_redis(stack: Stack) -> None:
    redis, broadcaster = stack.inspect("redis"), stack.inspect("broadcaster")
    assert not set(redis["NetworkSettings"]["Networks"]) & set(broadcaster["NetworkSettings"]["Networks"])
    assert PASSWORD not in json.dumps(broadcaster)
    address = next(iter(redis["NetworkSettings"]["Networks"].values()))["IPAddress"]
    for host in ("redis", address):
        code = f"import socket; socket.create_connection(({host!r}, 6379), 3); print('reached')"
        assert "reached\n" not in stack("exec", "-T", "broadcaster", "python", "-c", code, check=False)
        assert "reached\n" in stack("exec", "-T", "physics", "python", "-c", code, check=False)


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_container_has_rights_or_room_for_many_processes(stack: Stack, service: str) -> None:
    host = stack.inspect(service)["HostConfig"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert any("no-new-privileges" in option for option in host["SecurityOpt"])
    assert 0 < host["PidsLimit"] <= 256
    status = stack("exec", "-T", service, "cat", "/proc/1/status")
    assert re.search(r"^CapEff:\s*0+$", status, re.MULTILINE), status
    assert re.search(r"^CapBnd:\s*0+$", status, re.MULTILINE), status
    assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE), status
    assert not re.search(r"^Uid:\s*0\b", status, re.MULTILINE), status
    assert "Read-only" in stack("exec", "-T", service, "sh", "-c", "touch /anywhere", check=False)


@pytest.mark.parametrize("service", sorted(SERVICES - {"redis"}))
def test_services_are_nobody_and_bounded(stack: Stack, service: str) -> None:
    about = stack.inspect(service)
    assert about["Config"]["User"] == "10001:10001"
    assert about["HostConfig"]["Memory"] > 0
    assert about["HostConfig"]["ReadonlyRootfs"]
    assert about["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert about["HostConfig"]["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}


def test_redis_asks_for_the_password_and_has_room_to_fork(stack: Stack) -> None:
    code = "import socket; s = socket.create_connection(('redis', 6379), 3); s.send(b'PING\\r\\n'); print(s.recv(99))"
    assert "NOAUTH" in stack("exec", "-T", "physics", "python", "-c", code)
    assert stack.inspect("redis")["HostConfig"]["Memory"] >= 3 * 256 * 2**20


def test_the_runbook_works_through_a_container(stack: Stack, tmp_path: Path) -> None:
    until(lambda: state(stack), 30)
    assert json.loads(stack.make("state", "SYMBOL=SPY").stdout)["regime"]
    assert stack.make("state", "SYMBOL=NONE").returncode != 0
    assert "total_commands_processed: " in stack.make("stats").stdout
    dump = tmp_path / "dump.resp"
    assert stack.make("export", f"FILE={dump}").returncode == 0
    stack("stop", "market", "feynman")  # else everything is back before it can be missed
    refused = stack.make("flush")
    assert refused.returncode != 0
    assert "redis://:***@redis:6379" in refused.stderr
    assert stack.make("flush", "YES=1").returncode == 0
    assert stack.make("state", "SYMBOL=SPY").returncode != 0
    assert stack.make("import", f"FILE={dump}").returncode == 0
    assert json.loads(stack.make("state", "SYMBOL=SPY").stdout)["regime"]
    stack("restart", "redis")
    until(lambda: stack.make("state", "SYMBOL=SPY").returncode == 0, 60)
    stack("start", "market", "feynman")


def test_a_watch_that_is_ended_leaves_no_process_behind(stack: Stack) -> None:
    watching = subprocess.Popen(
        ["make", "--no-print-directory", "watch", "RUN_DIR=/nonexistent"],
        cwd=ROOT,
        env=stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert watching.stdout is not None
    assert watching.stdout.readline().startswith(b'{"event":')
    os.killpg(watching.pid, signal.SIGINT)
    watching.stdout.close()
    watching.wait(20)
    files = "glob.glob('/proc/[0-9]*/cmdline')"
    look = f"import glob; print(any(b'runbook\\0watch' in open(file, 'rb').read() for file in {files}))"
    until(lambda: stack("exec", "-T", "physics", "python", "-c", look).strip() == "False", 20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])  # the second one ends it with status 0
def test_a_container_that_ends_is_back_and_the_others_stay(stack: Stack, number: signal.Signals) -> None:
    before = {service: stack.inspect(service)["State"]["StartedAt"] for service in SERVICES}
    # As a crash does it: a kill by the engine counts as a stop by its user, and is not restarted.
    init = stack.inspect("feynman")["State"]["Pid"]
    for child in Path(f"/proc/{init}/task/{init}/children").read_text().split():
        os.kill(int(child), number)
    until(lambda: stack.inspect("feynman")["State"]["StartedAt"] != before["feynman"], 30)
    until(lambda: set(stack.health().values()) == {"healthy"}, 60)
    for service in SERVICES - {"feynman"}:
        assert stack.inspect(service)["State"]["StartedAt"] == before[service]


@pytest.mark.parametrize(
    "target", ["market:9101", "feynman:9102", "physics:9103", "bridge:9104", "broadcaster:9105", "recorder:9106"]
)
def test_another_container_scrapes_the_metrics(stack: Stack, target: str) -> None:
    code = (
        f"import urllib.request; print(urllib.request.urlopen('http://{target}/metrics', timeout=5).read().decode())"
    )
    command = ["docker", "run", "--rm", "--network", f"{PROJECT}_ops", IMAGE, "python", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"cottage_{target.partition(':')[0]}_" in done.stdout, done.stderr
    reach = "import socket; socket.create_connection(('redis', 6379), 3)"
    assert subprocess.run([*command[:-1], reach], capture_output=True).returncode != 0, "Redis is not on that network"


@pytest.mark.parametrize("port", OPS_PORTS)
def test_this_machine_and_other_networks_may_not_read_the_ops_ports(stack: Stack, port: int) -> None:
    """Through the gateway of a network, as from everywhere where a port were published."""
    service = OPS_PORTS[port]
    for network in stack.inspect(service)["NetworkSettings"]["Networks"].values():
        for path in ("/healthz", "/readyz", "/status", "/metrics"):
            assert httpx.get(f"http://{network['IPAddress']}:{port}{path}", trust_env=False).status_code == 403


def test_the_password_is_in_no_command_line_and_in_no_layer_of_the_image(stack: Stack) -> None:
    for service in SERVICES:
        about = stack.inspect(service)
        assert PASSWORD not in json.dumps([about["Path"], about["Args"], about["Config"]["Cmd"]])
        assert (
            PASSWORD
            not in subprocess.run(
                ["docker", "top", about["Id"], "-eo", "pid,args"], capture_output=True, text=True, check=True
            ).stdout
        )
        assert PASSWORD not in stack("logs", service)
    for command in (["docker", "history", "--no-trunc", IMAGE], ["docker", "image", "inspect", IMAGE]):
        assert PASSWORD not in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    made = subprocess.run(["docker", "create", IMAGE], capture_output=True, text=True, check=True).stdout.strip()
    try:
        files = subprocess.run(["docker", "export", made], capture_output=True, check=True).stdout
    finally:
        subprocess.run(["docker", "rm", made], capture_output=True, check=True)
    assert b"services/feynman" in files
    assert PASSWORD.encode() not in files


def test_the_overlay_replays_a_recording(stack: Stack, tmp_path: Path) -> None:
    lines = "".join(f"{1_700_000_000 + second},TAPE,{100 + second % 7},1\n" for second in range(600))
    (tmp_path / "tape.csv").write_text(f"timestamp,symbol,price,size\n{lines}")
    tmp_path.chmod(0o755)
    overlay = ("-f", "docker-compose.yml", "-f", "deploy/compose.replay.yml")
    assert "MARKET_FILE" in stack(*overlay, "config", check=False), "it says what is missing"
    stack.environment |= {"RECORDINGS": str(tmp_path), "MARKET_FILE": "tape.csv"}
    stack(*overlay, "up", "-d", "--no-deps", "market")
    until(lambda: (now := state(stack, "TAPE")) and now["source"] == "replay", 60)


def test_the_overlay_publishes_redis_on_this_machine(stack: Stack) -> None:
    """Last: it makes the container anew."""
    stack("-f", "docker-compose.yml", "-f", "deploy/compose.dev.yml", "up", "-d", "--no-deps", "redis")
    bindings = stack.inspect("redis")["NetworkSettings"]["Ports"]["6379/tcp"]
    assert {(binding["HostIp"], binding["HostPort"]) for binding in bindings} == {("127.0.0.1", str(stack.redis))}
    until(lambda: stack.inspect("redis")["State"]["Health"]["Status"] == "healthy", 60)
    with connect_blocking(f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{stack.redis}") as client:
        assert client.get("physics:state:SPY")
        client.hset(
            "market:snapshot:HOSTED", mapping={"price": "45.5", "timestamp": str(time.time()), "source": "myfeed"}
        )
        assert until(lambda: state(stack, "HOSTED"), 30)["source"] == "myfeed"


def test_redis_is_given_its_password_by_a_file(stack: Stack, tmp_path: Path) -> None:
    """Last: it makes all containers anew."""
    password = "p@ss/word of a file"
    path = tmp_path / "password"
    path.write_text(f"{password}\n")
    for folder in (path, *path.parents[:3]):
        folder.chmod(0o644 if folder is path else 0o755)
    stack.environment |= {"REDIS_PASSWORD": "", "REDIS_PASSWORD_FILE": str(path)}
    stack("up", "-d")
    until(lambda: set(stack.health().values()) == {"healthy"}, 120)
    until(lambda: state(stack), 60)
    for service in SERVICES:
        assert password not in json.dumps(stack.inspect(service))
    code = "import socket; s = socket.create_connection(('redis', 6379), 3); s.send(b'PING\\r\\n'); print(s.recv(99))"
    assert "NOAUTH" in stack("exec", "-T", "physics", "python", "-c", code)
    assert json.loads(stack.make("state", "SYMBOL=SPY").stdout)["regime"]
