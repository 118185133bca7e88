"""Every HTTP and WebSocket port of the six real services: what each answers, and what none does."""

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest

from deploy.redis_server import RunningServer, Server, free_port, start
from tests.common.web.raw_http import ask, garbage, handshake, request
from tests.e2e.suite import NAMES, Suite, suite
from tests.support import IN_MEMORY

SOCKETS = ("bridge", "broadcaster")


@pytest.fixture(scope="module")
def ports_redis(
    server_binaries: dict[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """One server for all: what the ports answer does not depend on its kind."""
    folder = tmp_path_factory.mktemp("ports")
    with start(server_binaries["valkey"], folder, free_port(), config=None, arguments=IN_MEMORY) as running:
        yield running


@pytest.fixture(scope="module")
async def running(ports_redis: RunningServer) -> AsyncIterator[Suite]:
    async with suite(
        ports_redis.url, {"ALLOWED_HOSTS": "cottage.example", "ALLOWED_ORIGINS": "https://a.example"}
    ) as it:
        yield it


@pytest.fixture(scope="module")
async def ports(running: Suite) -> dict[str, tuple[int, str]]:
    """Port and path of everything that answers, by name; of the WebSockets that of the handshake."""
    urls = {"physics": running.api_url + "/openapi.json", "page": running.page_url}
    urls |= {"bridge": running.link_url, "broadcaster": running.ws_url}
    for name in NAMES:
        urls[f"{name}'s ops"] = await running.processes[name].ops_url() + "/healthz"
    parts = {name: urlsplit(url) for name, url in urls.items()}
    return {name: (url.port or 0, url.path) for name, url in parts.items()}


async def statuses(ports: dict[str, tuple[int, str]], *lines: str, host: str | None = "localhost") -> dict[str, int]:
    """What each port answers to a request with these headers."""
    answers = {}
    for name, (port, path) in ports.items():
        make = handshake if name in SOCKETS else request
        answer = await ask(port, make(path, *lines, host=host))
        assert answer.headers.get("access-control-allow-origin") in (None, "https://a.example"), name
        answers[name] = answer.status
    return answers


def all_are(ports: dict[str, tuple[int, str]], status: int) -> dict[str, int]:
    return {name: 101 if status == 200 and name in SOCKETS else status for name in ports}


@pytest.mark.parametrize(
    "host", ["localhost:1", "127.0.0.1", "[::1]:80", "192.0.2.7:80", "cottage.example", "A.LOCALHOST."]
)
async def test_every_port_answers_for_its_own_names(ports: dict[str, tuple[int, str]], host: str) -> None:
    assert await statuses(ports, host=host) == all_are(ports, 200)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "cottage.example.evil.example", "localhost.evil"]
)
async def test_no_port_answers_for_a_foreign_host(ports: dict[str, tuple[int, str]], host: str) -> None:
    assert await statuses(ports, host=host) == all_are(ports, 421)


async def test_no_port_answers_without_a_host_or_with_two(ports: dict[str, tuple[int, str]]) -> None:
    assert await statuses(ports, host=None) == all_are(ports, 400)
    assert await statuses(ports, "Host: localhost") == all_are(ports, 400)


@pytest.mark.parametrize("origin", ["http://localhost:1", "https://localhost", "https://a.example"])
async def test_every_port_answers_pages_of_its_host_and_listed_ones(
    ports: dict[str, tuple[int, str]], origin: str
) -> None:
    assert await statuses(ports, f"Origin: {origin}") == all_are(ports, 200)


@pytest.mark.parametrize("origin", ["null", "http://evil.example", "http://a.example", "http://127.0.0.1"])
async def test_no_port_answers_a_page_of_another_origin(ports: dict[str, tuple[int, str]], origin: str) -> None:
    assert await statuses(ports, f"Origin: {origin}") == all_are(ports, 403)


async def test_headers_have_a_bound_on_every_port(ports: dict[str, tuple[int, str]]) -> None:
    assert await statuses(ports, *(f"X-{number}: {'a' * 1000}" for number in range(64))) == all_are(ports, 431)
    assert await statuses(ports, *(f"X-{number}: {'a' * 1000}" for number in range(17))) == all_are(ports, 431)


async def test_garbage_logs_no_line_each(running: Suite, ports: dict[str, tuple[int, str]]) -> None:
    def lines() -> int:
        return sum(
            len(process.logs) + len(process.text) + len(process.errors) for process in running.processes.values()
        )

    before = lines()
    for port, _path in ports.values():
        await garbage(port, 2)  # forty connections
    assert set((await statuses(ports)).values()) == {101, 200}
    new = lines() - before
    assert new < 10 * len(ports), "some kinds a port, each once in 10 s; good handshakes have a line as well"
    for process in running.processes.values():
        assert process.text == process.errors == []
        assert [line for line in process.logs if "exception" in line] == []
