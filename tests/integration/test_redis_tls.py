"""Redis over TLS with a CA of one's own and client certificates: one server, Sentinel and a cluster."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from common.open_redis import redis_findings
from cottage.errors import RedisError
from cottage.redis import Reception, connect, connect_asking, connect_blocking, subscribe
from cottage.redis_tls import url_with_tls
from deploy.redis_server import RunningServer, Server, ServerError, free_port, start
from tests.certificates import Authority, Pair
from tests.integration.test_open_redis import look
from tests.support import IN_MEMORY, eventually, heard, service

pytestmark = pytest.mark.usefixtures("face")
TIMEOUT = 20.0


@dataclass
class Certificates:
    """A CA and what it has issued; and another one that nobody here trusts."""

    ca: Authority
    server: Pair
    client: Pair
    strange_ca: Authority
    strange_client: Pair

    def options(self, port: int) -> tuple[str, ...]:
        """Of a server that speaks TLS at this port, and asks for a certificate."""
        return (
            *("--tls-port", str(port), "--tls-auth-clients", "yes", "--tls-ca-cert-file", str(self.ca.path)),
            *("--tls-cert-file", self.server.certificate, "--tls-key-file", self.server.key),
            *("--tls-client-cert-file", self.client.certificate, "--tls-client-key-file", self.client.key),
        )

    def url(self, url: str) -> str:
        return url_with_tls(url, str(self.ca.path), self.client.certificate, self.client.key)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    ca, strange = Authority(folder, "ours"), Authority(folder, "a stranger's")
    client, other = ca.issue("client", client=True), strange.issue("strange", client=True)
    return Certificates(ca, ca.issue("server", "127.0.0.1"), client, strange, other)


@pytest.fixture(scope="module")
def server(server_binaries: dict[str, Server]) -> Server:
    if "redis" not in server_binaries:
        pytest.skip("the embedded server has no TLS; a redis-server is needed")
    return server_binaries["redis"]


def running(server: Server, folder: Path, *options: str, config: Path | None = None) -> RunningServer:
    try:
        return start(server, folder, free_port(), config=config, arguments=options)
    except ServerError as error:
        if "tls-port" in str(error):  # a redis-server that was built without
            pytest.skip(f"no TLS: {error}")
        raise


@contextmanager
def one(server: Server, folder: Path, certificates: Certificates) -> Iterator[str]:
    port = free_port()
    with running(server, folder, *IN_MEMORY, *certificates.options(port)):
        yield f"rediss://127.0.0.1:{port}"


@contextmanager
def watched(server: Server, folder: Path, certificates: Certificates) -> Iterator[str]:
    """A master and a sentinel that knows it by its port for TLS."""
    port, sentinel, place = free_port(), free_port(), folder / "sentinel"
    place.mkdir(parents=True)
    conf = place / "sentinel.conf"
    conf.write_text(f"sentinel monitor prices 127.0.0.1 {port} 1\nsentinel down-after-milliseconds prices 5000\n")
    with ExitStack() as stack:
        stack.enter_context(running(server, folder / "master", *IN_MEMORY, *certificates.options(port)))
        options = ("--sentinel", "--tls-replication", "yes", *certificates.options(sentinel))
        stack.enter_context(running(server, place, *options, config=conf))
        yield f"rediss+sentinel://127.0.0.1:{sentinel}/prices"


@contextmanager
def two_nodes(server: Server, folder: Path, certificates: Certificates) -> Iterator[str]:
    """A cluster that speaks TLS within, too."""
    ports, nodes = [free_port(), free_port()], []
    with ExitStack() as stack:
        for number, port in enumerate(ports):
            options = ("--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port", str(free_port()))
            more = (*IN_MEMORY, *certificates.options(port))
            nodes.append(stack.enter_context(running(server, folder / f"node-{number}", *options, *more)))
        clients = [stack.enter_context(connect_blocking(node.url)) for node in nodes]
        bus = clients[1].config_get("cluster-port")["cluster-port"]
        clients[0].execute_command("CLUSTER MEET", "127.0.0.1", ports[1], bus)
        clients[0].execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
        clients[1].execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
        yield f"rediss+cluster://127.0.0.1:{ports[0]}"


TOPOLOGIES = {"one": one, "sentinel": watched, "cluster": two_nodes}


@pytest.fixture(params=TOPOLOGIES)
def url(request: pytest.FixtureRequest, server: Server, certificates: Certificates, tmp_path: Path) -> Iterator[str]:
    with TOPOLOGIES[request.param](server, tmp_path, certificates) as made:
        yield made


async def works(url: str) -> bool:
    try:
        async with connect(url, timeout=5) as client:
            await client.bulk([("SET", f"key:{number}", "x") for number in range(20)])
    except RedisError:
        return False
    return True


async def test_every_client_shows_its_certificate_and_verifies_the_servers(
    url: str, certificates: Certificates
) -> None:
    ours = certificates.url(url)
    await eventually(lambda: works(ours), TIMEOUT)
    async with connect(ours) as client, subscribe(ours, "channel") as subscription:
        assert await client.mget([f"key:{number}" for number in range(20)]) == [b"x"] * 20
        await client.publish("channel", "told")
        assert await heard(subscription) == [b"told"]

    def ask() -> list[bytes]:
        client = connect_asking(ours)
        try:
            pipeline = client.pipeline(transaction=False)
            pipeline.execute_command("GET", "key:1")
            return list(pipeline.execute())
        finally:
            client.close()

    assert await asyncio.to_thread(ask) == [b"x"]


async def test_whoever_is_not_known_is_refused(url: str, certificates: Certificates) -> None:
    await eventually(lambda: works(certificates.url(url)), TIMEOUT)
    ca, strange = str(certificates.ca.path), certificates.strange_client
    assert not await works(url_with_tls(url, ca, "", "")), "no certificate"
    assert not await works(url_with_tls(url, ca, strange.certificate, strange.key)), "of a CA that it does not know"
    client = certificates.client
    unknown = url_with_tls(url, str(certificates.strange_ca.path), client.certificate, client.key)
    assert not await works(unknown), "the server's is of a CA that we do not know"
    assert not await works(certificates.url(url.replace("127.0.0.1", "localhost"))) or "cluster" in url, "of a host"


async def test_services_and_commands_take_the_files(
    server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    with one(server, tmp_path, certificates) as url:
        files = {
            "REDIS_URL": url,
            "REDIS_CA_FILE": str(certificates.ca.path),
            "REDIS_CERT_FILE": certificates.client.certificate,
            "REDIS_KEY_FILE": certificates.client.key,
        }
        async with service("market", files) as market:
            await market.ready(60)
            await market.stop()
        async with service("market", {**files, "REDIS_KEY_FILE": str(certificates.ca.path)}) as market:
            assert await market.ended() == 2
            assert "REDIS_KEY_FILE" in market.report()


async def test_over_tls_a_certificate_is_a_credential_and_a_server_that_is_not_verified_is_found(
    url: str, certificates: Certificates
) -> None:
    ours = certificates.url(url)
    await eventually(lambda: works(ours), 20)
    found = await look(ours)
    assert [each.admits for each in found] == [False] * len(found), "without a certificate nobody gets in"
    assert redis_findings(found) == []
    if "+" not in url:  # those of many have no such options
        for unverified in ("ssl_cert_reqs=none", "ssl_check_hostname=false"):
            (each,) = await look(f"{ours}&{unverified}")
            assert each.unverified
            (line,) = redis_findings([each])
            assert "does not verify" in line


async def test_over_tls_alone_a_server_is_as_open_as_without(
    server: Server, certificates: Certificates, tmp_path: Path
) -> None:
    port = free_port()
    options = (*IN_MEMORY, *certificates.options(port), "--tls-auth-clients", "no")
    with running(server, tmp_path / "tls", *options):
        found = await look(certificates.url(f"rediss://127.0.0.1:{port}"))
        assert found == [Reception(f"127.0.0.1:{port}", True)]
