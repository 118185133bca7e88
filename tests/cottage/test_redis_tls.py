"""REDIS_CA_FILE, REDIS_CERT_FILE and REDIS_KEY_FILE."""

import subprocess
from pathlib import Path

import pytest

from cottage.errors import SettingsError
from cottage.redis.topology import topology
from cottage.redis_login import redis_url_of
from cottage.redis_tls import url_with_tls
from tests.certificates import Authority, Pair


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("client", client=True)


def test_without_files_the_url_stays_as_it_is() -> None:
    for url in ("redis://h", "rediss://h", "unix:///x", "redis+cluster://a,b"):
        assert url_with_tls(url, "", "", "") == url


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
def test_they_are_options_of_each_connection(kind: str, authority: Authority, pair: Pair) -> None:
    master = "/m" if kind == "sentinel" else ""
    url = url_with_tls(f"rediss+{kind}://u:p@a:1,b:2{master}", str(authority.path), pair.certificate, pair.key)
    files = {"ssl_ca_certs": str(authority.path), "ssl_certfile": pair.certificate, "ssl_keyfile": pair.key}
    found = topology(url)
    assert {"ssl": True, **files}.items() <= found.options.items()
    if kind == "sentinel":
        assert found.sentinel_options == {"ssl": True, **files}
    assert found.addresses == (("a", 1), ("b", 2))


def test_beside_other_options_and_a_database(authority: Authority) -> None:
    url = url_with_tls("rediss+sentinel://a/m/2?sentinel_password=s", str(authority.path), "", "")
    found = topology(url)
    assert found.options == {"ssl": True, "ssl_ca_certs": str(authority.path), "db": 2}
    assert found.sentinel_options == {"password": "s", "ssl": True, "ssl_ca_certs": str(authority.path)}


@pytest.mark.parametrize("url", ["redis://h", "redis+sentinel://h/m", "redis+cluster://h", "unix:///x"])
def test_a_url_without_tls_is_refused(url: str, authority: Authority) -> None:
    with pytest.raises(ValueError, match="must begin with rediss for REDIS_CA_FILE"):
        url_with_tls(url, str(authority.path), "", "")


def test_what_is_no_ca_and_no_pair_is_named(authority: Authority, pair: Pair, tmp_path: Path) -> None:
    other, empty, locked = authority.issue("other", client=True), tmp_path / "empty", tmp_path / "locked.key"
    empty.write_text("secret")
    made = ["openssl", "pkey", "-in", pair.key, "-aes128", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(made, check=True, capture_output=True)
    ca = str(authority.path)
    for files, named in (
        ((ca, pair.certificate, ""), "REDIS_CERT_FILE and REDIS_KEY_FILE, or neither"),
        ((ca, "", pair.key), "REDIS_CERT_FILE and REDIS_KEY_FILE, or neither"),
        ((str(tmp_path / "none"), "", ""), "REDIS_CA_FILE: there is no such file"),
        ((str(tmp_path), "", ""), "REDIS_CA_FILE: there is no such file"),
        ((str(empty), "", ""), "REDIS_CA_FILE holds no certificate"),
        ((ca, pair.certificate, other.key), "no certificate and its key"),
        ((ca, str(empty), pair.key), "no certificate and its key"),
        ((ca, pair.certificate, str(locked)), "without a password"),
    ):
        with pytest.raises(ValueError, match=named) as refused:
            url_with_tls("rediss://h", *files)
        assert "secret" not in str(refused.value)
    with pytest.raises(ValueError, match="ssl_ca_certs, and REDIS_CA_FILE is set as well"):
        url_with_tls(f"rediss://h?ssl_ca_certs={ca}", ca, "", "")


def test_commands_read_them_as_services_do(authority: Authority) -> None:
    given = {"REDIS_URL": "rediss://h:1", "REDIS_USERNAME": "u", "REDIS_PASSWORD": "p@ss"}
    url = redis_url_of({**given, "REDIS_CA_FILE": str(authority.path)}, "redis://localhost")
    assert url.startswith("rediss://u:p%40ss@h:1?ssl_ca_certs=")
    with pytest.raises(SettingsError, match="REDIS_URL: must begin with rediss"):
        redis_url_of({"REDIS_CA_FILE": str(authority.path)}, "redis://localhost")
