"""`make production-files`; and the overlay for production, its files and the settings of services fit together."""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it has no types
from joserfc import jwt
from joserfc.jwk import OKPKey

from common.auth.claims import ClaimRules
from common.auth.compact_token import CompactToken
from common.auth.key_ring import KeyRing
from common.auth.verifier import TokenVerifier
from common.auth.watched_file import WatchedFile
from cottage.errors import RedisRefused, SettingsError
from cottage.redis import connect, receptions
from deploy.acl import DEFAULT_OFF
from deploy.production_files import REDIS_UID, SERVICE_UID, hand_over, main, make
from deploy.redis_server import Server, free_port, start
from deploy.run_plan import SERVICES
from services.broadcaster.bridge_link import MOST_STATE_BYTES
from services.broadcaster.settings import BroadcasterSettings
from tests.support import IN_MEMORY, ROOT
from tests.test_readme import settings_of

OVERLAY = ROOT / "deploy" / "compose.production.yml"
FOLDER = "${PRODUCTION_FILES:-./.run/production}/"


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("production")
    make(folder, ["cottage.example.com", "10.1.0.7"])
    return folder


def test_secrets_are_their_owners_alone(files: Path) -> None:
    public = {"redis.acl", "ca.pem", "bridge.pem", "page.pem", "keys.json", "denied-tokens"}
    for path in files.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == (0o644 if path.name in public else 0o600), path
    assert files.stat().st_mode & 0o077 == 0
    secret = [path.read_bytes() for path in files.rglob("*") if path.is_file() and path.name not in public]
    assert len(set(secret)) == len(secret), "none is used twice"
    assert all(len(each) >= 32 for each in secret)


def test_what_is_there_is_kept(files: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    make(files, [])
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("elsewhere", [("ca-key.pem", "signing-key.json"), ("bridge.pem", "ca.pem", "keys.json")])
def test_nothing_is_overwritten_where_one_of_a_pair_is_missing(
    files: Path, tmp_path: Path, elsewhere: tuple[str, ...]
) -> None:
    """The key that mints is an issuer's, or that of the CA in a safe; and what follows from a key is made of it."""
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    for name in elsewhere:
        (folder / name).unlink()
    before = content(folder)
    make(folder, [])
    after = content(folder)
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {name for name in elsewhere if "key." not in name}
    assert after["keys.json"] == (files / "keys.json").read_bytes(), "of the same key"
    make(folder, [])
    assert content(folder) == after, "and they fit together"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:150])


def another(path: Path) -> None:
    own = path.parent.parent / "another"
    make(own, [])
    shutil.copy(own / path.name, path)


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("bridge.pem", cut, "bridge.pem: is no whole PEM file"),
        ("page-key.pem", cut, "page-key.pem: is no whole PEM file"),
        ("page-key.pem", another, "the key is not the certificate's"),
        ("bridge-key.pem", Path.unlink, "bridge-key.pem: put that there"),
        ("ca.pem", cut, "ca.pem is no certificate"),
        ("ca.pem", another, "signed by another CA"),
        ("keys.json", cut, "keys.json "),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_overwritten(
    files: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], None],
    says: str,
) -> None:
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    damage(folder / name)
    before = content(folder)
    assert main([str(folder)]) == 2
    line = capsys.readouterr().err
    assert says in line
    assert line.count("\n") == 1
    assert content(folder) == before


