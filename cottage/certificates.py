"""By which certificates a client of TLS believes a server: those of the system, or a CA of one's own."""

import ssl
from typing import Any
from urllib.parse import urlsplit


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """A context that verifies the server's certificate and name. Raises OSError for a file that cannot be used.

    ca_file: the certificates that are believed, in PEM; empty: the system's, or those of SSL_CERT_FILE.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def dialling(url: str, ca_file: str = "") -> dict[str, Any]:
    """The options of `cottage.client.dial` for this URL: none for ws://. Raises OSError as above."""
    return {"ssl": client_context(ca_file)} if urlsplit(url).scheme == "wss" else {}
