"""TLS to Redis with a CA of one's own and a client certificate: REDIS_CA_FILE, REDIS_CERT_FILE and REDIS_KEY_FILE.

They become options in the URL's query, which hold for one server, for sentinels and their master, and for each node
of a cluster. Without a CA of one's own those of the system are asked; a certificate is always verified, and that it
is of the host as well.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path

from cottage.urls import with_query

CA_FILE, CERT_FILE, KEY_FILE = "REDIS_CA_FILE", "REDIS_CERT_FILE", "REDIS_KEY_FILE"
OPTIONS: Mapping[str, str] = {CA_FILE: "ssl_ca_certs", CERT_FILE: "ssl_certfile", KEY_FILE: "ssl_keyfile"}
"""The variables, and the options of a connection that they become."""


def url_with_tls(url: str, ca_file: str, cert_file: str, key_file: str) -> str:
    """The URL of a Redis with these files for its TLS; an empty one is none.

    Raises ValueError where the URL asks for no TLS or has such an option already, and for a file that is not what it
    should be: it names the variable, and never what is in the file.
    """
    given = {variable: path for variable, path in zip(OPTIONS, (ca_file, cert_file, key_file), strict=True) if path}
    if not given:
        return url
    names = " and ".join(given)
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] != "rediss":
        raise ValueError(f"must begin with rediss for {names}")
    query = rest.partition("?")[2]
    for variable in given:
        if f"{OPTIONS[variable]}=" in query:
            raise ValueError(f"has {OPTIONS[variable]}, and {variable} is set as well: leave one of them out")
    if bool(cert_file) != bool(key_file):
        raise ValueError(f"needs both {CERT_FILE} and {KEY_FILE}, or neither of them")
    for variable, path in given.items():
        if not Path(path).is_file():
            raise ValueError(f"has no certificates to use: {variable}: there is no such file")
    _try_files(ca_file, cert_file, key_file)
    return with_query(url, **{OPTIONS[variable]: path for variable, path in given.items()})


def _try_files(ca_file: str, cert_file: str, key_file: str) -> None:
    """Raises ValueError for files that a connection could not use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError:  # an SSLError is one
            raise ValueError(f"has no CA to use: {CA_FILE} holds no certificate in PEM, or cannot be read") from None
    if cert_file:
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except (OSError, ValueError):
            raise ValueError(
                f"has no certificate to show: {CERT_FILE} and {KEY_FILE} are no certificate and its key, in PEM "
                "without a password, or cannot be read"
            ) from None


def _no_password() -> str:
    raise ValueError("a key that asks for a password")  # OpenSSL would ask for it on the terminal
