"""`make acl`: writes ACL files for Redis, one for each version of it, and tries them on the servers that are here.

    .run/acl/redis-7.0.acl   …   for `aclfile`: it begins with `user default off`
    .run/acl/secrets/NAME        the password of the user NAME, made where there is none; mode 0600

Each file has the users of deploy/redis_users.py. A password is exchanged in two steps: its file is renamed to
NAME.before, `make acl` makes another one, and both are taken until NAME.before is deleted and `make acl` is run
again; `ACL LOAD`, which the operator may send, makes a server read its file again.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cottage.errors import CottageError, SettingsError
from cottage.redis import connect_blocking
from cottage.redis.permission import Permission, Permissions, may, rule
from cottage.urls import with_login
from deploy.redis_server import Server, ServerError, find_servers, free_port, start
from deploy.redis_users import USERS
from deploy.run_directory import run_folder
from deploy.secret_folder import SecretFolder, write_anew

DEFAULT_OFF = "user default off"
"""The first line. Without it a server that has an ACL file makes the user of connections that show no password one
without a password who may do everything, and ignores `requirepass`."""
SECRETS = "secrets"


@dataclass(frozen=True, slots=True, order=True)
class ServerVersion:
    """A kind of server and the first two numbers of its version."""

    kind: str
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.kind}-{self.major}.{self.minor}"

    @property
    def acl_name(self) -> str:
        return f"{self}.acl"


VERSIONS = (ServerVersion("redis", 7, 0), ServerVersion("redis", 7, 4), ServerVersion("valkey", 9, 1))
"""The versions for which there are files: Debian's, that of docker compose, and the embedded one."""

_SINCE: Mapping[str, tuple[ServerVersion, ...]] = {
    "hpexpiretime": (ServerVersion("redis", 7, 4), ServerVersion("valkey", 9, 0)),
    "hpexpireat": (ServerVersion("redis", 7, 4), ServerVersion("valkey", 9, 0)),
}
"""Since when a command exists that is younger than Redis 7.0: with one that it does not know no server starts."""


def version_of(server: Server) -> ServerVersion:
    major, minor = server.version.split(".")[:2]
    return ServerVersion(server.kind, int(major), int(minor))


def file_for(server: Server) -> str:
    """The name of the file for this server: that of the newest version of its kind that is not newer. Raises
    ServerError where there is none."""
    version = version_of(server)
    older = [each for each in VERSIONS if each.kind == version.kind and each <= version]
    if not older:
        raise ServerError(f"there is no ACL file for {version}: only for {', '.join(map(str, VERSIONS))}")
    return max(older).acl_name


def known_commands(version: ServerVersion, permissions: Sequence[Permission]) -> frozenset[str]:
    """Those of the commands in these rows that a server of this version knows."""
    names = {name for row in permissions for name in row.commands}
    return frozenset(
        name
        for name in names
        if name not in _SINCE or any(since.kind == version.kind and since <= version for since in _SINCE[name])
    )


def acl_file(version: ServerVersion, passwords: Mapping[str, Sequence[str]], database: int = 0) -> str:
    """The text of an ACL file. passwords: by user, those that are taken. database: the number in REDIS_URL."""
    lines = [DEFAULT_OFF]
    chosen: Permissions = (may(f"SELECT|{database}"),) if database else ()
    for user, permissions in USERS.items():
        hashes = [hashlib.sha256(each.encode()).hexdigest() for each in passwords[user]]
        rows = (*permissions, *chosen)
        lines.append(rule(user, hashes, rows, known_commands(version, rows)))
    return "\n".join([*lines, ""])


def write_files(folder: Path, secrets: SecretFolder, database: int = 0) -> list[Path]:
    """Write the file of each version into `folder`. Returns their paths. Raises SettingsError."""
    passwords = {user: secrets.secrets(user) for user in USERS}
    paths = []
    for version in VERSIONS:
        path = folder / version.acl_name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from None
        # A server in a container is another user; what is in it lets nobody in.
        write_anew(path, 0o644, acl_file(version, passwords, database).encode("ascii"))
        paths.append(path)
    return paths


def try_file(path: Path, server: Server, password: str) -> None:
    """Start this server with the file: it takes it, knows the user health, and serves nobody else.

    Raises ServerError with what the server says."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("--save", "", "--appendonly", "no", "--aclfile", str(path.resolve()))
        with (
            start(server, Path(folder), free_port(), config=None, arguments=options) as running,
            connect_blocking(with_login(running.url, "health", password)) as health,
            connect_blocking(running.url) as stranger,
        ):
            try:
                health.ping()
            except CottageError as error:
                raise ServerError(f"{path}: {error}") from None
            try:
                stranger.ping()
            except CottageError:
                return
            raise ServerError(f"{path}: {server.name} serves whoever shows no password")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make acl", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", nargs="?", default="", help="where the files go (default: .run/acl)")
    parser.add_argument("--secrets", default="", help="the folder of the passwords (default: FOLDER/secrets)")
    parser.add_argument("--database", default="0", help="the number of the database in REDIS_URL")
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except CottageError as error:
        sys.stderr.write(f"make acl: {error}\n")
        return 2 if isinstance(error, SettingsError) else 1


def _run(given: argparse.Namespace) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", given.database):
        raise SettingsError("DATABASE must be the number of a database")
    folder = Path(given.folder) if given.folder else run_folder(os.environ) / "acl"
    secrets = SecretFolder(Path(given.secrets) if given.secrets else folder / SECRETS)
    paths = {path.name: path for path in write_files(folder, secrets, int(given.database))}
    tried = {file_for(server): server for server in reversed(find_servers())}
    for name, path in paths.items():
        server = tried.get(name)
        if server is not None:
            try_file(path, server, secrets.secret("health"))
        told = f"tried on {server.kind} {server.version}" if server else "not tried: no such server is here"
        print(f"{path}  {told}")
    print(f"{secrets.folder}  the passwords of {', '.join(USERS)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
