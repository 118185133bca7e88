"""Which passwords a server's configuration asks for. `make run` refuses two of them that exclude one another."""

import re
from collections.abc import Iterator
from pathlib import Path

from cottage.errors import SettingsError

_DIRECTIVE = re.compile(r"\s*(requirepass|aclfile|user|include)\s+(.*\S)", re.IGNORECASE)


def check_passwords(config: Path) -> None:
    """Raises a SettingsError for a configuration with `requirepass` and users of an ACL: the server would take the
    users, and ignore the password. Files that it includes are part of it."""
    found = dict(_directives(config))
    users = found.get("aclfile") or found.get("user")
    if "requirepass" in found and users:
        raise SettingsError(
            f"{found['requirepass']} sets requirepass, which a server ignores that has users ({users} sets them): "
            "leave one of them out (docs/security.md, Redis)"
        )


def _directives(config: Path, depth: int = 0) -> Iterator[tuple[str, str]]:
    """The directives about passwords that say something, each with the file that has it. Raises SettingsError."""
    if depth > 16:  # the server itself gives up on files that include one another
        raise SettingsError(f"{config} includes itself")
    try:
        lines = config.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise SettingsError(f"{config}: {error.strerror}") from None
    for line in lines:
        if (match := _DIRECTIVE.fullmatch(line.rstrip())) is None:
            continue
        name, value = match[1].lower(), match[2].strip("\"'")
        if name == "include":
            for path in sorted(config.parent.glob(value)) if not Path(value).is_absolute() else [Path(value)]:
                yield from _directives(path, depth + 1)
        elif value:
            yield name, str(config)
