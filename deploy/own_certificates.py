"""A CA of the suite's own, and the certificates that it signs, as PEM files: what is there is kept.

Of a pair of which one file is missing the other one is not overwritten: it may be somebody's, or the missing one was
put elsewhere on purpose. What is there and does not fit is named: all of it raises SettingsError.
"""

import datetime
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.tls import ServerCertificate
from cottage import urls
from cottage.errors import SettingsError
from deploy.secret_folder import content_of, write_anew

CA, CA_KEY = "ca.pem", "ca-key.pem"
CA_DAYS = 3650
DAYS = 820
"""How long a certificate holds: what clients take at most is 825 days."""
SECRET, PUBLIC = 0o600, 0o644
Key = ec.EllipticCurvePrivateKey


def authority(folder: Path) -> x509.Certificate:
    """The CA of the folder; a new one where there is none. Its key may be elsewhere while nothing is to be signed."""
    path = folder / CA
    if not path.exists():
        own = _key(folder / CA_KEY)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Curiosity Cottage's own CA")])
        made = (
            _builder(name, name, own.public_key(), CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(own, hashes.SHA256())
        )
        write_anew(path, PUBLIC, made.public_bytes(serialization.Encoding.PEM))
    return _certificate_in(path)


def certificate(folder: Path, name: str, names: Sequence[str], ca: x509.Certificate) -> None:
    """NAME.pem and NAME-key.pem, for these host names and addresses."""
    path, key = folder / f"{name}.pem", folder / f"{name}-key.pem"
    wanted = [_general_name(each) for each in dict.fromkeys(names)]
    if not path.exists():
        _sign(path, _key(key), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), wanted, ca)
    elif not key.exists():
        raise SettingsError(f"{path} is there without {key}: put that there, or remove {path.name} for a new one")
    ServerCertificate(str(path), str(key))
    found = _certificate_in(path)
    if found.issuer != ca.subject:  # somebody else's, such as a public CA's
        return
    try:
        found.verify_directly_issued_by(ca)
    except (ValueError, InvalidSignature):
        raise SettingsError(f"{path} was signed by another CA than {CA}: remove it for a new one") from None
    has = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if missing := [str(each.value) for each in wanted if each not in has]:
        raise SettingsError(f"{path} is not for {', '.join(missing)}: remove it for a new one")


def _sign(path: Path, own: Key, subject: x509.Name, names: Sequence[x509.GeneralName], ca: x509.Certificate) -> None:
    ca_key = _there(path.with_name(CA_KEY))
    if ca_key.public_key() != ca.public_key():
        raise SettingsError(f"{path.with_name(CA_KEY)} is not the key of {CA}")
    made = (
        _builder(subject, ca.subject, own.public_key(), DAYS)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_anew(path, PUBLIC, made.public_bytes(serialization.Encoding.PEM))


def _key(path: Path) -> Key:
    """The key in this file; a new one where there is none."""
    if not path.exists():
        own = ec.generate_private_key(ec.SECP256R1())
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        write_anew(path, SECRET, own.private_bytes(encoding, form, serialization.NoEncryption()))
    return _there(path)


def _there(path: Path) -> Key:
    try:
        found = serialization.load_pem_private_key(content_of(path), None)
    except (ValueError, TypeError):  # a TypeError for one with a password
        found = None
    if not isinstance(found, Key):
        raise SettingsError(f"{path} is no key that make production-files has made")
    return found


def _certificate_in(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(content_of(path))
    except ValueError:
        raise SettingsError(f"{path} is no certificate in PEM") from None


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
    """Also a name that begins with `*.`."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        wildcard = "*." if name.startswith("*.") else ""
    try:
        return x509.DNSName(wildcard + urls.host(name.removeprefix(wildcard)).encode("idna").decode())
    except ValueError as error:
        raise SettingsError(f"NAMES: {name} {error}") from None
