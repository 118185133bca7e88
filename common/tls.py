"""TLS as our servers speak it: the pair of certificate and key, watched and tried, by which a server shows who it is.

The servers take `ServerCertificate.context` for each new handshake. When the files change, a new pair is tried in a
context of its own, by a handshake in memory; only one that works takes the place of the old one. Connections that
stand keep the context that they were made with, so no client is dropped.
"""

import asyncio
import re
import ssl
import stat
from pathlib import Path

from prometheus_client import Gauge

from common import logs
from cottage.clock import iso_millis
from cottage.errors import SettingsError

HANDSHAKE_SECONDS = 5.0
"""How long a TLS handshake may take, from accept on."""
SHUTDOWN_SECONDS = 1.0
"""How long a client may take to answer the end of TLS, before its connection is cut off."""
LOOK_SECONDS = 1.0
"""How often the files are looked at."""

MOST_BYTES = 1024 * 1024
"""The largest file that is read for a certificate with its chain."""

EXPIRES = Gauge(
    "cottage_tls_certificate_expiry_timestamp_seconds",
    "When the certificate in use expires, in Unix time; 0 without TLS.",
)

_MARK = re.compile(r"^-----(BEGIN|END) [A-Z0-9 ]+-----$")
_CERTIFICATE_END = "-----END CERTIFICATE-----"
_ROUNDS = 8  # a handshake in memory takes three

log = logs.get_logger()


class CertificateRefused(SettingsError):
    """A pair of certificate and key that cannot be used; the message says why, and names the files."""


class ServerCertificate:
    """A certificate with its chain, and its key, in PEM files that are read again when they change."""

    def __init__(self, certificate: str, key: str) -> None:
        """Raises CertificateRefused: a server does not start with a pair that no client would take."""
        self._paths = (certificate, key)
        self._seen = self._stamp()
        self._complained = False
        self._expires = 0.0
        self.context = self._load()
        """Of new handshakes."""

    async def watch(self) -> None:
        """Look at the files once a second, until cancelled."""
        self._tell()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)  # the files may be on a disk that hangs

    def look(self) -> None:
        """Use a new pair if there is one that works. Until then the old one is used, which is said once."""
        stamp = self._stamp()
        if stamp == self._seen and not self._complained:
            return
        try:
            self.context = self._load()
        except CertificateRefused as refused:
            if not self._complained:
                log.warning("certificate_not_taken", error=str(refused), note="the one before stays in use")
            self._complained = True
        else:
            self._complained = False
            self._tell()
        self._seen = stamp

    def _tell(self) -> None:
        EXPIRES.set(self._expires)
        log.info("certificate_in_use", file=self._paths[0], expires=iso_millis(self._expires))

    def _stamp(self) -> tuple[object, ...]:
        """What differs when one of the files was written or replaced."""
        stamps: list[object] = []
        for path in self._paths:
            try:
                found = Path(path).stat()
            except OSError as error:
                stamps.append(error.errno)
            else:
                stamps.append((found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns))
        return tuple(stamps)

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._paths
        before = self._stamp()
        context = _server_context(certificate, key)
        expires = _tried(context, certificate)
        if self._stamp() != before:
            raise CertificateRefused(f"{certificate} and {key} changed while they were read")
        self._expires = expires
        return context


def _server_context(certificate: str, key: str) -> ssl.SSLContext:
    """A context with this pair. Raises CertificateRefused."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    for path in (certificate, key):
        _look_whole(path)
    try:
        context.load_cert_chain(certificate, key, password=lambda: "")  # or it would ask on the terminal
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "reason", None) or getattr(error, "strerror", None) or type(error).__name__
        what = {"KEY_VALUES_MISMATCH": "the key is not the certificate's"}.get(why, why.lower().replace("_", " "))
        raise CertificateRefused(f"{certificate} with {key}: {what}") from error
    return context


def _look_whole(path: str) -> None:
    """OpenSSL takes what is whole of a file of which the end is missing yet: a certificate without its chain. Raises
    CertificateRefused."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):  # whoever opens a pipe waits for its writer, and looks at nothing more
            raise CertificateRefused(f"{path}: is no file")
        if status.st_size > MOST_BYTES:
            raise CertificateRefused(f"{path}: is larger than {MOST_BYTES} bytes")
        lines = Path(path).read_text("ascii", errors="replace").splitlines()
    except OSError as error:
        raise CertificateRefused(f"{path}: {error.strerror or error}") from error
    marks = [line.strip() for line in lines if line.lstrip().startswith("-----")]
    kinds = [found[1] if (found := _MARK.match(mark)) else "" for mark in marks]
    if not marks or kinds != ["BEGIN", "END"] * (len(marks) // 2):
        raise CertificateRefused(f"{path}: is no whole PEM file")


def _tried(context: ssl.SSLContext, certificate: str) -> float:
    """Shake hands in memory with a client that trusts this certificate alone: it looks at dates, purpose and
    strength. Returns when the certificate expires, in Unix time. Raises CertificateRefused."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        asking = only_this(certificate).wrap_bio(to_client, to_server)
        serving = context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(_ROUNDS):
            if _shaken(asking) & _shaken(serving):
                break
        else:
            raise CertificateRefused(f"{certificate}: no handshake")
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", None) or (error.reason or str(error)).lower().replace("_", " ")
        raise CertificateRefused(f"{certificate}: {why}") from error
    except (OSError, ValueError) as error:  # it was taken away, or emptied, since it was read
        raise CertificateRefused(f"{certificate}: changed while it was read") from error
    shown = asking.getpeercert() or {}
    return ssl.cert_time_to_seconds(str(shown["notAfter"]))


def _shaken(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def only_this(certificate: str) -> ssl.SSLContext:
    """The context of a client that takes the server with the first certificate of this file, by whatever name it is
    reached, and no other: for a probe on the server's own machine. Raises OSError, or ValueError for an empty one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # Of notes between the parts of a file, such as the name of a key, what is no ASCII is left out.
    leaf, end, _chain = Path(certificate).read_text("ascii", errors="ignore").partition(_CERTIFICATE_END)
    context.load_verify_locations(cadata=leaf[leaf.find("-----BEGIN") :] + end)
    return context
