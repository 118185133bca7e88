"""What the children of `make run` are given of its environment: each its own secrets, and nobody else's."""

import socket
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from itertools import chain

from common.settings import ServiceSettings
from cottage.token_file import FILE_VARIABLE, VARIABLE
from cottage.variables import value_of
from services.recorder.settings import RecorderSettings

OF_MAKE = frozenset({"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "GNUMAKEFLAGS"})
"""In which make hands on what stood on its command line, with passwords that stood there."""
OF_CLIENTS = frozenset({VARIABLE, FILE_VARIABLE})
"""What the command `cottage` shows to a broadcaster: no service needs it."""
OF_ARCHIVE = "AWS_"
"""How the variables begin that open the recorder's archive."""


def without_secrets(
    environment: Mapping[str, str],
    services: Iterable[type[ServiceSettings]],
    own: type[ServiceSettings] | None = None,
) -> dict[str, str]:
    """The environment of a child: of the secrets of all `services` with those of its `own` settings alone."""
    secrets = frozenset(chain.from_iterable(each.secrets() for each in services))
    foreign = (secrets - frozenset(own.secrets() if own else ())) | OF_MAKE | OF_CLIENTS
    archive = () if own is RecorderSettings else (OF_ARCHIVE,)
    return {
        name: value
        for name, value in environment.items()
        if name.upper() not in foreign and not name.upper().startswith(archive)
    }


def with_ops_address(environment: Mapping[str, str], host: str) -> dict[str, str]:
    """`environment` with an OPS_ALLOW by which `make run` may ask for readiness, also where the ops port listens on
    an address of this machine that is no loopback address."""
    address = ip_address(socket.getaddrinfo(host, None)[0][4][0])
    if address.is_loopback or address.is_unspecified:
        return dict(environment)
    given = value_of(environment, "OPS_ALLOW") or "none"
    allowed = str(address) if given.lower() == "none" else f"{given},{address}"
    return {name: value for name, value in environment.items() if name.upper() != "OPS_ALLOW"} | {
        "OPS_ALLOW": allowed
    }
