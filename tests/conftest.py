"""Servers that the tests start themselves, and stop: nobody else's is ever touched.

What runs on a Redis runs on each kind of it: `redis` (redis-server from the PATH) and `valkey` (the
embedded one). Without a redis-server its half is skipped, and the report says so.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from cottage.redis import Client, connect, connect_blocking, library
from deploy.redis_server import RunningServer, Server, find_servers, free_port, start
from tests.clock_shim import ClockShim, why_not
from tests.ports import take_share
from tests.support import IN_MEMORY, OwnRedis

KINDS = ("redis", "valkey")

# What a shell runs in the background ignores Ctrl-C, and under nohup a closed terminal, and so would every process
# that a test starts. What a process handles itself, its children do not inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)

# A busy machine takes its time: how long an example took says nothing about the code.
hypothesis.settings.register_profile("suite", deadline=None, max_examples=40)
hypothesis.settings.register_profile("thorough", deadline=None)  # as CI runs it: --hypothesis-profile=thorough
hypothesis.settings.load_profile("suite")


def _found() -> dict[str, Server]:
    """The first server of each kind."""
    servers: dict[str, Server] = {}
    for server in find_servers():
        servers.setdefault(server.kind, server)
    return servers


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("dist", "no") == "no":  # not in the process whose workers run the tests
        take_share(config)


def pytest_report_header() -> list[str]:
    found = _found()
    lines = [f"{kind}: {server.version} {server.path}" for kind, server in found.items()]
    return lines + [f"{kind}: MISSING, its tests are skipped" for kind in KINDS if kind not in found]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", ()):  # by --reruns: it passed the second time, or failed again
        terminalreporter.section(f"failed the first time: {report.nodeid}", yellow=True)
        terminalreporter.write_line(report.longreprtext)
    missing = [kind for kind in KINDS if kind not in _found()]
    if missing:
        terminalreporter.section("ran without " + " and ".join(f"{kind}-server" for kind in missing), yellow=True)
        terminalreporter.write_line("Every test that needs one was skipped for it. Install it to run them all.")


@pytest.fixture(scope="session")
def server_binaries() -> dict[str, Server]:
    """The server of each kind that this machine has: `valkey` always, `redis` where it is on the PATH."""
    found = _found()
    assert "valkey" in found, "the embedded server is missing: run `make install`"
    return found


def _binary(binaries: dict[str, Server], kind: str) -> Server:
    if kind not in binaries:
        pytest.skip(f"no {kind}-server on this machine")
    return binaries[kind]


@pytest.fixture(scope="session", params=KINDS)
def shared_redis_server(
    request: pytest.FixtureRequest,
    server_binaries: dict[str, Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningServer]:
    """One server of each kind for the whole run. Tests take `redis_server`, which is empty."""
    server = _binary(server_binaries, request.param)
    folder = tmp_path_factory.mktemp(server.name)
    with start(server, folder, free_port(), config=None, arguments=IN_MEMORY) as running:
        yield running


@pytest.fixture
def redis_server(shared_redis_server: RunningServer) -> RunningServer:
    """A running, empty server, once for each kind. Not to be stopped: that is what `own_redis` is for."""
    with connect_blocking(shared_redis_server.url) as client:
        client.flushall()
    return shared_redis_server


@pytest.fixture
def redis_url(redis_server: RunningServer) -> str:
    return redis_server.url


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Client]:
    """Our asyncio client on the empty server."""
    async with connect(redis_url) as connected:
        yield connected


@pytest.fixture(params=KINDS)
def own_redis(
    request: pytest.FixtureRequest, server_binaries: dict[str, Server], tmp_path: Path
) -> Iterator[OwnRedis]:
    """A fresh server that the test may kill, restart (with other options) or suspend, once for each kind."""
    with OwnRedis(_binary(server_binaries, request.param), tmp_path / "own-redis") as own:
        yield own


@pytest.fixture
def clock_shim(tmp_path: Path) -> ClockShim:
    """A wall clock that the test sets forward and back under the processes that it starts with its environment."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    return ClockShim(tmp_path)


@pytest.fixture
def stepped_redis(server_binaries: dict[str, Server], clock_shim: ClockShim, tmp_path: Path) -> Iterator[OwnRedis]:
    """A server under `clock_shim`."""
    with OwnRedis(server_binaries["valkey"], tmp_path / "redis", clock_shim.environment()) as own:
        yield own


@pytest.fixture(params=["fast path", "public face"])
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to redis-py: with its tested version, and with any other. `usefixtures` runs a test on each."""
    monkeypatch.setattr(library, "FAST", request.param == "fast path")
    return str(request.param)


@pytest.fixture
async def no_debug() -> AsyncIterator[None]:
    """Without asyncio's debug mode, which costs ten times the time of what takes many steps of the loop."""
    loop = asyncio.get_running_loop()
    loop.set_debug(False)
    yield
    loop.set_debug(True)
