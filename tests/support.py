"""What several tests need: waiting for a condition, a Redis to break, a service as a real process."""

import asyncio
import inspect
import json
import logging
import os
import re
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar, overload

import httpx

from cottage.log import LogEvent
from cottage.parent_death import dying_with_parent
from cottage.redis import ChannelSubscription
from deploy.redis_server import FREE_PORTS, RunningServer, Server, free_port, start

ROOT = Path(__file__).resolve().parent.parent
IN_MEMORY = ("--save", "", "--appendonly", "no")

T = TypeVar("T")


@overload
async def eventually(condition: Callable[[], Coroutine[Any, Any, T]], timeout: float = 10.0) -> T: ...


@overload
async def eventually(condition: Callable[[], T], timeout: float = 10.0) -> T: ...


async def eventually(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """Wait until `condition` (async or not) gives something true, and return that; fail after `timeout` seconds.

    For what can only be seen from outside, such as a key in Redis. Errors of `condition` are not hidden.
    """
    deadline = time.monotonic() + timeout
    while True:
        asked = time.monotonic()
        value = condition()
        result = await value if inspect.isawaitable(value) else value
        if result:
            return result
        now = time.monotonic()
        if now >= deadline:
            what = getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"{what} still gives {result!r} after {timeout:g} s")
        # What takes long to ask is asked less often: the machine is busy with what is waited for.
        await asyncio.sleep(min(max(0.01, 3 * (now - asked)), 0.1))


async def reachable(port: int) -> bool:
    """Whether something on this machine accepts connections there."""
    try:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return True


def plain_http(base_url: str = "") -> httpx.AsyncClient:
    """A client of HTTP without TLS: to read the certificates that TLS would need takes 25 ms each time."""
    return httpx.AsyncClient(base_url=base_url, trust_env=False, verify=False)


async def heard(subscription: ChannelSubscription, number: int = 1, timeout: float = 10.0) -> list[bytes]:
    """So many messages of a subscription, waited for, and all that came with the last of them."""
    payloads: list[bytes] = []
    async with asyncio.timeout(timeout):
        while len(payloads) < number:
            payloads += await subscription.messages(timeout)
    return payloads


