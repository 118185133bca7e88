"""What both test modules use: the wheel, an environment for it, and the services to talk to."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.redis_server import RunningServer, Server, free_port, start
from tests.e2e.suite import Suite, suite
from tests.packaging.environments import REQUIRED, Environment, build_wheel
from tests.support import IN_MEMORY, eventually


@pytest.fixture(scope="package")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="package")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What the library requires, and no more."""
    made = Environment(tmp_path_factory.mktemp("environment") / "venv")
    made.copy(*REQUIRED)
    made.install("--no-deps", "--no-index", str(wheel))
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's folder, with packages of the names that this repository has."""
    for name in ("services", "common", "deploy", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    return tmp_path


@pytest.fixture(scope="package")
def one_server(
    server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """Of either kind: these tests are about libraries."""
    server = next(iter(server_binaries.values()))
    with start(server, tmp_path_factory.mktemp("server"), free_port(), config=None, arguments=IN_MEMORY) as started:
        yield started


@pytest.fixture(scope="package")
async def running(one_server: RunningServer) -> AsyncIterator[Suite]:
    """All services, with states of a simulated market."""
    async with suite(one_server.url, {"MARKET_INTERVAL_SECONDS": "0.2", "FEYNMAN_TICK_SECONDS": "0.2"}) as services:

        async def has_states() -> bool:
            answers = [await services.get(f"/v1/physics/{symbol}") for symbol in ("SPY", "QQQ")]
            return all(answer.status_code == 200 for answer in answers)

        await eventually(has_states, timeout=30.0)
        yield services