def test_a_certificate_that_is_not_for_a_name_is_named(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    shutil.copytree(files, folder)
    with pytest.raises(SettingsError, match=r"page\.pem is not for new\.example, 10\.1\.0\.9: remove it"):
        make(folder, ["cottage.example.com", "new.example", "10.1.0.9"])
    with pytest.raises(SettingsError, match=r"^NAMES: a b must be an address or the name of a host"):
        make(folder, ["a b"])
    (folder / "page.pem").unlink()
    make(folder, ["new.example", "*.wild.example", "bücher.example"])
    assert (folder / "page-key.pem").read_bytes() == (files / "page-key.pem").read_bytes()


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        ("bridge", "bridge"),
        ("page", "localhost"),
        ("page", "127.0.0.1"),
        ("page", "cottage.example.com"),
        ("page", "10.1.0.7"),
    ],
)
async def test_a_certificate_is_taken_by_who_knows_the_ca(files: Path, certificate: str, name: str) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files / f"{certificate}.pem", files / f"{certificate}-key.pem")
    client = ssl.create_default_context(cafile=str(files / "ca.pem"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as by default from Python 3.13 on

    async def served(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(served, "127.0.0.1", 0, ssl=server)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        _reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="another.example")


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the name, in favour of another one of the same algorithm
def test_what_the_signing_key_mints_the_public_keys_verify_and_nothing_of_it_is_in_them(files: Path) -> None:
    private = OKPKey.import_key(json.loads((files / "signing-key.json").read_text()))
    text = (files / "keys.json").read_bytes()
    header = {"alg": "EdDSA", "kid": private.kid}
    token = CompactToken.parse(jwt.encode(header, {"sub": "me"}, private, algorithms=["EdDSA"]))
    key = KeyRing.parse(text).find(token)
    assert key is not None
    assert key.signed(token)
    (entry,) = json.loads(text)["keys"]
    assert "d" not in entry


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_the_program_of_the_document_mints_a_token_that_is_taken(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert "/etc/cottage/" in program
    exec(program.replace("/etc/cottage", str(files)), {})
    keys = WatchedFile("AUTH_JWKS_FILE", str(files / "keys.json"), KeyRing.parse, time.monotonic)
    verifier = TokenVerifier(ClaimRules("cottage", 86_400), time.time, keys=keys)
    grant = verifier.grant(capsys.readouterr().out.strip())
    assert grant.principal == "zoe"


def test_each_file_goes_to_the_user_that_reads_it(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners = make(files, [])
    given: dict[Path, int] = {}
    monkeypatch.setattr(os, "chown", lambda path, uid, _gid: given.__setitem__(path, uid))
    assert hand_over(owners) == []
    assert {path.relative_to(files).as_posix() for path, uid in given.items() if uid == REDIS_UID} == {
        "redis.acl",
        "redis/health",
    }
    assert not any(path.name in ("ca-key.pem", "signing-key.json", "operator", "feed") for path in given)

    def refused(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refused)
    commands = hand_over(owners)
    assert [line.split()[:3] for line in commands] == [
        ["sudo", "chown", f"{SERVICE_UID}:{SERVICE_UID}"],
        ["sudo", "chown", f"{REDIS_UID}:{REDIS_UID}"],
    ]
    assert f"{files}/link-secret" in commands[0]


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "file" / "folder")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    make(tmp_path / "good", [])
    (tmp_path / "good" / "ca-key.pem").write_bytes(b"no key")
    (tmp_path / "good" / "page.pem").unlink()
    assert main([str(tmp_path / "good")]) == 2


async def test_the_acl_file_serves_its_users_to_other_machines_with_protected_mode_on(
    files: Path, server_binaries: dict[str, Server], tmp_path: Path
) -> None:
    """Protected mode refuses whoever comes over a network while `default` has no password. It is off here."""
    text = (files / "redis.acl").read_text()
    assert text.startswith(f"{DEFAULT_OFF}\n")
    server = server_binaries["valkey"]
    address = _own_address()
    options = (*IN_MEMORY, "--bind", "0.0.0.0", "--protected-mode", "yes")
    with start(server, tmp_path / "data", free_port(), config=None, arguments=options) as bare:
        async with connect(f"redis://{address}:{bare.port}") as client:
            with pytest.raises(Exception, match=r"protected mode|DENIED"):
                await client.ping()
    acl = ("--aclfile", str(files / "redis.acl"))
    with start(server, tmp_path / "data", free_port(), config=None, arguments=(*options, *acl)) as running:
        password = (files / "redis" / "health").read_text().strip()
        async with connect(f"redis://health:{password}@{address}:{running.port}") as client:
            assert await client.ping()
            assert [each.admits for each in await receptions(client)] == [False]
        async with connect(f"redis://{address}:{running.port}") as client:
            with pytest.raises(RedisRefused):
                await client.ping()


def _own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            pytest.skip("this machine has no network but its own")
        return str(sock.getsockname()[0])


def test_the_overlay_names_files_that_are_made_and_each_is_its_readers(files: Path) -> None:
    overlay = document(OVERLAY)
    owners = make(files, [])
    places = {name: str(each["file"]) for name, each in overlay["secrets"].items()}
    for place in places.values():
        assert place.startswith(FOLDER)
        assert (files / place.removeprefix(FOLDER)).is_file(), place
    used = {name for service in overlay["services"].values() for name in service["secrets"]}
    assert used == places.keys()
    for service, each in overlay["services"].items():
        for name in each["secrets"]:
            uid = owners[files / places[name].removeprefix(FOLDER)]
            assert uid == (REDIS_UID if service == "redis" else SERVICE_UID), name
            if name.startswith("redis-") and service != "redis":
                assert name == f"redis-{service}", "no service sees the password of another one"
        named = re.findall(r"/run/secrets/([\w-]+)", json.dumps(each))
        assert set(named) == set(each["secrets"])


def test_the_overlay_sets_what_services_read_and_production_everywhere() -> None:
    overlay, base = document(OVERLAY), document(ROOT / "docker-compose.yml")
    assert overlay["services"].keys() == base["services"].keys()
    for service in SERVICES:
        kind = settings_of(service.name)
        known = {kind.variable(name) for name in kind.model_fields} | set(kind.secrets())
        environment = overlay["services"][service.name]["environment"]
        assert environment["COTTAGE_ENV"] == "production"
        assert environment.keys() <= known, service.name
        for name in environment:
            if name.endswith("_FILE") and name.removesuffix("_FILE") in kind.secrets():
                assert environment.get(name.removesuffix("_FILE"), "not set") in ("", "not set"), (
                    "both would be refused"
                )
        for name in ("REDIS_PASSWORD", "OPS_TOKEN"):
            assert environment.get(name) == "" or name not in base["services"][service.name]["environment"]
        assert "COTTAGE_ENV" in base["services"][service.name]["environment"], "the switch reaches every container"


def test_redis_is_not_opened_in_production() -> None:
    redis = document(OVERLAY)["services"]["redis"]
    assert "--protected-mode" not in redis["command"]
    assert "--requirepass" not in redis["command"]
    assert "ports" not in redis


@pytest.mark.parametrize("path", [ROOT / "docker-compose.yml", OVERLAY])
def test_compose_files_are_for_old_and_new_programs(path: Path) -> None:
    found = document(path)
    assert not {"name", "version", "include"} & found.keys()
    for each in found["services"].values():
        build = each.get("build", {})
        assert build.keys() <= {"context", "dockerfile"}


def test_every_container_is_bounded_and_has_no_rights() -> None:
    for name, each in document(ROOT / "docker-compose.yml")["services"].items():
        assert each["read_only"] is True, name
        assert each["cap_drop"] == ["ALL"], name
        assert "cap_add" not in each, name
        assert each["security_opt"] == ["no-new-privileges:true"], name
        assert 0 < each["pids_limit"] <= 256, name
        assert each["mem_limit"], name
        assert "privileged" not in each


def test_the_broadcasters_memory_holds_as_many_connections_as_it_takes() -> None:
    """Over TLS, as docs/speed.md measured, beside the states that it keeps; an eighth of them may read slowly."""
    measured = re.search(
        r"^\| KiB of an idle connection \| \d+ \| (\d+) \|", (ROOT / "docs" / "speed.md").read_text(), re.MULTILINE
    )
    assert measured is not None
    connections = BroadcasterSettings.model_fields["max_connections"].default
    needed = connections * int(measured[1]) * 2**10 + MOST_STATE_BYTES + connections // 8 * 256 * 2**10
    limit = document(ROOT / "docker-compose.yml")["services"]["broadcaster"]["mem_limit"]
    assert needed <= int(limit.removesuffix("g")) * 2**30
    assert "mem_limit" not in document(OVERLAY)["services"]["broadcaster"], "it holds in production too"


def test_a_short_secret_of_before_is_refused(tmp_path: Path) -> None:
    make(tmp_path, [])
    (tmp_path / "link-secret").write_text("short\n")
    with pytest.raises(SettingsError, match="link-secret"):
        make(tmp_path, [])