def ignored_signals(pid: int) -> set[int]:
    """The numbers of the signals that a process ignores, as Linux tells them."""
    found = re.search(r"^SigIgn:\s*([0-9a-f]+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return {number for number in range(1, 65) if int(found[1], 16) >> (number - 1) & 1}


def without_hangup(arguments: Sequence[str]) -> list[str]:
    """The arguments of a Python that runs `python ARGUMENTS` with SIGHUP ignored, as nohup does."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    return ["-c", code, sys.executable, *arguments]


class OwnRedis:
    """A server of one test's own, always on the same port and folder."""

    def __init__(self, server: Server, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """`environment`: variables that it gets beside ours, such as those of a ClockShim."""
        self._server = server
        self._folder = folder
        self._environment = environment
        self._port = free_port()
        self._running: RunningServer | None = None

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def port(self) -> int:
        return self._port

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def kind(self) -> str:
        return self._server.kind

    @property
    def running(self) -> RunningServer:
        assert self._running is not None, "not started"
        return self._running

    def start(self, *arguments: str) -> None:
        """Without `arguments` nothing is kept on disk; they win over that."""
        self._running = start(
            self._server,
            self._folder,
            self._port,
            config=None,
            arguments=(*IN_MEMORY, *arguments),
            environment=self._environment,
        )

    def kill(self) -> None:
        """SIGKILL: every connection ends at once."""
        self.running.kill()

    def stop(self) -> None:
        """SIGTERM: it saves where it is told to."""
        self.running.stop()

    def restart(self, *arguments: str) -> None:
        """SIGKILL, and a new one in its place with these options."""
        self.kill()
        self.start(*arguments)

    def suspend(self) -> None:
        """Connections stay open and nothing is answered, as with a hung machine."""
        self.running.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.running.signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.running.kill()


class ServiceProcess:
    """A process under test and what it logs. Made by `service` and `program`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._news = asyncio.Event()
        streams = ((process.stdout, self._logged), (process.stderr, self._complained))
        self._readers = [asyncio.create_task(self._read(stream, take)) for stream, take in streams if stream]
        self.logs: list[dict[str, Any]] = []
        """Its JSON log lines so far."""
        self.logged_at: list[float] = []
        """When each of them came, by our monotonic clock: its own wall clock may be stepped."""
        self.text: list[str] = []
        """Lines on stdout that are no JSON objects."""
        self.errors: list[str] = []
        """Lines on stderr."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.returncode

    async def logged(self, event: str, timeout: float = 20.0, **fields: Any) -> dict[str, Any]:
        """The first log line with this event and these fields, waited for; fails where the process ends without."""

        def found() -> dict[str, Any] | None:
            wanted = {"event": event, **fields}
            return next((line for line in self.logs if wanted.items() <= line.items()), None)

        async with asyncio.timeout(timeout):
            while (line := found()) is None:
                ended = all(reader.done() for reader in self._readers)
                assert not ended, f"it ended without logging {event}: {self.report()}"
                self._news.clear()
                await self._news.wait()
        return line

    async def ops_url(self) -> str:
        """Of its ops port, which it tells in its first log line."""
        return f"http://127.0.0.1:{(await self.logged('starting'))['ops_port']}"

    async def get(self, path: str) -> httpx.Response:
        """One answer of its ops port, such as get("/metrics")."""
        async with plain_http(await self.ops_url()) as http:
            return await http.get(path)

    async def ready(self, timeout: float = 20.0) -> None:
        """Wait until /readyz says so."""
        await self.logged("starting", timeout)

        async def is_ready() -> bool:
            assert self.returncode is None, f"it ended: {self.report()}"
            try:
                return (await self.get("/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(is_ready, timeout)

    def signal(self, number: signal.Signals) -> None:
        # Popen looks first whether the process has ended, and then asyncio does not learn of its exit status.
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    async def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM; its exit status. Fails where it takes longer than `timeout` (the promise is 8 s)."""
        if self.returncode is None:
            self.signal(signal.SIGTERM)
        return await self.ended(timeout)

    async def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self.returncode is None:
            self.signal(signal.SIGKILL)
        await self.ended()

    async def ended(self, timeout: float = 20.0) -> int:
        """Its exit status, with all that it printed read."""
        async with asyncio.timeout(timeout):
            await asyncio.gather(*self._readers)
            return await self._process.wait()

    def report(self) -> str:
        """What it printed, for a failing test to show."""
        return "\n".join([f"status {self.returncode}", *map(str, self.logs), *self.text, *self.errors])

    async def _read(self, stream: asyncio.StreamReader, take: Callable[[str], None]) -> None:
        while line := await stream.readline():
            take(line.decode(errors="replace").rstrip("\n"))
            self._news.set()
        self._news.set()

    def _logged(self, line: str) -> None:
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            self.logs.append(value)
            self.logged_at.append(time.monotonic())
        else:
            self.text.append(line)

    def _complained(self, line: str) -> None:
        self.errors.append(line)


@asynccontextmanager
async def program(
    arguments: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    output: int = asyncio.subprocess.PIPE,
) -> AsyncIterator[ServiceProcess]:
    """`python ARGUMENTS` from the top of the repository, killed at the end of the block if it still runs.

    It gets nothing of the caller's environment but what a Python needs, its ports to choose from, and `env`. What it
    prints is read, or goes to the descriptor `output`.
    """
    needed = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_CONFIG", FREE_PORTS)
    kept = {name: os.environ[name] for name in needed if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *dying_with_parent([sys.executable, *arguments], os.getpid(), signal.SIGKILL),
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        limit=2**24,
    )
    running = ServiceProcess(process)
    try:
        yield running
    finally:
        await running.kill()


@asynccontextmanager
async def service(
    name: str,
    env: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
    output: int = asyncio.subprocess.PIPE,
    cwd: Path = ROOT,
) -> AsyncIterator[ServiceProcess]:
    """`python -m services.NAME` with its ops port on any free one and JSON logs; `env` wins over both. `cwd`: the top
    of the repository whose service it is."""
    chosen = {f"{name.upper()}_OPS_PORT": "0", "LOG_FORMAT": "json", **(env or {})}
    async with program(["-m", f"services.{name}", *arguments], chosen, cwd, output) as running:
        yield running


@contextmanager
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes not one byte more and that nobody reads."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"\n" * select.PIPE_BUF)
        os.set_blocking(writing, True)
        yield writing
    finally:
        os.close(reading)
        os.close(writing)


@contextmanager
def library_events() -> Iterator[list[dict[str, Any]]]:
    """What the library logs meanwhile: of each event its name, its level and its fields."""
    lines: list[dict[str, Any]] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            assert isinstance(record.msg, LogEvent), record
            lines.append({"event": record.msg.name, "level": record.levelname.lower(), **record.msg.fields})

    logger, handler = logging.getLogger("cottage"), Lines()
    before, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = propagates
