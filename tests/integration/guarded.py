"""A server with the ACL file of `make acl`, whose users a test may be; its fixtures have a user of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cottage.redis import BlockingClient, connect_blocking
from cottage.urls import with_login
from deploy import acl
from deploy.redis_server import RunningServer, Server, free_port, start
from deploy.redis_users import USERS
from tests.support import IN_MEMORY

FIXTURE = "fixture"
"""The user of the test itself. It is in no file of `make acl`."""
PASSWORDS = {name: [f"{name}-{'x' * 40}"] for name in USERS}


def password(user: str) -> str:
    return FIXTURE if user == FIXTURE else PASSWORDS[user][0]


def acl_path(server: Server, folder: Path) -> Path:
    """The ACL file for this server, with the fixtures' user."""
    version = next(each for each in acl.VERSIONS if each.acl_name == acl.file_for(server))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "users.acl"
    path.write_text(acl.acl_file(version, PASSWORDS) + f"user {FIXTURE} on >{FIXTURE} ~* &* +@all\n")
    return path


class Guarded:
    """Made by `guarded`. A server that serves only the users of its file."""

    def __init__(self, server: Server, folder: Path, arguments: Sequence[str]) -> None:
        self._server, self._folder, self._port = server, folder, free_port()
        self._arguments = (*IN_MEMORY, "--aclfile", str(acl_path(server, folder)), *arguments)
        self.running: RunningServer = self._started()
        self.seen: list[dict[str, Any]] = []
        """What ACL LOG said before the server was restarted."""

    def _started(self) -> RunningServer:
        return start(self._server, self._folder, self._port, config=None, arguments=self._arguments)

    @property
    def port(self) -> int:
        return self._port

    def url(self, user: str) -> str:
        return with_login(f"redis://127.0.0.1:{self._port}", user, password(user))

    def fixture(self) -> BlockingClient:
        return connect_blocking(self.url(FIXTURE))

    def restart(self) -> None:
        """Kill it, and start it anew, without its scripts and keys."""
        self.seen += refused(self.fixture())
        self.running.kill()
        self.running = self._started()

    def refused(self) -> list[dict[str, Any]]:
        """What any user but the fixtures' was refused since the beginning: user, command or key, and why."""
        return self.seen + refused(self.fixture())


def refused(client: BlockingClient) -> list[dict[str, Any]]:
    """The entries of ACL LOG of others than the fixtures' user."""
    with client:
        entries: Any = client.execute_command("ACL", "LOG", 1000)
    pairs = [{_text(name): _text(value) for name, value in dict(entry).items()} for entry in map(_dict, entries)]
    return [
        {name: each[name] for name in ("username", "reason", "context", "object")}
        for each in pairs
        if each["username"] != FIXTURE
    ]


def _dict(entry: Any) -> dict[Any, Any]:
    return entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


@contextmanager
def guarded(server: Server, folder: Path, arguments: Sequence[str] = ()) -> Iterator[Guarded]:
    made = Guarded(server, folder, arguments)
    try:
        yield made
    finally:
        made.running.kill()
