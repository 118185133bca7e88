"""`make production-files`: what deploy/compose.production.yml needs, in a folder that nothing else reads.

    redis.acl                    users of Redis, begins with `user default off`
    redis/NAME                   the password of the user NAME
    link-secret  ops-token       what whoever dials the bridge, or reads an ops port, shows
    ca.pem  ca-key.pem           a CA of this suite's own; its key stays here
    bridge.pem  bridge-key.pem   the certificate of the link
    page.pem  page-key.pem       that of page and API, until you put one of a public CA in its place
    keys.json  signing-key.json  by which tokens are checked, and with which you mint them; the latter stays here

What is there is kept, so that it may be run again. Secrets have mode 0600. A file belongs to the user of the
container that reads it: whoever is not root is told the command that does that, and gets exit status 1.
"""

import argparse
import datetime
import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc.jwk import KeySet, OKPKey

from cottage.errors import CottageError, SettingsError
from deploy.acl import ServerVersion, acl_file
from deploy.redis_users import USERS
from deploy.run_plan import SERVICES
from deploy.secret_folder import SecretFolder

SERVICE_UID = 10001
"""Of the services in their containers: the image's USER."""
REDIS_UID = 999
"""Of Redis in its official image."""
REDIS = ServerVersion("redis", 7, 0)
"""The oldest that docker-compose.yml's redis:7-alpine has been. Newer ones take its file too."""
CA_DAYS = 3650
DAYS = 820
"""How long a certificate holds: what clients take at most is 825 days."""
SECRET, PUBLIC = 0o600, 0o644
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def make(folder: Path, names: Sequence[str]) -> dict[Path, int]:
    """Make what is missing. `names`: by which page and API are addressed. Returns the user to whom each file belongs
    that a container reads. Raises SettingsError."""
    secrets = SecretFolder(folder)
    passwords = SecretFolder(folder / "redis")
    _write(folder / "redis.acl", PUBLIC, acl_file(REDIS, {user: passwords.secrets(user) for user in USERS}).encode())
    for name in ("link-secret", "ops-token"):
        secrets.secret(name)
    ca = _authority(folder)
    _certificate(folder, "bridge", ("bridge",), ca)
    _certificate(folder, "page", (*LOCAL_NAMES, "broadcaster", "physics", *names), ca)
    _keys(folder)
    of_services = [folder / name for name in ("link-secret", "ops-token", "ca.pem", "keys.json")]
    of_services += [folder / f"{name}{end}.pem" for name in ("bridge", "page") for end in ("", "-key")]
    of_services += [folder / "redis" / service.name for service in SERVICES if service.redis]
    return dict.fromkeys(of_services, SERVICE_UID) | dict.fromkeys(
        (folder / "redis" / "health", folder / "redis.acl"), REDIS_UID
    )


def hand_over(owners: dict[Path, int]) -> list[str]:
    """Give each file to its user. Returns the commands that root must run where this process may not."""
    refused: dict[int, list[str]] = {}
    for path, uid in owners.items():
        if path.stat().st_uid == uid:
            continue
        try:
            os.chown(path, uid, uid)
        except PermissionError:
            refused.setdefault(uid, []).append(shlex.quote(str(path)))
    return [f"sudo chown {uid}:{uid} {' '.join(paths)}" for uid, paths in refused.items()]


def _write(path: Path, mode: int, content: bytes) -> None:
    """Write a file anew, which has its mode from the beginning. Raises SettingsError."""
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask says
            file.write(content)
        new.replace(path)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def _authority(folder: Path) -> Authority:
    """The CA of the folder; a new one where there is none."""
    certificate, key = folder / "ca.pem", folder / "ca-key.pem"
    if not (certificate.exists() and key.exists()):
        own = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Curiosity Cottage's own CA")])
        made = (
            _builder(name, name, own.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(own, hashes.SHA256())
        )
        _write(key, SECRET, _pem(own))
        _write(certificate, PUBLIC, made.public_bytes(serialization.Encoding.PEM))
    loaded = serialization.load_pem_private_key(_read(key), None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise SettingsError(f"{key} is no key that make production-files has made")
    return x509.load_pem_x509_certificate(_read(certificate)), loaded


def _certificate(folder: Path, name: str, names: Sequence[str], authority: Authority) -> None:
    certificate, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    if certificate.exists() and key.exists():
        return
    of_ca, ca_key = authority
    own = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), of_ca.subject, own.public_key(), DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(each) for each in dict.fromkeys(names)]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _write(key, SECRET, _pem(own))
    _write(certificate, PUBLIC, made.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What a key is for, which Python 3.13 demands to be said (RFC 5280, section 4.2.1.3)."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _keys(folder: Path) -> None:
    """The key pair of tokens: EdDSA, whose public half mints nothing."""
    public, private = folder / "keys.json", folder / "signing-key.json"
    if public.exists() and private.exists():
        return
    key = OKPKey.generate_key("Ed25519", parameters={"alg": "EdDSA", "use": "sig"}, private=True, auto_kid=True)
    as_json: Callable[[object], bytes] = lambda value: json.dumps(value, indent=1).encode() + b"\n"  # noqa: E731
    _write(private, SECRET, as_json(key.as_dict(private=True)))
    _write(public, PUBLIC, as_json(KeySet([key]).as_dict(private=False)))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make production-files", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", help="where they go, such as /etc/cottage")
    parser.add_argument("--names", default="", help="names and addresses of page and API, comma-separated")
    given = parser.parse_args(arguments)
    folder = Path(given.folder).absolute()
    try:
        owners = make(folder, [name.strip() for name in given.names.split(",") if name.strip()])
        left = hand_over(owners)
    except (CottageError, ValueError) as error:
        sys.stderr.write(f"make production-files: {error}\n")
        return 2
    print(f"{folder}: set PRODUCTION_FILES={shlex.quote(str(folder))} for deploy/compose.production.yml")
    if left:
        print("the containers cannot read all of them yet; as root run:", *left, sep="\n  ")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
