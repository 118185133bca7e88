"""deploy/host/firewall.nft in a network namespace of its own: who reaches which port, before and after."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

RULES = ROOT / "deploy" / "host" / "firewall.nft"
INSIDE = (6379, 8766, 9101, 9106, 16379, 26379)
OUTSIDE = (8765, 8001, 443)

# Runs in a namespace without any network, and makes another one beside it, with a wire between the two: this one is
# the host, the other one is a stranger's machine. Says what was reached, as JSON.
TRIAL = """
import json, socket, subprocess, sys, time

rules, ports = sys.argv[1], [int(port) for port in sys.argv[2:]]
run = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True)
other = subprocess.Popen(["unshare", "-n", "sleep", "600"])
try:
    time.sleep(0.5)  # until unshare has become sleep
    inside = lambda *command: run("nsenter", "-t", str(other.pid), "-n", *command)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire2", "netns", str(other.pid))
    run("ip", "addr", "add", "10.9.0.1/24", "dev", "wire")
    run("ip", "-6", "addr", "add", "fd09::1/64", "dev", "wire", "nodad")
    run("ip", "link", "set", "wire", "up")
    inside("ip", "addr", "add", "10.9.0.2/24", "dev", "wire2")
    inside("ip", "addr", "add", "10.9.0.3/24", "dev", "wire2")
    inside("ip", "-6", "addr", "add", "fd09::2/64", "dev", "wire2", "nodad")
    inside("ip", "link", "set", "wire2", "up")
    listening = [socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) for port in ports]
    dial = (
        "import socket, sys\\n"
        "for port in sys.argv[3:]:\\n"
        "    try: socket.create_connection((sys.argv[1], int(port)), 0.7, (sys.argv[2], 0)).close()\\n"
        "    except OSError: continue\\n"
        "    print(port)\\n"
    )
    words = [str(port) for port in ports]
    def reached():
        found = {}
        for name, to, source, where in (
            ("stranger", "10.9.0.1", "10.9.0.2", inside), ("friend", "10.9.0.1", "10.9.0.3", inside),
            ("stranger6", "fd09::1", "fd09::2", inside), ("self", "127.0.0.1", "127.0.0.1", run),
            ("self6", "::1", "::1", run),
        ):
            out = where(sys.executable, "-c", dial, to, source, *words).stdout
            found[name] = [int(port) for port in out.split()]
        return found
    before = reached()
    for _ in range(2):  # the second time it replaces what the first one made
        run("nft", "-f", rules)
    after = reached()
    tables = run("nft", "list", "tables").stdout.split("\\n")
    print(json.dumps([before, after, [line for line in tables if line]]))
finally:
    other.kill()
    other.wait()
"""


def trial(rules: Path) -> tuple[dict[str, list[int]], dict[str, list[int]], list[str]]:
    for tool in ("nft", "ip", "unshare", "nsenter"):
        if shutil.which(tool) is None:
            pytest.skip(f"the firewall was NOT tried: there is no {tool} on this machine")
    # Root of a namespace of its own, who need not be root of the machine.
    own = ["unshare", "-rn"]
    allowed = subprocess.run([*own, "nft", "list", "ruleset"], capture_output=True, text=True)
    if allowed.returncode != 0:
        pytest.skip(f"the firewall was NOT tried: no network namespace here: {allowed.stderr.strip()[:200]}")
    words = [*own, sys.executable, "-c", TRIAL, str(rules), *map(str, (*INSIDE, *OUTSIDE))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    before, after, tables = json.loads(done.stdout)
    return before, after, tables


def test_strangers_reach_page_and_api_and_nothing_else() -> None:
    before, after, tables = trial(RULES)
    everything = [*INSIDE, *OUTSIDE]
    assert before == dict.fromkeys(("stranger", "friend", "stranger6", "self", "self6"), everything)
    assert after == {
        "stranger": list(OUTSIDE),
        "friend": list(OUTSIDE),
        "stranger6": list(OUTSIDE),
        "self": everything,
        "self6": everything,
    }
    assert tables == ["table inet cottage"]


def test_a_machine_that_is_named_reaches_what_it_is_named_for(tmp_path: Path) -> None:
    changed = tmp_path / "firewall.nft"
    changed.write_text(RULES.read_text().replace("redis_from_4 = { 127.0.0.1 }", "redis_from_4 = { 10.9.0.3 }"))
    _before, after, _tables = trial(changed)
    assert after["friend"] == [6379, 16379, 26379, *OUTSIDE]
    assert after["stranger"] == list(OUTSIDE)


def test_the_specifications_ports_are_those_of_the_settings() -> None:
    from deploy.run_plan import REDIS_PORT, SERVICES

    text = RULES.read_text()
    assert f"redis_ports = {{ {REDIS_PORT}," in text
    ops = sorted(service.ops_port for service in SERVICES)
    assert f"ops_ports = {{ {ops[0]}-{ops[-1]} }}" in text
    bridge = next(service.port for service in SERVICES if service.name == "bridge")
    assert f"link_ports = {{ {bridge} }}" in text
