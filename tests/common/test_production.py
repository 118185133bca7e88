"""Each rule of the production switch alone: the fault is found, and nothing in what is as it should be."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from common.exposure import Exposure, GuardedFile, LinkEnd, Listener
from common.production import RULES, findings, findings_together

STRONG = "q8Zr1vKx0TnYw5LhUe2BjGd7MpSaCf4o"
OWNER = 10001

GOOD = Exposure(
    service="broadcaster",
    clients=Listener("BROADCASTER_HOST", "0.0.0.0", beyond=True, encrypted=True),
    ops=Listener("BROADCASTER_OPS_HOST", "0.0.0.0", beyond=True),
    link=LinkEnd("BROADCASTER_BRIDGE_URL", beyond=True, encrypted=True, dials=True),
    keys=("AUTH_JWKS_FILE",),
    shares_port=True,
    ops_allow=(ip_network("10.1.0.0/16"),),
    secrets={"LINK_SECRET": STRONG, "REDIS_PASSWORD": STRONG[:16], "OPS_TOKEN": STRONG[::-1]},
    files=(
        GuardedFile("LINK_SECRET_FILE", True, "/run/secrets/link", OWNER, 0o600),
        GuardedFile("BROADCASTER_TLS_KEY_FILE", True, "/etc/cottage/key.pem", 0, 0o640),
        GuardedFile("AUTH_JWKS_FILE", False, "/etc/cottage/keys.json", 0, 0o644),
    ),
    lists={"ALLOWED_HOSTS": ("desk.example",), "ALLOWED_ORIGINS": ("https://desk.example",)},
    market_source="replay",
    uid=OWNER,
)
BRIDGE = replace(
    GOOD, service="bridge", clients=None, link=LinkEnd("BRIDGE_HOST", beyond=True, encrypted=True, dials=False)
)
BY_PROXY = replace(
    GOOD,
    clients=Listener("BROADCASTER_HOST", "0.0.0.0", beyond=True),
    proxies=(ip_network("10.1.0.7/32"), ip_network("fd00::7/128")),
)
AT_HOME = replace(
    GOOD,
    clients=Listener("BROADCASTER_HOST", "127.0.0.1", beyond=False),
    ops=Listener("BROADCASTER_OPS_HOST", "127.0.0.1", beyond=False),
    link=LinkEnd("BROADCASTER_BRIDGE_URL", beyond=False, encrypted=False, dials=True),
    keys=(),
    ops_allow=(),
)
DESK = replace(GOOD, keys=("AUTH_SECRET",), shares_port=False)


@pytest.mark.parametrize("good", [GOOD, BRIDGE, BY_PROXY, AT_HOME, DESK])
def test_nothing_is_found_in_what_is_as_it_should_be(good: Exposure) -> None:
    assert findings(good) == []


def file(setting: str, mode: int, owner: int = OWNER, *, private: bool = True, open_folder: str = "") -> Exposure:
    return replace(GOOD, files=(GuardedFile(setting, private, "/x", owner, mode, open_folder),))


FAULTS = [
    (replace(GOOD, keys=()), "BROADCASTER_HOST", "AUTH_JWKS_FILE"),
    (replace(BY_PROXY, proxies=()), "BROADCASTER_HOST", "BROADCASTER_TLS_CERT_FILE"),
    (replace(BY_PROXY, proxies=(ip_network("0.0.0.0/0"),)), "BROADCASTER_TRUSTED_PROXIES", "own address"),
    (replace(BY_PROXY, proxies=(ip_network("::/0"),)), "BROADCASTER_TRUSTED_PROXIES", "own address"),
    (
        replace(BY_PROXY, proxies=(ip_network("127.0.0.1"), ip_network("::1"))),
        "BROADCASTER_HOST",
        "listen on 127.0.0.1",
    ),
    (replace(GOOD, secrets={}), "LINK_SECRET", "LINK_SECRET_FILE"),
    (replace(BRIDGE, secrets={}), "LINK_SECRET", "LINK_SECRET_FILE"),
    (replace(AT_HOME, secrets={}), "LINK_SECRET", "LINK_SECRET_FILE"),
    (
        replace(GOOD, link=LinkEnd("RECORDER_BRIDGE_URL", beyond=True, encrypted=False, dials=True)),
        "RECORDER_BRIDGE_URL",
        "wss://",
    ),
    (
        replace(BRIDGE, link=LinkEnd("BRIDGE_HOST", beyond=True, encrypted=False, dials=False)),
        "BRIDGE_HOST",
        "BRIDGE_TLS_CERT_FILE",
    ),
    (replace(GOOD, secrets={"LINK_SECRET": STRONG[:31]}), "LINK_SECRET", "32 bytes"),
    (replace(GOOD, secrets={**GOOD.secrets, "AUTH_SECRET": "changeme" * 4}), "AUTH_SECRET", "random"),
    (replace(GOOD, secrets={**GOOD.secrets, "AUTH_SECRET": "a" * 64}), "AUTH_SECRET", "random"),
    (
        replace(GOOD, secrets={**GOOD.secrets, "AUTH_SECRET": "0123456789abcdef0123456789abcdef"}),
        "AUTH_SECRET",
        "random",
    ),
    (
        replace(GOOD, secrets={**GOOD.secrets, "OPS_TOKEN": "Curiosity-Cottage_Default-Secret"}),
        "OPS_TOKEN",
        "random",
    ),
    (replace(GOOD, secrets={**GOOD.secrets, "REDIS_PASSWORD": "foobared"}), "REDIS_PASSWORD", "16 bytes"),
    (replace(GOOD, secrets={**GOOD.secrets, "REDIS_URL": "passwordpassword"}), "REDIS_URL", "random"),
    (file("LINK_SECRET_FILE", 0o644), "LINK_SECRET_FILE", "others can read /x: chmod 600"),
    (file("LINK_SECRET_FILE", 0o640), "LINK_SECRET_FILE", "chmod 600"),
    (file("LINK_SECRET_FILE", 0o620), "LINK_SECRET_FILE", "others can write /x: chmod 600"),
    (file("LINK_SECRET_FILE", 0o602), "LINK_SECRET_FILE", "others can write"),
    (file("LINK_SECRET_FILE", 0o644, owner=0), "LINK_SECRET_FILE", "chmod 640"),
    (file("LINK_SECRET_FILE", 0o600, owner=1000), "LINK_SECRET_FILE", "another user"),
    (file("AUTH_JWKS_FILE", 0o666, private=False), "AUTH_JWKS_FILE", "chmod 644"),
    (file("AUTH_JWKS_FILE", 0o664, owner=0, private=False), "AUTH_JWKS_FILE", "chmod 644"),
    (file("AUTH_JWKS_FILE", 0o644, private=False, open_folder="/shared"), "AUTH_JWKS_FILE", "chmod o-w /shared"),
    (replace(GOOD, keys=("AUTH_SECRET", "AUTH_JWKS_FILE")), "AUTH_SECRET", "beside AUTH_JWKS_FILE"),
    (replace(DESK, shares_port=True), "AUTH_SECRET", "BROADCASTER_SHARE_PORT"),
    (replace(GOOD, lists={"ALLOWED_ORIGINS": ("https://desk.example", "*")}), "ALLOWED_ORIGINS", "origins"),
    (replace(GOOD, lists={"PHYSICS_ORIGINS": ("*",)}), "PHYSICS_ORIGINS", "origins"),
    (replace(GOOD, lists={"ALLOWED_HOSTS": ("*",)}), "ALLOWED_HOSTS", "names"),
    (replace(GOOD, market_source="simulate"), "MARKET_SOURCE", "feed"),
    (replace(GOOD, ops_allow=()), "BROADCASTER_OPS_HOST", "OPS_ALLOW"),
    (replace(GOOD, ops_allow=(ip_network("10.0.0.0/8"), ip_network("0.0.0.0/0"))), "OPS_ALLOW", "world"),
    (replace(GOOD, ops_allow=(ip_network("0.0.0.0/1"), ip_network("128.0.0.0/1"))), "OPS_ALLOW", "world"),
    (replace(GOOD, ops_allow=(ip_network("::/0"),), ops_token=True), "OPS_ALLOW", "world"),
    (replace(GOOD, ops_allow=(ip_network("f000::/4"),)), "OPS_ALLOW", "world"),
    (replace(GOOD, files=(), uid=0), "it runs as root", "user of its own"),
]


@pytest.mark.parametrize(("exposed", "setting", "mend"), FAULTS)
def test_one_fault_is_one_line_that_names_setting_and_remedy(exposed: Exposure, setting: str, mend: str) -> None:
    (line,) = findings(exposed)
    assert line.startswith(f"{setting}: "), line
    assert mend in line
    assert "\n" not in line
    assert not any(secret in line for secret in exposed.secrets.values() if len(secret) > 8)


def test_every_rule_has_a_fault() -> None:
    assert {rule for exposed, _setting, _mend in FAULTS for rule in RULES if list(rule(exposed))} == set(RULES)


def test_private_networks_are_not_the_world() -> None:
    networks = tuple(map(ip_network, ("10.0.0.0/8", "fd00::/8", "fc00::/7")))
    assert findings(replace(BY_PROXY, ops_allow=networks, proxies=networks)) == []


def test_a_token_guards_an_ops_port_like_a_list_of_networks() -> None:
    assert findings(replace(GOOD, ops_allow=(), ops_token=True)) == []


def test_random_secrets_are_good_ones() -> None:
    import secrets

    for _ in range(2000):
        for made in (secrets.token_hex(32), secrets.token_urlsafe(32)):
            assert findings(replace(GOOD, secrets={"LINK_SECRET": made})) == []
        assert findings(replace(GOOD, secrets={**GOOD.secrets, "REDIS_PASSWORD": secrets.token_urlsafe(16)})) == []


def test_a_secret_that_two_services_check_with_is_found_by_looking_at_both() -> None:
    physics = replace(DESK, service="physics")
    (line,) = findings_together([DESK, physics, replace(BRIDGE, keys=())])
    assert line.startswith("AUTH_SECRET: broadcaster and physics both check with it")
    assert findings_together([DESK, replace(physics, keys=("AUTH_JWKS_FILE",))]) == []
    assert findings_together([GOOD, replace(GOOD, service="physics")]) == []
    assert findings_together([]) == []
