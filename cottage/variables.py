"""Reads environment variables: what a value means, which ones a container platform sets, and misspelt names. Pure.

One rule for all of them: blanks around a value, and one pair of quotes, do not belong to it, and an empty value is no
value. The services' settings, `cottage` and `make run` read every variable this way.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

_QUOTES = ("''", '""')
_LINK = re.compile(r"(tcp|udp|sctp)://\S+:\d+")
_LINK_NAME = re.compile(r".+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")

NEAR = 0.8
"""How alike (difflib's ratio) two names are of which one is the other misspelt."""
RELATED = 0.52
"""The same where the prefix shows already that one of our names was meant."""
_ELSEWHERE = {
    **dict.fromkeys(("REDIS_HOST", "REDIS_DB", "REDIS_SSL", "REDIS_TLS"), "REDIS_URL"),
    "REDIS_USER": "REDIS_USERNAME",
    "COTTAGE_ENVIRONMENT": "COTTAGE_ENV",
}
"""What other programs read, and the name of ours that has it."""


class Misspelt(NamedTuple):
    """A variable that no program reads, though its name says that one was meant to."""

    variable: str
    nearest: str | None
    """The name that was probably meant."""


def meant(text: str) -> str:
    """What a value says: without blanks (also the \\r of a file from Windows) and one pair of quotes around it, which
    `docker run --env-file` leaves there."""
    text = text.strip()
    return text[1:-1].strip() if text[:1] + text[-1:] in _QUOTES and len(text) > 1 else text


def value_of(environment: Mapping[str, str], name: str) -> str | None:
    """What the variable says, whose name is written in capitals or in small letters; None if it is not set, empty, or
    a service link."""
    texts = (environment.get(spelt, "") for spelt in (name, name.lower()))
    return next((said for text in texts if (said := meant(text)) and not is_service_link(name, text)), None)


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker sets the variable for each service of its network, and nobody meant a setting:
    PHYSICS_PORT=tcp://10.0.0.2:8001, PHYSICS_SERVICE_HOST, REDIS_PORT_6379_TCP_ADDR."""
    return _LINK_NAME.fullmatch(name) is not None or (
        name.endswith("_PORT") and _LINK.fullmatch(value.strip()) is not None
    )


def misspelt(
    environment: Mapping[str, str], known: Collection[str], prefix: str, others: Iterable[str] = ()
) -> Iterator[Misspelt]:
    """The variables that are meant for whoever reads `known` and are none of these: all that begin with `prefix`, and
    those that are almost such a name, or one without `prefix`. `others`: beginnings and names that belong to somebody
    else."""
    theirs = tuple(others)
    for name, value in environment.items():
        upper = name.upper()
        if (upper in known and name in (upper, name.lower())) or is_service_link(name, value):
            continue
        if prefix and upper.startswith(prefix):
            yield Misspelt(name, nearest(upper, known, prefix))
        elif prefix and "_" in upper and prefix + upper in known:  # one word, such as PORT, is anybody's
            yield Misspelt(name, prefix + upper)
        elif not upper.startswith(theirs) and (near := nearest(upper, known)):
            yield Misspelt(name, near)


def nearest(name: str, known: Collection[str], prefix: str = "") -> str | None:
    """The one of `known` that `name` was probably meant to be. A `prefix` says that it was meant to be one."""
    if (ours := _ELSEWHERE.get(name)) in known:
        return ours
    rest = name.removeprefix(prefix)
    if prefix and rest in known:  # PHYSICS_LOG_LEVEL: a name that all services share has no prefix
        return rest
    by_rest = {each.removeprefix(prefix): each for each in known}
    if near := difflib.get_close_matches(rest, by_rest, n=1, cutoff=NEAR):
        return by_rest[near[0]]
    longer = [each for each in known if each.startswith(f"{name}_")] if "_" in name else []
    shorter = [each for each in known if name.startswith(f"{each}_")] if prefix else []
    if longer or shorter:  # a word too few, or too many
        return min(longer, key=len) if longer else max(shorter, key=len)
    near = difflib.get_close_matches(rest, by_rest, n=1, cutoff=RELATED) if prefix else []
    return by_rest[near[0]] if near else None
