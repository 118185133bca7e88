"""Certificates for tests, made when they are asked for, in temporary folders."""

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: str
    key: str

    def settings(self) -> dict[str, Any]:
        """As the settings of a service, without its prefix."""
        return {"tls_cert_file": self.certificate, "tls_key_file": self.key}


class Authority:
    """A CA of one's own, whose certificate is in `path`."""

    def __init__(self, folder: Path, name: str = "a test's CA") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._builder(self._name, self._key, -1, 30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        made = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        self.path = folder / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str = "server",
        *names: str,
        days: float = 2,
        begins: float = -1,
        client: bool = False,
    ) -> Pair:
        """A pair for these host names and addresses (localhost and 127.0.0.1 where none is named), which is written
        to NAME.pem and NAME.key: again, where it is there. begins, days: from now on, in days."""
        certificate, key = self.texts(*names, days=days, begins=begins, client=client)
        pair = Pair(str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))
        Path(pair.key).write_bytes(key)
        Path(pair.certificate).write_bytes(certificate)
        return pair

    def texts(self, *names: str, days: float = 2, begins: float = -1, client: bool = False) -> tuple[bytes, bytes]:
        """The certificate with its chain, and the key, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's server")])
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        alternatives = [_alternative(each) for each in names or ("localhost", "127.0.0.1")]
        made = (
            self._builder(subject, key, begins, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return made.public_bytes(serialization.Encoding.PEM) + self.path.read_bytes(), secret

    def client_context(self) -> ssl.SSLContext:
        """Of a client that trusts this CA alone."""
        return ssl.create_default_context(cafile=str(self.path))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: float, days: float
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=begins))
            .not_valid_after(now + datetime.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
